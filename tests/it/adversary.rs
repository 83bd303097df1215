//! The application as an adversary: whatever it answers, the client gets that answer, or one that
//! cannot be mistaken for it; and nobody else gets any of it.

mod bodies;
mod framing;
mod heads;
mod leftovers;
mod settings;
mod streams;

use crate::support::application::Raw;
use crate::support::h1::Response;
use crate::support::h2::{H2Response, whole};
use crate::support::requests::get;
use crate::support::sidecar::Served;

/// One pool, so that tests can count its connections.
const ONE_WORKER: [&str; 2] = ["--workers", "1"];

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An application that gives the answer with the number that the path names and stays; any other
/// path gets a good one.
fn answering_by_number(answers: Vec<Vec<u8>>) -> Raw {
    let answers = std::sync::Arc::new(answers);
    Raw::tcp(move |mut conn| {
        let answers = std::sync::Arc::clone(&answers);
        async move {
            while let Ok(Some(head)) = conn.read_head().await {
                conn.read_body(&head).await.unwrap();
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
                let answer = path.parse::<usize>().map(|number| &answers[number]);
                // The sidecar may have had enough.
                let _ = conn.write(answer.map_or(OK.as_bytes(), |a| a)).await;
            }
        }
    })
}

/// What an HTTP/1.1 client gets for `path`.
async fn ask(served: &Served, path: &str) -> std::io::Result<Response> {
    send(served, &get(path)).await
}

/// What an HTTP/1.1 client gets for `request`.
async fn send(served: &Served, request: &str) -> std::io::Result<Response> {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    wire.response().await
}

/// What an HTTP/2 client gets for `path`.
async fn ask_http2(served: &Served, path: &str) -> Result<H2Response, h2::Error> {
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    whole(h2.get(path).await.unwrap()).await
}

/// Asserts that the next request is served as if nothing had been.
async fn assert_good(served: &Served, case: &str) {
    let response = ask(served, "/good").await;
    let response = response.unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "ok"),
        "{case}"
    );
}
