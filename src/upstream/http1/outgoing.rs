//! A request on its way to the application: encoded once, written as the socket takes it.
//!
//! The head is encoded before anything is awaited, so that the parsed request is gone and a second
//! attempt costs nothing. The body is written piece by piece behind it, one piece at a time, in one
//! system call with the head where it is there already.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request};
use tokio::io::AsyncWrite;

use crate::net::Stream;
use crate::upstream::{Error, OnContinue, RequestBody, is_idempotent};

/// What most heads fit into, forwarding headers included.
const USUAL_HEAD: usize = 1024;

/// A request on its way to the application.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    /// The head, and framing in front of `data`.
    before: Vec<u8>,
    /// A piece of the body.
    data: Bytes,
    /// Framing behind `data`.
    behind: &'static [u8],
    /// Bytes of these three that the socket has taken.
    written: usize,
    /// Whether it has ever taken one.
    has_left: bool,
    /// `None` when all of it has been given.
    body: Option<B>,
    coding: Coding,
    is_head: bool,
    is_repeatable: bool,
    on_continue: Option<OnContinue>,
}

/// How a body is framed.
#[derive(Debug)]
enum Coding {
    /// Bytes still to come.
    Length(u64),
    /// With the trailer fields that were announced.
    Chunked(Vec<HeaderName>),
}

impl<B: RequestBody> Outgoing<B> {
    /// Encodes the head of `request`, whose target and header fields are as the application is to see
    /// them; nothing of an earlier hop's framing but a length is among those.
    pub(super) fn new(request: Request<B>) -> Self {
        let (mut parts, body) = request.into_parts();
        let body = (!body.is_end_stream()).then_some(body);
        let mut head = Vec::with_capacity(USUAL_HEAD);
        head.extend_from_slice(parts.method.as_str().as_bytes());
        head.push(b' ');
        let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if target.starts_with('?') {
            // Of an absolute target without a path (RFC 9112 section 3.2.1).
            head.push(b'/');
        }
        head.extend_from_slice(target.as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        let coding = match &body {
            None => Coding::Length(0),
            Some(body) => Coding::of(body, &mut parts.headers),
        };
        encode(&parts.headers, &mut head);
        head.extend_from_slice(b"\r\n");
        Self {
            before: head,
            data: Bytes::new(),
            behind: b"",
            written: 0,
            has_left: false,
            is_repeatable: body.is_none() && is_idempotent(&parts.method),
            body,
            coding,
            is_head: parts.method == Method::HEAD,
            on_continue: parts.extensions.remove(),
        }
    }

    /// Whether the answer has no body, whatever it says of one.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether it may be sent a second time when the application may have seen it.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// The application wants the body.
    pub(super) fn go_on(&mut self) {
        if let Some(on_continue) = self.on_continue.take() {
            on_continue.tell();
        }
    }

    /// Writes what there is and the socket takes; ready when all of the request is out.
    ///
    /// # Errors
    /// When the body fails, or is not as long as its head says.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let next = self.poll_body(cx)?;
            if self.left() > 0 {
                let n = ready!(self.poll_write_some(stream, cx)).map_err(Error::Io)?;
                if n == 0 {
                    return Poll::Ready(Err(Error::Io(io::ErrorKind::WriteZero.into())));
                }
                self.written += n;
                self.has_left = true;
                continue;
            }
            if self.is_out() {
                return Poll::Ready(Ok(()));
            }
            ready!(next);
        }
    }

    /// Whether the socket has all of it.
    pub(super) fn is_out(&self) -> bool {
        self.body.is_none() && self.left() == 0
    }

    fn left(&self) -> usize {
        self.before.len() + self.data.len() + self.behind.len() - self.written
    }

    fn poll_write_some(
        &self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.data.is_empty() && self.behind.is_empty() {
            return stream.poll_write(cx, &self.before[self.written..]);
        }
        let mut slices = [&self.before, &*self.data, self.behind].map(IoSlice::new);
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, self.written);
        // What is empty is behind what is not, or was passed over.
        stream.poll_write_vectored(cx, slices)
    }

    /// Takes the next piece of the body when the last one is out, or the head still waits.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let is_room = self.data.is_empty() && self.behind.is_empty() || self.left() == 0;
        let Some(body) = self.body.as_mut().filter(|_| is_room) else {
            return Poll::Ready(Ok(()));
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let is_last = frame.is_none() || body.is_end_stream();
        if self.left() == 0 {
            self.before.clear();
            self.data.clear();
            (self.behind, self.written) = (b"", 0);
        }
        match frame.transpose().map_err(Error::RequestBody)? {
            None => self.end(&HeaderMap::new())?,
            Some(frame) => match frame.into_data() {
                Ok(data) => self.piece(data, is_last)?,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(self.end(&trailers));
                }
            },
        }
        if is_last {
            self.body = None;
        }
        Poll::Ready(Ok(()))
    }

    fn piece(&mut self, data: Bytes, is_last: bool) -> Result<(), Error> {
        match &mut self.coding {
            Coding::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                let rest = rest.filter(|rest| *rest == 0 || !is_last);
                *left = rest.ok_or_else(wrong_length)?;
            }
            Coding::Chunked(_) => {
                if !data.is_empty() {
                    // Writing to memory does not fail.
                    let _ = write!(self.before, "{:x}\r\n", data.len());
                }
                self.behind = match (data.is_empty(), is_last) {
                    (false, false) => b"\r\n",
                    (false, true) => b"\r\n0\r\n\r\n",
                    (true, false) => b"",
                    (true, true) => b"0\r\n\r\n",
                };
            }
        }
        self.data = data;
        Ok(())
    }

    /// Ends the body with those of `trailers` that were announced.
    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Error> {
        self.body = None;
        match &self.coding {
            Coding::Length(0) => Ok(()),
            Coding::Length(_) => Err(wrong_length()),
            Coding::Chunked(announced) => {
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    if announced.contains(name) {
                        encode_field(name, value.as_bytes(), &mut self.before);
                    }
                }
                self.before.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    /// Whether no byte of it has left.
    pub(super) fn is_unsent(&self) -> bool {
        !self.has_left
    }

    /// The request for another attempt, where that harms nobody: no byte of it has left, or it is
    /// idempotent and had no body.
    pub(super) fn again(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.is_unsent() {
            return Some(self);
        }
        self.is_repeatable.then(|| {
            (self.written, self.has_left) = (0, false);
            self
        })
    }
}

impl Coding {
    /// How a body is framed, as `headers` say from then on.
    fn of<B: RequestBody>(body: &B, headers: &mut HeaderMap) -> Self {
        if let Some(length) = body.size_hint().exact() {
            headers
                .entry(header::CONTENT_LENGTH)
                .or_insert_with(|| length.into());
            return Self::Length(length);
        }
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::TRANSFER_ENCODING,
            header::HeaderValue::from_static("chunked"),
        );
        let announced = headers.get_all(header::TRAILER).iter();
        Self::Chunked(
            announced
                .flat_map(|line| line.as_bytes().split(|b| *b == b','))
                .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
                .collect(),
        )
    }
}

fn wrong_length() -> Error {
    Error::RequestBody("the body is not as long as Content-Length says".into())
}

fn encode(headers: &HeaderMap, head: &mut Vec<u8>) {
    for (name, value) in headers {
        encode_field(name, value.as_bytes(), head);
    }
}

fn encode_field(name: &HeaderName, value: &[u8], head: &mut Vec<u8>) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
    use tokio::io::AsyncReadExt as _;

    use crate::upstream::BoxError;

    type Body = UnsyncBoxBody<Bytes, BoxError>;

    fn frames(frames: Vec<http_body::Frame<Bytes>>) -> Body {
        let frames = frames.into_iter().map(Ok);
        StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
    }

    /// What the application is sent, or why not.
    async fn sent(request: Request<Body>) -> Result<String, Error> {
        let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
        let mut stream = Stream::unix(ours);
        let mut outgoing = Outgoing::new(request);
        std::future::poll_fn(|cx| outgoing.poll_write(&mut stream, cx)).await?;
        assert!(outgoing.is_out());
        drop(stream);
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        Ok(text)
    }

    fn request(
        method: Method,
        fields: &[(&'static str, &'static str)],
        body: Body,
    ) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = "/a?b".parse().unwrap();
        for (name, value) in fields {
            let value = header::HeaderValue::from_static(value);
            request.headers_mut().append(*name, value);
        }
        request
    }

    fn empty() -> Body {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    }

    fn full(text: &'static str) -> Body {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        body.map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_request_without_a_body_is_its_head() {
        let fields = [("host", "a"), ("x-b", "c"), ("x-b", "d")];
        let text = sent(request(Method::GET, &fields, empty())).await.unwrap();
        assert_eq!(
            text,
            "GET /a?b HTTP/1.1\r\nhost: a\r\nx-b: c\r\nx-b: d\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_body_has_its_length_or_chunks() {
        let text = sent(request(Method::POST, &[], full("hello")))
            .await
            .unwrap();
        assert_eq!(text, "POST /a?b HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello");
        let pieces =
            ["hello", "", "world, and so on"].map(|piece| http_body::Frame::data(piece.into()));
        let text = sent(request(Method::POST, &[], frames(pieces.into())))
            .await
            .unwrap();
        let body = "5\r\nhello\r\n10\r\nworld, and so on\r\n0\r\n\r\n";
        assert_eq!(
            text,
            format!("POST /a?b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}")
        );
    }

    #[tokio::test]
    async fn trailers_are_sent_once_and_when_they_were_announced() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [("x-sum", "1"), ("x-sum", "2"), ("x-other", "3")] {
            trailers.append(name, value.parse().unwrap());
        }
        let body = frames(vec![
            http_body::Frame::data("a".into()),
            http_body::Frame::trailers(trailers),
        ]);
        let fields = [("trailer", "X-Sum, x-sum"), ("trailer", "x-sum")];
        let text = sent(request(Method::POST, &fields, body)).await.unwrap();
        assert!(
            text.ends_with("\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_its_head_says_is_an_error() {
        for length in ["4", "6"] {
            let body = frames(vec![http_body::Frame::data("hello".into())]);
            let mut wrong = Outgoing::new(request(Method::POST, &[], body));
            wrong.coding = Coding::Length(length.parse().unwrap());
            let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
            let mut stream = Stream::unix(ours);
            let result = std::future::poll_fn(|cx| wrong.poll_write(&mut stream, cx)).await;
            assert!(matches!(result, Err(Error::RequestBody(_))), "{length}");
        }
    }

    #[test]
    fn only_what_harms_nobody_is_sent_again() {
        let again = |method: Method, body: Body, has_left| {
            let mut outgoing = Box::new(Outgoing::new(request(method, &[], body)));
            outgoing.has_left = has_left;
            outgoing.again().is_some()
        };
        assert!(again(Method::GET, empty(), true));
        assert!(again(Method::PUT, empty(), true));
        assert!(!again(Method::POST, empty(), true));
        assert!(!again(Method::PUT, full("a"), true));
        assert!(again(Method::POST, full("a"), false));
    }
}
