//! The body of a request, with what the request needs to leave HTTP.

use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use super::Switched;
use crate::proxy::body::{Feed, RequestBodyFailure};

/// The body of a request; by default there is none.
#[derive(Default)]
pub(in crate::proxy) struct Incoming {
    feed: Feed,
    /// Where the stream comes when the request is to leave HTTP and may.
    promise: Option<Promise>,
}

/// The stream of a client that has left HTTP.
pub(in crate::proxy) type Promise = oneshot::Receiver<Switched>;

impl Incoming {
    pub(super) fn new(feed: Feed, promise: Option<Promise>) -> Self {
        Self { feed, promise }
    }

    /// Where the stream comes if the request leaves HTTP; `None` when it did not ask for that.
    pub(in crate::proxy) fn take_promise(&mut self) -> Option<Promise> {
        self.promise.take()
    }

    /// Asks for the next piece.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>> {
        self.feed.poll_frame(cx)
    }

    /// Whether nothing more comes.
    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        self.feed.is_end_stream()
    }

    /// How much more comes.
    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        self.feed.size_hint()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.feed.fmt(f)
    }
}
