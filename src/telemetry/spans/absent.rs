//! No spans: what the program is without the feature. Takes no space and no time.

use std::net::SocketAddr;
use std::time::Instant;

use super::RequestTold;
use crate::telemetry::trace::TraceContext;
use crate::tls::{HandshakeFailure, Session};

/// Exports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spans;

/// There are none.
#[derive(Debug)]
pub enum RequestSpans {}

impl Spans {
    /// Exports nothing.
    pub fn off() -> Self {
        Self
    }

    /// Exports nothing, whatever the environment says.
    pub fn from_environment() -> Self {
        Self
    }

    /// No request has spans.
    pub fn begin(&self, _: TraceContext) -> Option<RequestSpans> {
        None
    }

    /// Never called: there are no spans to finish.
    pub fn finish(&self, spans: RequestSpans, _: RequestTold<'_>) {
        match spans {}
    }

    /// Exports nothing.
    pub fn handshake(&self, _: SocketAddr, _: Instant, _: Result<&Session, HandshakeFailure>) {}

    /// Has nothing to flush.
    pub fn flush(&self) {}
}

impl RequestSpans {
    /// Never called: there are no spans.
    pub fn handed_on(&self) -> TraceContext {
        match *self {}
    }
}
