//! An HTTP/2 application that allows little, acknowledges nothing, or talks without end.

use std::time::{Duration, Instant};

use http::Request;

use super::{ONE_WORKER, ask, assert_good, send};
use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::frames::{Frames, get};
use crate::support::h2::whole;
use crate::support::h2_application::{
    DATA, END, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PING, RST_STREAM,
    WINDOW_UPDATE, frame, ok, settings,
};
use crate::support::requests::{once_still, resident_memory};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

/// A good application with these settings of its own.
fn with(values: &'static [(u16, u32)]) -> Raw {
    Raw::tcp(move |mut conn| async move {
        let _ = conn.open_http2(values).await;
        while let Ok(stream) = conn.read_request().await {
            let _ = conn.write(ok(stream)).await;
        }
    })
}

fn served(application: &Raw, arguments: &[&str]) -> Served {
    let upstream = application.upstream().replace("http:", "h2c:");
    Served::start(&upstream, &[&ONE_WORKER, arguments].concat())
}

// UP-01 for streams: no stream is no place, and says so in time.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_allows_no_stream_is_503_and_not_connected_to_again() {
    let application = with(&[(MAX_CONCURRENT_STREAMS, 0)]);
    let served = served(&application, &["--upstream-connect-timeout", "300ms"]);
    for _ in 0..3 {
        let begun = Instant::now();
        let response = ask(&served, "/").await.unwrap();
        assert_eq!(response.status, 503);
        assert!(response.header("retry-after").is_some());
        assert!(begun.elapsed() >= Duration::from_millis(300));
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_stream_goes_on_when_the_application_allows_one() {
    let application = Raw::tcp(|mut conn| async move {
        conn.open_http2(&[(MAX_CONCURRENT_STREAMS, 0)])
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        conn.write(settings(&[(MAX_CONCURRENT_STREAMS, 1)]))
            .await
            .unwrap();
        while let Ok(stream) = conn.read_request().await {
            let _ = conn.write(ok(stream)).await;
        }
    });
    let served = served(&application, &["--upstream-connect-timeout", "15s"]);
    for _ in 0..3 {
        assert_good(&served, "no stream, then one").await;
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_allows_one_stream_gets_more_connections_up_to_the_limit() {
    let application = with(&[(MAX_CONCURRENT_STREAMS, 1)]);
    let limit = [
        "--max-upstream-connections",
        "5",
        "--upstream-connect-timeout",
        "15s",
    ];
    let served = served(&application, &limit);
    assert_good(&served, "the first").await;
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    for _ in 0..10 {
        let mut asked = Vec::new();
        for _ in 0..50 {
            asked.push(h2.get("/").await.unwrap());
        }
        for answer in asked {
            assert_eq!(whole(answer).await.unwrap().body, "ok");
        }
    }
    let opened = application.connections();
    assert!(opened > 1, "{opened}");
    let id = served.sidecar.id();
    let port = application.address().port();
    eventually_async("what nobody needs is closed", PATIENCE, || {
        open_connections(id, port) == 1
    })
    .await;
    assert_good(&served, "afterwards").await;
}

/// Established TCP connections to `port` in the network of the process `id`, seen from its side.
fn open_connections(id: u32, port: u16) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{id}/net/tcp")).unwrap();
    let remote = format!(":{port:04X}");
    let lines = table.lines().filter(|line| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|field| field.ends_with(&remote)) && fields.next() == Some("01")
    });
    lines.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_one_byte_slows_an_upload_and_loses_nothing() {
    const LENGTH: usize = 200;
    let application = Raw::tcp(|mut conn| async move {
        conn.open_http2(&[(INITIAL_WINDOW_SIZE, 1)]).await.unwrap();
        let (mut stream, mut received) = (0, Vec::<u8>::new());
        while let Ok(read) = conn.read_frame().await {
            match read.kind {
                HEADERS => stream = read.stream,
                DATA => {
                    received.extend(&read.payload);
                    if read.flags & END != 0 {
                        assert_eq!(received, [b'u'; LENGTH]);
                        conn.write(ok(stream)).await.unwrap();
                    } else {
                        let more = frame(WINDOW_UPDATE, 0, stream, &1u32.to_be_bytes());
                        conn.write(more).await.unwrap();
                    }
                }
                // SETTINGS are never acknowledged.
                _ => {}
            }
        }
    });
    let served = served(&application, &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::post("https://localhost/").body(()).unwrap();
    let (response, mut body) = ready.send_request(request, false).unwrap();
    body.send_data(vec![b'u'; LENGTH].into(), true).unwrap();
    assert_eq!(whole(response).await.unwrap().body, "ok");
}

// Bounded: PINGs are answered one at a time, and what the application does not read it is not sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_and_settings_from_the_application_is_bounded() {
    for reads in [true, false] {
        let application = Raw::tcp(move |mut conn| async move {
            let _ = conn.open_http2(&[]).await;
            let Ok(stream) = conn.read_request().await else {
                return;
            };
            let _ = conn.write(ok(stream)).await;
            let flood = [frame(PING, 0, 0, b"12345678"), settings(&[])]
                .concat()
                .repeat(1000);
            for _ in 0..500 {
                let written = conn.write(&flood);
                if tokio::time::timeout(Duration::from_secs(1), written)
                    .await
                    .is_err()
                {
                    break;
                }
                let mut answered = 0;
                while reads && answered < 1000 {
                    let Ok(read) = conn.read_frame().await else {
                        return;
                    };
                    match read.kind {
                        PING => answered += 1,
                        // The request behind the flood may arrive in the middle of it.
                        HEADERS => conn.write(ok(read.stream)).await.unwrap(),
                        _ => {}
                    }
                }
            }
            while reads && let Ok(stream) = conn.read_request().await {
                let _ = conn.write(ok(stream)).await;
            }
            let _ = conn.read_to_end().await;
        });
        let served = served(&application, &[]);
        assert_good(&served, "before").await;
        let memory = || resident_memory(served.sidecar.id());
        let grown = once_still("memory", memory).await;
        assert!(grown < 64 * 1024 * 1024, "{grown}");
        if reads {
            assert_good(&served, "behind the flood").await;
        }
    }
}

// UP-06
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_speak_http2_is_told_from_a_good_one_in_time() {
    // One that says nothing at all, and one that speaks HTTP/1.1.
    let silent = Raw::tcp(|mut conn| async move {
        let _ = conn.read_to_end().await;
    });
    let limit = ["--upstream-connect-timeout", "300ms"];
    let served_silent = served(&silent, &limit);
    assert_eq!(ask(&served_silent, "/").await.unwrap().status, 503);
    let old = Raw::tcp(|mut conn| async move {
        let _ = conn.read_until(b"SM\r\n\r\n").await;
        let _ = conn
            .write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            .await;
        let _ = conn.read_to_end().await;
    });
    let served_old = served(&old, &[]);
    assert_eq!(ask(&served_old, "/").await.unwrap().status, 502);
}

// RFC 8441 section 3
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_takes_no_extended_connect_is_not_sent_one() {
    let application = with(&[]);
    let served = served(&application, &[]);
    let upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let response = send(&served, upgrade).await.unwrap();
    assert_eq!(response.status, 502);
    assert!(response.text().contains("RFC 8441"), "{}", response.text());
    assert_good(&served, "what is no upgrade").await;
}

// Servers of gRPC end a connection that asks them too often (proposal A8).
#[tokio::test(flavor = "multi_thread")]
async fn an_application_with_nothing_to_say_is_not_asked_as_often_as_a_client() {
    let (asked, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let asked = asked.clone();
        async move {
            let _ = conn.open_http2(&[]).await;
            let _ = conn.read_request().await;
            while let Ok(frame) = conn.read_frame().await {
                let _ = asked.send(frame.kind);
            }
        }
    });
    let served = served(&application, &["--keepalive-interval", "1s"]);
    let mut client = Frames::connect(&served).await;
    client.write(&get(1)).await.unwrap();
    for _ in 0..3 {
        let question = client.find(|f| f.kind == PING && f.flags == 0).await;
        let answer = frame(PING, END, 0, &question.payload);
        client.write(&answer).await.unwrap();
    }
    drop(client);
    // That the client has gone is the next it hears.
    let mut kinds = Vec::new();
    while let Some(kind) = within("the reset", heard.recv()).await {
        kinds.push(kind);
        if kind == RST_STREAM {
            break;
        }
    }
    assert!(!kinds.contains(&PING), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_reads_late_gets_every_head_and_is_heard_behind_them() {
    const CONNECTIONS: usize = 3;
    const STREAMS: usize = 100;
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            let _ = conn.open_http2(&[]).await;
            let _ = conn.read_request().await;
            gate.pass().await;
            let mut streams = vec![1];
            while streams.len() < CONNECTIONS * STREAMS {
                let Ok(stream) = conn.read_request().await else {
                    return;
                };
                // What is said meanwhile finds nobody who reads, or somebody who has stopped.
                let _ = conn.write(frame(PING, 0, 0, b"hereiam!")).await;
                streams.push(stream);
            }
            for stream in streams {
                let _ = conn.write(ok(stream)).await;
            }
            let _ = conn.read_to_end().await;
        }
    });
    let served = served(&application, &["--max-header-size", "64KiB"]);
    let large = "x".repeat(60_000);
    let mut answers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let h2 = served.client().h2(served.address()).await.unwrap();
        for _ in 0..STREAMS {
            let mut ready = h2.send.clone().ready().await.unwrap();
            let request = Request::get("https://localhost/").header("x-large", &large);
            let request = request.body(()).unwrap();
            answers.push(ready.send_request(request, true).unwrap().0);
        }
        clients.push(h2);
    }
    gate.open();
    for answer in answers {
        assert_eq!(whole(answer).await.unwrap().status, 200);
    }
    assert_eq!(application.connections(), 1);
}
