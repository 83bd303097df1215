//! The application behind every proxy: HTTP/1.1, WebSocket echo and gRPC, each at a port of its own.
//!
//! It runs as a process on the load's CPU, keeps connections for ever and reads a request to its
//! end before it answers. Its answers carry the header fields of a usual one.

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// The answer of small requests.
pub(crate) const SMALL: &[u8] = b"Hello, world\n";
/// Bytes of a large answer or upload.
pub(crate) const LARGE: usize = 100_000_000;
/// A gRPC message of 13 bytes: no compression, length, text.
pub(crate) const MESSAGE: &[u8] = b"\0\0\0\0\x0dHello, world\n";

const PIECE: usize = 64 * 1024;

/// Ports of the application.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Ports {
    #[arg(long)]
    pub(crate) http: u16,
    #[arg(long)]
    pub(crate) websocket: u16,
    #[arg(long)]
    pub(crate) grpc: u16,
}

/// Serves until it is killed.
pub(crate) fn run(ports: Ports) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.http)).await?;
        let websocket = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.websocket)).await?;
        let grpc = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.grpc)).await?;
        tokio::join!(
            accept(http, http1),
            accept(websocket, echo),
            accept(grpc, http2)
        );
        Ok(())
    })
}

async fn accept<F>(listener: TcpListener, serve: fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    }
}

// How a connection ends is the proxy's affair.
async fn http1(stream: TcpStream) {
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await;
}

async fn http2(stream: TcpStream) {
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service_fn(call));
    let _ = connection.await;
}

async fn echo(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_binary() || message.is_text()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let posted = request.method() == Method::POST;
    let path = request.uri().path().to_owned();
    let mut received = request.into_body();
    while let Some(frame) = received.frame().await {
        frame?;
    }
    let (status, body) = match path.as_str() {
        "/10k" => (StatusCode::OK, full(Bytes::from_static(&[b'x'; 10_240]))),
        "/100m" if !posted => (StatusCode::OK, Pieces { left: LARGE }.boxed()),
        "/small" | "/upload" => (StatusCode::OK, full(Bytes::from_static(SMALL))),
        _ => (StatusCode::NOT_FOUND, full(Bytes::new())),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "text/plain"),
        (SERVER, "application"),
        (ETAG, "\"66f2a3b1-d\""),
        (CACHE_CONTROL, "no-cache"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn call(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    request.into_body().collect().await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [
        Ok(Frame::data(Bytes::from_static(MESSAGE))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn full(bytes: Bytes) -> BoxBody<Bytes, Infallible> {
    Full::new(bytes).boxed()
}

/// A long body of one piece again and again, its length known.
struct Pieces {
    left: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; PIECE] = [0; PIECE];
        let next = self.left.min(PIECE);
        self.left -= next;
        let frame = Frame::data(Bytes::from_static(&ZEROS[..next]));
        Poll::Ready((next > 0).then_some(Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
