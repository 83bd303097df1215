//! Two applications that go away and come back where they were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::support::application::{Conn, Raw};
use crate::support::hyper_application::{Body, Hyper, fed_body};
use crate::support::ports;
use crate::tally::Tally;

/// Length of the answer to `/large`.
pub(crate) const LARGE: usize = 1024 * 1024;
/// Messages of a streaming call.
pub(crate) const MESSAGES: usize = 10;

/// An application that restarts every few seconds.
pub(crate) struct Flapping {
    name: &'static str,
    address: SocketAddr,
    running: Running,
}

enum Running {
    Http1(#[allow(dead_code, reason = "held for its Drop")] Raw),
    Grpc(#[allow(dead_code, reason = "held for its Drop")] Hyper),
    Down,
}

impl Flapping {
    /// Speaks HTTP/1.1 and WebSocket, and resets when asked to.
    pub(crate) fn http1() -> Self {
        let running = Raw::tcp_at(ports::unused(), serve);
        Self {
            name: "http",
            address: running.address(),
            running: Running::Http1(running),
        }
    }

    /// Speaks gRPC over HTTP/2.
    pub(crate) fn grpc() -> Self {
        let running = Hyper::h2c_at(ports::unused(), call);
        Self {
            name: "grpc",
            address: running.address(),
            running: Running::Grpc(running),
        }
    }

    pub(crate) fn upstream(&self) -> String {
        let scheme = if self.name == "grpc" { "h2c" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Goes away and comes back until `end`; then it is there.
    pub(crate) async fn flap(mut self, tally: Arc<Tally>, end: Instant) {
        while Instant::now() + Duration::from_secs(2) < end {
            let up = Duration::from_millis(fastrand::u64(3_000..9_000));
            tokio::time::sleep_until(end.min(Instant::now() + up).into()).await;
            tally.down(self.name);
            // Joins a thread.
            let running = std::mem::replace(&mut self.running, Running::Down);
            tokio::task::spawn_blocking(|| drop(running)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..400))).await;
            self.running = match self.name {
                "grpc" => Running::Grpc(Hyper::h2c_at(self.address, call)),
                _ => Running::Http1(Raw::tcp_at(self.address, serve)),
            };
            tally.up(self.name);
        }
        tokio::time::sleep_until((end + Duration::from_secs(5)).into()).await;
    }
}

/// One connection of the HTTP/1.1 application.
async fn serve(mut conn: Conn) {
    while let Ok(Some(head)) = conn.read_head().await {
        let Ok(body) = conn.read_body(&head).await else {
            return;
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        let length = |body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let answer = match path {
            "/large" => length(&"l".repeat(LARGE)),
            "/chunked" => {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                format!("{head}{}0\r\n\r\n", "2\r\nok\r\n".repeat(20))
            }
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(30)).await;
                length("ok")
            }
            "/echo" => length(&body.len().to_string()),
            "/reset" => return conn.reset(),
            "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly".to_owned(),
            "/websocket" => return echo(conn).await,
            _ => length("ok"),
        };
        if conn.write(answer).await.is_err() || path == "/cut" {
            return;
        }
    }
}

/// Behind a granted switch: lines come back.
async fn echo(mut conn: Conn) {
    let granted =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if conn.write(granted).await.is_err() {
        return;
    }
    while let Ok(line) = conn.read_until(b"\n").await {
        if conn.write(line).await.is_err() {
            return;
        }
    }
}

/// One call of the gRPC application: all of the request, then messages, then trailers.
async fn call(request: Request<Incoming>) -> Response<Body> {
    let messages = match request.uri().path() {
        "/soak.Soak/Stream" => MESSAGES,
        _ => 1,
    };
    let (mut sender, body) = fed_body();
    tokio::spawn(async move {
        if request.into_body().collect().await.is_err() {
            return;
        }
        for _ in 0..messages {
            let message = Bytes::from_static(b"\0\0\0\0\x02ok");
            if sender.send_data(message).await.is_err() {
                return;
            }
            if messages > 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = sender.send_trailers(trailers).await;
    });
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body).unwrap()
}
