//! HTTP/1.1 to the application.
//!
//! A connection has no task of its own: whoever awaits an answer or reads its body drives it, so
//! a request costs no switch between tasks, and dropping the request closes the connection, which
//! is how cancellation reaches the application at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{Body, Driven};
use super::error::is_malformed_head;
use super::head::{Expected, Watched, announces_impossible_body, has_one_framing};
use super::{Error, Prologue, RequestBody, Shared, spare};
use crate::net::{Look, Stream};

/// One connection, driven by whoever uses it.
#[derive(Debug)]
pub(super) struct Connection<B: RequestBody> {
    sender: http1::SendRequest<B>,
    driver: http1::Connection<TokioIo<Watched>, B>,
    look: Look,
    expected: Expected,
    is_done: bool,
}

/// A failed exchange, with the request when it provably never left.
struct Failed<B> {
    error: hyper::Error,
    request: Option<Request<B>>,
}

/// Sends `request` on a pooled connection or a fresh one.
pub(super) async fn send<B: RequestBody>(
    shared: &Arc<Shared<B>>,
    mut request: Request<B>,
    prologue: Prologue,
) -> Result<Response<Body<B>>, Error> {
    let permit = shared.permit().await?;
    while prologue.is_none() {
        let Some(connection) = reuse(shared) else {
            break;
        };
        let again = spare(&request);
        match connection.exchange(request).await {
            Ok((response, connection)) => {
                return deliver(shared, response, connection, permit, Reuse::Allowed);
            }
            Err(Failed {
                request: Some(unsent),
                ..
            }) => request = unsent,
            Err(Failed {
                error,
                request: None,
            }) => match again {
                // The keep-alive race: closed under the request, before a byte of an answer.
                Some(again) if is_silence(&error) => {
                    shared.telemetry.metrics.upstream.retries.increment();
                    request = again;
                    break;
                }
                _ => return Err(error.into()),
            },
        }
    }
    let reuse = if prologue.is_none() {
        Reuse::Allowed
    } else {
        Reuse::Never
    };
    // Boxed, as opening is rare: its state would make every request's future larger.
    let connection = Box::pin(Connection::open(shared, prologue.clone())).await?;
    let request = match connection.exchange(request).await {
        Ok((response, connection)) => {
            return deliver(shared, response, connection, permit, reuse);
        }
        // Closed before the request's turn came, which a busy moment can make long.
        Err(Failed {
            request: Some(unsent),
            ..
        }) => unsent,
        Err(failed) => return Err(failed.error.into()),
    };
    shared.telemetry.metrics.upstream.retries.increment();
    let connection = Box::pin(Connection::open(shared, prologue)).await?;
    match connection.exchange(request).await {
        Ok((response, connection)) => deliver(shared, response, connection, permit, reuse),
        Err(failed) => Err(failed.error.into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Allowed,
    Never,
}

/// A pooled connection that still looks alive.
///
/// The kernel is asked every time, also for what could be sent again: what the application said
/// unasked a moment ago would be taken for the answer to this request.
fn reuse<B: RequestBody>(shared: &Shared<B>) -> Option<Box<Connection<B>>> {
    loop {
        let mut connection = shared.pool.take()?;
        connection.look.request();
        connection.settle();
        if connection.is_reusable() {
            return Some(connection);
        }
    }
}

fn deliver<B: RequestBody>(
    shared: &Arc<Shared<B>>,
    response: Response<Incoming>,
    connection: Box<Connection<B>>,
    permit: OwnedSemaphorePermit,
    reuse: Reuse,
) -> Result<Response<Body<B>>, Error> {
    if !has_one_framing(&response) {
        return Err(Error::Garbage("ambiguous length of the body".into()));
    }
    let keep = match reuse {
        Reuse::Never => Duration::ZERO,
        Reuse::Allowed if announces_impossible_body(&response) => Duration::ZERO,
        Reuse::Allowed => keep_for(response.headers(), shared.idle_timeout),
    };
    let driven = Driven::new(connection, Arc::clone(shared), permit, keep);
    Ok(response.map(|incoming| Body::http1(incoming, driven)))
}

/// Whether the connection ended without a word: not garbage, and not a fault of the request.
fn is_silence(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !is_malformed_head(error)
}

/// How long an idle connection may be used again: our limit, or what the application announces
/// less a second, because its clock started when the answer left it.
fn keep_for(headers: &HeaderMap, limit: Duration) -> Duration {
    let announced = headers.get("keep-alive").and_then(|value| {
        let value = value.to_str().ok()?;
        let timeout = value.split(',').find_map(|part| {
            let (name, seconds) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("timeout")
                .then_some(seconds)
        })?;
        timeout.trim().parse().ok().map(Duration::from_secs)
    });
    announced.map_or(limit, |announced| {
        limit.min(
            announced
                .saturating_sub(Duration::from_secs(1))
                .max(announced / 2),
        )
    })
}

impl<B: RequestBody> Connection<B> {
    async fn open(shared: &Shared<B>, prologue: Prologue) -> Result<Box<Self>, Error> {
        let stream = shared.connect(prologue).await?;
        let look = stream.look();
        let stream = Watched::new(stream);
        let expected = stream.expected();
        let (sender, driver) = http1::Builder::new()
            .max_headers(usize::from(shared.limits.headers))
            .max_header_size(shared.limits.header_size as usize)
            .max_buf_size(buffer_size(shared.limits.header_size))
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Box::new(Self {
            sender,
            driver,
            look,
            expected,
            is_done: false,
        }))
    }

    /// Sends `request`; handed to hyper at once, so that the future does not carry it.
    fn exchange(
        mut self: Box<Self>,
        request: Request<B>,
    ) -> impl Future<Output = Result<(Response<Incoming>, Box<Self>), Failed<B>>> {
        let uploads = !request.body().is_end_stream();
        self.expected.announce();
        let answer = self.sender.try_send_request(request);
        async move {
            let mut answer = std::pin::pin!(answer);
            let result = std::future::poll_fn(|cx| {
                self.poll_drive(cx);
                answer.as_mut().poll(cx)
            })
            .await;
            match result {
                Ok(response) => {
                    if !uploads {
                        self.settle();
                    }
                    Ok((response, self))
                }
                Err(mut failed) => {
                    let request = failed.take_message();
                    Err(Failed {
                        error: failed.into_error(),
                        request,
                    })
                }
            }
        }
    }

    /// Lets the connection read and write what it can.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) {
        if !self.is_done && Pin::new(&mut self.driver).poll(cx).is_ready() {
            // An error is also with whoever awaits the answer or its body.
            self.is_done = true;
        }
    }

    /// The socket behind a granted switch, and what had been read beyond it.
    pub(super) fn into_raw(self) -> (Stream, Bytes) {
        let parts = self.driver.into_parts();
        (parts.io.into_inner().into_inner(), parts.read_buf)
    }

    /// Whether hyper has let go of the socket.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// A turn in which hyper's channels forget whom to wake.
    ///
    /// The next to touch them is the very task that they would wake: without this each request
    /// costs two turns of its connection for nothing. Only when no upload has to be woken for,
    /// and always before a turn of [`Self::poll_drive`], which registers the task again.
    pub(super) fn settle(&mut self) {
        self.poll_drive(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether the next request could be sent on it.
    pub(super) fn is_reusable(&self) -> bool {
        !self.is_done && self.sender.is_ready()
    }
}

/// hyper's buffer holds a whole head and is at least 8 KiB; body reads larger than the L2 cache
/// are what makes large copies slow, so it gets no more than it needs.
fn buffer_size(header_size: u32) -> usize {
    (header_size as usize).max(64 * 1024)
}

/// When an idle connection has to be gone.
pub(super) fn until(keep: Duration) -> Instant {
    Instant::now() + keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_applications_keep_alive_shortens_the_idle_limit_and_never_lengthens_it() {
        let limit = Duration::from_secs(4);
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", value.parse().unwrap());
            keep_for(&headers, limit)
        };
        assert_eq!(keep_for(&HeaderMap::new(), limit), limit);
        assert_eq!(with("timeout=5"), Duration::from_secs(4));
        assert_eq!(with("timeout=3, max=100"), Duration::from_secs(2));
        assert_eq!(with("max=100, Timeout=1"), Duration::from_millis(500));
        assert_eq!(with("timeout=0"), Duration::ZERO);
        assert_eq!(with("timeout=600"), limit);
        assert_eq!(with("timeout=soon"), limit);
    }
}
