//! HTTP/2 bytes on their way to h2, judged by [`crate::proxy::frames`].

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::{ASIDE, Downstream, Reader};
use crate::proxy::frames::{Fault, Frames, Judged};

/// What a client still sends is read so that it hears our last words, for this long at most.
const LINGER: Duration = Duration::from_secs(1);

/// Between two looks whether a client that is not read for want of memory has gone.
const LOOK: Duration = Duration::from_secs(1);

/// Frames on their way to h2.
pub(in crate::proxy) struct Http2Reader {
    frames: Frames,
    max_header_list: u32,
    /// The beginning of a frame, which h2 is given when it can be told what it is.
    kept: Vec<u8>,
    /// What h2 is given before anything else is read.
    queued: Vec<u8>,
    /// What the client did wrong; h2 is given nothing more.
    fault: Option<Fault>,
    lingering: Option<Pin<Box<Sleep>>>,
    /// When to look whether a client that is not read has gone.
    look: Option<Pin<Box<Sleep>>>,
}

impl Http2Reader {
    pub(super) fn new(max_header_list: u32) -> Self {
        Self {
            frames: Frames::new(),
            max_header_list,
            kept: Vec::new(),
            queued: Vec::new(),
            fault: None,
            lingering: None,
            look: None,
        }
    }

    /// The client has taken `n` bytes.
    pub(super) fn wrote(&mut self, n: usize) {
        self.frames.wrote(n);
    }

    /// How many of `bytes` h2 may see; the rest is kept, or followed by what ends the connection.
    fn judge(&mut self, bytes: &[u8]) -> usize {
        self.kept.clear();
        match self.frames.judge(bytes) {
            Judged::Passed(n) => {
                self.kept.extend_from_slice(&bytes[n..]);
                n
            }
            Judged::Over(n, fault) => {
                self.fault = Some(fault);
                self.queued = fault.last_frames(self.max_header_list);
                n
            }
        }
    }

    fn release(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.queued.is_empty() {
            return false;
        }
        let n = self.queued.len().min(buffer.remaining());
        buffer.put_slice(&self.queued[..n]);
        self.queued.drain(..n);
        true
    }
}

impl Downstream {
    /// Reads what h2 may see now.
    pub(super) fn poll_http2(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Reader::Http2(reader) = &mut self.reader else {
                return self.poll_stream(cx, buffer);
            };
            if reader.release(buffer) {
                return Poll::Ready(Ok(()));
            }
            if reader.fault.is_some() {
                // h2 ends the connection without reading on.
                return Poll::Pending;
            }
            if self.activity.is_held_up(cx.waker()) {
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
            // h2 has now and then room for a single byte.
            if buffer.remaining() > reader.kept.len() {
                let before = buffer.filled().len();
                let read = ready!(self.poll_frames(cx, buffer))?;
                if read == 0 || buffer.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut bytes = [MaybeUninit::uninit(); ASIDE];
                let mut aside = ReadBuf::uninit(&mut bytes);
                if ready!(self.poll_frames(cx, &mut aside))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                if let Reader::Http2(reader) = &mut self.reader {
                    reader.queued.splice(0..0, aside.filled().iter().copied());
                }
            }
        }
    }

    /// Reads into `buffer` and leaves there what h2 may see; says how much arrived.
    fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let start = buffer.filled().len();
        if let Reader::Http2(reader) = &self.reader {
            buffer.put_slice(&reader.kept);
        }
        let end = buffer.filled().len();
        let polled = self.poll_stream(cx, buffer);
        let read = buffer.filled().len() - end;
        let Reader::Http2(reader) = &mut self.reader else {
            return polled.map_ok(|()| read);
        };
        let passed = match read {
            0 => 0,
            _ => reader.judge(&buffer.filled()[start..]),
        };
        self.activity.arrived(reader.frames.take_data());
        buffer.set_filled(start + passed);
        if reader.fault == Some(Fault::Flood) {
            self.activity.exceed_frame_budget();
        }
        polled.map_ok(|()| read)
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
