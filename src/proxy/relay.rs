//! Bytes both ways: upgraded connections and raw sessions.
//!
//! Half-close passes through; the end is when both directions have ended, when the drain is out of
//! time, when the client's certificate is no longer good, or when nothing has moved for `--stream-idle-timeout`. A drain that still has time lets a
//! tunnel live: ending it would lose what is on its way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Context;
use super::entitlement;
use crate::telemetry::record::Record;

/// One TLS record: what a read can give and a write can take at once.
const BUFFER: usize = 16 * 1024;

/// How a session of bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// As both sides meant it.
    Closed,
    /// One side broke off, or the drain was out of time.
    Broken,
    /// Nothing moved for `--stream-idle-timeout`.
    Idle,
}

/// Copies both ways until the end, and tells `record` what it came to.
pub(super) async fn relay<A, B>(
    context: &Context,
    client: A,
    application: B,
    mut record: Record,
) -> Ended
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let received = record.count_received();
    let sent = Arc::new(AtomicU64::new(0));
    let mut client = Counted {
        inner: client,
        read: Arc::clone(&received),
    };
    let mut application = Counted {
        inner: application,
        read: Arc::clone(&sent),
    };
    let mut drain = context.worker.drain.signal();
    let idle = context.worker.policy.http.stream_idle_timeout;
    let mut ended = Ended::Broken;
    let copied = tokio::select! {
        biased;
        copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut application, BUFFER, BUFFER) => Some(copied),
        () = drain.forced() => {
            record.flag("cut");
            context.worker.telemetry.metrics.cut.increment();
            None
        }
        () = entitlement::over(context) => {
            record.flag("client_not_allowed");
            context.worker.telemetry.metrics.cut.increment();
            None
        }
        () = idle_for(idle, &received, &sent) => {
            record.flag("stream_idle_timeout");
            ended = Ended::Idle;
            None
        }
    };
    record.body_bytes(usize::try_from(sent.load(Relaxed)).unwrap_or(usize::MAX));
    match copied {
        Some(Ok(_)) => {
            record.complete();
            ended = Ended::Closed;
        }
        Some(Err(error)) => {
            // Tunnels rarely end any other way; which side broke off is not known here.
            tracing::debug!(%error, "tunnel broke off");
            record.flag(match entitlement::is_lost(context) {
                // The connection below was cut for it before this tunnel had its turn.
                true => "client_not_allowed",
                false => "tunnel_broken",
            });
        }
        None => {
            // Goodbye in the protocol of the layer below, if the client takes it.
            let goodbye = tokio::io::AsyncWriteExt::shutdown(&mut client);
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }
    ended
}

/// Returns when neither counter has moved for `limit`; never without a limit.
async fn idle_for(limit: Option<Duration>, received: &AtomicU64, sent: &AtomicU64) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let mut seen = None;
    loop {
        let now = (received.load(Relaxed), sent.load(Relaxed));
        if seen == Some(now) {
            return;
        }
        seen = Some(now);
        tokio::time::sleep(limit).await;
    }
}

struct Counted<S> {
    inner: S,
    read: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.read
            .fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
