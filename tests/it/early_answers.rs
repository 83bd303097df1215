//! Answers that come before the request's body, or instead of it.

use std::io::Write;

use http::Request;
use tempfile::NamedTempFile;

use crate::support::application::{Conn, Raw};
use crate::support::background::Gate;
use crate::support::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, frame, request};
use crate::support::h2::whole;
use crate::support::h2_application::{self, RST_STREAM, ok};
use crate::support::hyper_application::Hyper;
use crate::support::requests::curl_at;
use crate::support::sidecar::Served;
use crate::support::wait::within;

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
     Content-Length: 4\r\n\r\n";

/// An application that says 100 when `gate` is open, and then takes a body.
fn going_on(gate: &Gate) -> Raw {
    let held = gate.clone();
    Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            let head = conn.read_head().await.unwrap().unwrap();
            assert!(
                head.to_lowercase().contains("expect: 100-continue"),
                "{head}"
            );
            gate.pass().await;
            conn.write("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            let body = conn.read_body(&head).await.unwrap();
            assert_eq!(body, b"body");
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_gets_the_applications() {
    let gate = Gate::closed();
    let application = going_on(&gate);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(EXPECTING).await.unwrap();
    gate.open();
    assert_eq!(wire.response_head().await.unwrap().status, 100);
    wire.write("body").await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_gets_the_applications_over_http2_too() {
    let gate = Gate::closed();
    let application = going_on(&gate);
    let served = Served::start(application.upstream(), &[]);
    let mut frames = Frames::connect(&served).await;
    let fields = [("expect", "100-continue"), ("content-length", "4")];
    let head = request("POST", "/", &fields);
    frames
        .write(&frame(HEADERS, END_HEADERS, 1, &head))
        .await
        .unwrap();
    gate.open();
    let interim = frames.find(|frame| frame.kind == HEADERS).await;
    assert_eq!(interim.flags & END_STREAM, 0);
    // `:status` is entry 8 of the static table.
    assert_eq!(interim.payload, b"\x08\x03100");
    frames
        .write(&frame(DATA, END_STREAM, 1, b"body"))
        .await
        .unwrap();
    let head = frames.find(|frame| frame.kind == HEADERS).await;
    assert_eq!(head.payload[0], 0x88);
    assert_eq!(frames.find(|f| f.kind == DATA).await.payload, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_100_gets_that_of_an_h2c_application_once() {
    let application = Raw::tcp(|mut conn| async move {
        conn.open_http2(&[]).await.unwrap();
        let stream = conn.read_request().await.unwrap();
        let go_on = h2_application::headers(stream, 0, &[(":status", "100")]);
        // Said twice, and once is passed on.
        conn.write([go_on.clone(), go_on].concat()).await.unwrap();
        while conn.read_frame().await.unwrap().kind != DATA {}
        conn.write(ok(stream)).await.unwrap();
        let _ = conn.read_to_end().await;
    });
    let upstream = application.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(EXPECTING).await.unwrap();
    assert_eq!(wire.response_head().await.unwrap().status, 100);
    wire.write("body").await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2c_application_that_answers_without_asking_for_the_body_hears_that_none_comes() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let heard = heard.clone();
        async move {
            conn.open_http2(&[]).await.unwrap();
            let stream = conn.read_request().await.unwrap();
            let refusal = h2_application::headers(
                stream,
                h2_application::END,
                &[(":status", "417"), ("content-length", "0")],
            );
            conn.write(refusal).await.unwrap();
            while let Ok(frame) = conn.read_frame().await {
                let _ = heard.send(frame.kind);
            }
        }
    });
    let upstream = application.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(EXPECTING).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 417);
    let mut kinds = Vec::new();
    while kinds.last() != Some(&RST_STREAM) {
        kinds.push(within("the reset", hears.recv()).await.unwrap());
    }
    assert!(!kinds.contains(&DATA), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_expectation_reaches_the_client_before_its_body_is_sent() {
    for refusal in ["417 Expectation Failed", "413 Content Too Large"] {
        let application = Raw::tcp(move |mut conn| async move {
            conn.read_head().await.unwrap();
            conn.write(format!("HTTP/1.1 {refusal}\r\nContent-Length: 2\r\n\r\nno"))
                .await
                .unwrap();
            let _ = conn.read_to_end().await;
        });
        let served = Served::start(application.upstream(), &[]);
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(EXPECTING).await.unwrap();
        // The first head is the final one: nobody said 100.
        let head = wire.response_head().await.unwrap();
        assert_eq!(head.status.to_string(), refusal[..3]);
        assert_eq!(wire.read_exact(2).await.unwrap(), b"no");
        // Without the body the connection cannot go on.
        wire.assert_closed().await;

        let h2 = served.client().h2(served.address()).await.unwrap();
        let mut ready = h2.send.clone().ready().await.unwrap();
        let request = Request::post("https://localhost/").header("expect", "100-continue");
        let request = request.header("content-length", 4).body(()).unwrap();
        let (response, _body) = ready.send_request(request, false).unwrap();
        let response = whole(response).await.unwrap();
        assert_eq!(response.status.to_string(), refusal[..3]);
        for received in application.all_received() {
            assert!(received.ends_with("\r\n\r\n"), "{received}");
        }
    }
}

#[test]
fn curl_does_not_send_a_body_that_was_refused() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap();
        conn.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            .await
            .unwrap();
        let _ = conn.read_to_end().await;
    });
    let served = Served::start(application.upstream(), &[]);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&[0; 2 << 20]).unwrap();
    let body = file.path().to_str().unwrap();
    let arguments = [
        "--http1.1",
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "15",
        "--upload-file",
        body,
        "--write-out",
        "%{http_code} %{size_upload}",
    ];
    let Some(output) = curl_at(&served, "/", &arguments) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "no413 0", "{output:?}");
    assert!(application.received(0).ends_with("\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_never_says_100_gets_the_body_anyway() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(EXPECTING).await.unwrap();
    assert_eq!(wire.response_head().await.unwrap().status, 100);
    wire.write("body").await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
    assert!(application.received(0).ends_with("\r\n\r\nbody"));
}

// H1-15
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_expectation_is_417() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 417);
    assert!(application.asked().is_empty());
}

/// Reads a head and some of the body, answers in full, and ends as `end` says.
fn early(end: fn(Conn)) -> Raw {
    Raw::tcp(move |mut conn| async move {
        conn.read_head().await.unwrap();
        // Little enough to be with the proxy when the application ends.
        let body = "e".repeat(10_000);
        let head = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 10000\r\n\r\n";
        conn.write(format!("{head}{body}")).await.unwrap();
        end(conn);
    })
}

// UP-14
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_is_whole_for_a_client_that_sends_all_first() {
    // The second resets the connection, because it leaves bytes unread.
    for end in [|conn| std::mem::forget(conn), Conn::close] {
        for _ in 0..20 {
            let application = early(end);
            let served = Served::start(application.upstream(), &[]);
            let mut wire = served.client().http1(served.address()).await.unwrap();
            let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n";
            wire.write(head).await.unwrap();
            // A client that finds the door closed still reads what was said.
            let _ = wire.write(vec![b'u'; 2_000_000]).await;
            let response = wire.response().await.unwrap();
            assert_eq!(response.status, 413, "{}", response.text());
            assert_eq!(response.body.len(), 10_000);
        }
    }
}

// UP-14
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_over_http2_is_whole_while_the_upload_runs() {
    for end in [|conn| std::mem::forget(conn), Conn::close] {
        let application = early(end);
        let served = Served::start(application.upstream(), &[]);
        for _ in 0..20 {
            let h2 = served.client().h2(served.address()).await.unwrap();
            let mut ready = h2.send.clone().ready().await.unwrap();
            let request = Request::post("https://localhost/").body(()).unwrap();
            let (response, mut upload) = ready.send_request(request, false).unwrap();
            // The answer may have ended the stream already.
            let _ = upload.send_data(vec![b'u'; 2_000_000].into(), false);
            let response = whole(response).await.unwrap();
            assert_eq!(response.status, 413, "{:?}", response.body);
            assert_eq!(response.body.len(), 10_000);
        }
    }
}
