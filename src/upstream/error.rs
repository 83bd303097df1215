//! Why the application gave no answer. Refused, reset, garbage and timeout stay different things.

use std::error::Error as StdError;
use std::fmt;
use std::io;

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
            Self::RequestBody(error) => write!(f, "request body: {error}"),
            Self::Io(error) => write!(f, "application connection: {error}"),
        }
    }
}

impl StdError for Error {}

/// Over HTTP/2.
impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::TooLarge
        } else if error.is_parse() {
            Self::Garbage(Box::new(error))
        } else if error.is_user() {
            Self::RequestBody(Box::new(error))
        } else {
            Self::Closed(Box::new(error))
        }
    }
}

/// Whether an HTTP/2 peer says that it has not begun with the request: REFUSED_STREAM, or a
/// GOAWAY whose last stream is an earlier one (RFC 9113 section 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| {
            error.is_remote()
                && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
        })
}

/// The code with which an HTTP/2 application reset the stream whose answer broke off with `error` (RFC
/// 9113 section 7).
pub fn reset_code(error: &BoxError) -> Option<u32> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason().map(u32::from);
        }
        source = error.source();
    }
    None
}
