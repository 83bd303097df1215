//! Questions to an admin port, each on a connection of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpStream;

use super::h1::{Response, Wire};
use super::wait::within;

/// The answer to `line`, such as `GET /readyz`.
pub(crate) async fn ask(admin: SocketAddr, line: &str) -> Response {
    send(admin, &format!("{line} HTTP/1.1\r\nHost: admin\r\n\r\n")).await
}

/// The answer to these very bytes.
pub(crate) async fn send(admin: SocketAddr, bytes: &str) -> Response {
    let mut wire = Wire::new(TcpStream::connect(admin).await.unwrap());
    wire.write(bytes).await.unwrap();
    wire.response().await.unwrap()
}

/// The JSON at `path`.
pub(crate) async fn json(admin: SocketAddr, path: &str) -> Value {
    let response = ask(admin, &format!("GET {path}")).await;
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}

/// Asks for `path` until it is answered with `status`; how long that took, and the answer.
pub(crate) async fn until(admin: SocketAddr, path: &str, status: u16) -> (Duration, Response) {
    let begun = Instant::now();
    let line = format!("GET {path}");
    within(&format!("{path} answered {status}"), async {
        loop {
            let response = ask(admin, &line).await;
            if response.status == status {
                return (begun.elapsed(), response);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
