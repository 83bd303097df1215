//! The task of one connection to the application: it reads, gives streams their turns, and writes.
//!
//! Everything that comes of one turn of it goes in one write. Invariant: with the task ends the connection,
//! however the task ends, and nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;

use super::Connection;
use super::core::Core;
use super::failure::Ended;
use super::receive::Intake;
use crate::http2::frame::{Kind, Reason};
use crate::http2::keepalive::{self, Due, Keepalive};
use crate::message::Read;
use crate::net::Stream;
use crate::upstream::RequestBody;

/// Read at once at first: most of what comes in pieces comes in small ones.
const FIRST_READ: usize = 16 * 1024;
/// Read at once at most.
const LARGEST_READ: usize = 128 * 1024;
/// Read before those who wait for it have their turn.
const READ_A_TURN: usize = 256 * 1024;
/// While so much waits to be written of what answers the application's own frames, nothing more is read:
/// one that asks and does not listen is not heard out for ever.
const MOST_UNSAID: usize = 1024 * 1024;

/// The task of one connection.
pub(super) struct Driver<B: RequestBody> {
    connection: Connection<B>,
    stream: Stream,
    intake: Intake,
    keepalive: Keepalive,
    read: Read,
    /// How much to read at once: more where the last read was full.
    ahead: usize,
    /// Held for its `Drop`.
    _permit: OwnedSemaphorePermit,
}

/// What came of reading.
enum Input {
    /// There is nothing more now.
    Waits,
    /// There may be more when what we say is written.
    HeldBack,
    /// There may be more at once.
    HasMore,
}

impl<B: RequestBody> Driver<B> {
    /// One for `stream`, which nobody has used.
    pub(super) fn new(
        connection: Connection<B>,
        stream: Stream,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let interval = connection
            .0
            .shared
            .limits
            .keepalive
            .max(super::SHORTEST_PING);
        Self {
            connection,
            stream,
            intake: Intake::new(),
            keepalive: Keepalive::new(interval),
            read: Read::default(),
            ahead: FIRST_READ,
            _permit: permit,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let ended = std::future::poll_fn(|cx| self.poll(cx)).await;
        tracing::debug!(%ended, "connection to the application ended");
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let connection = self.connection.clone();
        let mut core = connection.core();
        core.attach(cx.waker());
        self.poll_keepalive(&mut core, cx);
        loop {
            let input = match core.ended() {
                Some(_) => Input::Waits,
                None => self.poll_input(&mut core, cx).unwrap_or_else(|ended| {
                    if let Ended::Wrong(reason) = ended {
                        core.sender.output.go_away(0, reason);
                    }
                    core.end(ended);
                    Input::Waits
                }),
            };
            let most = connection.0.shared.piece();
            core.give_turns(most);
            if core.is_done() && core.ended().is_none() {
                core.sender.output.go_away(0, Reason::NO_ERROR);
                core.end(Ended::Unneeded);
            }
            let written = core.sender.output.poll_write(&mut self.stream, cx);
            if let Poll::Ready(Err(error)) = &written {
                core.end(Ended::Io(error.kind()));
            }
            if let Some(ended) = core.ended() {
                // What the application does not take at once it will not miss.
                return Poll::Ready(ended);
            }
            let goes_on = match input {
                Input::Waits => false,
                Input::HeldBack => written.is_ready(),
                Input::HasMore => {
                    // Those who wait for what came take it meanwhile.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            };
            if !goes_on && !core.may_give_turns(most) {
                return Poll::Pending;
            }
        }
    }

    fn poll_input(&mut self, core: &mut Core<B>, cx: &mut Context<'_>) -> Result<Input, Ended> {
        let mut sum = 0;
        while sum < READ_A_TURN {
            if core.sender.output.unwritten() >= MOST_UNSAID {
                return Ok(Input::HeldBack);
            }
            let stream = Pin::new(&mut self.stream);
            let n = match self.read.poll_more(stream, cx, self.ahead) {
                Poll::Pending => {
                    if core.is_idle() {
                        self.read.shrink(FIRST_READ);
                    }
                    return Ok(Input::Waits);
                }
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(error)) => return Err(Ended::Io(error.kind())),
            };
            sum += n;
            self.ahead = match n >= self.ahead {
                true => (self.ahead * 2).min(LARGEST_READ),
                false => (self.ahead / 2).max(FIRST_READ),
            };
            self.keepalive.heard();
            self.intake.receive(core, &mut self.read)?;
        }
        Ok(Input::HasMore)
    }

    fn poll_keepalive(&mut self, core: &mut Core<B>, cx: &mut Context<'_>) {
        if core.is_idle() {
            // Nobody waits, and servers of gRPC count what they are asked without a call.
            self.keepalive.heard();
        }
        while let Poll::Ready(due) = self.keepalive.poll(cx) {
            match due {
                Due::Question => {
                    let question = &keepalive::QUESTION;
                    core.sender.output.frame(Kind::Ping, 0, 0, question);
                }
                Due::End => return core.end(Ended::Silent),
            }
        }
    }
}

impl<B: RequestBody> Drop for Driver<B> {
    fn drop(&mut self) {
        self.connection.core().end(Ended::Closed);
    }
}
