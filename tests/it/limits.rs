//! Limits and timeouts: what is answered, what is cut, and what is left alone.

mod clock;
mod connections;
mod memory;
mod patience;
mod ports;
mod proxy_protocol;
mod raw;
pub(crate) mod rest;
mod scarcity;
mod stalls;

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request};

use crate::support::application::Raw;
use crate::support::h1::{Response, Wire};
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The answer to `request`, behind which the connection ends in order.
async fn last_answer(served: &Served, request: impl AsRef<[u8]>) -> Response {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.header("connection"), Some("close"), "{response:?}");
    wire.assert_closed().await;
    response
}

/// The answer's status and body to `request` on a connection that has been good for a GET before.
async fn http2_status(served: &Served, request: Request<()>) -> u16 {
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let (response, _) = ready.send_request(request, true).unwrap();
    whole(response).await.unwrap().status
}

fn post() -> http::request::Builder {
    Request::post("https://localhost/")
}

// H1-14
#[tokio::test(flavor = "multi_thread")]
async fn a_header_section_over_max_header_size_is_431() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-header-size", "2KiB"]);
    let large = "x".repeat(4096);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {large}\r\n\r\n");
    assert_eq!(last_answer(&served, request).await.status, 431);
    let request = Request::get("https://localhost/").header("x-large", large);
    assert_eq!(http2_status(&served, request.body(()).unwrap()).await, 431);
    let received = application.all_received().concat();
    assert!(!received.contains("xxx"), "{received}");
}

// H1-14
#[tokio::test(flavor = "multi_thread")]
async fn more_fields_than_max_headers_are_431() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-headers", "20"]);
    let fields: String = (0..30).map(|n| format!("x-{n}: y\r\n")).collect();
    let request = format!("GET /many HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    assert_eq!(last_answer(&served, request).await.status, 431);
    let received = application.all_received().concat();
    assert!(!received.contains("/many"), "{received}");
}

// H1-14
#[tokio::test(flavor = "multi_thread")]
async fn more_fields_than_max_headers_are_431_over_http2() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-headers", "20"]);
    let mut request = Request::get("https://localhost/many");
    for n in 0..30 {
        request = request.header(format!("x-{n}"), "y");
    }
    assert_eq!(http2_status(&served, request.body(()).unwrap()).await, 431);
    let received = application.all_received().concat();
    assert!(!received.contains("/many"), "{received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_length_over_max_body_size_is_413_and_not_passed_on() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-body-size", "1KiB"]);
    let request = "POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\n\r\n";
    let response = last_answer(&served, request).await;
    assert_eq!(response.status, 413);
    assert!(response.text().contains("--max-body-size"), "{response:?}");
    assert_eq!(application.connections(), 0);

    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_body_over_max_body_size_is_413_and_never_ends_at_the_application() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-body-size", "1KiB"]);
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("400\r\n{}\r\n1\r\nx\r\n", "x".repeat(1024));
    let response = last_answer(&served, format!("{head}{body}")).await;
    assert_eq!(response.status, 413);
    let received = application.all_received().concat();
    assert!(!received.contains("0\r\n\r\n"), "{received}");

    let mut h2 = served.client().h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    let mut ready: SendRequest<Bytes> = h2.send.clone().ready().await.unwrap();
    let (response, mut body) = ready.send_request(post().body(()).unwrap(), false).unwrap();
    body.send_data(vec![0; 1025].into(), false).unwrap();
    assert_eq!(whole(response).await.unwrap().status, 413);
}

// H1-18
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_408_also_behind_a_good_request() {
    let application = Raw::answering(OK);
    let arguments = ["--request-header-timeout", "300ms"];
    let served = Served::start(application.upstream(), &arguments);
    let begun = "GET / HTTP/1.1\r\nHost: local";
    assert_eq!(last_answer(&served, begun).await.status, 408);

    let mut wire = served.client().http1(served.address()).await.unwrap();
    good(&mut wire).await;
    wire.write(begun).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 408);
    wire.assert_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_ended_by_the_idle_timeout_and_not_by_the_header_timeout() {
    let application = Raw::answering(OK);
    let idle = Duration::from_millis(1500);
    let arguments = [
        "--request-header-timeout",
        "100ms",
        "--idle-timeout",
        "1500ms",
    ];
    let served = Served::start(application.upstream(), &arguments);
    let begun = Instant::now();
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(GET).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    wire.assert_closed().await;
    assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());

    let begun = Instant::now();
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());
}

// H1-18
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_408_and_never_ends_at_the_application() {
    let application = Raw::answering(OK);
    let arguments = ["--request-body-timeout", "300ms"];
    let served = Served::start(application.upstream(), &arguments);
    let request =
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let response = last_answer(&served, request).await;
    assert_eq!(response.status, 408);
    let words = response.text();
    assert!(words.contains("--request-body-timeout"), "{words:?}");
    let received = application.received(0);
    assert!(received.ends_with("3\r\nabc\r\n"), "{received}");

    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready: SendRequest<Bytes> = h2.send.clone().ready().await.unwrap();
    let (response, mut body) = ready.send_request(post().body(()).unwrap(), false).unwrap();
    body.send_data("abc".into(), false).unwrap();
    assert_eq!(whole(response).await.unwrap().status, 408);
    // The connection is as good as before.
    assert_eq!(whole(h2.get("/").await.unwrap()).await.unwrap().status, 200);
}

/// More than all buffers on the way to a client hold.
fn large() -> Hyper {
    Hyper::http1(|_| async { answer(200, vec![0; 64 * 1024 * 1024]) })
}

async fn until_recorded(served: &Served, path: &str) {
    let what = format!("the record of {path}");
    eventually_async(&what, PATIENCE, || {
        let lines = served.sidecar.log_lines();
        lines
            .iter()
            .any(|line| line["url.path"] == path && line["flag"] != "")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut_at_the_send_timeout() {
    let application = large();
    let served = Served::start(application.upstream(), &["--send-timeout", "300ms"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    until_recorded(&served, "/large").await;
    // What was under way still comes; the rest never does.
    let end = within("the end", wire.response()).await;
    end.unwrap_err();
}

// H2-09
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_zero_window_is_cut_at_the_send_timeout() {
    let application = large();
    let served = Served::start(application.upstream(), &["--send-timeout", "300ms"]);
    let client = served.client().alpn(&["h2"]);
    let stream = client.connect(served.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let handshake = builder.initial_window_size(0).handshake::<_, Bytes>(stream);
    let (mut send, connection) = handshake.await.unwrap();
    let ended = tokio::spawn(connection);
    let request = Request::get("https://localhost/large").body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    let (_, mut body) = within("the head", answer).await.unwrap().into_parts();
    let data = within("the end of the body", body.data()).await;
    data.unwrap().unwrap_err();
    until_recorded(&served, "/large").await;
    // However it says so, it ends the connection.
    let _ = within("the end of the connection", ended).await.unwrap();
}

// H2-09
#[tokio::test(flavor = "multi_thread")]
async fn pings_do_not_keep_a_client_with_a_zero_window() {
    let application = large();
    let arguments = ["--send-timeout", "3s", "--keepalive-interval", "1s"];
    let served = Served::start(application.upstream(), &arguments);
    let client = served.client().alpn(&["h2"]);
    let stream = client.connect(served.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let handshake = builder.initial_window_size(0).handshake::<_, Bytes>(stream);
    let (mut send, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/large").body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    let (_, mut body) = within("the head", answer).await.unwrap().into_parts();
    let data = within("the end of the body", body.data()).await;
    data.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_but_reads_is_not_cut() {
    let application = Hyper::http1(|_| async { answer(200, vec![0; 16 * 1024 * 1024]) });
    let served = Served::start(application.upstream(), &["--send-timeout", "1s"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(GET).await.unwrap();
    let mut read = wire.response_head().await.unwrap().body.len();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while read < 16 * 1024 * 1024 {
        pace.tick().await;
        read += wire.read_exact(64 * 1024).await.unwrap().len();
    }
    assert_eq!(read, 16 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_answer_is_truncated_at_the_stream_idle_timeout() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap();
        let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        conn.write(begun).await.unwrap();
        // Until the sidecar gives it up.
        let _ = conn.read_to_end().await;
    });
    let arguments = ["--stream-idle-timeout", "300ms"];
    let served = Served::start(application.upstream(), &arguments);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /stalled HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    wire.response().await.unwrap_err();
    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["url.path"] == "/stalled");
    assert_eq!(record["flag"], "stream_idle_timeout");

    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let stalled = h2.get("/stalled").await.unwrap();
    let error = whole(stalled).await.unwrap_err();
    assert!(error.is_reset(), "{error:?}");
}

// H1-10
#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_405() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &[]);
    for line in ["CONNECT localhost:443 HTTP/1.1", "TRACE / HTTP/1.1"] {
        let request = format!("{line}\r\nHost: localhost:443\r\n\r\n");
        let response = last_answer(&served, request).await;
        assert_eq!(response.status, 405, "{line}");
        assert!(response.header("allow").is_some(), "{response:?}");
    }
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let trace = h2.request(Method::TRACE, "/").await.unwrap();
    assert_eq!(whole(trace).await.unwrap().status, 405);
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::connect("localhost:443").body(()).unwrap();
    let (connect, _) = ready.send_request(request, false).unwrap();
    assert_eq!(whole(connect).await.unwrap().status, 405);
    assert_eq!(application.connections(), 0);
}

// H1-15
#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_other_than_100_continue_is_417() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &[]);
    for expected in [
        "200-ok",
        "100-continue, magic",
        "100-continue\r\nExpect: magic",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: {expected}\r\n\r\n");
        assert_eq!(
            last_answer(&served, request).await.status,
            417,
            "{expected}"
        );
    }
    assert_eq!(application.connections(), 0);
}

/// One good request on `wire`.
async fn good<S>(wire: &mut Wire<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    wire.write(GET).await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
}
