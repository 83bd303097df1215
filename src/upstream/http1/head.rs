//! The head of an answer, read strictly: its lines, its fields, and where its body ends.
//!
//! Lines are judged as they arrive, so that garbage is refused without waiting for more of it, and
//! the head is parsed once, when it is whole. What another reader could take otherwise is refused: a
//! bare LF, an empty line in front, a length that is said twice or in two ways (RFC 9112 sections 2.2
//! and 6). The head's values share one piece of memory of its own size, and not what was read.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use crate::message::is_option;
use crate::syntax::{Limits, content_length, may_have_body};
use crate::upstream::Error;

/// Fields that need no memory of their own while they are parsed.
const USUAL_FIELDS: usize = 64;

/// A head as far as it has arrived; offsets are from its first byte.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// No end of a line is between there and here.
    seen: usize,
}

/// The head of a final answer, or of an interim one.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) body: BodyFraming,
    /// Whether the connection may carry another request behind this answer.
    pub(super) persists: bool,
    /// How long the application says that it keeps it.
    pub(super) keeps_for: Option<Duration>,
}

/// Where an answer's body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// There is none.
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Scanner {
    /// The length of the head that `bytes` begin with, once all of it is there; they begin the same
    /// way at every call.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn length(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<usize>, Error> {
        const START: &[u8] = b"HTTP/1.";
        let n = bytes.len().min(START.len());
        if bytes[..n] != START[..n] {
            return Err(garbage("it does not begin with a status line"));
        }
        while let Some(end) = memchr::memchr(b'\n', &bytes[self.seen..]) {
            let end = self.seen + end;
            if end == self.line || bytes[end - 1] != b'\r' {
                return Err(garbage("a line of its head ends without CR"));
            }
            let is_last = end == self.line + 1;
            (self.line, self.seen) = (end + 1, end + 1);
            if is_last {
                return match self.seen > limits.size as usize {
                    true => Err(Error::TooLarge),
                    false => Ok(Some(self.seen)),
                };
            }
        }
        self.seen = bytes.len();
        match self.seen > limits.size as usize {
            true => Err(Error::TooLarge),
            false => Ok(None),
        }
    }
}

impl Head {
    /// Parses a whole head; `is_to_head` says that the answer is to a HEAD request.
    ///
    /// # Errors
    /// When it breaks a rule, or has more fields than `limits` allow.
    pub(super) fn parse(head: &[u8], limits: Limits, is_to_head: bool) -> Result<Self, Error> {
        // The values of the fields are pieces of it.
        let head = &Bytes::copy_from_slice(head);
        let most = usize::from(limits.fields);
        let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
        let usual = &mut usual[..most.min(USUAL_FIELDS)];
        match Self::parse_within(head, usual, is_to_head) {
            Err(httparse::Error::TooManyHeaders) if most > USUAL_FIELDS => {
                let mut room = vec![MaybeUninit::uninit(); most];
                Self::parse_within(head, &mut room, is_to_head)
            }
            parsed => parsed,
        }
        .map_err(|error| match error {
            httparse::Error::TooManyHeaders => Error::TooLarge,
            error => garbage(&error.to_string()),
        })?
    }

    fn parse_within<'h>(
        head: &'h Bytes,
        room: &mut [MaybeUninit<httparse::Header<'h>>],
        is_to_head: bool,
    ) -> Result<Result<Self, Error>, httparse::Error> {
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            head,
            room,
        )?;
        if status.is_partial() {
            return Ok(Err(garbage("its head ends before its fields do")));
        }
        Ok(Self::of(head, &parsed, is_to_head))
    }

    fn of(head: &Bytes, parsed: &httparse::Response, is_to_head: bool) -> Result<Self, Error> {
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default())
            .map_err(|_| garbage("its status is none"))?;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = match parsed.version {
            Some(0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let headers = response.headers_mut();
        headers.reserve(parsed.headers.len());
        let mut said = Said::default();
        for field in &*parsed.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| garbage("the name of a field is none"))?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
                .map_err(|_| garbage("the value of a field is none"))?;
            said.note(&name, field.value);
            headers.append(name, value);
        }
        if parsed.reason != status.canonical_reason()
            && let Some(reason) = parsed.reason
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        Ok(Self {
            body: said.body(&response, is_to_head)?,
            persists: said.persists(&response),
            keeps_for: said.keep_alive.and_then(announced),
            response,
        })
    }

    /// Whether another head follows (RFC 9110 section 15.2); behind 101 come other bytes.
    pub(super) fn is_interim(&self) -> bool {
        let status = self.response.status();
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// The time that a `Keep-Alive` announces.
pub(super) fn announced(value: &[u8]) -> Option<Duration> {
    let timeout = str::from_utf8(value).ok()?.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then_some(seconds)
    })?;
    timeout.trim().parse().ok().map(Duration::from_secs)
}

fn garbage(words: &str) -> Error {
    Error::Garbage(words.into())
}

/// What the fields say of the message and of its connection, noted as they are read.
#[derive(Default)]
struct Said<'h> {
    length: Option<&'h [u8]>,
    coding: Option<&'h [u8]>,
    /// One of these two was said before.
    is_repeated: bool,
    closes: bool,
    keeps_alive: bool,
    /// The first `Keep-Alive`.
    keep_alive: Option<&'h [u8]>,
}

impl<'h> Said<'h> {
    fn note(&mut self, name: &HeaderName, value: &'h [u8]) {
        match *name {
            header::CONTENT_LENGTH => self.is_repeated |= self.length.replace(value).is_some(),
            header::TRANSFER_ENCODING => self.is_repeated |= self.coding.replace(value).is_some(),
            header::CONNECTION => {
                self.closes |= is_option(value, "close");
                self.keeps_alive |= is_option(value, "keep-alive");
            }
            _ if name.as_str() == "keep-alive" => _ = self.keep_alive.get_or_insert(value),
            _ => {}
        }
    }

    /// Where the body ends, said in one way only; also where there is none, for whoever is told.
    fn body(&self, response: &Response<()>, is_to_head: bool) -> Result<BodyFraming, Error> {
        let said = match (self.length, self.coding) {
            _ if self.is_repeated => None,
            (None, None) => Some(BodyFraming::UntilClose),
            (Some(digits), None) => content_length(digits).map(BodyFraming::Length),
            (None, Some(coding)) => (coding.eq_ignore_ascii_case(b"chunked")
                && response.version() != Version::HTTP_10)
                .then_some(BodyFraming::Chunked),
            (Some(_), Some(_)) => None,
        };
        let said = said.ok_or_else(|| garbage("ambiguous length of the body"))?;
        let _status = response.status();
        let has_none = is_to_head || !may_have_body(response.status());
        Ok(match said {
            _ if has_none => BodyFraming::Empty,
            BodyFraming::Length(0) => BodyFraming::Empty,
            said => said,
        })
    }

    /// Whether the connection may carry another request behind this answer.
    fn persists(&self, response: &Response<()>) -> bool {
        // RFC 9112 section 9.3: one `close` in any `Connection` line is the last word.
        let is_meant = !self.closes && (response.version() == Version::HTTP_11 || self.keeps_alive);
        // Behind 101 there is no HTTP any more, whether or not anybody wanted that.
        is_meant
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
            && !self.announces_impossible_body(response.status())
    }

    /// Whether an answer that can have no body announces one, which then lies on the connection.
    ///
    /// With HEAD and 304 a length is that of another answer (RFC 9110 section 8.6).
    fn announces_impossible_body(&self, status: StatusCode) -> bool {
        status == StatusCode::NO_CONTENT
            && (self.coding.is_some() || self.length.is_some_and(|length| length != b"0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        size: 4096,
        fields: 80,
    };

    /// What is found in `bytes`, whole and byte by byte.
    fn length(bytes: &str) -> Result<Option<usize>, String> {
        let bytes = bytes.as_bytes();
        let found = Scanner::default().length(bytes, LIMITS);
        let found = found.map_err(|error| error.to_string());
        let mut scanner = Scanner::default();
        let mut split = Ok(None);
        for n in 1..=bytes.len() {
            split = scanner.length(&bytes[..n], LIMITS);
            if !matches!(split, Ok(None)) {
                break;
            }
        }
        assert_eq!(found, split.map_err(|error| error.to_string()));
        found
    }

    fn parse(head: &str) -> Result<Head, Error> {
        Head::parse(head.as_bytes(), LIMITS, false)
    }

    // UP-06, UP-11
    #[test]
    fn a_head_begins_with_a_status_line_and_every_line_ends_with_cr_lf() {
        assert_eq!(
            length("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\nof\n"),
            Ok(Some(25))
        );
        assert_eq!(length("HTTP/1.1 200\r\n\r\n"), Ok(Some(16)));
        assert_eq!(length("HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        for bad in [
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTPS/1.1",
            "SSH-2.0",
            "HTTP/1.1 200 OK\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\n",
        ] {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }

    // UP-10
    #[test]
    fn a_head_over_the_limits_is_too_large_however_it_arrives() {
        let line = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(4096));
        assert!(length(&line).is_err());
        assert!(length(&format!("{line}\r\n\r\n")).is_err());
        let fields = |n| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
        assert_eq!(
            parse(&fields(80)).unwrap().response.headers().len(),
            80,
            "more than usual"
        );
        assert!(matches!(parse(&fields(81)), Err(Error::TooLarge)));
    }

    // UP-12
    #[test]
    fn behind_an_interim_head_comes_another_and_behind_101_anything() {
        for (status, is_interim) in [(100, true), (102, true), (103, true), (101, false)] {
            let head = parse(&format!("HTTP/1.1 {status} Wait\r\n\r\n")).unwrap();
            assert_eq!(head.is_interim(), is_interim);
            assert_eq!(head.persists, is_interim);
            assert_eq!(head.body, BodyFraming::Empty);
        }
    }

    // UP-07
    #[test]
    fn a_body_ends_in_one_way_only() {
        let body = |fields: &str| {
            let head = parse(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            head.map(|head| head.body).ok()
        };
        assert_eq!(body(""), Some(BodyFraming::UntilClose));
        assert_eq!(
            body("Transfer-Encoding: Chunked\r\n"),
            Some(BodyFraming::Chunked)
        );
        assert_eq!(body("Content-Length: 0\r\n"), Some(BodyFraming::Empty));
        assert_eq!(
            body("Content-Length: 18446744073709551613\r\n"),
            Some(BodyFraming::Length(u64::MAX - 2))
        );
        for bad in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5,5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551614\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            assert_eq!(body(bad), None, "{bad:?}");
        }
        assert!(parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    // UP-13
    #[test]
    fn no_content_with_a_body_is_told_from_no_content_with_a_length_of_zero() {
        let persists = |fields: &str| {
            let head = parse(&format!("HTTP/1.1 204 No Content\r\n{fields}\r\n")).unwrap();
            assert_eq!(head.body, BodyFraming::Empty);
            head.persists
        };
        assert!(persists(""));
        assert!(persists("Content-Length: 0\r\n"));
        assert!(!persists("Content-Length: 5\r\n"));
        assert!(!persists("Transfer-Encoding: chunked\r\n"));
    }

    #[test]
    fn a_connection_persists_unless_any_line_says_otherwise() {
        let persists = |version: &str, fields: &str| {
            let head = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
            parse(&head).unwrap().persists
        };
        assert!(persists("1.1", ""));
        assert!(!persists("1.1", "Connection: x, Close\r\n"));
        assert!(!persists(
            "1.1",
            "Connection: close\r\nConnection: keep-alive\r\n"
        ));
        assert!(!persists("1.0", ""));
        assert!(persists("1.0", "Connection: Keep-Alive\r\n"));
    }

    #[test]
    fn a_reason_of_its_own_is_kept() {
        let head = parse("HTTP/1.1 200 Fine\r\n\r\n").unwrap();
        let reason = head.response.extensions().get::<ReasonPhrase>().unwrap();
        assert_eq!(reason.as_bytes(), b"Fine");
        let head = parse("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert!(head.response.extensions().get::<ReasonPhrase>().is_none());
    }
}
