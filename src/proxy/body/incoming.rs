//! A request's body as it comes from the client, over either protocol.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::RequestBodyFailure;
use crate::proxy::{http1, http2};

/// A request's body as it comes from the client.
#[derive(Debug)]
pub(in crate::proxy) enum Incoming {
    /// With what the request needs to leave HTTP.
    Http1(http1::Body),
    Http2(http2::Body),
}

impl Incoming {
    /// The next piece of it.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>> {
        match self {
            Self::Http1(body) => body.poll_frame(cx),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    /// Whether nothing more comes.
    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    /// How many bytes have come and were not taken.
    pub(super) fn unread(&self) -> usize {
        match self {
            // Nothing is read ahead.
            Self::Http1(_) => 0,
            Self::Http2(body) => body.unread(),
        }
    }

    /// How much more comes.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
