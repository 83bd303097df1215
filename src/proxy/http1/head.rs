//! One request head, line by line as it arrives (RFC 9112 sections 2.2, 3, 5 and 6).
//!
//! Each line is judged once, when its end is there, so that a head that trickles in costs no more
//! than one that comes whole. What is refused here is what parsers read in different ways; what is
//! judged as well on the parsed request, over either protocol, is in [`crate::proxy::checks`].

use std::mem;
use std::ops::Range;

use bytes::Bytes;
use http::{Method, Uri, Version};

use super::fault::HeadFault;
use crate::fields::{Fields, name};
use crate::message::{Request, is_option};
use crate::proxy::headers::{ADDED, ADDED_BYTES};
use crate::syntax::{self, Limits, Lines, Next};

/// The `http` crate takes no longer target.
const MAX_TARGET: usize = u16::MAX as usize - 1;
/// The longest registered method has 17 bytes (UPDATEREDIRECTREF, RFC 4437).
const MAX_METHOD: usize = 32;
/// What most requests have at most, beside what they get on their way.
const USUAL_FIELDS: usize = 16;
/// Bytes of the lines of most requests' fields, likewise; what was read may have a body in it.
const USUAL_BYTES: usize = 768;

/// A head as far as it has arrived. Offsets are from its first byte.
#[derive(Debug, Default)]
pub(super) struct Head {
    lines: Lines,
    start: Option<StartLine>,
    has_empty_line: bool,
    fields: Fields,
    length: Option<u64>,
    is_chunked: bool,
    has_upgrade: bool,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
    takes_trailers: bool,
}

/// The request line.
#[derive(Debug, Clone)]
struct StartLine {
    method: Range<usize>,
    target: Range<usize>,
    version: Version,
}

/// What a whole head says of its message and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) version: Version,
    pub(super) body: BodyFraming,
    /// Whether the client means to send another request behind this one (RFC 9112 section 9.3).
    pub(super) persists: bool,
    /// Whether it asks to leave HTTP.
    pub(super) has_upgrade: bool,
    /// Whether it waits for word before it sends the body (RFC 9110 section 10.1.1).
    pub(super) expects_continue: bool,
    /// Whether it takes trailer fields (RFC 9110 section 6.5.1).
    pub(super) takes_trailers: bool,
}

/// What came of looking at a head.
#[derive(Debug)]
pub(super) enum Scan {
    /// More of it has to arrive.
    Incomplete,
    /// It is whole and sound, and as long as that.
    Complete(usize, Terms),
    /// It is refused.
    Refused(HeadFault),
}

/// Where a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Length(u64),
    Chunked,
}

impl Head {
    /// Goes on with the head that `bytes` begin with; they begin the same way at every call. What can be
    /// said of a line that has not ended is said at once: a client that waits for an answer sends no more.
    pub(super) fn scan(&mut self, bytes: &[u8], limits: Limits) -> Scan {
        let most = limits.size as usize;
        loop {
            let (line, at) = match self.lines.next(bytes) {
                Next::Line(line, at) => (line, at),
                Next::Incomplete if bytes.len() > most => return Scan::Refused(self.too_large()),
                Next::Incomplete => return Scan::Incomplete,
                Next::BareLineFeed => return Scan::Refused(HeadFault::BARE_LINE_FEED),
                Next::Control => return Scan::Refused(HeadFault::CONTROL),
            };
            let length = self.lines.length();
            if length > most {
                return Scan::Refused(self.too_large());
            }
            match line {
                [] if self.start.is_some() => return self.complete(length),
                // RFC 9112 section 2.2: one empty line before a request is forgiven.
                [] if !self.has_empty_line => self.has_empty_line = true,
                line => {
                    if let Err(fault) = self.judge(line, at, bytes.len(), limits) {
                        return Scan::Refused(fault);
                    }
                }
            }
        }
    }

    fn too_large(&self) -> HeadFault {
        match self.start {
            None => HeadFault::TARGET_TOO_LONG,
            Some(_) => HeadFault::TOO_LARGE,
        }
    }

    /// Judges the line at `at`, of a head of which `read` bytes are there.
    fn judge(
        &mut self,
        line: &[u8],
        at: usize,
        read: usize,
        limits: Limits,
    ) -> Result<(), HeadFault> {
        if self.start.is_none() {
            self.start = Some(StartLine::parse(line, at)?);
            return Ok(());
        }
        if self.fields.len() == usize::from(limits.fields) {
            return Err(HeadFault::TOO_MANY);
        }
        if self.fields.is_empty() {
            let bytes = read.min(USUAL_BYTES) + ADDED_BYTES;
            self.fields = Fields::with_capacity(USUAL_FIELDS + ADDED, bytes);
        }
        self.field(line)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        let field = self.fields.append_clean_line(line);
        let field = field.map_err(|fault| HeadFault::bad_field(fault.words()))?;
        let name = field.name;
        // As it came: white space where none is customary makes another number to some.
        let raw = &line[name.as_bytes().len() + 1..];
        if name == name::CONNECTION {
            self.says_close |= is_option(raw, "close");
            self.says_keep_alive |= is_option(raw, "keep-alive");
        } else if name == name::CONTENT_LENGTH {
            self.content_length(raw)?;
        } else if name == name::TRANSFER_ENCODING {
            self.transfer_encoding(raw)?;
        } else if name == name::UPGRADE {
            self.has_upgrade = true;
        } else if name == name::EXPECT {
            self.expects_continue = true;
        } else if name == name::TE {
            self.takes_trailers |= is_option(raw, "trailers");
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        match self.length.replace(length(value)?) {
            None => Ok(()),
            Some(_) => Err(HeadFault::bad_framing("more than one Content-Length")),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        if mem::replace(&mut self.is_chunked, true) {
            return Err(HeadFault::bad_framing("more than one Transfer-Encoding"));
        }
        let coding = value.strip_prefix(b" ").unwrap_or(value);
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadFault::bad_framing(
                "the only Transfer-Encoding taken is \"chunked\"",
            ));
        }
        Ok(())
    }

    fn complete(&self, length: usize) -> Scan {
        let version = self
            .start
            .as_ref()
            .map_or(Version::HTTP_11, |start| start.version);
        let body = match (self.length, self.is_chunked) {
            (Some(_), true) => {
                return Scan::Refused(HeadFault::bad_framing(
                    "both Content-Length and Transfer-Encoding",
                ));
            }
            (None, true) if version == Version::HTTP_10 => {
                return Scan::Refused(HeadFault::bad_framing("Transfer-Encoding in HTTP/1.0"));
            }
            (None, true) => BodyFraming::Chunked,
            (length, false) => BodyFraming::Length(length.unwrap_or(0)),
        };
        let is_current = version == Version::HTTP_11;
        let terms = Terms {
            version,
            body,
            persists: !self.says_close && (is_current || self.says_keep_alive),
            has_upgrade: is_current && self.has_upgrade,
            expects_continue: is_current && self.expects_continue,
            takes_trailers: self.takes_trailers,
        };
        Scan::Complete(length, terms)
    }

    /// Takes the request of the head that `bytes` begin with, which was found to be whole, and makes ready
    /// for the next.
    ///
    /// # Errors
    /// When it has parts that the `http` crate refuses after all.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Request<()>, HeadFault> {
        const LINE: HeadFault = HeadFault::bad_line("the request line is not understood");
        let head = mem::take(self);
        let start = head.start.ok_or(LINE)?;
        let mut request = Request::new(());
        request.method = Method::from_bytes(&bytes[start.method]).map_err(|_| LINE)?;
        // A piece of memory of its own size, and not what was read.
        let target = Bytes::copy_from_slice(&bytes[start.target]);
        request.uri = Uri::from_maybe_shared(target).map_err(|_| LINE)?;
        request.version = start.version;
        request.fields = head.fields;
        Ok(request)
    }
}

impl StartLine {
    /// `method SP request-target SP HTTP-version` (RFC 9112 section 3).
    fn parse(line: &[u8], at: usize) -> Result<Self, HeadFault> {
        let method = syntax::method_length(line);
        if method == 0 || method > MAX_METHOD || line.get(method) != Some(&b' ') {
            return Err(HeadFault::bad_line(
                "the request line does not begin with a method in capitals and one space",
            ));
        }
        let rest = &line[method + 1..];
        let Some(end) = memchr::memchr(b' ', rest) else {
            return Err(HeadFault::bad_line(
                "the request line names no HTTP version",
            ));
        };
        let (target, version) = (&rest[..end], &rest[end + 1..]);
        let version = match version {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            // The preface of HTTP/2 (RFC 9113 section 3.4), which ALPN did not choose.
            b"HTTP/2.0" if &line[..method] == b"PRI" => {
                return Err(HeadFault::bad_line(
                    "HTTP/2 was not negotiated on this connection",
                ));
            }
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(HeadFault::VERSION);
            }
            _ => {
                return Err(HeadFault::bad_line(
                    "the request line does not end in an HTTP version",
                ));
            }
        };
        if target.len() > MAX_TARGET {
            return Err(HeadFault::TARGET_TOO_LONG);
        }
        if !is_target(&line[..method], target) {
            return Err(HeadFault::bad_line(
                "the request target is no path, URL or \"*\" in plain ASCII",
            ));
        }
        let behind = at + method + 1;
        Ok(Self {
            method: at..at + method,
            target: behind..behind + end,
            version,
        })
    }
}

/// Whether `target` has one of the four forms of RFC 9112 section 3.2.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    match target.first() {
        Some(b'/') => syntax::is_path_and_query(target),
        Some(b'*') => target.len() == 1 && method == b"OPTIONS",
        _ if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') => false,
        // Whether it may be asked for is decided on the parsed request; here only that it parses.
        _ => Uri::try_from(target).is_ok_and(|uri| match uri.scheme_str() {
            Some(scheme) => matches!(scheme, "http" | "https") && uri.authority().is_some(),
            None => method == b"CONNECT",
        }),
    }
}

/// A Content-Length: digits and nothing else, behind the spaces that are customary.
fn length(value: &[u8]) -> Result<u64, HeadFault> {
    const WORDS: HeadFault = HeadFault::bad_framing("Content-Length is not one decimal number");
    let digits = value.trim_ascii_start();
    // Some parsers read a number that begins with a zero as octal.
    if matches!(digits, [b'0', _, ..]) || value.contains(&b'\t') {
        return Err(WORDS);
    }
    syntax::content_length(digits).ok_or(WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fixtures::fields;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        size: 512,
        fields: 8,
    };

    /// The outcome is the same however the bytes are cut.
    fn scan(head: &[u8]) -> Scan {
        let whole = Head::default().scan(head, LIMITS);
        let mut trickled = Head::default();
        let bytewise = (1..=head.len())
            .map(|n| trickled.scan(&head[..n], LIMITS))
            .find(|scan| !matches!(scan, Scan::Incomplete))
            .unwrap_or(Scan::Incomplete);
        match (&whole, &bytewise) {
            // Which of two faults is named may depend on how far the reading was.
            (Scan::Refused(_), Scan::Refused(_)) => {}
            _ => assert_eq!(
                format!("{whole:?}"),
                format!("{bytewise:?}"),
                "{}",
                head.escape_ascii()
            ),
        }
        whole
    }

    fn fault(head: &str) -> Option<HeadFault> {
        match scan(head.as_bytes()) {
            Scan::Refused(fault) => Some(fault),
            _ => None,
        }
    }

    #[test]
    fn a_sound_head_says_where_its_body_ends() {
        for (head, body) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", BodyFraming::Length(0)),
            ("\r\nGET / HTTP/1.0\r\n\r\n", BodyFraming::Length(0)),
            ("M-SEARCH / HTTP/1.1\r\n\r\n", BodyFraming::Length(0)),
            ("OPTIONS * HTTP/1.1\r\n\r\n", BodyFraming::Length(0)),
            (
                "GET http://a:1/b?c HTTP/1.1\r\nHost: a:1\r\n\r\n",
                BodyFraming::Length(0),
            ),
            (
                "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
                BodyFraming::Length(0),
            ),
            (
                "POST /a%20b\"{?{x HTTP/1.1\r\ncontent-LENGTH:  7\r\n\r\n",
                BodyFraming::Length(7),
            ),
            (
                "PUT / HTTP/1.1\r\nContent-Length: 0\r\nA:\tb\x7e\u{e4}\r\nB:\r\n\r\n",
                BodyFraming::Length(0),
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n",
                BodyFraming::Chunked,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\n",
                BodyFraming::Chunked,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 18446744073709551613\r\n\r\n",
                BodyFraming::Length(u64::MAX - 2),
            ),
        ] {
            let followed = format!("{head}GET /next");
            match scan(followed.as_bytes()) {
                Scan::Complete(length, terms) => {
                    assert_eq!((length, terms.body), (head.len(), body), "{head:?}");
                }
                other => panic!("{head:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_head_says_what_becomes_of_its_connection() {
        let terms = |head: &str| match scan(format!("{head}\r\n").as_bytes()) {
            Scan::Complete(_, terms) => terms,
            other => panic!("{head:?}: {other:?}"),
        };
        for (head, persists) in [
            ("GET / HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: x, Close\r\n", false),
            (
                "GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n",
                false,
            ),
            ("GET / HTTP/1.0\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
        ] {
            assert_eq!(terms(head).persists, persists, "{head:?}");
        }
        let all = "Upgrade: a\r\nExpect: 100-continue\r\nTE: gzip, Trailers\r\n";
        let new = terms(&format!("GET / HTTP/1.1\r\n{all}"));
        assert!(new.has_upgrade && new.expects_continue && new.takes_trailers);
        // RFC 9110 sections 7.8 and 10.1.1: HTTP/1.0 has neither.
        let old = terms(&format!("GET / HTTP/1.0\r\n{all}"));
        assert!(!old.has_upgrade && !old.expects_continue);
    }

    #[test]
    fn a_request_is_what_its_head_says_without_the_white_space_around_values() {
        let text = "\r\nGET /a?b HTTP/1.1\r\nHost:a\r\nX-B: \t c d\t \r\nX-B:\r\nx-b:  \r\n\r\n";
        let mut head = Head::default();
        assert!(matches!(
            head.scan(text.as_bytes(), LIMITS),
            Scan::Complete(..)
        ));
        let request = head.take(text.as_bytes()).unwrap();
        assert_eq!(request.method, Method::GET);
        assert_eq!(request.uri, "/a?b");
        let told = [("host", "a"), ("x-b", "c d"), ("x-b", ""), ("x-b", "")];
        assert!(request.fields.iter().eq(fields(&told).iter()));
        let next = "POST /c HTTP/1.0\r\n\r\n";
        assert!(matches!(
            head.scan(next.as_bytes(), LIMITS),
            Scan::Complete(..)
        ));
        let request = head.take(next.as_bytes()).unwrap();
        assert_eq!(request.version, Version::HTTP_10);
        assert!(request.fields.is_empty());
    }

    #[test]
    fn an_ambiguous_request_line_is_refused() {
        for line in [
            "get / HTTP/1.1",
            "Get / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /",
            "GET",
            "GET / HTTP/1.11",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP1.1",
            "GET / HTTP/ 1.1",
            "GET / XTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /a\u{e4} HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET a HTTP/1.1",
            "GET ../a HTTP/1.1",
            "GET * HTTP/1.1",
            "GET ?a HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET a:1 HTTP/1.1",
            "G(T / HTTP/1.1",
            "\u{0}GET / HTTP/1.1",
            "PRI * HTTP/2.0",
            "GET /<a> HTTP/1.1",
            "GET\u{b}/ HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1",
        ] {
            let fault = fault(&format!("{line}\r\nHost: a\r\n\r\n"));
            assert_eq!(fault.map(|fault| fault.status), Some(400), "{line:?}");
        }
        for line in [
            "GET / HTTP/1.2",
            "GET / HTTP/2.0",
            "GET / HTTP/3.0",
            "GET / HTTP/0.9",
        ] {
            let fault = fault(&format!("{line}\r\nHost: a\r\n\r\n"));
            assert_eq!(fault.map(|fault| fault.status), Some(505), "{line:?}");
        }
    }

    #[test]
    fn an_ambiguous_field_is_refused() {
        for field in [
            "A : b",
            "A\t: b",
            "A b: c",
            " A: b",
            "\tA: b",
            ": b",
            "A",
            "A\u{0}: b",
            "A: b\u{0}c",
            "A: b\rc",
            "A: b\u{7f}",
            "A: b\u{1}",
            "A(: b",
            "A\u{e4}: b",
            "A: b\r\n folded",
            "A: b\r\n\tfolded",
            "A\u{b}: b",
            "\u{feff}A: b",
            "A\r: b",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length:",
            "Content-Length: ",
            "Content-Length: 5,5",
            "Content-Length: 5, 5",
            "Content-Length: 05",
            "Content-Length: 5 ",
            "Content-Length: 5\t",
            "Content-Length:\t5",
            "Content-Length: 18446744073709551616",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 5.0",
            "Content-Length: 5;a",
            "Content-Length: \"5\"",
            "Content-Length: 1e1",
            "Content-Length: 5_0",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\ncontent-length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunkedx",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding:",
            "Transfer-Encoding: ",
            "Transfer-Encoding:  chunked",
            "Transfer-Encoding:\tchunked",
            "Transfer-Encoding: chunked ",
            "Transfer-Encoding: chunked\t",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: chunked\u{b}",
            "Transfer-Encoding: \u{0}chunked",
            "Transfer-Encoding: chun\r\n ked",
            "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding : chunked",
        ] {
            let fault = fault(&format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
            assert_eq!(fault.map(|fault| fault.status), Some(400), "{field:?}");
        }
        assert!(fault("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_some());
    }

    #[test]
    fn a_line_ends_in_both_characters() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX",
            "\nGET / HTTP/1.1\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\rHost: a\r\r",
            "\rGET",
        ] {
            assert!(fault(head).is_some(), "{head:?}");
        }
    }

    #[test]
    fn what_cannot_become_sound_is_refused_before_its_end() {
        for head in [
            "GET / HTTP/1.1\r\nA: \u{0}",
            "\u{16}\u{3}\u{1}",
            "GET / HTTP/1.1\rHost",
        ] {
            assert!(fault(head).is_some(), "{head:?}");
        }
        assert!(matches!(scan(b"GET / HTTP/1.1\r"), Scan::Incomplete));
    }

    #[test]
    fn each_limit_has_its_own_status() {
        let long = "x".repeat(LIMITS.size as usize);
        let many = "a: b\r\n".repeat(9);
        for (head, status) in [
            (format!("GET /{long} HTTP/1.1\r\n"), 414),
            (format!("GET /{long}"), 414),
            (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), 431),
            (format!("GET / HTTP/1.1\r\nA: {long}"), 431),
            (format!("GET / HTTP/1.1\r\n{many}"), 431),
        ] {
            assert_eq!(
                fault(&head).map(|fault| fault.status),
                Some(status),
                "{head:?}"
            );
        }
        let fits = "a".repeat(LIMITS.size as usize - "GET / HTTP/1.1\r\nA: \r\n\r\n".len());
        assert_eq!(fault(&format!("GET / HTTP/1.1\r\nA: {fits}\r\n\r\n")), None);
        assert!(fault(&format!("GET / HTTP/1.1\r\nA: {fits}x\r\n\r\n")).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(head in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = scan(&head);
        }

        #[test]
        fn what_is_let_through_can_be_parsed(
            target in "/[ -~]{0,12}",
            fields in proptest::collection::vec(("[!-~]{1,8}", "[ -~\t]{0,12}"), 0..4),
        ) {
            let mut head = format!("GET {target} HTTP/1.1\r\n");
            for (name, value) in &fields {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            if let Scan::Complete(..) = scan(head.as_bytes()) {
                prop_assert!(http::Uri::try_from(target.as_str()).is_ok());
                for (name, value) in &fields {
                    let (name, rest) = name.split_once(':').unwrap_or((name, ""));
                    prop_assert!(http::HeaderName::from_bytes(name.as_bytes()).is_ok());
                    let value = format!("{rest}{value}");
                    prop_assert!(http::HeaderValue::from_str(&value).is_ok());
                }
            }
        }
    }
}
