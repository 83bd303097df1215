//! Reading over HTTP/2, where a client may send more than anybody has asked for.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::{Downstream, Reader};

/// What a client still sends is read so that it hears our last words, for this long at most.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are thrown away at once.
const ASIDE: usize = 4096;

/// Between two looks whether a client that is not read for want of memory has gone.
const LOOK: Duration = Duration::from_secs(1);

/// The clocks of a connection that is not read, or read in vain.
#[derive(Default)]
pub(in crate::proxy) struct Http2Reader {
    lingering: Option<Pin<Box<Sleep>>>,
    /// When to look whether a client that is not read has gone.
    look: Option<Pin<Box<Sleep>>>,
}

impl Downstream {
    /// Reads what there is memory for.
    pub(super) fn poll_http2(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Reader::Http2(reader) = &mut self.reader
            && self.activity.is_held_up(cx.waker())
        {
            if self.stream.is_read_closed(cx) {
                // Nobody waits for what is held.
                return Poll::Ready(Ok(()));
            }
            let look = reader
                .look
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
            while look.as_mut().poll(cx).is_ready() {
                look.as_mut().reset(Instant::now() + LOOK);
            }
            return Poll::Pending;
        }
        self.poll_stream(cx, buffer)
    }

    /// Reads and throws away what the client still sends, so that no reset overtakes a GOAWAY.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Reader::Http2(reader) = &mut self.reader else {
            return Poll::Ready(());
        };
        let timer = reader
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [MaybeUninit::uninit(); ASIDE];
        loop {
            let mut aside = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut aside)) {
                Ok(()) if !aside.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}
