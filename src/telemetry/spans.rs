//! Spans of handshakes, requests and the application's part in them, for OpenTelemetry.
//!
//! Exported over OTLP where the program was built with the cargo feature `otlp` and the environment
//! names a collector; without the feature nothing of it is compiled in. Told after the fact, from
//! the times that a record keeps anyway. Invariant: a collector that is slow or gone costs spans
//! and no request.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod otlp;

use std::net::SocketAddr;
use std::time::Instant;

#[cfg(not(feature = "otlp"))]
pub use absent::{RequestSpans, Spans};
#[cfg(feature = "otlp")]
pub use otlp::{RequestSpans, Spans};

/// What there is to tell of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestTold<'a> {
    /// Its method.
    pub method: &'a str,
    /// The status that the client got.
    pub status: u16,
    /// Why the proxy ended it.
    pub flag: Option<&'static str>,
    /// Who asked.
    pub client: SocketAddr,
    /// The client's version of HTTP.
    pub protocol: &'static str,
    /// When the head had arrived.
    pub start: Instant,
    /// When it went to the application.
    pub sent: Option<Instant>,
    /// When the head of the application's answer had arrived.
    pub answered: Option<Instant>,
    /// When the answer was given away.
    pub end: Instant,
}
