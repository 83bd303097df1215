//! Turns: what a stream does when something has happened that it waited for.
//!
//! The request goes on to the application, its answer comes back and is written as far as windows
//! allow. Invariant: while much waits to be written, no more is asked for of any answer.

use std::task::{Context as TaskContext, Poll};

use super::stream::By;
use super::{Connection, sender};
use crate::http2::frame::Reason;
use crate::http2::sending::Sent;
use crate::http2::streams::Stream;
use crate::message::Response;
use crate::proxy::body::{RequestBodyFailure, ResponseBody};
use crate::proxy::error::Unanswered;
use crate::proxy::http::Handling;
use crate::upstream::{self, BoxError};

impl<F: Handling> Connection<F> {
    /// Whether a stream waits for its turn and could use it.
    pub(super) fn may_give_turns(&mut self) -> bool {
        self.streams.waiting() > 0 && self.sender.output.unwritten() < self.most_unwritten()
    }

    /// Gives every stream that has something to do its turn.
    pub(super) fn give_turns(&mut self) {
        // Those that come again meanwhile have their turn when what there is was written.
        for _ in 0..self.streams.waiting() {
            if let Some(id) = self.streams.next_turn() {
                self.give_turn(id);
            }
        }
    }

    fn most_unwritten(&self) -> usize {
        self.context.worker.upstream.piece()
    }

    fn give_turn(&mut self, id: u32) {
        let most = self.most_unwritten();
        let Some(Stream {
            wake,
            waker,
            state: stream,
            ..
        }) = self.streams.find(id)
        else {
            return;
        };
        wake.begin_turn();
        self.context.activity.is_at(id);
        let mut cx = TaskContext::from_waker(waker);
        if let Some(handling) = stream.handling.as_mut().as_pin_mut()
            && let Poll::Ready(answered) = handling.poll(&mut cx)
        {
            stream.handling.set(None);
            match answered {
                Ok(response) => {
                    let is_head = stream.is_head;
                    sender::begin(&mut self.sender, id, &mut stream.answer, is_head, response);
                }
                Err(Unanswered) => return self.reset(id, Reason::REFUSED_STREAM),
            }
        }
        if let Some(source) = &stream.request.source {
            if source.take_wants_continue() && !stream.answer.is_begun() {
                sender::go_on(&mut self.sender, id);
            }
            if let Some(by) = stream.request.window.taken(source.take_taken())
                && !stream.request.is_over
            {
                self.sender.output.window_update(id, by);
            }
        }
        if stream.answer.is_open() {
            let sent = self.sender.go_ahead(id, &mut stream.answer, most, &mut cx);
            match sent {
                // With its body ends the request's record.
                Sent::Over => (stream.answer.body, stream.answer.is_over) = (None, true),
                Sent::HasMore => self.streams.claim_turn(id),
                Sent::Waits => {}
                Sent::Blocked => {
                    if let Some(body) = &mut stream.answer.body {
                        body.wait_for_client();
                    }
                }
                Sent::Failed(error) => {
                    let reason = reset_for(&error);
                    tracing::debug!(%error, %reason, "an answer broke off");
                    return self.reset(id, reason);
                }
            }
        }
        self.settle(id);
    }

    /// Begins to answer a request that nobody is to handle.
    pub(super) fn answer(&mut self, id: u32, response: Response<ResponseBody>) {
        if let Some(stream) = self.streams.find(id) {
            let is_head = stream.is_head;
            sender::begin(&mut self.sender, id, &mut stream.answer, is_head, response);
        }
    }

    /// Ends a stream that was answered, if nothing more of its request is wanted.
    fn settle(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else {
            return;
        };
        if !stream.answer.is_over {
            return;
        }
        if stream.request.is_over {
            self.streams.close(id);
            self.past.add(id, By::Client);
            return;
        }
        let source = stream.request.source.as_ref();
        if source.is_none_or(|source| source.is_given_up()) {
            // RFC 9113 section 8.1: the client may stop, and nothing is wrong.
            self.reset(id, Reason::NO_ERROR);
        }
    }
}

/// What a client is told whose answer broke off: what the application said, if it speaks HTTP/2.
fn reset_for(error: &BoxError) -> Reason {
    // RFC 8441 section 5: for the reset of a connection in a tunnel.
    if error.is::<RequestBodyFailure>() {
        return Reason::CANCEL;
    }
    upstream::reset_code(error).unwrap_or(Reason::INTERNAL_ERROR)
}
