//! Both hyper servers with every limit and timeout of the contract, in one place.
//!
//! hyper's own header timeout is not used: it starts when the connection becomes idle, and the
//! contract's starts with the first byte of a request (see [`super::activity`]).

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::Policy;
use crate::drain::Streams;

/// Whatever the limit, the stand-in for a refused head gets through.
const SMALLEST_HEAD: usize = 1024;
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

/// The HTTP/1 server that `policy` wants.
pub(super) fn http1(policy: &Policy) -> http1::Builder {
    let limits = &policy.http;
    // The limits are kept by `super::framing`, which has words for them; hyper's own never fire.
    let head = (limits.max_header_size as usize).max(SMALLEST_HEAD);
    let mut http1 = http1::Builder::new();
    http1
        .header_read_timeout(None)
        // Half-close is decided by the stream, which can tell it from a client that has gone.
        .half_close(false)
        .max_headers(usize::from(limits.max_headers))
        .max_header_size(head)
        .max_buf_size(head.max(64 * 1024));
    http1
}

/// The HTTP/2 server that `policy` wants, for a connection whose streams are `streams`, at most `most`
/// at once.
pub(super) fn http2(policy: &Policy, streams: Streams, most: u32) -> http2::Builder<Streams> {
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
