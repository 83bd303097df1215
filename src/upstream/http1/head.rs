//! The head of an answer, read strictly: its lines, its fields, and where its body ends.
//!
//! Each line is judged once, when its end is there, so that garbage is refused without waiting for more
//! of it. What another reader could take otherwise is refused: a bare LF, an empty line in front, a
//! length that is said twice or in two ways (RFC 9112 sections 2.2 and 6).

use std::mem;
use std::time::Duration;

use http::{StatusCode, Version};
use hyper::ext::ReasonPhrase;

use crate::fields::{Fields, name};
use crate::message::{Response, is_option};
use crate::syntax::{Limits, Lines, Next, content_length, may_have_body};
use crate::upstream::Error;

/// What most answers have at most.
const USUAL_FIELDS: usize = 16;
/// Bytes of the lines of most answers' fields, at most; what was read may have the body in it.
const USUAL_BYTES: usize = 768;

/// A head as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    lines: Lines,
    start: Option<StatusLine>,
    fields: Fields,
}

/// The status line.
#[derive(Debug)]
struct StatusLine {
    version: Version,
    status: StatusCode,
    /// Where it is not the usual one.
    reason: Option<ReasonPhrase>,
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
    /// Goes on with the head that `bytes` begin with; they begin the same way at every call. Once all of
    /// it is there: how long it is, and what it says; `is_to_head` tells that it answers a HEAD request.
    ///
    /// # Errors
    /// When it breaks a rule, or is larger than `limits` allow.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: Limits,
        is_to_head: bool,
    ) -> Result<Option<(usize, Head)>, Error> {
        const START: &[u8] = b"HTTP/1.";
        let n = bytes.len().min(START.len());
        if bytes[..n] != START[..n] {
            return Err(garbage("it does not begin with a status line"));
        }
        let most = limits.size as usize;
        loop {
            let line = match self.lines.next(bytes) {
                Next::Line(line, _) => line,
                Next::Incomplete if bytes.len() > most => return Err(Error::TooLarge),
                Next::Incomplete => return Ok(None),
                Next::BareLineFeed => return Err(garbage("a line of its head ends without CR")),
                Next::Control => return Err(garbage("a control character in its head")),
            };
            let length = self.lines.length();
            if length > most {
                return Err(Error::TooLarge);
            }
            if line.is_empty() && self.start.is_some() {
                return Ok(Some((length, self.take(is_to_head)?)));
            }
            self.judge(line, bytes.len(), limits)?;
        }
    }

    /// Judges a line of a head of which `read` bytes are there.
    fn judge(&mut self, line: &[u8], read: usize, limits: Limits) -> Result<(), Error> {
        if self.start.is_none() {
            self.start = Some(StatusLine::parse(line)?);
            return Ok(());
        }
        if self.fields.len() == usize::from(limits.fields) {
            return Err(Error::TooLarge);
        }
        if self.fields.is_empty() {
            self.fields = Fields::with_capacity(USUAL_FIELDS, read.min(USUAL_BYTES));
        }
        match self.fields.append_clean_line(line) {
            Ok(_) => Ok(()),
            Err(fault) => Err(garbage(fault.words())),
        }
    }

    /// Takes the head, which is whole, and makes ready for the next.
    fn take(&mut self, is_to_head: bool) -> Result<Head, Error> {
        let Self { start, fields, .. } = mem::take(self);
        let start = start.ok_or_else(|| garbage("it does not begin with a status line"))?;
        let mut response = Response::new(start.status, ());
        response.version = start.version;
        response.fields = fields;
        if let Some(reason) = start.reason {
            response.extensions.insert(reason);
        }
        Ok(Head {
            body: body(&response, is_to_head)?,
            persists: persists(&response),
            keeps_for: keeps_for(&response.fields),
            response,
        })
    }
}

impl StatusLine {
    /// `HTTP-version SP status-code [ SP reason-phrase ]` (RFC 9112 section 4; the last blank is missing
    /// in what some send).
    fn parse(line: &[u8]) -> Result<Self, Error> {
        let fault = || garbage("its status line is none");
        let (version, rest) = match line.split_at_checked(b"HTTP/1.1 ".len()) {
            Some((b"HTTP/1.1 ", rest)) => (Version::HTTP_11, rest),
            Some((b"HTTP/1.0 ", rest)) => (Version::HTTP_10, rest),
            _ => return Err(fault()),
        };
        let (status, reason) = rest.split_at_checked(3).ok_or_else(fault)?;
        let status = StatusCode::from_bytes(status).map_err(|_| fault())?;
        let reason = match reason {
            [] => b"",
            [b' ', reason @ ..] => reason,
            _ => return Err(fault()),
        };
        let is_usual = status.canonical_reason().map(str::as_bytes) == Some(reason);
        Ok(Self {
            version,
            status,
            reason: match is_usual {
                true => None,
                false => ReasonPhrase::try_from(reason).ok(),
            },
        })
    }
}

impl Head {
    /// Whether another head follows (RFC 9110 section 15.2); behind 101 come other bytes.
    pub(super) fn is_interim(&self) -> bool {
        let status = self.response.status;
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Where the body ends, said in one way only; also where there is none, for whoever is told.
fn body(response: &Response<()>, is_to_head: bool) -> Result<BodyFraming, Error> {
    let fields = &response.fields;
    let mut lengths = fields.all(name::CONTENT_LENGTH);
    let mut codings = fields.all(name::TRANSFER_ENCODING);
    let said = match (lengths.next(), codings.next()) {
        (None, None) => Some(BodyFraming::UntilClose),
        (Some(digits), None) => content_length(&digits).map(BodyFraming::Length),
        (None, Some(coding)) => {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            (is_chunked && response.version != Version::HTTP_10).then_some(BodyFraming::Chunked)
        }
        (Some(_), Some(_)) => None,
    };
    let is_repeated = lengths.next().is_some() || codings.next().is_some();
    let said = said.filter(|_| !is_repeated);
    let said = said.ok_or_else(|| garbage("ambiguous length of the body"))?;
    let has_none = is_to_head || !may_have_body(response.status);
    Ok(match said {
        _ if has_none => BodyFraming::Empty,
        BodyFraming::Length(0) => BodyFraming::Empty,
        said => said,
    })
}

/// Whether the connection may carry another request behind this answer.
fn persists(response: &Response<()>) -> bool {
    let says = |option| {
        let mut lines = response.fields.all(name::CONNECTION);
        lines.any(|line| is_option(&line, option))
    };
    // RFC 9112 section 9.3: one `close` in any `Connection` line is the last word.
    let is_meant = !says("close") && (response.version == Version::HTTP_11 || says("keep-alive"));
    // Behind 101 there is no HTTP any more, whether or not anybody wanted that.
    is_meant
        && response.status != StatusCode::SWITCHING_PROTOCOLS
        && !announces_impossible_body(response)
}

/// Whether an answer that can have no body announces one, which then lies on the connection.
///
/// With HEAD and 304 a length is that of another answer (RFC 9110 section 8.6).
fn announces_impossible_body(response: &Response<()>) -> bool {
    let fields = &response.fields;
    response.status == StatusCode::NO_CONTENT
        && (fields.has(name::TRANSFER_ENCODING)
            || fields.get(name::CONTENT_LENGTH).is_some_and(|n| n != "0"))
}

/// How long the application says that it keeps the connection, by the first `Keep-Alive`.
fn keeps_for(fields: &Fields) -> Option<Duration> {
    announced(&fields.get(name::KEEP_ALIVE)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        size: 4096,
        fields: 80,
    };

    /// How long the head in `bytes` is, whole and byte by byte.
    fn length(bytes: &str) -> Result<Option<usize>, String> {
        let bytes = bytes.as_bytes();
        let length = |found: Result<Option<(usize, Head)>, Error>| {
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.map(|(length, _)| length))
        };
        let found = length(Scanner::default().scan(bytes, LIMITS, false));
        let mut scanner = Scanner::default();
        let mut split = Ok(None);
        for n in 1..=bytes.len() {
            split = length(scanner.scan(&bytes[..n], LIMITS, false));
            if split != Ok(None) {
                break;
            }
        }
        assert_eq!(found, split);
        found
    }

    fn parse(head: &str) -> Result<Head, Error> {
        let found = Scanner::default().scan(head.as_bytes(), LIMITS, false)?;
        found
            .map(|(_, head)| head)
            .ok_or_else(|| garbage("it is not whole"))
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
            parse(&fields(80)).unwrap().response.fields.len(),
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
        let reason = head.response.extensions.get::<ReasonPhrase>().unwrap();
        assert_eq!(reason.as_bytes(), b"Fine");
        let head = parse("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert!(head.response.extensions.get::<ReasonPhrase>().is_none());
    }
}
