//! What follows a request on its connection.

use super::{GOOD, Guarded, OK};
use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::h1::Wire;
use crate::support::requests::{once_still, resident_memory};
use crate::support::sidecar::Served;
use crate::support::wait::within;

const UPGRADE: &str =
    "GET /switch HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

// H1-16
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_request_that_closes_is_dropped() {
    let guarded = Guarded::start(&[]);
    let closing = "GET /good HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for behind in [
        "GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "/evil garbage \0\n\n",
    ] {
        let both = format!("{closing}{behind}");
        let answer = guarded.last(&[both.as_bytes()], 0).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let heard = guarded.application.all_received().concat();
    assert!(!heard.contains("evil"), "{heard}");
}

// H1-16
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pipelined_requests_wait_in_the_clients_own_buffers() {
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Raw::tcp(move |mut conn| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            let _ = conn.answer_all(OK).await;
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let id = served.sidecar.id();
    // What the first connection of all brings into memory is not of these requests.
    let mut first = served.client().http1(served.address()).await.unwrap();
    first.write("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(first.response().await.unwrap().status, 400);
    let before = once_still("resident memory", || resident_memory(id)).await;
    let wire = served.client().http1(served.address()).await.unwrap();
    let stream = wire.into_stream();
    let (read, mut write) = tokio::io::split(stream);
    let padded = GOOD.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "y".repeat(1000)));
    let sending = tokio::spawn(async move {
        for _ in 0..10_000 {
            tokio::io::AsyncWriteExt::write_all(&mut write, padded.as_bytes())
                .await
                .unwrap();
        }
        tokio::io::AsyncWriteExt::flush(&mut write).await.unwrap();
        write
    });
    let full = once_still("resident memory", || resident_memory(id)).await;
    let grown = full.saturating_sub(before);
    assert!(!sending.is_finished(), "10 MB were taken");
    assert!(grown < 6 * 1024 * 1024, "{grown} bytes more");
    gate.open();
    let mut answers = Wire::new(tokio::io::join(read, tokio::io::sink()));
    for _ in 0..10_000 {
        assert_eq!(answers.response().await.unwrap().text(), "ok");
    }
    drop(sending.await.unwrap());
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_upgrade_is_judged_as_http() {
    let guarded = Guarded::start(&[]);
    let good = format!("{UPGRADE}{GOOD}");
    let mut wire = guarded
        .served
        .client()
        .http1(guarded.served.address())
        .await
        .unwrap();
    wire.write(&good).await.unwrap();
    for _ in 0..2 {
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let evil = format!("{UPGRADE}GET /evil HTTP/1.1\nHost: localhost\n\n");
    for pieces in [
        &[evil.as_bytes()][..],
        &[UPGRADE.as_bytes(), b"GET /evil\n"],
    ] {
        let answer = guarded.last(pieces, 1).await.unwrap();
        assert_eq!(answer.status, 400);
    }
    let heard = guarded.application.all_received().concat();
    assert!(!heard.contains("evil"), "{heard}");
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_upgrade_reaches_the_application_once_it_has_switched_as_it_was_sent() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap();
        conn.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await
            .unwrap();
        let heard = conn.read_until(b"later").await.unwrap();
        conn.write(heard).await.unwrap();
    });
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(format!("{UPGRADE}early\n\0")).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 101);
    wire.write("later").await.unwrap();
    let echoed = within("the echo", wire.read_exact(12)).await.unwrap();
    assert_eq!(echoed, b"early\n\0later");
}

// H1-01
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_waits_for_the_answers_before_it_and_nothing_comes_behind_it() {
    let guarded = Guarded::start(&[]);
    let all = format!("{GOOD}{GOOD}{GOOD}GET /evil HTTP/1.1\r\nX : y\r\n\r\n{GOOD}{GOOD}");
    let answer = guarded.last(&[all.as_bytes()], 3).await.unwrap();
    assert_eq!(answer.status, 400);
}
