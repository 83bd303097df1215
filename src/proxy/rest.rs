//! An HTTP/1 connection at rest.
//!
//! hyper keeps two buffers, the map of the last head and the room for a request's future as long as
//! a connection is open, two thirds of what an idle one costs. So it is taken down when a connection
//! has been idle for a while, and built anew when there is something to read or to do. Invariant:
//! what stays is all that the connection is, TLS session, framing and clocks: who rests is served,
//! drained, timed out and cut as who does not.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::UpgradeableConnection;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;

use super::downstream::Downstream;
use super::serve::{Connection, Loop};
use crate::upstream::BoxError;

/// The stream and the service of `connection`, of which nothing else stays; `None` when an upgrade
/// has taken the stream away.
#[allow(
    clippy::boxed_local,
    reason = "the box itself is what is to be given back"
)]
pub(super) fn take_apart<S, B>(
    connection: Box<UpgradeableConnection<TokioIo<Box<Downstream>>, S>>,
) -> Option<(Box<Downstream>, S)>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let parts = connection.into_parts()?;
    let mut stream = parts.io.into_inner();
    stream.put_back(&parts.read_buf);
    Some((stream, parts.service))
}

/// Returns when hyper is needed again.
pub(super) async fn over(stream: &Downstream, serving: &mut Loop<'_>) {
    let mut resting = Resting {
        stream,
        is_asked: false,
    };
    // How it ended is for hyper to say.
    let _ = serving.run(&mut resting).await;
}

impl<S, B> Connection for UpgradeableConnection<TokioIo<Box<Downstream>>, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    Self: Future<Output = hyper::Result<()>> + Unpin,
{
    // An idle connection is simply closed, and a request may be on its way on it.
    const LOSES_NOTHING: bool = false;
    const RESTS: bool = true;

    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

/// Ready when hyper is needed again.
struct Resting<'a> {
    stream: &'a Downstream,
    is_asked: bool,
}

impl Future for Resting<'_> {
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_asked || self.stream.is_cut() {
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_readable(cx).map(Ok)
    }
}

impl Connection for Resting<'_> {
    // As of the connection that rests.
    const LOSES_NOTHING: bool = false;
    const RESTS: bool = false;

    fn graceful_shutdown(mut self: Pin<&mut Self>) {
        self.is_asked = true;
    }
}
