//! The application's own metrics, fetched from loopback when somebody asks.
//!
//! What listens on loopback alone cannot be scraped; the admin port passes it on. Invariant: only
//! the one page of the configuration is asked for, and an answer is bounded in size and in time.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::AppMetrics;

/// What an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of its body.
    pub size: usize,
    /// From the question to its last byte.
    pub time: Duration,
}

impl Default for Limits {
    /// Prometheus itself gives up after 10 s; an exporter's page is a few hundred kilobytes.
    fn default() -> Self {
        Self {
            size: 16 << 20,
            time: Duration::from_secs(9),
        }
    }
}

/// The page as the application gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its `Content-Type`, where it has one.
    pub content_type: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no page.
#[derive(Debug)]
pub enum Error {
    /// Nobody listens.
    Connect(io::Error),
    /// It answered something else than 200.
    Status(StatusCode),
    /// It answered what is not HTTP, or broke off.
    Http(hyper::Error),
    /// It was not done in time.
    Timeout(Duration),
    /// It is larger than this.
    TooLarge(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the application's metrics (--app-metrics): ")?;
        match self {
            Self::Connect(error) => write!(f, "nobody listens: {error}"),
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::Http(error) => write!(f, "the answer is no page: {error}"),
            Self::Timeout(limit) => write!(f, "no answer within {limit:?}"),
            Self::TooLarge(limit) => write!(f, "the answer is over {limit} bytes"),
        }
    }
}

impl std::error::Error for Error {}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

/// Asks the application for its page, in the form that `accept` asks for.
///
/// # Errors
/// Why there is none.
pub async fn fetch(
    target: &AppMetrics,
    accept: Option<&HeaderValue>,
    limits: Limits,
) -> Result<Page, Error> {
    let asking = Box::pin(ask(target, accept, limits.size));
    match tokio::time::timeout(limits.time, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Timeout(limits.time)),
    }
}

async fn ask(
    target: &AppMetrics,
    accept: Option<&HeaderValue>,
    size: usize,
) -> Result<Page, Error> {
    let stream = TcpStream::connect(target.addresses.as_slice())
        .await
        .map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Nothing);
    *request.uri_mut() = target.path.clone().into();
    let headers = request.headers_mut();
    headers.insert(HOST, target.authority.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(accept) = accept {
        headers.insert(ACCEPT, accept.clone());
    }
    let exchange = async { read(sender.send_request(request).await?, size).await };
    beside(connection, exchange).await
}

async fn read(response: Response<Incoming>, size: usize) -> Result<Page, Error> {
    if response.status() != StatusCode::OK {
        return Err(Error::Status(response.status()));
    }
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            if bytes.len() + data.len() > size {
                return Err(Error::TooLarge(size));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(Page {
        content_type,
        body: bytes.freeze(),
    })
}

/// The output of `exchange`, with `connection` driven in the same task.
async fn beside<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    let mut is_open = true;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = exchange.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        // What it ends with, the exchange hears of itself, and has to be asked for it.
        if is_open && connection.as_mut().poll(cx).is_ready() {
            is_open = false;
        }
        exchange.as_mut().poll(cx)
    })
    .await
}

/// The body of a GET.
#[derive(Debug)]
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
