//! hyper's server for HTTP/2, with every limit and timeout of the contract in one place.

use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;

use super::Policy;
use crate::drain::Streams;

/// Receive window of one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Receive window of a connection: what a client can make us hold by itself.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams a client may reset before they were accepted (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that we had to reset for what the client sent on them (MadeYouReset, CVE-2025-8671).
const LOCAL_RESETS: usize = 64;
/// Without an answer to a PING for this long the peer is dead.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The HTTP/2 server that `policy` wants, for a connection whose streams are `streams`, at most `most`
/// at once.
pub(super) fn server(policy: &Policy, streams: Streams, most: u32) -> http2::Builder<Streams> {
    let mut http2 = http2::Builder::new(streams);
    http2
        .timer(TokioTimer::new())
        .max_header_list_size(policy.http.max_header_size)
        .max_concurrent_streams(most)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // The next piece of an answer is asked for when nothing is left of the last, and is as large
        // as there is memory for then: a stream must not keep to what there was once.
        .max_send_buf_size(1)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(policy.listen.keepalive_interval)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    http2
}
