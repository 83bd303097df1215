//! Frames that cost the client nothing and move nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use http_body_util::BodyExt as _;

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS,
    PADDED, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, post, request, string,
};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::resident_memory;
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const MIB: u64 = 1024 * 1024;

/// Sends `flood` again and again until the connection is ended, and asserts that it ends in a
/// GOAWAY that says why, with memory as it was.
async fn is_told_to_calm_down(served: &Served, opening: &[u8], flood: &[u8]) {
    let before = resident_memory(served.sidecar.id());
    let mut frames = Frames::connect(served).await;
    frames.write(opening).await.unwrap();
    let flood = flood.repeat(64 * 1024 / flood.len() + 1);
    let (read, mut write) = tokio::io::split(frames.into_stream());
    let flooding = tokio::spawn(async move {
        // Ends with the connection, which is the point.
        while tokio::io::AsyncWriteExt::write_all(&mut write, &flood)
            .await
            .is_ok()
        {}
    });
    let mut read = crate::support::h1::Wire::new(tokio::io::join(read, tokio::io::sink()));
    let heard = within("the end of the connection", read.read_to_end()).await;
    within("the end of the flood", flooding).await.unwrap();
    let heard = heard.expect("a clean end behind the GOAWAY");
    let goaway = last_frame(&heard);
    assert_eq!(goaway[3], GOAWAY, "{goaway:?}");
    assert_eq!(
        goaway[13..17],
        ENHANCE_YOUR_CALM.to_be_bytes(),
        "{goaway:?}"
    );
    let grown = resident_memory(served.sidecar.id()).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes more");
}

fn last_frame(mut bytes: &[u8]) -> &[u8] {
    loop {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize + 9;
        if bytes.len() <= length {
            return bytes;
        }
        bytes = &bytes[length..];
    }
}

// H2-06
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_move_nothing_are_cut_off() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let unknown = frame(0xee, 0, 1, b"?");
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        frame(PING, 1, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        unknown,
    ] {
        is_told_to_calm_down(&served, &[], &flood).await;
    }
    let line = served
        .sidecar
        .wait_for_log("the reason", |line| line["reason"] == "http2_frame_flood");
    assert!(line["client.address"].is_string(), "{line}");
}

// H2-06: such a section is decoded, whatever becomes of it, and must not pay for other frames.
#[tokio::test(flavor = "multi_thread")]
async fn header_sections_on_a_stream_that_was_reset_are_cut_off() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let malformed = request("GET", "/", &[("connection", "close")]);
    let whole = END_HEADERS | END_STREAM;
    let opening = frame(HEADERS, whole, 1, &malformed);
    is_told_to_calm_down(&served, &opening, &frame(HEADERS, whole, 1, &[0x82])).await;
    assert_eq!(application.connections(), 0);
}

// H2-06
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_whose_answers_nobody_reads_is_cut_off_too() {
    let application = Raw::answering(OK);
    let served = Served::start(
        application.upstream(),
        &["--send-timeout", "1s", "--workers", "1"],
    );
    let before = resident_memory(served.sidecar.id());
    let mut frames = Frames::connect(&served).await;
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(4096);
    within("the end of the connection", async {
        while frames.write(&pings).await.is_ok() {}
    })
    .await;
    let grown = resident_memory(served.sidecar.id()).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes more");
}

// H2-02
#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_are_cut_off_and_never_pile_up_at_the_application() {
    let alive = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counting, peak) = (Arc::clone(&alive), Arc::clone(&most));
    let application = Raw::tcp(move |mut conn| {
        let (alive, most) = (Arc::clone(&counting), Arc::clone(&peak));
        async move {
            while let Ok(Some(_)) = conn.read_head().await {
                let now = alive.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                // Never answers; ends when the proxy gives the request up.
                let _ = conn.read_to_end().await;
                alive.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    for together in [1, 100] {
        let mut frames = Frames::connect(&served).await;
        let mut stream = 1;
        let goaway = loop {
            let mut flood = Vec::new();
            for _ in 0..together {
                flood.extend(get(stream));
                flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                stream += 2;
            }
            if frames.write(&flood).await.is_err() || stream > 20_000 {
                break frames.find(|frame| frame.kind == GOAWAY).await;
            }
        };
        assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
        eventually_async("nothing left at the application", PATIENCE, || {
            alive.load(Ordering::SeqCst) == 0
        })
        .await;
    }
    assert!(most.load(Ordering::SeqCst) <= 128);
}

// H2-03
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_make_us_reset_them_are_cut_off_in_every_form() {
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            while let Ok(Some(_)) = conn.read_head().await {
                gate.pass().await;
            }
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let forms: [fn(u32) -> Vec<u8>; 5] = [
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]),
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        |stream| frame(DATA, 0, stream, b"x"),
        |stream| {
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &request("GET", "/", &[]),
            )
        },
        |stream| {
            let [a, b, c, d] = stream.to_be_bytes();
            frame(PRIORITY, 0, stream, &[a, b, c, d, 1])
        },
    ];
    for (form, makes_reset) in forms.iter().enumerate() {
        let mut frames = Frames::connect(&served).await;
        let mut stream = 1;
        let goaway = loop {
            let both = [get(stream), makes_reset(stream)].concat();
            stream += 2;
            if frames.write(&both).await.is_err() || stream > 20_000 {
                break frames.find(|frame| frame.kind == GOAWAY).await;
            }
        };
        assert_ne!(goaway.code(), 0, "form {form}");
        assert!(application.connections() <= 128 * (form + 1), "form {form}");
    }
}

// H2-04
#[tokio::test(flavor = "multi_thread")]
async fn endless_continuations_are_cut_off_large_and_empty() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let begun = frame(HEADERS, END_STREAM, 1, &request("GET", "/", &[]));
    let mut large = vec![0];
    string(&mut large, b"x");
    string(&mut large, &[b'y'; 16_000]);
    for payload in [large, Vec::new()] {
        is_told_to_calm_down(&served, &begun, &frame(CONTINUATION, 0, 1, &payload)).await;
    }
    assert_eq!(application.connections(), 0);
}

// H2-05
#[tokio::test(flavor = "multi_thread")]
async fn a_header_list_that_unfolds_beyond_the_limit_is_refused_with_bounded_memory() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let before = resident_memory(served.sidecar.id());
    // One large field into the dynamic table, then named by one byte for each of its copies.
    let mut bomb = request("GET", "/evil", &[]);
    bomb.push(0x40);
    string(&mut bomb, b"x");
    string(&mut bomb, &[b'y'; 4000]);
    bomb.resize(bomb.len() + 10_000, 0xbe);
    let mut frames = Frames::connect(&served).await;
    let mut stream = 1;
    for _ in 0..50 {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb);
        if frames.write(&head).await.is_err() {
            break;
        }
        stream += 2;
    }
    let answered = frames
        .find(|frame| matches!(frame.kind, GOAWAY | RST_STREAM | HEADERS) && frame.stream < 3)
        .await;
    assert!(matches!(answered.kind, GOAWAY | HEADERS), "{answered:?}");
    let grown = resident_memory(served.sidecar.id()).saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes more");
    assert_eq!(application.connections(), 0);
}

// H2-07
#[tokio::test(flavor = "multi_thread")]
async fn data_frames_that_carry_next_to_nothing_are_cut_off() {
    // Reads nothing of the body.
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            let _ = conn.read_head().await;
            gate.pass().await;
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    is_told_to_calm_down(&served, &post(1), &frame(DATA, 0, 1, &[])).await;
    is_told_to_calm_down(&served, &post(1), &frame(DATA, PADDED, 1, &[200; 201])).await;
}

/// An application that takes a body when `gate` is open, and says how long it was.
fn taking(gate: &Gate, protocol: u8) -> Hyper {
    let gate = gate.clone();
    let handler = move |request: Request<hyper::body::Incoming>| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            answer(200, body.len().to_string())
        }
    };
    match protocol {
        1 => Hyper::http1(handler),
        _ => Hyper::h2c(handler),
    }
}

// H2-07: a burst of small messages, as over gRPC, to an application that takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn tens_of_thousands_of_single_bytes_are_a_body_and_take_little_memory() {
    const BYTES: usize = 60_000;
    for protocol in [1, 2] {
        let gate = Gate::closed();
        let application = taking(&gate, protocol);
        let served = Served::start(application.upstream(), &["--workers", "1"]);
        let before = resident_memory(served.sidecar.id());
        let mut frames = Frames::connect(&served).await;
        let burst = frame(DATA, 0, 1, b"x").repeat(BYTES);
        frames.write(&[post(1), burst].concat()).await.unwrap();
        // Behind all of it.
        frames.write(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        frames.find(|f| f.kind == PING && f.payload == [7; 8]).await;
        let grown = resident_memory(served.sidecar.id()).saturating_sub(before);
        assert!(grown < 2 * MIB, "{grown} bytes more");
        gate.open();
        let end = frame(DATA, END_STREAM, 1, b"");
        frames.write(&end).await.unwrap();
        let data = frames.find(|f| f.kind == DATA).await;
        assert_eq!(data.payload, BYTES.to_string().into_bytes(), "{protocol}");
    }
}

// H2-07
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_single_bytes_are_a_body() {
    let application = Raw::tcp(|mut conn| async move {
        let head = conn.read_head().await.unwrap().unwrap();
        let body = conn.read_body(&head).await.unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{:05}",
            body.len()
        );
        conn.write(answer).await.unwrap();
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut frames = Frames::connect(&served).await;
    frames.write(&post(1)).await.unwrap();
    for _ in 0..10 {
        frames
            .write(&frame(DATA, 0, 1, b"x").repeat(100))
            .await
            .unwrap();
    }
    frames
        .write(&frame(DATA, END_STREAM, 1, b""))
        .await
        .unwrap();
    let data = frames
        .find(|frame| frame.kind == DATA && !frame.payload.is_empty())
        .await;
    assert_eq!(data.payload, b"01000");
}
