//! Slow clients and many clients of the admin port.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::served;
use crate::support::admin::{ask, until};
use crate::support::h1::Wire;
use crate::support::wait::within;

/// What the kubelet gives a probe.
const PROBE_AT_MOST: Duration = Duration::from_secs(1);

// RES-08
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_up_no_probe() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        // Silent, half a head, and a whole question whose answer is never read.
        let said: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nHost: ad",
            _ => b"GET / HTTP/1.1\r\nHost: admin\r\n\r\n",
        };
        // The place may have been given to somebody newer already.
        let _ = socket.write_all(said).await;
        slow.push(socket);
        if number % 20 == 0 {
            let begun = Instant::now();
            assert_eq!(ask(admin, "GET /readyz").await.status, 200);
            assert!(begun.elapsed() < PROBE_AT_MOST, "{:?}", begun.elapsed());
        }
    }
    // Nobody is kept for longer than the limits.
    let end = async {
        for socket in &mut slow {
            let mut rest = Vec::new();
            // A reset is an end as well.
            let _ = socket.read_to_end(&mut rest).await;
        }
    };
    within("the end of every slow client", end).await;
}

// RES-08
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_ended() {
    let (_application, served) = served(&[]);
    let socket = TcpStream::connect(served.sidecar.admin()).await.unwrap();
    let mut wire = Wire::new(socket);
    wire.write("GET /livez HTTP/1.1\r\nHost: ad").await.unwrap();
    let begun = Instant::now();
    let _ = within("the end", wire.read_to_end()).await;
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

// RES-08
#[tokio::test(flavor = "multi_thread")]
async fn many_clients_hold_up_neither_probe_nor_request() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        clients.spawn(async move {
            loop {
                let Ok(mut socket) = TcpStream::connect(admin).await else {
                    continue;
                };
                let question = b"GET /status HTTP/1.1\r\nHost: admin\r\n\r\n";
                let _ = socket.write_all(question).await;
                let _ = socket.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    let mut wire = served.client().http1(served.address()).await.unwrap();
    for _ in 0..50 {
        let begun = Instant::now();
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
        assert!(begun.elapsed() < PROBE_AT_MOST, "{:?}", begun.elapsed());
        let begun = Instant::now();
        assert_eq!(ask(admin, "GET /readyz").await.status, 200);
        assert!(begun.elapsed() < PROBE_AT_MOST, "{:?}", begun.elapsed());
    }
    clients.abort_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_answers_one_question() {
    let (_application, served) = served(&[]);
    let socket = TcpStream::connect(served.sidecar.admin()).await.unwrap();
    let mut wire = Wire::new(socket);
    let question = "GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n";
    wire.write(format!("{question}{question}")).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(
        (response.status, response.header("connection")),
        (200, Some("close"))
    );
    wire.assert_closed().await;
}
