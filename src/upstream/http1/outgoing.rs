//! A request on its way to the application: encoded once, written as the socket takes it.
//!
//! The head is encoded before anything is awaited, so that the parsed request is gone and a second
//! attempt costs nothing.

use std::task::{Context, Poll};

use http::Method;

use crate::fields::{Fields, Value, name};
use crate::message::{self, Coding, Interrupted, Request};
use crate::net::Stream;
use crate::upstream::{Error, OnContinue, RequestBody, is_idempotent};

/// What a head has beside its method, its target and its fields, at most.
const START: &str = " / HTTP/1.1\r\n\r\n";

/// A request on its way to the application.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    message: message::Outgoing<B>,
    /// How much of the body is written at once, about.
    most: usize,
    is_head: bool,
    is_repeatable: bool,
    on_continue: Option<OnContinue>,
}

impl<B: RequestBody> Outgoing<B> {
    /// Encodes the head of `request`, whose target and header fields are as the application is to see
    /// them; nothing of an earlier hop's framing but a length is among those. Behind them come `lines`.
    pub(super) fn new(request: Request<B>, lines: &[&[u8]]) -> Self {
        let Request {
            method,
            uri,
            mut fields,
            mut extensions,
            body,
            ..
        } = request;
        let body = (!body.is_end_stream()).then_some(body);
        let coding = match &body {
            None => Coding::Length(0),
            Some(body) => coding(body, &mut fields),
        };
        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        let start = method.as_str().len() + target.len() + START.len();
        let lines_length: usize = lines.iter().map(|part| part.len()).sum();
        let mut head = Vec::with_capacity(start + fields.encoded_length() + lines_length);
        head.extend_from_slice(method.as_str().as_bytes());
        head.push(b' ');
        if target.starts_with('?') {
            // Of an absolute target without a path (RFC 9112 section 3.2.1).
            head.push(b'/');
        }
        head.extend_from_slice(target.as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        fields.encode(&mut head);
        for part in lines {
            head.extend_from_slice(part);
        }
        head.extend_from_slice(b"\r\n");
        Self {
            is_repeatable: body.is_none() && is_idempotent(&method),
            message: message::Outgoing::new(head, body, coding),
            most: 0,
            is_head: method == Method::HEAD,
            on_continue: extensions.remove(),
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
        self.message
            .poll_write(stream, self.most, cx)
            .map_err(|why| match why {
                Interrupted::Body(error) => Error::RequestBody(error),
                Interrupted::WrongLength => {
                    Error::RequestBody("the body is not as long as Content-Length says".into())
                }
                Interrupted::Stream(error) => Error::Io(error),
            })
    }

    /// Whether the socket has all of it.
    pub(super) fn is_out(&self) -> bool {
        self.message.is_out()
    }

    /// Has about `most` bytes of the body written at once, where so much is there.
    pub(super) fn gather(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether there is a body of which not all was given.
    pub(super) fn has_body(&self) -> bool {
        self.message.has_body()
    }

    /// Whether no byte of it has left.
    pub(super) fn is_unsent(&self) -> bool {
        self.message.is_unsent()
    }

    /// The request for another attempt, where that harms nobody: no byte of it has left, or it is
    /// idempotent and had no body.
    pub(super) fn again(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.is_unsent() {
            return Some(self);
        }
        self.is_repeatable.then(|| {
            self.message.rewind();
            self
        })
    }
}

/// How a body is framed, as `fields` say from then on.
fn coding<B: RequestBody>(body: &B, fields: &mut Fields) -> Coding {
    if let Some(length) = body.size_hint().exact() {
        if !fields.has(name::CONTENT_LENGTH) {
            fields.append_number(name::CONTENT_LENGTH, length);
        }
        return Coding::Length(length);
    }
    fields.remove(name::CONTENT_LENGTH);
    fields.set(name::TRANSFER_ENCODING, Value::from_static("chunked"));
    Coding::chunked(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
    use tokio::io::AsyncReadExt as _;

    use crate::fields::fixtures;
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
        let mut outgoing = Outgoing::new(request, &[]);
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
        request.method = method;
        request.uri = "/a?b".parse().unwrap();
        request.fields = fixtures::fields(fields);
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
        let mut trailers = http::HeaderMap::new();
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
    async fn only_what_harms_nobody_is_sent_again() {
        for (method, body, has_left, is_again) in [
            (Method::GET, empty(), true, true),
            (Method::PUT, empty(), true, true),
            (Method::POST, empty(), true, false),
            (Method::PUT, full("a"), true, false),
            (Method::POST, full("a"), false, true),
        ] {
            let mut outgoing = Box::new(Outgoing::new(request(method, &[], body), &[]));
            if has_left {
                let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
                let mut stream = Stream::unix(ours);
                std::future::poll_fn(|cx| outgoing.poll_write(&mut stream, cx))
                    .await
                    .unwrap();
            }
            assert_eq!(outgoing.again().is_some(), is_again);
        }
    }
}
