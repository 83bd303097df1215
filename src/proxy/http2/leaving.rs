//! How a connection ends without losing a request (RFC 9113 section 6.8).
//!
//! The client is told to open no more streams and is asked for a sign that it knows; what came before
//! that is served, and then it is told which stream was the last. Invariant: a stream at or below the
//! last one that was named is answered.

use super::{Connection, Phase};
use crate::http2::frame::{Kind, Reason};
use crate::proxy::http::Handling;

/// What the client is asked with.
pub(super) const QUESTION: [u8; 8] = *b"leaving?";
/// The last stream there can be.
const LAST: u32 = (1 << 31) - 1;

/// How far the leave-taking has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    Not,
    /// The client is asked to.
    Asked,
    /// The client knows, or goes by itself: no stream above this one is served.
    Behind(u32),
}

impl<F: Handling> Connection<F> {
    /// Asks the client to open no more streams.
    pub(super) fn ask_to_leave(&mut self) {
        if self.leaving == Leaving::Not {
            self.leaving = Leaving::Asked;
            self.sender.output.go_away(LAST, Reason::NO_ERROR);
            self.sender.output.frame(Kind::Ping, 0, 0, &QUESTION);
        }
    }

    /// The client knows that it was asked to leave.
    pub(super) fn knows_to_leave(&mut self) {
        if self.leaving == Leaving::Asked {
            self.leaves();
        }
    }

    /// The client leaves: what it opens from now on is not served.
    pub(super) fn leaves(&mut self) {
        if let Leaving::Not | Leaving::Asked = self.leaving {
            self.leaving = Leaving::Behind(self.newest);
            self.sender.output.go_away(self.newest, Reason::NO_ERROR);
        }
    }

    /// The last stream that is served.
    pub(super) fn last(&self) -> u32 {
        match self.leaving {
            Leaving::Behind(last) => last,
            Leaving::Not | Leaving::Asked => self.newest,
        }
    }

    /// Whether nothing more will be served.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.leaving, Leaving::Behind(_)) && self.streams.is_empty()
    }

    /// Whether stream `id` is opened too late to be served.
    pub(super) fn is_too_late(&self, id: u32) -> bool {
        matches!(self.leaving, Leaving::Behind(last) if id > last)
    }

    /// Ends the connection; its client knows how far it was served.
    pub(super) fn close(&mut self) {
        if !matches!(self.leaving, Leaving::Behind(_)) {
            self.sender.output.go_away(self.newest, Reason::NO_ERROR);
        }
        self.phase = Phase::Closing(None);
    }
}
