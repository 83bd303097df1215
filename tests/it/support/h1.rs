//! HTTP/1 on a raw stream, for both ends: every byte written is the test's own, and every byte
//! read can be asserted on. It understands only well-formed messages.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::wait::within;

/// Bytes as they came, shared with whoever looks at them later.
pub(crate) type Transcript = Arc<Mutex<Vec<u8>>>;

/// A stream with what was read of it and not yet used.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    buffer: BytesMut,
    transcript: Transcript,
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The status line and header lines as they came, with the empty line.
    pub(crate) head: String,
    /// The body with its chunked coding removed.
    pub(crate) body: Vec<u8>,
    /// Trailer lines as they came, without the empty line.
    pub(crate) trailers: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Nothing read yet.
    pub(crate) fn new(stream: S) -> Self {
        Self::recorded(stream, Transcript::default())
    }

    /// Adds all that is read to `transcript`.
    pub(crate) fn recorded(stream: S, transcript: Transcript) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            transcript,
        }
    }

    /// Writes all of `bytes` and flushes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Ends the writing half: FIN, and close_notify where there is TLS.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// A message head with its empty line; `None` when the peer ended the stream before its first byte.
    pub(crate) async fn read_head(&mut self) -> io::Result<Option<String>> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Ok(None);
        }
        let head = self.read_until(b"\r\n\r\n").await?;
        Ok(Some(String::from_utf8_lossy(&head).into_owned()))
    }

    /// Everything up to and with `end`.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|at| at == end);
            if let Some(start) = found {
                return Ok(self.take(start + end.len()));
            }
            self.fill_some().await?;
        }
    }

    /// Exactly `length` bytes.
    pub(crate) async fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill_some().await?;
        }
        Ok(self.take(length))
    }

    /// Exactly `length` bytes; `None` when the peer ended the stream before the first of them.
    pub(crate) async fn read_exact_or_end(&mut self, length: usize) -> io::Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Ok(None);
        }
        self.read_exact(length).await.map(Some)
    }

    /// Everything to the end of the stream.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(self.take(self.buffer.len()))
    }

    /// The body of a request with this head.
    pub(crate) async fn read_request_body(&mut self, head: &str) -> io::Result<Vec<u8>> {
        if is_chunked(head) {
            return self.read_chunked().await.map(|(body, _)| body);
        }
        self.read_exact(content_length(head).unwrap_or(0)).await
    }

    /// A chunked body and its trailer lines.
    pub(crate) async fn read_chunked(&mut self) -> io::Result<(Vec<u8>, String)> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n").await?;
            let line = String::from_utf8_lossy(&line);
            let size = line.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            body.extend(self.read_exact(size).await?);
            self.read_until(b"\r\n").await?;
        }
        let mut trailers = String::new();
        loop {
            let line = self.read_until(b"\r\n").await?;
            if line == b"\r\n" {
                return Ok((body, trailers));
            }
            trailers.push_str(&String::from_utf8_lossy(&line));
        }
    }

    /// The next final response to a request other than HEAD; interim (1xx) ones are skipped.
    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        within("a response", self.read_response()).await
    }

    /// The next response head, interim or final, and nothing of its body.
    pub(crate) async fn response_head(&mut self) -> io::Result<Response> {
        let head = within("a response head", self.read_head()).await?;
        let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        Ok(Response {
            status: status.ok_or_else(|| io::Error::other(head.clone()))?,
            head,
            body: Vec::new(),
            trailers: String::new(),
        })
    }

    /// Asserts that the peer ends the stream cleanly (over TLS: with close_notify), with no byte more.
    pub(crate) async fn assert_closed(&mut self) {
        let rest = within("the end of the stream", self.read_to_end()).await;
        let rest = rest.expect("a clean end of the stream");
        let rest = String::from_utf8_lossy(&rest);
        assert_eq!(rest, "", "bytes before the end");
    }

    /// The stream, without what was read of it and not used.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// The stream itself.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    async fn read_response(&mut self) -> io::Result<Response> {
        let mut response = self.response_head().await?;
        while (100..200).contains(&response.status) && response.status != 101 {
            response = self.response_head().await?;
        }
        let bodiless = matches!(response.status, 101 | 204 | 304);
        if bodiless {
            return Ok(response);
        }
        if is_chunked(&response.head) {
            (response.body, response.trailers) = self.read_chunked().await?;
        } else if let Some(length) = content_length(&response.head) {
            response.body = self.read_exact(length).await?;
        } else {
            response.body = self.read_to_end().await?;
        }
        Ok(response)
    }

    async fn fill_some(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let before = self.buffer.len();
        let read = self.stream.read_buf(&mut self.buffer).await?;
        let mut transcript = self.transcript.lock().unwrap();
        transcript.extend_from_slice(&self.buffer[before..]);
        Ok(read)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.buffer.split_to(length).to_vec()
    }
}

impl Response {
    /// The value of the first header line of this name (any case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The value of the first line of this name (any case) in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    headers(head, name).next()
}

/// The values of all lines of this name (any case) in a head.
pub(crate) fn headers<'a>(head: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields
        .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn content_length(head: &str) -> Option<usize> {
    header(head, "content-length").and_then(|value| value.parse().ok())
}

fn is_chunked(head: &str) -> bool {
    header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
}

#[tokio::test]
async fn a_chunked_answer_is_read_to_its_trailers() {
    let (near, far) = tokio::io::duplex(1024);
    let mut far = Wire::new(far);
    far.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    far.write("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    drop(far);

    let mut near = Wire::new(near);
    let response = near.response().await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "abcde"));
    assert_eq!(response.trailers, "x-sum: 5\r\n");
    assert_eq!(near.response().await.unwrap().status, 204);
    near.assert_closed().await;
}
