//! A well-behaved application: hyper with a handler of the test's choice, over HTTP/1.1 or
//! HTTP/2 with prior knowledge. What it was asked is kept.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, UnixListener};

use super::application::{Listener, Stream, bind_tcp};
use super::background::{Background, Gate};

/// The body of an answer; its error cuts the answer short.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// The application: a listener and what it was asked.
#[derive(Debug)]
pub(crate) struct Hyper {
    upstream: String,
    address: Option<SocketAddr>,
    seen: Arc<Mutex<Seen>>,
    _background: Background,
}

/// A request's head as the application saw it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: Method,
    /// The request target.
    pub(crate) uri: Uri,
    /// The protocol version.
    pub(crate) version: Version,
    /// The header lines.
    pub(crate) headers: HeaderMap,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: Vec<Asked>,
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

impl Hyper {
    /// HTTP/1.1 on a free port of 127.0.0.1.
    pub(crate) fn http1<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::tcp(Protocol::Http1, handler)
    }

    /// HTTP/2 with prior knowledge on a free port of 127.0.0.1, extended CONNECT enabled.
    pub(crate) fn h2c<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::tcp(Protocol::Http2, handler)
    }

    /// As [`Self::h2c`] on `address`, for an application that comes back where it was.
    pub(crate) fn h2c_at<F, Fut>(address: SocketAddr, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::tcp_at(address, Protocol::Http2, handler)
    }

    /// HTTP/1.1 on a Unix socket.
    pub(crate) fn unix<F, Fut>(path: &Path, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = || Listener::Unix(UnixListener::from_std(listener).unwrap());
        let (seen, background) = serve(Protocol::Http1, listener, handler);
        Self {
            upstream: format!("unix:{}", path.display()),
            address: None,
            seen,
            _background: background,
        }
    }

    /// Answers every request with 200 and `text`.
    pub(crate) fn saying(text: &'static str) -> Self {
        Self::http1(move |_| async move { answer(200, text) })
    }

    /// Holds every request at `gate`, then answers it with 200 and `text`.
    pub(crate) fn holding(gate: &Gate, text: &'static str) -> Self {
        let gate = gate.clone();
        Self::http1(move |_| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                answer(200, text)
            }
        })
    }

    /// The value for `--upstream`.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a TCP listener")
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The heads of all requests, in the order they came.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().requests.clone()
    }

    fn tcp<F, Fut>(protocol: Protocol, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::tcp_at("127.0.0.1:0".parse().unwrap(), protocol, handler)
    }

    fn tcp_at<F, Fut>(address: SocketAddr, protocol: Protocol, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = bind_tcp(address);
        let address = listener.local_addr().unwrap();
        let listener = || Listener::Tcp(TcpListener::from_std(listener).unwrap());
        let (seen, background) = serve(protocol, listener, handler);
        let scheme = match protocol {
            Protocol::Http1 => "http",
            Protocol::Http2 => "h2c",
        };
        Self {
            upstream: format!("{scheme}://{address}"),
            address: Some(address),
            seen,
            _background: background,
        }
    }
}

/// An answer with this status and text.
pub(crate) fn answer(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into()).map_err(|never: Infallible| match never {});
    let response = Response::builder().status(status);
    response.body(body.boxed()).unwrap()
}

/// A body that a test feeds piece by piece, trailers included; dropping the sender ends it.
pub(crate) fn fed_body() -> (Sender<Bytes, io::Error>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed())
}

fn serve<F, Fut>(
    protocol: Protocol,
    listener: impl FnOnce() -> Listener + Send + 'static,
    handler: F,
) -> (Arc<Mutex<Seen>>, Background)
where
    F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = Arc::clone(&seen);
    let handler = Arc::new(handler);
    let background = Background::start("application", async move {
        let listener = listener();
        while let Ok(stream) = listener.accept().await {
            noted.lock().unwrap().connections += 1;
            let noted = Arc::clone(&noted);
            let handler = Arc::clone(&handler);
            let handle = move |request: Request<Incoming>| {
                noted.lock().unwrap().requests.push(Asked::from(&request));
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            };
            tokio::spawn(connection(protocol, stream, handle));
        }
    });
    (seen, background)
}

async fn connection<F, Fut>(protocol: Protocol, stream: Stream, handle: F)
where
    F: Fn(Request<Incoming>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let io = TokioIo::new(stream);
    // An error is the peer's end of the connection; the test sees it at the client.
    let _ = match protocol {
        Protocol::Http1 => {
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(io, service_fn(handle))
                .with_upgrades()
                .await
        }
        Protocol::Http2 => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .enable_connect_protocol()
                .serve_connection(io, service_fn(handle))
                .await
        }
    };
}

impl From<&Request<Incoming>> for Asked {
    fn from(request: &Request<Incoming>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        }
    }
}
