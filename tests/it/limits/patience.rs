//! Every timeout fires at its value and only there; what must live lives past all of them.

use std::time::{Duration, Instant};

use http::Request;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::OK;
use crate::support::application::Raw;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer, fed_body};
use crate::support::requests::get;
use crate::support::sidecar::Served;
use crate::support::wait::within;

/// Every timeout that is on by default, far below the pauses of these tests.
const SHORT: [&str; 12] = [
    "--handshake-timeout",
    "400ms",
    "--request-header-timeout",
    "400ms",
    "--request-body-timeout",
    "400ms",
    "--send-timeout",
    "400ms",
    "--idle-timeout",
    "400ms",
    "--keepalive-interval",
    "1s",
];
/// Longer than all of them together.
const PAUSE: Duration = Duration::from_millis(2500);

/// Asserts that what began at `begun` took `limit`, and not much more.
fn assert_at(limit: Duration, begun: Instant, what: &str) {
    let elapsed = begun.elapsed();
    // A timer may be a moment early against a clock read before it was set.
    assert!(
        elapsed >= limit - Duration::from_millis(5),
        "{what}: {elapsed:?}"
    );
    assert!(
        elapsed < limit + Duration::from_secs(1),
        "{what}: {elapsed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_timeout_of_the_client_side_fires_at_its_value() {
    let application = Raw::answering(OK);
    let arguments = [
        "--handshake-timeout",
        "600ms",
        "--request-header-timeout",
        "900ms",
        "--request-body-timeout",
        "1200ms",
        "--idle-timeout",
        "1500ms",
    ];
    let served = Served::start(application.upstream(), &arguments);
    let client = served.client();

    let begun = Instant::now();
    let mut silent = TcpStream::connect(served.address()).await.unwrap();
    // However it ends, with a FIN or a RST.
    let _ = within("the end", silent.read(&mut [0; 1])).await;
    assert_at(Duration::from_millis(600), begun, "handshake");

    let mut wire = client.http1(served.address()).await.unwrap();
    let begun = Instant::now();
    wire.write("GET / HTTP/1.1\r\nHost: local").await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 408);
    assert_at(Duration::from_millis(900), begun, "request header");

    let mut wire = client.http1(served.address()).await.unwrap();
    let begun = Instant::now();
    wire.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 408);
    assert_at(Duration::from_millis(1200), begun, "request body");

    let mut wire = client.http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    wire.response().await.unwrap();
    let begun = Instant::now();
    wire.assert_closed().await;
    assert_at(Duration::from_millis(1500), begun, "idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_timeout_of_the_applications_side_fires_at_its_value() {
    let application = Raw::tcp(|mut conn| async move {
        let Ok(Some(head)) = conn.read_head().await else {
            return;
        };
        if head.contains(" /begun ") {
            let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
            conn.write(begun).await.unwrap();
        }
        let _ = conn.read_to_end().await;
    });
    let arguments = [
        "--upstream-response-timeout",
        "700ms",
        "--stream-idle-timeout",
        "1100ms",
    ];
    let served = Served::start(application.upstream(), &arguments);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let begun = Instant::now();
    wire.write(get("/silent")).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 504);
    assert_at(Duration::from_millis(700), begun, "upstream response");

    let mut wire = served.client().http1(served.address()).await.unwrap();
    let begun = Instant::now();
    wire.write(get("/begun")).await.unwrap();
    wire.response().await.unwrap_err();
    assert_at(Duration::from_millis(1100), begun, "stream idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_outlives_every_timeout() {
    let application = Hyper::http1(|_| async {
        tokio::time::sleep(PAUSE).await;
        answer(200, "at last")
    });
    let served = Served::start(application.upstream(), &SHORT);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let polled = h2.get("/").await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "at last");
    assert_eq!(whole(polled).await.unwrap().body, "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_outlives_its_pauses() {
    let application = Hyper::http1(|_| async {
        let (mut sender, body) = fed_body();
        tokio::spawn(async move {
            for _ in 0..3 {
                sender.send_data("data: 1\n\n".into()).await.unwrap();
                tokio::time::sleep(PAUSE / 2).await;
            }
        });
        let response = http::Response::builder().header("content-type", "text/event-stream");
        response.body(body).unwrap()
    });
    let served = Served::start(application.upstream(), &SHORT);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let events = h2.get("/").await.unwrap();
    assert_eq!(wire.response().await.unwrap().text().len(), 27);
    assert_eq!(whole(events).await.unwrap().body.len(), 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_grpc_stream_outlives_every_timeout_in_both_directions() {
    let application = Hyper::h2c(|request| async move {
        // An echo: it is as silent as the client.
        http::Response::new(http_body_util::BodyExt::boxed(
            http_body_util::BodyExt::map_err(request.into_body(), std::io::Error::other),
        ))
    });
    let served = Served::start(application.upstream(), &SHORT);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::post("https://localhost/pkg.Service/Chat")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = ready.send_request(request, false).unwrap();
    let mut back = within("a head", response).await.unwrap().into_body();
    for _ in 0..2 {
        tokio::time::sleep(PAUSE).await;
        body.send_data("\0\0\0\0\0".into(), false).unwrap();
        let data = within("an echo", back.data()).await.unwrap().unwrap();
        assert_eq!(data.len(), 5);
    }
}
