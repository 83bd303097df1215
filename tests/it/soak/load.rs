//! Clients that behave, and the one who rotates the certificate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Request;

use crate::applications::{LARGE, MESSAGES};
use crate::support::certs::Leaf;
use crate::support::clients::Client;
use crate::support::h1::Response;
use crate::support::h2::{H2, whole};
use crate::support::requests::{get, post};
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::within;
use crate::tally::Tally;

/// Requests on one connection.
const REQUESTS: usize = 50;
/// Between two requests of one client: load, not saturation.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two certificates.
const ROTATION: Duration = Duration::from_secs(10);
const UPLOAD: usize = 100_000;

const PATHS: [&str; 7] = [
    "/ok", "/ok", "/chunked", "/slow", "/large", "/echo", "/reset",
];

/// Whether the answer to `path` is what it has to be.
fn check(path: &str, status: u16, body: &[u8]) -> Result<(), String> {
    let is_right = match path {
        "/reset" => status == 502,
        "/large" => status == 200 && body.len() == LARGE,
        "/chunked" => status == 200 && body.len() == 40,
        "/echo" => status == 200 && body == UPLOAD.to_string().as_bytes(),
        _ => status == 200 && body == b"ok",
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(100)]);
    is_right
        .then_some(())
        .ok_or_else(|| format!("{path}: {status} {text}"))
}

async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// A client of the sidecar whose certificate may change between any two connections.
fn client(served: &Served) -> Client {
    served.client()
}

/// HTTP/1.1: many requests a connection, one body in seven; and bodies that are cut.
pub(crate) async fn http1(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let client = client(&served);
    while Instant::now() < end {
        let begun = Instant::now();
        let mut wire = match client.http1(served.address()).await {
            Ok(wire) => wire,
            Err(error) => {
                tally.count("http1", "-", begun, Err(format!("connect: {error}")));
                continue;
            }
        };
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let path = PATHS[fastrand::usize(..PATHS.len())];
            let request = match path {
                "/echo" => post(path, &"u".repeat(UPLOAD)),
                path => get(path),
            };
            let answered: std::io::Result<Response> = async {
                wire.write(request).await?;
                wire.response().await
            }
            .await;
            let is_over = answered.is_err();
            let outcome = answered
                .map_err(|error| format!("{path}: {error}"))
                .and_then(|response| check(path, response.status, &response.body));
            tally.count("http1", "http", begun, outcome);
            if is_over {
                break;
            }
            pause().await;
        }
        let begun = Instant::now();
        let _ = wire.write(get("/cut")).await;
        let outcome = match wire.response().await {
            Err(_) => Ok(()),
            Ok(response) => Err(format!("/cut: {}", response.head)),
        };
        tally.count("http1 cut", "http", begun, outcome);
    }
}

/// HTTP/2: five requests at once, many times a connection.
pub(crate) async fn http2(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let client = client(&served);
    while Instant::now() < end {
        let begun = Instant::now();
        let mut h2 = match client.h2(served.address()).await {
            Ok(h2) => h2,
            Err(error) => {
                tally.count("http2", "-", begun, Err(format!("connect: {error}")));
                continue;
            }
        };
        for _ in 0..REQUESTS / 5 {
            let begun = Instant::now();
            let mut asked = Vec::new();
            for _ in 0..5 {
                let path = PATHS[fastrand::usize(..PATHS.len())];
                let path = if path == "/echo" { "/ok" } else { path };
                asked.push((path, h2.get(path).await));
            }
            // All at once: one that waits unread would take the window from those before it.
            let answers = asked.into_iter().map(|(path, answer)| async move {
                let response = match answer {
                    Ok(answer) => whole(answer).await,
                    Err(error) => Err(error),
                };
                response
                    .map_err(|error| format!("{path}: {error}"))
                    .and_then(|response| check(path, response.status, &response.body))
            });
            for outcome in join_all(answers).await {
                tally.count("http2", "http", begun, outcome);
            }
            pause().await;
        }
    }
}

/// WebSocket: a switch, and what is said behind it comes back.
pub(crate) async fn websocket(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let client = client(&served);
    while Instant::now() < end {
        let begun = Instant::now();
        let outcome = async {
            let mut wire = client.http1(served.address()).await?;
            wire.write(
                "GET /websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await?;
            let head = wire.response_head().await?;
            if head.status != 101 {
                return Err(std::io::Error::other(head.head));
            }
            for n in 0..REQUESTS {
                let line = format!("{n} {}\n", "w".repeat(fastrand::usize(..20_000)));
                wire.write(&line).await?;
                let back = within("an echo", wire.read_exact(line.len())).await?;
                if back != line.as_bytes() {
                    return Err(std::io::Error::other("another echo"));
                }
                pause().await;
            }
            Ok(())
        }
        .await;
        let outcome = outcome.map_err(|error| error.to_string());
        tally.count("websocket", "http", begun, outcome);
    }
}

/// gRPC: calls of one message and of many, with their trailers.
pub(crate) async fn grpc(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let client = client(&served);
    while Instant::now() < end {
        let begun = Instant::now();
        let mut h2 = match client.h2(served.address()).await {
            Ok(h2) => h2,
            Err(error) => {
                tally.count("grpc", "-", begun, Err(format!("connect: {error}")));
                continue;
            }
        };
        for n in 0..REQUESTS {
            let begun = Instant::now();
            let (kind, method, messages) = match n % 10 {
                0 => ("grpc stream", "Stream", MESSAGES),
                _ => ("grpc", "Unary", 1),
            };
            let outcome = call(&mut h2, method, messages).await;
            tally.count(kind, "grpc", begun, outcome);
            pause().await;
        }
    }
}

async fn call(h2: &mut H2, method: &str, messages: usize) -> Result<(), String> {
    let request = Request::post(format!("https://localhost/soak.Soak/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let ready = within("a free stream", h2.send.clone().ready()).await;
    let mut ready = ready.map_err(|error| error.to_string())?;
    let sent = ready.send_request(request, false);
    let (answer, mut body) = sent.map_err(|error| error.to_string())?;
    let sent = body.send_data(b"\0\0\0\0\x02hi".to_vec().into(), true);
    sent.map_err(|error| error.to_string())?;
    let response = whole(answer).await.map_err(|error| error.to_string())?;
    let trailers = response.trailers.unwrap_or(response.headers);
    let status = trailers.get("grpc-status").map(|status| status.as_bytes());
    if status == Some(b"0") && response.body.len() == messages * 7 {
        return Ok(());
    }
    Err(format!(
        "{} {} bytes, {trailers:?}",
        response.status,
        response.body.len()
    ))
}

/// A new certificate every ten seconds, published as the kubelet does, and seen to be served.
pub(crate) async fn rotation(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let mut ticks = tokio::time::interval(ROTATION);
    ticks.tick().await;
    loop {
        let tick = tokio::time::timeout_at(end.into(), ticks.tick());
        if tick.await.is_err() {
            return;
        }
        let begun = Instant::now();
        let pair = served.ca.sign(Leaf::server(&["localhost", "127.0.0.1"]));
        served.secret.swap(&pair.files());
        served.sidecar.signal(Signal::HUP);
        let client = client(&served);
        loop {
            let outcome = match client
                .clone()
                .alpn(&["http/1.1"])
                .connect(served.address())
                .await
            {
                Ok(stream) => {
                    let shown = stream.get_ref().1.peer_certificates();
                    shown.is_some_and(|chain| chain.first() == Some(pair.leaf_der()))
                }
                Err(error) => {
                    tally.count("rotation", "-", begun, Err(error.to_string()));
                    false
                }
            };
            if outcome {
                tally.rotated();
                tally.count("rotation", "-", begun, Ok(()));
                break;
            }
            if begun.elapsed() > Duration::from_secs(5) {
                tally.count(
                    "rotation",
                    "-",
                    begun,
                    Err("the old one is served".to_owned()),
                );
                break;
            }
            pause().await;
        }
    }
}
