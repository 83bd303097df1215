//! Why a stream, or a whole connection to the application, came to nothing.

use std::fmt;
use std::io;

use crate::http2::frame::Reason;
use crate::upstream::{BoxError, Error};

/// Why no answer comes on a stream, or no more of one.
#[derive(Debug)]
pub(super) enum Failure {
    /// The application reset it.
    Reset(Reason),
    /// The application leaves, and has not begun with it (RFC 9113 section 6.8).
    Unprocessed,
    /// The connection is over.
    Connection(Ended),
    /// What came is no answer.
    Unsound(&'static str),
    /// The header section is over the limits.
    TooLarge,
    /// The request's own body failed.
    Request(BoxError),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// Nobody needed it any more.
    Unneeded,
    /// The application closed it.
    Closed,
    /// The application gave a reason before it closed it.
    GoneAway(Reason),
    /// The socket failed.
    Io(io::ErrorKind),
    /// The application broke the protocol.
    Wrong(Reason),
    /// It speaks HTTP/1.
    Http1,
    /// It answers no PING.
    Silent,
}

/// A stream that the application reset, for whoever tells a client of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Reset(pub(in crate::upstream) Reason);

impl Failure {
    /// Whether the application says that it has not begun with the request: it may be sent again,
    /// whatever it asks for (RFC 9113 section 8.7).
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(
            self,
            Self::Unprocessed | Self::Reset(Reason::REFUSED_STREAM)
        )
    }

    /// Whether the connection went away without a word.
    pub(super) fn is_silence(&self) -> bool {
        let Self::Connection(ended) = self else {
            return false;
        };
        matches!(ended, Ended::Unneeded | Ended::Closed | Ended::Io(_))
    }

    /// What breaks off a body.
    pub(super) fn into_body_error(self) -> BoxError {
        match self {
            Self::Reset(reason) => Box::new(Reset(reason)),
            Self::Request(error) => error,
            other => Box::new(Error::from(other)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reset(reason) => Self::Closed(Box::new(Reset(reason))),
            Failure::Unprocessed => Self::Closed("it leaves and takes no more requests".into()),
            Failure::Connection(ended) => match ended {
                Ended::Wrong(_) | Ended::Http1 => Self::Garbage(ended.to_string().into()),
                Ended::Io(kind) => Self::Io(kind.into()),
                _ => Self::Closed(ended.to_string().into()),
            },
            Failure::Unsound(why) => Self::Garbage(why.into()),
            Failure::TooLarge => Self::TooLarge,
            Failure::Request(error) => Self::RequestBody(error),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unneeded => f.write_str("not needed any more"),
            Self::Closed => f.write_str("closed without an answer"),
            Self::GoneAway(reason) => write!(f, "closed with GOAWAY, {reason}"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Wrong(reason) => write!(f, "not sound HTTP/2, {reason}"),
            Self::Http1 => f.write_str("HTTP/1 instead of HTTP/2"),
            Self::Silent => f.write_str("no answer to a PING"),
        }
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream reset with {}", self.0)
    }
}

impl std::error::Error for Reset {}
