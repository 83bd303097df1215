//! Why the application gave no answer. Refused, reset, garbage and timeout stay different things.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use super::http2::Reset;
use crate::http2::frame::Reason;
use crate::net::ConnectError;

/// An error of a body, which only whoever made the body can name.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the application gave no answer.
#[derive(Debug)]
pub enum Error {
    /// It could not be reached.
    Connect(ConnectError),
    /// As many requests are with it as may be.
    Busy,
    /// No head of an answer in time.
    ResponseTimeout,
    /// It closed or reset the connection instead of answering.
    Closed(BoxError),
    /// It answered something that is not HTTP, or not allowed in it.
    Garbage(BoxError),
    /// It answered a header section over the limits.
    TooLarge,
    /// It was asked for another protocol, and takes no such requests over HTTP/2 (RFC 8441).
    NoExtendedConnect,
    /// The request's own body failed: the reason is with whoever made it.
    RequestBody(BoxError),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "application not reached: {error}"),
            Self::Busy => f.write_str("--max-upstream-connections reached"),
            Self::ResponseTimeout => f.write_str("no answer within --upstream-response-timeout"),
            Self::Closed(error) => write!(f, "application closed the connection: {error}"),
            Self::Garbage(error) => write!(f, "application answered garbage: {error}"),
            Self::TooLarge => {
                f.write_str("application answered headers over --max-header-size or --max-headers")
            }
            Self::NoExtendedConnect => f.write_str("application takes no extended CONNECT"),
            Self::RequestBody(error) => write!(f, "request body: {error}"),
            Self::Io(error) => write!(f, "application connection: {error}"),
        }
    }
}

impl StdError for Error {}

/// The code with which an HTTP/2 application reset the stream whose answer broke off with `error` (RFC
/// 9113 section 7).
pub fn reset_code(error: &BoxError) -> Option<Reason> {
    error.downcast_ref::<Reset>().map(|reset| reset.0)
}
