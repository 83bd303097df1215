//! From an accepted socket to the application and back.
//!
//! [`connection`] is the life of one connection, [`http1`] and [`http2`] are its protocols, and
//! [`http`] is the life of one request over either, read top to bottom; [`headers`] are pure
//! functions; [`error`] is the one place where an error becomes a status, a gRPC status, a log flag
//! and a metric. Invariant: no byte of a request reaches the application before the request was found
//! unambiguous.

mod activity;
mod body;
mod checks;
mod connection;
mod date;
mod downstream;
mod entitlement;
mod error;
mod establish;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handshakes;
mod headers;
mod http;
mod http1;
mod http2;
mod permit;

mod recycle;
mod redirect;
mod relay;
#[doc(hidden)]
pub mod rewriting;
mod serve;
mod tcp;
mod upgrade;
mod websocket;

use std::sync::Arc;

pub use body::RequestBody;
pub use connection::accepted;
pub use handshakes::{Crowd, Handshakes};
pub use permit::{Load, Permit};
pub use redirect::accepted_in_clear;

use crate::config;
use crate::drain::Drain;
use crate::limits::Http2Room;
use crate::telemetry::record::Telemetry;
use crate::tls::Acceptor;
use crate::upstream::Upstream;

/// One worker: what each of its connections needs. Nothing in it is shared with other workers
/// but what is published and counted.
#[derive(Debug)]
pub struct Worker {
    /// Takes connections through TLS.
    pub acceptor: Acceptor,
    /// Whose handshake may use the CPU.
    pub handshakes: Handshakes,
    /// The way to the application.
    pub upstream: Upstream<RequestBody>,
    /// Memory for what clients may do over HTTP/2.
    pub http2: Arc<Http2Room>,
    /// The way out.
    pub drain: Drain,
    /// Numbers and access log.
    pub telemetry: Arc<Telemetry>,
    /// What the operator wants.
    pub policy: Arc<Policy>,
}

/// The sections of the configuration that connections and requests read.
#[derive(Debug)]
pub struct Policy {
    /// Who stands before us, and what is answered in clear.
    pub listen: config::Listen,
    /// Limits and timeouts.
    pub http: config::Http,
    /// Header policy beyond the default.
    pub headers: config::Headers,
    /// The application's protocol.
    pub protocol: config::Protocol,
    /// PROXY header towards the application.
    pub proxy_protocol_out: config::ProxyProtocolOut,
}
