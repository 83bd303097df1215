//! Why a request head is refused.

/// Why a head is refused, as the client, log and metric are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct HeadFault {
    pub(in crate::proxy) status: u16,
    pub(in crate::proxy) flag: &'static str,
    pub(in crate::proxy) words: &'static str,
}

impl HeadFault {
    /// The target alone is too long.
    pub(super) const TARGET_TOO_LONG: Self = Self {
        status: 414,
        flag: "request_target_too_long",
        words: "the request target is longer than --max-header-size or 65534 bytes",
    };
    /// The whole head is too large.
    pub(in crate::proxy) const TOO_LARGE: Self = Self {
        status: 431,
        flag: "request_headers_too_large",
        words: "the request head is larger than --max-header-size",
    };
    /// There are too many fields.
    pub(in crate::proxy) const TOO_MANY: Self = Self {
        status: 431,
        flag: "request_headers_too_many",
        words: "more header fields than --max-headers allows",
    };
    pub(super) const VERSION: Self = Self {
        status: 505,
        flag: "bad_http_version",
        words: "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
    };

    pub(super) const fn bad_line(words: &'static str) -> Self {
        Self {
            status: 400,
            flag: "bad_request_line",
            words,
        }
    }

    pub(super) const fn bad_field(words: &'static str) -> Self {
        Self {
            status: 400,
            flag: "bad_header",
            words,
        }
    }

    pub(super) const BARE_LINE_FEED: Self =
        Self::bad_field("a line ends without a carriage return");
    pub(super) const CONTROL: Self = Self::bad_field("a control character in the request head");

    /// A chunked body of which nothing was passed on yet.
    pub(super) const UNSOUND_CHUNKS: Self =
        Self::bad_framing("the chunked body is not well-formed");

    /// Where the body ends is not said, or not in one way.
    pub(super) const fn bad_framing(words: &'static str) -> Self {
        Self {
            status: 400,
            flag: "bad_framing",
            words,
        }
    }
}
