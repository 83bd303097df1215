//! Requests that are malformed (RFC 9113 section 8.1.1), and the streams they come on.

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PROTOCOL_ERROR, REFUSED_STREAM,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, request,
};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What is said of stream 1, whose header block is `block`; the connection is good for another.
async fn said_of(served: &Served, block: &[u8]) -> Frame {
    let mut frames = Frames::connect(served).await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    frames.write(&head).await.unwrap();
    let said = frames
        .find(|frame| matches!(frame.kind, RST_STREAM | HEADERS | GOAWAY))
        .await;
    frames.write(&get(3)).await.unwrap();
    frames
        .find(|frame| frame.kind == HEADERS && frame.stream == 3)
        .await;
    said
}

/// Whether `said` is a refusal: a reset, or an answer that is no 200.
fn is_refusal(said: &Frame) -> bool {
    match said.kind {
        RST_STREAM => said.code() == PROTOCOL_ERROR,
        // 0x88 is `:status: 200` in the static table.
        HEADERS => said.payload[0] != 0x88,
        _ => false,
    }
}

// H2-10
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_refused_on_its_stream_and_unheard_of() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    for field in [
        ("x", "a\r\nevil: 1"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", " a"),
        ("x", "a "),
        ("x", "\ta"),
        ("x\r\nevil", "1"),
        ("x y", "1"),
        ("x:y", "1"),
        ("X-Upper", "1"),
        ("", "1"),
        ("x\0", "1"),
        (":evil", "1"),
        (":path", "/again"),
        (":status", "200"),
        ("connection", "close"),
        ("connection", "x-evil"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("host", "other"),
        ("content-length", "5"),
        ("content-length", "+0"),
        ("content-length", "0, 0"),
        ("content-length", "x"),
    ] {
        let said = said_of(&served, &request("GET", "/evil", &[field])).await;
        assert!(is_refusal(&said), "{field:?}: {said:?}");
    }
    let two = [("content-length", "0"), ("content-length", "0")];
    let said = said_of(&served, &request("GET", "/evil", &two)).await;
    assert!(is_refusal(&said), "{said:?}");
    for heard in application.all_received() {
        assert!(!heard.contains("evil"), "{heard}");
    }
}

// H2-10
#[tokio::test(flavor = "multi_thread")]
async fn pseudo_header_fields_are_the_right_ones_each_once_and_sound() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let sound = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/evil"),
    ];
    for (changed, value) in [
        (0, ""),
        (0, "GE T"),
        (0, "GET / HTTP/1.1\r\nx: y\r\n\r\n"),
        (0, "get"),
        (0, "TRACE"),
        (1, ""),
        (1, "1x"),
        (2, "u@localhost"),
        (2, "local host"),
        (2, "localhost\r\nx: y"),
        (2, "localhost/evil"),
        (2, "a,b"),
        (2, "localhost:99999"),
        (2, ""),
        (3, ""),
        (3, "evil"),
        (3, "*"),
        (3, "/evil HTTP/1.1\r\nx: y\r\n\r\n"),
        (3, "/e vil"),
        (3, "/evil\0"),
        (3, "/evil\t"),
    ] {
        let mut fields = sound;
        fields[changed].1 = value;
        let said = said_of(&served, &block(&fields)).await;
        assert!(is_refusal(&said), "{fields:?}: {said:?}");
    }
    for missing in [0, 1, 3] {
        let mut fields = sound.to_vec();
        fields.remove(missing);
        let said = said_of(&served, &block(&fields)).await;
        assert!(is_refusal(&said), "{fields:?}: {said:?}");
    }
    let mut late = sound.to_vec();
    late.insert(0, ("x", "y"));
    let said = said_of(&served, &block(&late)).await;
    assert!(is_refusal(&said), "{said:?}");
    for heard in application.all_received() {
        assert!(!heard.contains("evil"), "{heard}");
    }
}

// H2-10
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_than_declared_is_reset_and_aborted_at_the_application() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            if conn.read_body(&head).await.is_err() || conn.write(OK).await.is_err() {
                return;
            }
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    for (number, body) in ["1234567", "123"].into_iter().enumerate() {
        let mut frames = Frames::connect(&served).await;
        let head = request("POST", "/", &[("content-length", "5")]);
        frames
            .write(&frame(HEADERS, END_HEADERS, 1, &head))
            .await
            .unwrap();
        eventually_async("the head at the application", PATIENCE, || {
            application.connections() > number && application.received(number).contains("\r\n\r\n")
        })
        .await;
        frames
            .write(&frame(DATA, END_STREAM, 1, body.as_bytes()))
            .await
            .unwrap();
        let said = frames
            .find(|frame| matches!(frame.kind, RST_STREAM | HEADERS))
            .await;
        assert!(is_refusal(&said), "{body}: {said:?}");
        let heard = application.received(number);
        assert!(!heard.ends_with("12345"), "{heard}");
    }
}

// H2-08
#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_allowed_are_refused_and_unheard_of() {
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            while let Ok(Some(_)) = conn.read_head().await {
                gate.pass().await;
                if conn.write(OK).await.is_err() {
                    return;
                }
            }
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut frames = Frames::connect(&served).await;
    // Only once both sides know the limit is it a limit (RFC 9113 section 6.5.3).
    frames
        .find(|frame| frame.kind == SETTINGS && frame.flags == 0)
        .await;
    frames.write(&frame(SETTINGS, 1, 0, &[])).await.unwrap();
    for stream in 0..140 {
        frames.write(&get(stream * 2 + 1)).await.unwrap();
    }
    for _ in 128..140 {
        let refused = frames.find(|frame| frame.kind == RST_STREAM).await;
        assert_eq!(refused.code(), REFUSED_STREAM);
        assert!(refused.stream > 256);
    }
    eventually_async("the allowed ones at the application", PATIENCE, || {
        gate.waiting() == 128
    })
    .await;
    assert_eq!(application.connections(), 128);
    gate.open();
    let mut answered = 0;
    while answered < 128 {
        frames.find(|frame| frame.kind == HEADERS).await;
        answered += 1;
    }
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_connection_is_a_goaway_that_arrives_and_a_clean_end() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let self_window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0]);
    for (wrong, code) in [
        (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        (frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        (
            frame(HEADERS, END_HEADERS, 0, &request("GET", "/", &[])),
            PROTOCOL_ERROR,
        ),
        (
            frame(HEADERS, END_HEADERS, 2, &request("GET", "/", &[])),
            PROTOCOL_ERROR,
        ),
        (frame(HEADERS, END_HEADERS, 1, &[0xff; 20]), 9),
        (frame(SETTINGS, 0, 0, &[0; 5]), 6),
        (frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]), 3),
        (frame(0x5, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        (frame(0x9, END_HEADERS, 1, &[]), PROTOCOL_ERROR),
        (frame(0x6, 0, 0, &[0; 7]), 6),
        (frame(0x6, 0, 1, &[0; 8]), PROTOCOL_ERROR),
        (frame(DATA, 0, 1, &vec![0; 20_000]), 6),
        (self_window, PROTOCOL_ERROR),
    ] {
        let mut frames = Frames::connect(&served).await;
        // Much more than was asked for is on its way.
        frames
            .write(&[wrong.as_slice(), &get(5).repeat(200)].concat())
            .await
            .unwrap();
        let rest = frames.rest().await;
        let goaway = rest.last().expect("a last word");
        assert_eq!(goaway.kind, GOAWAY, "{wrong:?}: {goaway:?}");
        assert_eq!(goaway.code(), code, "{wrong:?}: {goaway:?}");
    }
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_preface_ends_the_connection() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    for bytes in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut frames = Frames::silent(&served).await;
        frames.write(bytes.as_bytes()).await.unwrap();
        while let Ok(Some(said)) = frames.next().await {
            assert_ne!(said.kind, HEADERS, "{said:?}");
        }
    }
    assert_eq!(application.connections(), 0);
}
