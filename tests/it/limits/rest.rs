//! A connection that is idle costs little, and nothing else tells it from one that is not.

use std::time::{Duration, Instant};

use http::Request;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{OK, good};
use crate::support::application::Raw;
use crate::support::clients::Client;
use crate::support::h1::Wire;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::get;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async, within};

type Open = Wire<TlsStream<TcpStream>>;

const CROWD: usize = 20;
/// Has it say which connections go to rest.
const TELLING: [&str; 2] = ["--log-level", "debug"];

/// Connections that have had a request each and are at rest; of a sidecar that is [`TELLING`].
pub(crate) async fn crowd(served: &Served, client: &Client) -> Vec<Open> {
    let mut open = Vec::new();
    for _ in 0..CROWD {
        let mut wire = client.http1(served.address()).await.unwrap();
        good(&mut wire).await;
        open.push(wire);
    }
    have_gone_to_rest(served, CROWD).await;
    open
}

/// Waits until connections have gone to rest so often.
async fn have_gone_to_rest(served: &Served, times: usize) {
    eventually_async("connections at rest", PATIENCE, || {
        let lines = served.sidecar.log_lines();
        let at_rest = lines
            .iter()
            .filter(|line| line["message"] == "connection at rest");
        at_rest.count() == times
    })
    .await;
}

// RES-03: what both sides have in their tables for header fields outlasts the rest.
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_at_rest_still_knows_the_fields_that_both_sides_have_said() {
    let application = Hyper::http1(|request| async move {
        let mut response = answer(200, "ok");
        let tag = request.headers()["x-tag"].clone();
        response.headers_mut().insert("x-tag", tag);
        response
    });
    let served = Served::start(application.upstream(), &TELLING);
    let h2 = served.client().h2(served.address()).await.unwrap();
    for times in 1..=4 {
        let asked = Request::get("https://localhost/").header("x-tag", "the same each time");
        let mut ready = within("a free stream", h2.send.clone().ready())
            .await
            .unwrap();
        let (response, _) = ready.send_request(asked.body(()).unwrap(), true).unwrap();
        let response = whole(response).await.unwrap();
        assert_eq!(response.headers["x-tag"], "the same each time");
        assert_eq!(&response.body[..], b"ok");
        have_gone_to_rest(&served, times).await;
    }
}

// RES-03
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_at_rest_answers_its_next_requests_and_loses_no_byte_of_them() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &TELLING);
    let mut open = crowd(&served, &served.client()).await;
    for wire in &mut open {
        let long = format!("/{}", "x".repeat(20_000));
        let body = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
        // Three at once, longer together than what is read at once.
        let requests = [get("/first").as_str(), body, &get(&long)].concat();
        let (early, late) = requests.split_at(50);
        wire.write(early).await.unwrap();
        wire.write(late).await.unwrap();
        for _ in 0..3 {
            assert_eq!(wire.response().await.unwrap().text(), "ok");
        }
    }
    let received = application.all_received().concat();
    for words in ["GET /first ", "\r\n\r\nabc", "GET /xxx"] {
        let times = received.matches(words).count();
        assert_eq!(times, CROWD, "{words}");
    }
}

// RES-03
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_at_rest_ends_at_the_idle_timeout_and_with_its_client() {
    const IDLE: Duration = Duration::from_secs(8);
    let application = Raw::answering(OK);
    let served = Served::start(
        application.upstream(),
        &[&TELLING[..], &["--idle-timeout", "8s"]].concat(),
    );
    let mut open = crowd(&served, &served.client()).await;
    let mut last = open.pop().unwrap();
    good(&mut last).await;
    let begun = Instant::now();
    let sockets = served.sidecar.open_sockets();
    let gone = open.split_off(open.len() / 2);
    let went = gone.len();
    drop(gone);
    eventually_async("those whose clients went", IDLE / 2, || {
        served.sidecar.open_sockets() + went <= sockets
    })
    .await;
    for mut wire in open {
        wire.assert_closed().await;
    }
    last.assert_closed().await;
    let after = begun.elapsed();
    assert!(after >= IDLE - Duration::from_millis(5), "{after:?}");
    assert!(after < IDLE + Duration::from_secs(2), "{after:?}");
}

// H1-18
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_behind_a_rest_is_408() {
    let application = Raw::answering(OK);
    let arguments = [&TELLING[..], &["--request-header-timeout", "500ms"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let mut open = crowd(&served, &served.client()).await;
    let mut wire = open.pop().unwrap();
    let begun = Instant::now();
    wire.write("GET / HTTP/1.1\r\nHost: local").await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 408);
    assert!(begun.elapsed() >= Duration::from_millis(495));
    wire.assert_closed().await;
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn connections_at_rest_are_closed_in_order_by_the_drain() {
    let application = Raw::answering(OK);
    let arguments = [&TELLING[..], &["--drain-delay", "0s"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let open = crowd(&served, &served.client()).await;
    served.sidecar.signal(Signal::TERM);
    for mut wire in open {
        wire.assert_closed().await;
    }
    let ended = served.sidecar.wait_exit();
    assert!(ended.status.success(), "{:?}", ended.status);
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_switch_protocols_behind_a_rest() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            if !head.to_ascii_lowercase().contains("upgrade: echo") {
                conn.write(OK).await.unwrap();
                continue;
            }
            let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n";
            conn.write(format!("{switch}Upgrade: echo\r\n\r\n"))
                .await
                .unwrap();
            let word = conn.read_exact(5).await.unwrap();
            conn.write(word).await.unwrap();
            return;
        }
    });
    let served = Served::start(application.upstream(), &TELLING);
    let mut wire = crowd(&served, &served.client()).await.pop().unwrap();
    let ask = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    wire.write(ask).await.unwrap();
    assert_eq!(wire.response_head().await.unwrap().status, 101);
    wire.write("salut").await.unwrap();
    assert_eq!(wire.read_exact(5).await.unwrap(), b"salut");
    wire.assert_closed().await;
}

// An answer that the client has not taken is nobody's rest, however complete it is for others.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_not_taken_for_a_while_is_there_when_it_does() {
    const PIECE: usize = 48 * 1024;
    let application = Hyper::http1(|request| async move {
        let pieces: usize = request.uri().path()[1..].parse().unwrap();
        answer(200, vec![b'x'; pieces * PIECE])
    });
    let served = Served::start(application.upstream(), &[]);
    let client = served.client();
    let mut open = Vec::new();
    // Of some the last piece is still with the sidecar when the application has given all.
    for pieces in (1..160).step_by(2) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(served.address()).await.unwrap();
        let client = client.clone().alpn(&["http/1.1"]);
        let mut stream = client.handshake(stream).await.unwrap();
        let path = format!("/{pieces}");
        stream.write_all(get(&path).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        open.push((pieces, Wire::new(stream)));
    }
    // Longer than it takes to go to rest.
    tokio::time::sleep(Duration::from_millis(4500)).await;
    for (pieces, mut wire) in open {
        let answered = wire.response().await.unwrap();
        assert_eq!(answered.body.len(), pieces * PIECE);
        wire.write(get("/1")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().body.len(), PIECE);
    }
}
