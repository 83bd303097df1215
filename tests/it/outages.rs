//! An application that refuses, resets, babbles or falls silent: what the client is told.

mod holding;

use crate::support::application::{Conn, Raw};
use crate::support::background::Gate;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::ports;
use crate::support::requests::{curl_at, get, post};
use crate::support::sidecar::Served;
use crate::support::wait::within;

/// Fails at once where the application is not there, instead of holding requests.
const AT_ONCE: [&str; 2] = ["--upstream-connect-timeout", "50ms"];

/// What an application answers, and how it ends then.
type Ending = (&'static [u8], fn(Conn));

/// The value for `--upstream` where nobody listens.
fn nobody() -> String {
    format!("http://{}", ports::unused())
}

/// An application that reads each request and then answers `bytes` and ends as `end` says.
fn ending(bytes: &'static [u8], end: fn(Conn)) -> Raw {
    Raw::tcp(move |mut conn| async move {
        if let Ok(Some(head)) = conn.read_head().await {
            conn.read_body(&head).await.unwrap();
            conn.write(bytes).await.unwrap();
            end(conn);
        }
    })
}

/// Status and flag of one request by hand.
async fn refusal(served: &Served, request: &str) -> (u16, String) {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    let response = wire.response().await.unwrap();
    let retry = response.header("retry-after").is_some();
    assert_eq!(retry, response.status == 503, "{}", response.head);
    // Short text that says what happened.
    let reason = format!("{} ", response.status);
    assert!(response.text().starts_with(&reason), "{}", response.text());
    let record = served
        .sidecar
        .wait_for_log("the record", |line| !line["flag"].is_null());
    (response.status, record["flag"].as_str().unwrap().to_owned())
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_not_there_is_503_with_retry_after() {
    let served = Served::start(&nobody(), &AT_ONCE);
    let told = refusal(&served, &get("/")).await;
    assert_eq!(told, (503, "upstream_refused".to_owned()));
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_that_is_not_there_is_503_with_retry_after() {
    let served = Served::start("unix:/nonexistent/application.sock", &AT_ONCE);
    let told = refusal(&served, &get("/")).await;
    assert_eq!(told, (503, "upstream_refused".to_owned()));
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_held_while_the_application_restarts() {
    let address = nobody().strip_prefix("http://").unwrap().parse().unwrap();
    let patient = ["--upstream-connect-timeout", "15s"];
    let served = Served::start(&format!("http://{address}"), &patient);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(post("/", "once")).await.unwrap();
    // The first attempt of many has failed, or fails soon.
    let application = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn
            .answer_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            .await;
    });
    assert_eq!(wire.response().await.unwrap().text(), "up");
    // The probe that looks whether it is back may have been the first to connect.
    let received = application.all_received().concat();
    assert_eq!(received.matches("once").count(), 1);
}

// UP-02
#[tokio::test(flavor = "multi_thread")]
async fn an_end_before_any_byte_on_a_fresh_connection_is_502_and_not_repeated() {
    for end in [Conn::reset, Conn::close] {
        for request in [get("/"), post("/", "abc")] {
            let application = ending(b"", end);
            let served = Served::start(application.upstream(), &[]);
            let told = refusal(&served, &request).await;
            assert_eq!(told, (502, "upstream_closed".to_owned()));
            assert_eq!(application.connections(), 1);
        }
    }
}

// UP-03
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_the_head_is_502() {
    for end in [Conn::reset, Conn::close] {
        let application = ending(b"HTTP/1.1 200 OK\r\nContent-Le", end);
        let served = Served::start(application.upstream(), &[]);
        let (status, _) = refusal(&served, &get("/")).await;
        assert_eq!(status, 502);
    }
}

// UP-06, UP-07, UP-11
#[tokio::test(flavor = "multi_thread")]
async fn garbage_for_an_answer_is_502() {
    let garbage: [&[u8]; 12] = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/3.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
    ];
    let mut passed = Vec::new();
    for bytes in garbage {
        let application = ending(bytes, Conn::close);
        let served = Served::start(application.upstream(), &[]);
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        let status = wire.response_head().await.map(|head| head.status);
        if !matches!(status, Ok(502)) {
            passed.push((String::from_utf8_lossy(bytes), status));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

// UP-10
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_too_many_or_too_large_headers_is_502_and_says_so() {
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let large = format!("X-A: {}\r\n", "a".repeat(100_000));
    for headers in [many, large] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
        let application = ending(head.leak().as_bytes(), Conn::close);
        let served = Served::start(application.upstream(), &[]);
        let told = refusal(&served, &get("/")).await;
        assert_eq!(told, (502, "upstream_headers_too_large".to_owned()));
    }
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn an_unasked_switch_is_502() {
    let application = ending(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        |_| {},
    );
    let served = Served::start(application.upstream(), &[]);
    let (status, _) = refusal(&served, &get("/")).await;
    assert_eq!(status, 502);
}

// UP-05
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_application_is_504_at_the_response_timeout() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "");
    let limit = ["--upstream-response-timeout", "100ms"];
    let served = Served::start(application.upstream(), &limit);
    let told = refusal(&served, &get("/")).await;
    assert_eq!(told, (504, "upstream_response_timeout".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_told_in_a_head_that_ends_its_stream() {
    let silent = Raw::tcp(|mut conn| async move {
        let _ = conn.read_to_end().await;
    });
    let resetting = ending(b"", Conn::reset);
    let garbage = ending(b"garbage\r\n\r\n", Conn::close);
    let unasked = ending(
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        |_| {},
    );
    let nobody = nobody();
    let timeout = ["--upstream-response-timeout", "100ms"];
    let cases: [(&str, &[&str], &str); 5] = [
        (&nobody, &AT_ONCE, "14"),
        (resetting.upstream(), &[], "14"),
        (garbage.upstream(), &[], "14"),
        (unasked.upstream(), &[], "14"),
        (silent.upstream(), &timeout, "4"),
    ];
    for (upstream, arguments, status) in cases {
        let served = Served::start(upstream, arguments);
        let h2 = served.client().h2(served.address()).await.unwrap();
        let request = http::Request::post("https://localhost/pkg.Service/Call")
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let mut ready = h2.send.clone().ready().await.unwrap();
        let (response, mut body) = ready.send_request(request, false).unwrap();
        body.send_data(vec![0; 5].into(), true).unwrap();
        let response = within("a head", response).await.unwrap();
        assert_eq!(response.status(), 200, "{status}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-status"], status, "{headers:?}");
        assert!(!headers["grpc-message"].is_empty());
        assert!(response.body().is_end_stream(), "trailers-only");
    }
}

// UP-04
#[test]
fn curl_calls_a_body_that_broke_off_a_failure() {
    let bodies: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ];
    for bytes in bodies {
        for end in [Conn::reset, Conn::close] {
            let application = ending(bytes, end);
            let served = Served::start(application.upstream(), &[]);
            for (version, codes) in [("--http1.1", &[18, 56][..]), ("--http2", &[92, 18])] {
                let Some(output) = curl_at(&served, "/", &[version]) else {
                    return;
                };
                let code = output.status.code().unwrap();
                // The head and what came of the body are not lost with the rest.
                assert_eq!(output.stdout, b"only this", "{version}: {output:?}");
                assert!(codes.contains(&code), "{version}: {output:?}");
            }
        }
    }
}

// UP-04, UP-15
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_broke_off_has_no_last_chunk_and_a_reset_stream() {
    let truncated: [Ending; 4] = [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
            Conn::close,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
            Conn::close,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
            Conn::reset,
        ),
        // Without a length the end is the end of the connection, and a reset is none.
        (b"HTTP/1.1 200 OK\r\n\r\nonly this", Conn::reset),
    ];
    for (bytes, end) in truncated {
        let application = ending(bytes, end);
        let served = Served::start(application.upstream(), &[]);
        let case = String::from_utf8_lossy(bytes);
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        let rest = within("the end", wire.read_to_end()).await;
        let rest = String::from_utf8_lossy(&rest.unwrap_or_default()).into_owned();
        assert!(!rest.ends_with("0\r\n\r\n"), "{case}: {rest}");

        let mut h2 = served.client().h2(served.address()).await.unwrap();
        let error = whole(h2.get("/").await.unwrap()).await.unwrap_err();
        assert!(error.is_reset(), "{case}: {error:?}");
    }
}

// UP-04: to a client that knows no chunks the end of the connection ends the body, so it must not
// look like one.
#[tokio::test(flavor = "multi_thread")]
async fn an_http10_client_is_not_told_that_a_broken_body_has_ended() {
    let application = ending(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        Conn::close,
    );
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let ended = within("the end", wire.read_to_end()).await;
    ended.expect_err("an end without close_notify");
}

// UP-15
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_with_its_connection_is_complete() {
    let application = ending(b"HTTP/1.1 200 OK\r\n\r\nall of it", Conn::close);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "all of it");
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let response = whole(h2.get("/").await.unwrap()).await.unwrap();
    assert_eq!(response.body, "all of it");
}

// UP-12
#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_do_not_stand_for_the_final_one() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast";
    let bytes = format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{last}");
    let application = ending(bytes.leak().as_bytes(), Conn::close);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "last");
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let response = whole(h2.get("/").await.unwrap()).await.unwrap();
    assert_eq!(response.body, "last");
}

// UP-16
#[tokio::test(flavor = "multi_thread")]
async fn the_first_good_request_after_failures_succeeds() {
    let address = nobody().strip_prefix("http://").unwrap().parse().unwrap();
    let served = Served::start(&format!("http://{address}"), &AT_ONCE);
    let client = served.client();
    let ask = async |expected: u16| {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, expected);
    };
    ask(503).await;
    // The probe, and not a request, finds that it is back.
    let back = || {
        let is_back = |line: &serde_json::Value| line["message"] == "application reached again";
        served
            .sidecar
            .wait_for_log("the end of the outage", is_back)
    };
    let resetting = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn.read_head().await;
        conn.reset();
    });
    back();
    ask(502).await;
    drop(resetting);
    let _good = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn
            .answer_all("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
    });
    ask(200).await;
}
