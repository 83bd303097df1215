//! The application's side: `send(request) -> response`. Knows nothing of the client's side.
//!
//! One [`Upstream`] per worker, nothing shared between workers but the [`Outage`]. HTTP/1.1 connections are pooled
//! last in, first out and driven by the request that uses them, inside its own task; HTTP/2
//! connections are shared and have a task of their own. The retry rule is here and nowhere else:
//! once, when the request provably never arrived or is idempotent and had no body to lose.

mod body;
mod error;
mod expectation;
mod http1;
mod http2;
mod outage;
mod pool;
mod shortage;
mod tunnel;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use body::Body;
pub use error::{BoxError, Error, reset_code};
pub use expectation::OnContinue;
pub use outage::Outage;
pub use tunnel::{Tunnel, upgraded};

use crate::config;
use crate::limits::AnswerRoom;
use crate::message::{Request, Response};
use crate::net::{ConnectError, Connector, Stream};
use crate::syntax;
use crate::telemetry::record::Telemetry;
use outage::Judgement;
use shortage::Shortage;

/// What a request to the application may have as its body; the default is an empty one.
pub trait RequestBody:
    http_body::Body<Data = Bytes, Error = BoxError> + Default + Send + Unpin + 'static
{
}

impl<B> RequestBody for B where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Default + Send + Unpin + 'static
{
}

/// Bytes that open a connection before its first request (a PROXY header).
///
/// A connection with a prologue speaks for one client and is never reused for another.
pub type Prologue = Option<Vec<u8>>;

/// One worker's way to the application.
#[derive(Debug)]
pub struct Upstream<B: RequestBody> {
    shared: Arc<Shared<B>>,
    http2: Arc<http2::Connections<B>>,
    protocol: config::Protocol,
}

#[derive(Debug)]
struct Shared<B: RequestBody> {
    connector: Connector,
    outage: Arc<Outage>,
    shortage: Shortage,
    pool: pool::Pool<Box<http1::Connection<B>>>,
    permits: Arc<Semaphore>,
    /// For streams over HTTP/2, where memory is limited.
    streams: Option<Arc<Semaphore>>,
    limits: Limits,
    connect_timeout: Duration,
    response_timeout: Option<Duration>,
    idle_timeout: Duration,
    telemetry: Arc<Telemetry>,
}

/// A way to the application that was asked for.
enum Opened<C> {
    /// A connection that nobody has used.
    Fresh(Stream),
    /// What has become free meanwhile.
    Instead(C),
}

/// What an answer's head may be, and how HTTP/2 connections are kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a header section.
    pub header_size: u32,
    /// Fields of a header section.
    pub headers: u16,
    /// HTTP/2 PING interval.
    pub keepalive: Duration,
    /// Memory for answers on their way.
    pub room: AnswerRoom,
}

impl Limits {
    /// Those of a header or trailer section.
    fn section(&self) -> syntax::Limits {
        syntax::Limits {
            size: self.header_size,
            fields: self.headers,
        }
    }
}

impl<B: RequestBody> Upstream<B> {
    /// The way to `section`'s application for one of `workers` workers, which share `outage`.
    pub fn new(
        section: &config::Upstream,
        limits: Limits,
        workers: usize,
        telemetry: Arc<Telemetry>,
        outage: Arc<Outage>,
    ) -> Self {
        let most = section
            .max_connections
            .unwrap_or(config::defaults::MAX_UPSTREAM_CONNECTIONS);
        let share = most.get().div_ceil(workers.max(1));
        let connector = Connector::new(
            section.target.address.clone(),
            section.connect_timeout,
            section.keepalive_interval,
        );
        let shared = Arc::new(Shared {
            connector,
            outage,
            shortage: Shortage::default(),
            pool: pool::Pool::default(),
            permits: Arc::new(Semaphore::new(share)),
            streams: limits.room.answers().map(|n| Arc::new(Semaphore::new(n))),
            limits,
            connect_timeout: section.connect_timeout,
            response_timeout: section.response_timeout,
            idle_timeout: section.idle_timeout,
            telemetry,
        });
        Self {
            http2: Arc::default(),
            protocol: section.target.protocol,
            shared,
        }
    }

    /// Takes `request` on its way: encoded where it can be, so that what waits is small.
    ///
    /// `lines` are more of the head, whole lines together, for an application that speaks HTTP/1.1.
    pub fn send(&self, request: Request<B>, lines: &[&[u8]], prologue: Prologue) -> Sending<B> {
        let shared = Arc::clone(&self.shared);
        // What is seldom is boxed, so that its state does not make every request's future larger.
        Sending(match (self.protocol, shared.response_timeout) {
            (config::Protocol::H2c, limit) => {
                let sending = http2::Sending::new(&self.http2, shared, request, prologue);
                match limit {
                    None => Way::Stream(sending),
                    limit => Way::Boxed(Box::pin(within(limit, sending.answer()))),
                }
            }
            (_, None) => Way::Plain(http1::Sending::new(shared, request, lines, prologue)),
            (_, limit) => {
                let sending = http1::Sending::new(shared, request, lines, prologue);
                Way::Boxed(Box::pin(within(limit, sending.answer())))
            }
        })
    }

    /// A connection for raw bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&self, prologue: Prologue) -> Result<Stream, Error> {
        self.shared.connect(prologue).await
    }

    /// How much of an answer may be held at each place on its way to a client that is slow.
    pub fn piece(&self) -> usize {
        self.shared.piece()
    }

    /// Whether HTTP/2 is spoken to the application.
    pub fn is_http2(&self) -> bool {
        self.protocol == config::Protocol::H2c
    }

    /// Closes connections that have been idle too long or are not needed any more.
    pub fn sweep(&self) {
        self.shared.pool.sweep();
        self.http2.sweep();
    }
}

impl<B: RequestBody> Shared<B> {
    /// Opens a connection; while an outage is new, waits for the application to come back.
    async fn connect(&self, prologue: Prologue) -> Result<Stream, Error> {
        match self.connect_or(prologue, || None::<Infallible>).await? {
            Opened::Fresh(stream) => Ok(stream),
            Opened::Instead(never) => match never {},
        }
    }

    /// As [`Self::connect`]; without a local port, what `instead` finds is as good.
    async fn connect_or<C>(
        &self,
        prologue: Prologue,
        instead: impl Fn() -> Option<C>,
    ) -> Result<Opened<C>, Error> {
        let asked = Instant::now();
        let mut deadline = None;
        loop {
            let over = self.outage.over(&mut deadline, &self.connector);
            over.await.map_err(Error::Connect)?;
            // Whoever was held takes turns with all others that were.
            let _turn = match deadline {
                Some(_) => self.outage.turn().await,
                None => None,
            };
            let leave = self.shortage.turn(asked + self.connect_timeout).await;
            let leave = leave.map_err(Error::Connect)?;
            if leave.is_some()
                && let Some(instead) = instead()
            {
                return Ok(Opened::Instead(instead));
            }
            let begun = Instant::now();
            let error = match self.connector.connect().await {
                Ok(stream) => {
                    self.shortage.over();
                    return self.opened(stream, prologue).await.map(Opened::Fresh);
                }
                Err(error) => error,
            };
            self.telemetry.metrics.upstream.failed.increment();
            // A shortage of our own: no outage, and nothing that a probe could find out.
            if matches!(error, ConnectError::Exhausted(_)) {
                self.shortage.met(error);
                continue;
            }
            self.shortage.over();
            let has_time = asked.elapsed() < self.connect_timeout;
            match self.outage.failed(begun, error) {
                Judgement::Outdated(error) if !has_time => return Err(Error::Connect(error)),
                Judgement::Outdated(_) | Judgement::Away => {}
            }
        }
    }

    fn piece(&self) -> usize {
        let metrics = &self.telemetry.metrics;
        self.limits.room.piece(metrics.requests_in_flight.value())
    }

    async fn opened(&self, mut stream: Stream, prologue: Prologue) -> Result<Stream, Error> {
        self.outage.reached();
        self.telemetry.metrics.upstream.opened.increment();
        if let Some(prologue) = prologue {
            stream.write_all(&prologue).await.map_err(Error::Io)?;
        }
        Ok(stream)
    }

    /// Leave to have one more request at the application.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.one_of(&self.permits).await
    }

    /// Leave to have one more stream at the application; `None` where there is no end of them.
    async fn stream_permit(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        match &self.streams {
            Some(streams) => self.one_of(streams).await.map(Some),
            None => Ok(None),
        }
    }

    async fn one_of(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let wait = Arc::clone(permits).acquire_owned();
        match Box::pin(tokio::time::timeout(self.connect_timeout, wait)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::Busy),
        }
    }
}

/// A request on its way.
pub struct Sending<B: RequestBody>(Way<B>);

enum Way<B: RequestBody> {
    Plain(http1::Sending<B>),
    Stream(http2::Sending<B>),
    Boxed(Answering<B>),
}

type Answering<B> = Pin<Box<dyn Future<Output = Answered<B>> + Send>>;
type Answered<B> = Result<Response<Body<B>>, Error>;

impl<B: RequestBody> Sending<B> {
    /// The answer. The request is sent once more if the rule allows it.
    ///
    /// # Errors
    /// Why there is none, kinds kept apart.
    pub async fn answer(self) -> Answered<B> {
        match self.0 {
            Way::Plain(sending) => sending.answer().await,
            Way::Stream(sending) => sending.answer().await,
            Way::Boxed(sending) => sending.await,
        }
    }
}

/// Waits for `sending` no longer than `limit`.
async fn within<T>(
    limit: Option<Duration>,
    sending: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        None => sending.await,
        Some(limit) => tokio::time::timeout(limit, sending)
            .await
            .unwrap_or(Err(Error::ResponseTimeout)),
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}
