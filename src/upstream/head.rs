//! The raw head of an answer, seen before hyper has made it tidy.
//!
//! hyper's parser takes a bare LF for a line end and skips empty lines in front of a head: with
//! either, an answer that somebody could write into means something else to the next reader. So
//! the bytes are looked at on their way to hyper, once, up to the end of the final head; none is
//! changed or kept. All else that makes a head ambiguous hyper refuses itself, or
//! [`has_one_framing`] does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;

/// A connection whose answers are looked at.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    expected: Expected,
    head: Option<Head>,
}

/// Announces that the next bytes are an answer's head.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected(Arc<AtomicBool>);

impl Expected {
    /// A request is about to be sent.
    pub(super) fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How far the head has come.
#[derive(Debug, Default)]
struct Head {
    /// Bytes of the current line so far.
    line: usize,
    /// Whether the current line is the status line.
    is_past_status: bool,
    status: [u8; 3],
    last: u8,
}

/// Why a head is refused; an [`io::Error`] of kind `InvalidData` carries it through hyper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Malformed {
    Start,
    BareLf,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "the answer does not begin with a status line",
            Self::BareLf => "a line of the answer's head ends without CR",
        })
    }
}

impl std::error::Error for Malformed {}

impl Head {
    /// Where in the status line the code is: behind `HTTP/1.1 `.
    const STATUS: std::ops::Range<usize> = 9..12;

    /// Looks at the next bytes; true when the final head has ended in them.
    fn look(&mut self, mut bytes: &[u8]) -> Result<bool, Malformed> {
        while let Some(&first) = bytes.first() {
            if self.line == 0 && !self.is_past_status && first != b'H' {
                return Err(Malformed::Start);
            }
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            bytes = rest;
            if !self.is_past_status {
                self.note_status(line);
            }
            if end.is_none() {
                self.line += line.len();
                self.last = line.last().copied().unwrap_or(self.last);
                return Ok(false);
            }
            let before = match line {
                [.., before, _] => *before,
                _ => self.last,
            };
            let length = self.line + line.len();
            if before != b'\r' || length < 2 {
                return Err(Malformed::BareLf);
            }
            if length == 2 && self.is_past_status {
                if !self.is_interim() {
                    return Ok(true);
                }
                *self = Self::default();
                continue;
            }
            (self.line, self.last, self.is_past_status) = (0, 0, true);
        }
        Ok(false)
    }

    fn note_status(&mut self, line: &[u8]) {
        for (digit, at) in self.status.iter_mut().zip(Self::STATUS) {
            if let Some(byte) = at.checked_sub(self.line).and_then(|at| line.get(at)) {
                *digit = *byte;
            }
        }
    }

    /// Whether another head follows (RFC 9110 section 15.2); behind 101 come other bytes.
    fn is_interim(&self) -> bool {
        self.status[0] == b'1' && &self.status != b"101"
    }
}

impl Watched {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            expected: Expected::default(),
            head: None,
        }
    }

    /// The handle by which an answer is announced.
    pub(super) fn expected(&self) -> Expected {
        self.expected.clone()
    }

    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if this.expected.0.load(Ordering::Relaxed) {
            this.expected.0.store(false, Ordering::Relaxed);
            this.head = Some(Head::default());
        }
        if let Some(head) = &mut this.head {
            match head.look(&buffer.filled()[before..]) {
                Ok(false) => {}
                Ok(true) => this.head = None,
                Err(malformed) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, malformed)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// RFC 9110 section 5.6.2, of what the `http` crate takes for a name: it lets a quote through.
pub fn is_token(name: &HeaderName) -> bool {
    memchr::memchr(b'"', name.as_str().as_bytes()).is_none()
}

/// Whether an answer says in one way only where its body ends (RFC 9112 section 6).
///
/// hyper takes repeated lengths that agree, codings in front of `chunked`, and both beside each
/// other; and where it expects no body (HEAD, 204, 304) it does not look at all.
pub(super) fn has_one_framing<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => has_one_length(headers),
        (Some(only), None) => {
            only.as_bytes().eq_ignore_ascii_case(b"chunked")
                && response.version() != Version::HTTP_10
                && !headers.contains_key(header::CONTENT_LENGTH)
        }
        _ => false,
    }
}

fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(only), None) => is_length(only),
        _ => false,
    }
}

/// Digits alone: `parse` takes a sign too.
fn is_length(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(u8::is_ascii_digit)
        && value
            .to_str()
            .is_ok_and(|value| value.parse::<u64>().is_ok())
}

/// Whether an answer that can have no body announces one, which then lies on the connection.
///
/// With HEAD and 304 a length is that of another answer (RFC 9110 section 8.6).
pub(super) fn announces_impossible_body<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::NO_CONTENT
        && (response.headers().contains_key(header::TRANSFER_ENCODING)
            || response
                .headers()
                .get(header::CONTENT_LENGTH)
                .is_some_and(|length| length != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `bytes`, whole and byte by byte.
    fn look(bytes: &str) -> Result<bool, Malformed> {
        let whole = Head::default().look(bytes.as_bytes());
        let mut head = Head::default();
        let mut split = Ok(false);
        for byte in bytes.as_bytes().chunks(1) {
            split = head.look(byte);
            if split != Ok(false) {
                break;
            }
        }
        assert_eq!(whole, split, "{bytes:?}");
        whole
    }

    // UP-06, UP-11
    #[test]
    fn a_head_begins_with_a_status_line_and_every_line_ends_with_cr_lf() {
        assert_eq!(look("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\nof\n"), Ok(true));
        assert_eq!(look("HTTP/1.1 200\r\n\r\n"), Ok(true));
        assert_eq!(look("HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(false));
        assert_eq!(look("\r\nHTTP/1.1 200 OK\r\n\r\n"), Err(Malformed::Start));
        assert_eq!(look("\nHTTP/1.1 200 OK\r\n\r\n"), Err(Malformed::Start));
        for bare in [
            "HTTP/1.1 200 OK\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\n",
        ] {
            assert_eq!(look(bare), Err(Malformed::BareLf), "{bare:?}");
        }
    }

    // UP-12
    #[test]
    fn behind_an_interim_head_comes_another_and_behind_101_anything() {
        let interim = "HTTP/1.1 102 Processing\r\n\r\n";
        assert_eq!(look(interim), Ok(false));
        assert_eq!(
            look(&format!("{interim}{interim}HTTP/1.1 204 N\r\n\r\n")),
            Ok(true)
        );
        assert_eq!(
            look(&format!("{interim}HTTP/1.1 200 OK\n\n")),
            Err(Malformed::BareLf)
        );
        assert_eq!(look("HTTP/1.1 101 Go\r\n\r\n\n\n"), Ok(true));
    }

    // UP-07
    #[test]
    fn a_body_ends_in_one_way_only() {
        let with = |lines: &[(&'static str, &'static str)]| {
            let mut response = Response::new(());
            for (name, value) in lines {
                let value = HeaderValue::from_static(value);
                response.headers_mut().append(*name, value);
            }
            response
        };
        let length = "content-length";
        let coding = "transfer-encoding";
        for good in [
            &[][..],
            &[(length, "0")],
            &[(length, "18446744073709551615")],
            &[(coding, "chunked")],
            &[(coding, "Chunked")],
        ] {
            assert!(has_one_framing(&with(good)), "{good:?}");
        }
        for bad in [
            &[(length, "5"), (length, "5")][..],
            &[(length, "5"), (length, "6")],
            &[(length, "5, 5")],
            &[(length, "-5")],
            &[(length, "+5")],
            &[(length, "0x5")],
            &[(length, "5 ")],
            &[(length, "")],
            &[(length, "18446744073709551616")],
            &[(length, "5"), (coding, "chunked")],
            &[(coding, "gzip")],
            &[(coding, "gzip, chunked")],
            &[(coding, "chunked, chunked")],
            &[(coding, "chunked"), (coding, "chunked")],
            &[(coding, "identity")],
            &[(coding, "")],
        ] {
            assert!(!has_one_framing(&with(bad)), "{bad:?}");
        }
        let mut old = with(&[(coding, "chunked")]);
        *old.version_mut() = Version::HTTP_10;
        assert!(!has_one_framing(&old));
    }

    // UP-13
    #[test]
    fn no_content_with_a_body_is_told_from_no_content_with_a_length_of_zero() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::NO_CONTENT;
        assert!(!announces_impossible_body(&response));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        assert!(!announces_impossible_body(&response));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert!(announces_impossible_body(&response));
    }
}
