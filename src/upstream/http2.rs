//! HTTP/2 with prior knowledge to the application: few connections, shared by all requests.
//!
//! A further connection opens when every open one has as many streams as the application allows,
//! up to `--max-upstream-connections`; then requests wait for a stream as long as for a
//! connection. Where memory is limited, all streams together are too, as HTTP/1.1 connections are:
//! each may bring an answer for a client that is slow. An application that allows no stream at all
//! wants to be left alone (RFC 9113 section 6.5.2): nothing further is opened to it. Each connection
//! has a task of its own, because its streams outlive one another.
//!
//! Written for this use instead of taken from hyper and h2, which run two tasks for a request, hand its
//! parts through several queues, and make maps of its fields: two thirds of what a gRPC call cost.

mod control;
mod core;
mod driver;
mod failure;
mod head;
mod held;
mod receive;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body::Body;
use super::{Answering, Error, Opened, Prologue, RequestBody, Shared, is_idempotent};
use crate::drain;
use crate::message::{Request, Response};
use crate::net::{ConnectError, Stream};
use core::{Core, NotTaken};
use driver::Driver;
use failure::Failure;
pub(super) use failure::Reset;
pub(super) use held::Held;
pub(super) use held::Tunnel;

/// Between two PINGs at least, and only while there are streams: servers of gRPC end a connection that
/// asks more often than every five minutes while they have nothing to say (gRPC proposal A8).
const SHORTEST_PING: Duration = Duration::from_secs(5 * 60 + 10);

/// One worker's HTTP/2 connections.
#[derive(Debug)]
pub(super) struct Connections<B: RequestBody> {
    open: Mutex<Vec<Connection<B>>>,
    /// One opens at a time: a burst at start must not open a connection per request.
    opening: Semaphore,
    /// For requests that wait for a stream.
    freed: Arc<Notify>,
}

/// One connection, for all who have a stream on it.
#[derive(Debug)]
struct Connection<B: RequestBody>(Arc<Common<B>>);

#[derive(Debug)]
struct Common<B: RequestBody> {
    core: Mutex<Core<B>>,
    shared: Arc<Shared<B>>,
}

impl<B: RequestBody> Clone for Connection<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: RequestBody> Connection<B> {
    fn core(&self) -> MutexGuard<'_, Core<B>> {
        // One worker's own, and all of it runs on one thread: never contended.
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: RequestBody> Default for Connections<B> {
    fn default() -> Self {
        Self {
            open: Mutex::new(Vec::new()),
            opening: Semaphore::new(1),
            freed: Arc::default(),
        }
    }
}

impl<B: RequestBody> Drop for Connections<B> {
    fn drop(&mut self) {
        for connection in self.lock().drain(..) {
            connection.core().leave();
        }
    }
}

/// A request on its way: on a stream already, where there was one for it.
pub(super) enum Sending<B: RequestBody> {
    OnStream(OnStream<B>),
    Boxed(Answering<B>),
}

/// A request whose body goes with it: of no use behind its first piece, and so not held on to.
pub(super) struct OnStream<B: RequestBody> {
    held: Held<B>,
    connections: Arc<Connections<B>>,
}

impl<B: RequestBody> Sending<B> {
    pub(super) fn new(
        connections: &Arc<Connections<B>>,
        shared: Arc<Shared<B>>,
        mut request: Request<B>,
        prologue: Prologue,
    ) -> Self {
        let connections = Arc::clone(connections);
        if prologue.is_none()
            && let Some(held) = connections.at_once(&shared, &mut request)
        {
            held.keep(request);
            return Self::OnStream(OnStream { held, connections });
        }
        let send = async move { connections.send(&shared, request, prologue).await };
        Self::Boxed(Box::pin(send))
    }

    /// The answer.
    pub(super) async fn answer(self) -> Result<Response<Body<B>>, Error> {
        let sending = match self {
            Self::Boxed(sending) => return sending.await,
            Self::OnStream(sending) => sending,
        };
        match sending.held.head().await {
            Ok((head, arrived)) => Ok(head.map(|()| Body::http2(sending.held, arrived))),
            // Boxed, as it is rare.
            Err(failure) => Box::pin(sending.again(failure)).await,
        }
    }
}

impl<B: RequestBody> OnStream<B> {
    /// Sends a request once more that came to nothing, where that harms nobody.
    async fn again(self, failure: Failure) -> Result<Response<Body<B>>, Error> {
        let Some((body, Some(mut request))) = self.held.take_unsent() else {
            return Err(failure.into());
        };
        request.body = body;
        let shared = Arc::clone(self.held.shared());
        drop(self.held);
        self.connections.repeat(&shared, &mut request).await
    }
}

/// A request that came to nothing, and whether it may be sent again.
struct Failed {
    error: Error,
    is_again: bool,
}

impl<B: RequestBody> Connections<B> {
    /// A stream for a `request` with a body, if there is one now; then the body is taken.
    fn at_once(&self, shared: &Shared<B>, request: &mut Request<B>) -> Option<Held<B>> {
        if request.body.is_end_stream() {
            return None;
        }
        let permit = match &shared.streams {
            Some(streams) => Some(Arc::clone(streams).try_acquire_owned().ok()?),
            None => None,
        };
        let connection = self.pick()?;
        let id = connection.core().ask(request).ok()?;
        Some(Held::new(connection, id, permit))
    }

    async fn send(
        &self,
        shared: &Arc<Shared<B>>,
        mut request: Request<B>,
        prologue: Prologue,
    ) -> Result<Response<Body<B>>, Error> {
        let permit = shared.stream_permit().await?;
        if prologue.is_some() {
            let place = shared.permit().await?;
            let socket = shared.connect(prologue).await?;
            let connection = self.begin(shared, socket, place).await?;
            let asked = connection.core().ask(&mut request);
            // It speaks for this client alone.
            connection.core().leave();
            let held = Held::new(connection, asked?, permit);
            let (head, arrived) = held.head().await?;
            return Ok(head.map(|()| Body::http2(held, arrived)));
        }
        match self.exchange(shared, &mut request, permit).await {
            Err(Failed { is_again: true, .. }) => self.repeat(shared, &mut request).await,
            done => done.map_err(|failed| failed.error),
        }
    }

    /// Sends `request` a second time, which is the last.
    async fn repeat(
        &self,
        shared: &Arc<Shared<B>>,
        request: &mut Request<B>,
    ) -> Result<Response<Body<B>>, Error> {
        shared.telemetry.metrics.upstream.retries.increment();
        let permit = shared.stream_permit().await?;
        let repeated = self.exchange(shared, request, permit).await;
        repeated.map_err(|failed| failed.error)
    }

    /// Sends `request` once, on whatever connection has a stream for it.
    async fn exchange(
        &self,
        shared: &Arc<Shared<B>>,
        request: &mut Request<B>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<Body<B>>, Failed> {
        let is_whole = request.body.is_end_stream();
        let (connection, id) = self.ask(shared, request).await?;
        let held = Held::new(connection, id, permit);
        match held.head().await {
            Ok((head, arrived)) => Ok(head.map(|()| Body::http2(held, arrived))),
            Err(failure) => {
                // The keep-alive race: closed under the request, before a byte of an answer.
                let is_race = is_whole && !held.is_first() && is_idempotent(&request.method);
                let unsent = held.take_unsent().map(|(body, _)| request.body = body);
                Err(Failed {
                    is_again: unsent.is_some() || is_race && failure.is_silence(),
                    error: failure.into(),
                })
            }
        }
    }

    /// Closes connections beyond the first that no stream needs any more; the first gives back what it does
    /// not need.
    pub(super) fn sweep(&self) {
        let mut has_first = false;
        self.lock().retain(|connection| {
            let mut core = connection.core();
            core.sweep(!std::mem::replace(&mut has_first, true));
            !core.is_closed()
        });
    }

    /// Opens a stream for `request`, waiting for one where there is none.
    async fn ask(
        &self,
        shared: &Arc<Shared<B>>,
        request: &mut Request<B>,
    ) -> Result<(Connection<B>, u32), Error> {
        let patience = Instant::now() + shared.connect_timeout;
        loop {
            let connection = match self.pick() {
                Some(connection) => Some(connection),
                None => self.open_further(shared, patience).await?,
            };
            if let Some(connection) = connection {
                let asked = connection.core().ask(request);
                match asked {
                    Ok(id) => return Ok((connection, id)),
                    Err(NotTaken::NoRoom) => continue,
                    Err(NotTaken::NoProtocols) => return Err(Error::NoExtendedConnect),
                }
            }
            // All of a worker runs on one thread: nothing can have been freed since the look.
            let freed = tokio::time::timeout_at(patience, self.freed.notified()).await;
            freed.map_err(|_| Error::Busy)?;
        }
    }

    /// A further connection, or one that has got room meanwhile; `None` when there may be none.
    async fn open_further(
        &self,
        shared: &Arc<Shared<B>>,
        patience: Instant,
    ) -> Result<Option<Connection<B>>, Error> {
        let _turn = self.opening.acquire().await.map_err(|_| Error::Busy)?;
        // Somebody may have opened one while we waited for our turn.
        if let Some(connection) = self.pick() {
            return Ok(Some(connection));
        }
        // Whoever had the turn before has waited for a port all this time: it was our wait, too.
        if Instant::now() >= patience
            && let Some(shortage) = shared.shortage.why()
        {
            return Err(Error::Connect(shortage));
        }
        let is_unwanted = self.lock().iter().any(|c| c.core().is_unwanted());
        if is_unwanted {
            return Ok(None);
        }
        let Ok(permit) = Arc::clone(&shared.permits).try_acquire_owned() else {
            return Ok(None);
        };
        let connection = match shared.connect_or(None, || self.pick()).await? {
            Opened::Fresh(stream) => self.begin(shared, stream, permit).await?,
            Opened::Instead(connection) => return Ok(Some(connection)),
        };
        self.lock().push(connection);
        Ok(self.pick())
    }

    fn pick(&self) -> Option<Connection<B>> {
        let mut open = self.lock();
        open.retain(|connection| !connection.core().is_closed());
        open.iter()
            .find(|connection| connection.core().has_room())
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection<B>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to speak HTTP/2 on `stream`, and waits for what the application allows.
    ///
    /// Its SETTINGS are the first it says (RFC 9113 section 3.4). A request that is sent before them
    /// could be one too many.
    async fn begin(
        &self,
        shared: &Arc<Shared<B>>,
        stream: Stream,
        permit: OwnedSemaphorePermit,
    ) -> Result<Connection<B>, Error> {
        let windows = shared.limits.room.windows(self.lock().len() + 1);
        let core = Core::new(windows, shared.limits.section(), Arc::clone(&self.freed));
        let told = Arc::clone(&core.told);
        let connection = Connection(Arc::new(Common {
            core: Mutex::new(core),
            shared: Arc::clone(shared),
        }));
        let driver = Driver::new(connection.clone(), stream, permit);
        drain::in_background(driver.run());
        let mut begun = Begun {
            connection: connection.clone(),
            is_wanted: false,
        };
        let wait = async {
            while !connection.core().is_told() && connection.core().ended().is_none() {
                told.notified().await;
            }
        };
        let waited = tokio::time::timeout(shared.connect_timeout, wait).await;
        let ended = connection.core().ended();
        match (waited, ended) {
            (Err(_), None) => Err(Error::Connect(ConnectError::Timeout)),
            (_, Some(ended)) => Err(Failure::Connection(ended).into()),
            (Ok(()), None) => {
                begun.is_wanted = true;
                Ok(connection)
            }
        }
    }
}

/// A connection that has begun; without anybody who wants it, it ends.
struct Begun<B: RequestBody> {
    connection: Connection<B>,
    is_wanted: bool,
}

impl<B: RequestBody> Drop for Begun<B> {
    fn drop(&mut self) {
        if !self.is_wanted {
            self.connection.core().leave();
        }
    }
}

impl From<Error> for Failed {
    /// Nothing of it was sent, and a wait has told why.
    fn from(error: Error) -> Self {
        Self {
            error,
            is_again: false,
        }
    }
}

impl From<NotTaken> for Error {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::NoRoom => Self::Busy,
            NotTaken::NoProtocols => Self::NoExtendedConnect,
        }
    }
}
