//! An application that is away: requests are held from the start of the outage, then fail at once,
//! and a probe in the background finds it back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::nobody;
use crate::support::application::{Conn, Raw};
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::{get, post};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};
use futures_util::future::join_all;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";
const PATIENT: [&str; 2] = ["--upstream-connect-timeout", "15s"];
const SHORT: [&str; 2] = ["--upstream-connect-timeout", "300ms"];
const AWAY: &str = "application not reached: requests are held, then answered 503 until it is back";
const BACK: &str = "application reached again";

fn free() -> SocketAddr {
    nobody().strip_prefix("http://").unwrap().parse().unwrap()
}

async fn answering(mut conn: Conn) {
    let _ = conn.answer_all(OK).await;
}

async fn until(served: &Served, message: &str) {
    eventually_async(message, PATIENCE, || said(served, message) > 0).await;
}

fn said(served: &Served, message: &str) -> usize {
    let lines = served.sidecar.log_lines();
    lines.iter().filter(|l| l["message"] == message).count()
}

async fn status(served: &Served, request: String) -> u16 {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    wire.response().await.unwrap().status
}

// UP-01, LIFE-05
#[tokio::test(flavor = "multi_thread")]
async fn held_requests_all_reach_the_application_when_it_comes() {
    let address = free();
    let served = Served::start(&format!("http://{address}"), &PATIENT);
    let asking = join_all((0..300).map(|number| match number % 2 {
        0 => status(&served, get("/")),
        _ => status(&served, post("/", "once")),
    }));
    let begin = async {
        until(&served, AWAY).await;
        Raw::tcp_at(address, answering)
    };
    let (statuses, application) = tokio::join!(asking, begin);
    assert_eq!(statuses, vec![200; 300]);
    let received = application.all_received().concat();
    assert_eq!(received.matches("POST /").count(), 150);
    assert_eq!((said(&served, AWAY), said(&served, BACK)), (1, 1));
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_a_unix_socket_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("application.sock");
    let served = Served::start(&format!("unix:{}", path.display()), &PATIENT);
    let begin = async {
        until(&served, AWAY).await;
        Raw::unix(&path, answering)
    };
    let (status, _application) = tokio::join!(status(&served, post("/", "once")), begin);
    assert_eq!(status, 200);
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn requests_to_an_h2c_application_are_held() {
    let address = free();
    let served = Served::start(&format!("h2c://{address}"), &PATIENT);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(h2.get("/").await.unwrap());
    }
    until(&served, AWAY).await;
    let application = Hyper::h2c_at(address, |_| async { answer(200, "up") });
    for answer in asked {
        assert_eq!(whole(answer).await.unwrap().body, "up");
    }
    // The probe's, and one that carries them all.
    assert!(application.connections() <= 2);
}

// UP-01
#[tokio::test(flavor = "multi_thread")]
async fn a_raw_session_is_held() {
    let address = free();
    let served = Served::start(&format!("tcp://{address}"), &PATIENT);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("hello\n").await.unwrap();
    until(&served, AWAY).await;
    let _application = Raw::tcp_at(address, |mut conn| async move {
        while let Ok(line) = conn.read_until(b"\n").await {
            conn.write(line).await.unwrap();
        }
    });
    let echoed = within("an echo", wire.read_until(b"\n")).await.unwrap();
    assert_eq!(echoed, b"hello\n");
}

// UP-01, LIFE-05
#[tokio::test(flavor = "multi_thread")]
async fn in_an_old_outage_requests_fail_at_once_and_the_log_says_it_once() {
    let served = Served::start(&nobody(), &SHORT);
    let begun = Instant::now();
    assert_eq!(status(&served, get("/")).await, 503);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(status(&served, get("/")).await, 503);
    }
    // Held, they would have taken fifteen seconds.
    assert!(begun.elapsed() < Duration::from_secs(7));
    assert_eq!((said(&served, AWAY), said(&served, BACK)), (1, 0));
}

// UP-01, UP-16
#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_found_back_within_a_second_and_without_a_request() {
    let address = free();
    let served = Served::start(&format!("http://{address}"), &SHORT);
    assert_eq!(status(&served, get("/")).await, 503);
    let back = Instant::now();
    let _application = Raw::tcp_at(address, answering);
    until(&served, BACK).await;
    assert!(back.elapsed() < Duration::from_secs(1), "{back:?}");
    assert_eq!(status(&served, get("/")).await, 200);
}

// UP-01: each outage is judged from its own start.
#[tokio::test(flavor = "multi_thread")]
async fn every_restart_is_held_anew() {
    let address = free();
    let served = Served::start(&format!("http://{address}"), &PATIENT);
    for round in 1..=5 {
        let asking = status(&served, post("/", "once"));
        let begin = async {
            // Only the first of them is more than a debug line within ten seconds.
            until(&served, AWAY).await;
            Raw::tcp_at(address, answering)
        };
        let (status, application) = tokio::join!(asking, begin);
        assert_eq!(status, 200, "round {round}");
        drop(application);
    }
    assert_eq!(said(&served, AWAY), 1);
}
