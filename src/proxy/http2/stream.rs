//! One stream: a request that comes, and its answer that goes (RFC 9113 section 5.1).

use std::pin::Pin;

use super::upload::Source;
use crate::http2::sending::SendHalf;
use crate::http2::streams::State;
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::proxy::body::ResponseBody;

/// A request that comes, and its answer that goes.
pub(super) struct Exchange<F> {
    /// What makes the answer. Boxed once, for all requests that take this place.
    pub(super) handling: Pin<Box<Option<F>>>,
    pub(super) request: RequestHalf,
    pub(super) answer: AnswerHalf,
    /// The method was HEAD.
    pub(super) is_head: bool,
}

/// What comes from the client.
#[derive(Default)]
pub(super) struct RequestHalf {
    /// Nothing more comes.
    pub(super) is_over: bool,
    pub(super) window: ReceiveWindow,
    /// `None` where there is no body.
    pub(super) source: Option<Source>,
    /// Bytes of a declared length that have not come yet.
    pub(super) left: Option<u64>,
    /// Whether what comes is of another protocol than HTTP.
    pub(super) is_tunnel: bool,
}

impl<F> Default for Exchange<F> {
    fn default() -> Self {
        Self {
            handling: Box::pin(None),
            request: RequestHalf::default(),
            answer: AnswerHalf::default(),
            is_head: false,
        }
    }
}

impl<F> State for Exchange<F> {
    fn clear(&mut self) {
        self.handling.set(None);
        self.request = RequestHalf::default();
        self.answer = AnswerHalf::default();
        self.is_head = false;
    }

    fn window(&mut self) -> &mut SendWindow {
        &mut self.answer.window
    }

    fn is_blocked(&self) -> bool {
        !self.answer.piece.is_empty()
    }
}

/// What goes to the client.
pub(super) type AnswerHalf = SendHalf<ResponseBody>;

/// Identifiers of streams that have ended, as many as frames may still be on their way for.
#[derive(Debug, Default)]
pub(super) struct Past {
    ended: std::collections::VecDeque<(u32, By)>,
}

/// Who ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Its client, or both sides.
    Client,
    /// We, and the client may not know yet.
    Us,
}

impl Past {
    const MOST: usize = 128;

    pub(super) fn add(&mut self, id: u32, by: By) {
        if self.ended.len() == Self::MOST {
            self.ended.pop_front();
        }
        self.ended.push_back((id, by));
    }

    /// Who ended `id`, if that is known.
    pub(super) fn find(&self, id: u32) -> Option<By> {
        let found = self.ended.iter().rev().find(|(ended, _)| *ended == id);
        found.map(|(_, by)| *by)
    }

    /// Gives back what memory is not in use.
    pub(super) fn shrink(&mut self) {
        self.ended.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ended_a_stream_is_known_for_a_while() {
        let mut past = Past::default();
        past.add(1, By::Us);
        past.add(3, By::Client);
        assert_eq!(
            (past.find(1), past.find(3)),
            (Some(By::Us), Some(By::Client))
        );
        for id in 0..Past::MOST as u32 {
            past.add(id * 2 + 5, By::Client);
        }
        assert_eq!(past.find(1), None);
    }
}
