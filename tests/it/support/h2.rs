//! An HTTP/2 client frame for frame close enough to see resets, GOAWAY and flow control.

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::wait::within;

/// One connection; its frames are driven by a task that ends with it.
#[derive(Debug)]
pub(crate) struct H2 {
    /// Opens streams.
    pub(crate) send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct H2Response {
    /// The status code.
    pub(crate) status: u16,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// The trailer fields, if there were any.
    pub(crate) trailers: Option<HeaderMap>,
}

/// A connection of hyper's client, which also opens tunnels.
pub(crate) type Tunnels = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

/// Asks for a WebSocket at `path` of `https://localhost` (RFC 8441).
pub(crate) async fn extended_connect(http2: &mut Tunnels, path: &str) -> Response<Incoming> {
    let request = Request::connect(format!("https://localhost{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "first, second")
        .body(Empty::new())
        .unwrap();
    let answer = http2.send_request(request);
    within("an answer", answer).await.unwrap()
}

impl H2 {
    /// Sends the preface and SETTINGS on `stream`.
    pub(crate) async fn handshake<S>(stream: S) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = h2::client::handshake(stream).await?;
        let connection = tokio::spawn(connection);
        Ok(Self { send, connection })
    }

    /// Opens a stream with a GET for `path` of `https://localhost`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<ResponseFuture, h2::Error> {
        self.request(Method::GET, path).await
    }

    /// Opens a stream with a request that has no body.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<ResponseFuture, h2::Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .body(())
            .unwrap();
        let mut ready = within("a free stream", self.send.clone().ready()).await?;
        ready.send_request(request, true).map(|(answer, _)| answer)
    }

    /// How the connection ended: `Ok` after a GOAWAY with NO_ERROR and a clean end of the stream.
    pub(crate) async fn closed(self) -> Result<(), h2::Error> {
        let ended = within("the end of the connection", self.connection).await;
        // Kept until here: without it the client would end the connection itself.
        drop(self.send);
        match ended.unwrap() {
            // This client still had a frame to write, such as a PING's answer, when the server had
            // said its last word and gone.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            ended => ended,
        }
    }
}

fn is_broken_pipe(error: &h2::Error) -> bool {
    let io = error.get_io();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The whole of one answer.
pub(crate) async fn whole(answer: ResponseFuture) -> Result<H2Response, h2::Error> {
    within("an HTTP/2 response", async {
        let (head, mut stream) = answer.await?.into_parts();
        let mut body = BytesMut::new();
        while let Some(data) = stream.data().await {
            let data = data?;
            stream.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        Ok(H2Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.freeze(),
            trailers: stream.trailers().await?,
        })
    })
    .await
}
