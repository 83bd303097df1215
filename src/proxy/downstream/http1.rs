//! HTTP/1 bytes on their way to hyper, judged by [`crate::proxy::framing`].

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::{ASIDE, Downstream, Reader};
use crate::proxy::framing::Intake;

impl Downstream {
    /// Reads what hyper may see now.
    pub(super) fn poll_http1(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Reader::Http1(framing) = &mut self.reader else {
                return self.poll_stream(cx, buffer);
            };
            if framing.release(buffer) {
                return Poll::Ready(Ok(()));
            }
            match framing.intake(&self.activity) {
                _ if framing.is_ready() => {}
                Intake::Fault => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                // hyper looks again when the answer is out.
                Intake::Wait => return Poll::Pending,
                Intake::InPlace => {
                    let before = buffer.filled().len();
                    ready!(self.poll_stream(cx, buffer))?;
                    let is_end = buffer.filled().len() == before;
                    if let Reader::Http1(framing) = &mut self.reader
                        && !is_end
                    {
                        framing.judge_read(buffer, before, &self.activity);
                    }
                    if is_end || buffer.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                intake @ (Intake::Behind | Intake::Discard) => {
                    let mut bytes = [MaybeUninit::uninit(); ASIDE];
                    let mut aside = ReadBuf::uninit(&mut bytes);
                    ready!(self.poll_stream(cx, &mut aside))?;
                    if aside.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    if let Reader::Http1(framing) = &mut self.reader
                        && intake == Intake::Behind
                    {
                        framing.held().extend_from_slice(aside.filled());
                        framing.judge_held(&self.activity);
                    }
                }
            }
        }
    }
}
