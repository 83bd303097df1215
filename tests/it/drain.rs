//! The drain beyond `life`: what goes on, what is cut and how, and what no longer happens.

use http::Request;
use serde_json::Value;

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::h1::Wire;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::requests::get;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ASK: &str =
    "GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";
const GRANT: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";
const SOON: [&str; 4] = ["--drain-delay", "50ms", "--drain-timeout", "10m"];
const OUT_OF_TIME: [&str; 4] = ["--drain-delay", "50ms", "--drain-timeout", "300ms"];

fn ended(served: Served) -> (Option<i32>, String) {
    let ended = served.sidecar.wait_exit();
    (ended.status.code(), ended.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_flight_finishes() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &SOON);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    wire.write(format!("{head}5\r\nfirst\r\n")).await.unwrap();
    let h2 = client.h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::post("https://localhost/").body(()).unwrap();
    let (answer, mut body) = ready.send_request(request, false).unwrap();
    body.send_data("first".into(), false).unwrap();
    eventually_async("both uploads at the application", PATIENCE, || {
        let all = application.all_received().concat();
        all.matches("first").count() == 2
    })
    .await;

    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    wire.write("4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(response.header("connection"), Some("close"));
    wire.assert_closed().await;
    body.send_data("last".into(), true).unwrap();
    assert_eq!(whole(answer).await.unwrap().body, "ok");
    drop(ready);
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    for received in application.all_received() {
        assert!(received.ends_with("4\r\nlast\r\n0\r\n\r\n"), "{received}");
    }
    assert_eq!(ended(served).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end_in_order_and_nobody_waits_for_them() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &SOON);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
    let mut h2 = client.h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    let mut unused = client.http1(served.address()).await.unwrap();

    served.sidecar.signal(Signal::TERM);
    wire.assert_closed().await;
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    unused.assert_closed().await;
    assert_eq!(ended(served).0, Some(0));
}

// LIFE-01
// The client of an idle connection may send its next request just as the drain would close it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_arrived_before_its_idle_connection_closes_is_answered() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--drain-delay", "0s"]);
    let client = served.client();
    let mut wires = Vec::new();
    for _ in 0..20 {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
        wires.push(wire);
    }
    // Both arrive while the sidecar does nothing, and it learns of them at once.
    served.sidecar.signal(Signal::STOP);
    for wire in &mut wires {
        wire.write(get("/next")).await.unwrap();
    }
    served.sidecar.signal(Signal::TERM);
    served.sidecar.signal(Signal::CONT);
    for wire in &mut wires {
        let response = within("the answer", wire.response()).await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
    assert_eq!(ended(served).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_http2_connections_are_served_during_the_drain_delay() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--drain-delay", "10m"]);
    served.sidecar.signal(Signal::TERM);
    until_draining(&served);
    for _ in 0..3 {
        let mut h2 = served.client().h2(served.address()).await.unwrap();
        let response = whole(h2.get("/").await.unwrap()).await.unwrap();
        assert_eq!(response.status, 200);
    }
}

// LIFE-01: told to leave, an HTTP/2 client may have requests on their way already.
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_is_told_to_leave_during_the_drain_delay_and_loses_nothing() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let served = Served::start(application.upstream(), &["--drain-delay", "10m"]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let first = h2.get("/first").await.unwrap();
    eventually_async("the request", PATIENCE, || gate.waiting() == 1).await;
    served.sidecar.signal(Signal::TERM);
    until_draining(&served);
    // Refused only by a client that has read the GOAWAY: such a request was never sent.
    let second = h2.get("/second").await.ok();
    gate.open();
    assert_eq!(whole(first).await.unwrap().body, "finished");
    if let Some(second) = second {
        match whole(second).await {
            Ok(response) => assert_eq!(response.body, "finished"),
            Err(error) => assert!(error.is_go_away(), "{error:?}"),
        }
    }
    h2.closed().await.expect("GOAWAY with NO_ERROR");
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_goes_on_in_the_drain_until_its_own_end() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap();
        conn.write(GRANT).await.unwrap();
        while let Ok(line) = conn.read_until(b"\n").await {
            conn.write(line).await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &SOON);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(ASK).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 101);
    say(&mut wire, "before\n").await;
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    say(&mut wire, "after\n").await;
    wire.shutdown().await.unwrap();
    wire.assert_closed().await;
    assert_eq!(ended(served).0, Some(0));
}

// LIFE-02
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_cut_at_the_drain_timeout_with_close_notify() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap();
        conn.write(GRANT).await.unwrap();
        // Until the sidecar gives it up.
        let _ = conn.read_to_end().await;
    });
    let served = Served::start(application.upstream(), &OUT_OF_TIME);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(ASK).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 101);

    served.sidecar.signal(Signal::TERM);
    wire.assert_closed().await;
    let record = |line: &Value| line["url.path"] == "/tunnel";
    let record = served.sidecar.wait_for_log("the record", record);
    assert_eq!(record["flag"], "cut");
    assert_eq!(ended(served).0, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_session_survives_the_drain_until_its_own_end() {
    let application = echo();
    let upstream = format!("tcp://{}", application.address());
    let served = Served::start(&upstream, &SOON);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    say(&mut wire, "before\n").await;
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    say(&mut wire, "after\n").await;
    wire.shutdown().await.unwrap();
    wire.assert_closed().await;
    assert_eq!(ended(served).0, Some(0));
}

// LIFE-02
#[tokio::test(flavor = "multi_thread")]
async fn a_raw_session_is_cut_at_the_drain_timeout_with_close_notify() {
    let application = echo();
    let upstream = format!("tcp://{}", application.address());
    let served = Served::start(&upstream, &OUT_OF_TIME);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    say(&mut wire, "before\n").await;
    served.sidecar.signal(Signal::TERM);
    wire.assert_closed().await;
    assert_eq!(ended(served).0, Some(1));
}

// CERT-14
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_during_the_drain_does_nothing() {
    let application = echo();
    let upstream = format!("tcp://{}", application.address());
    let served = Served::start(&upstream, &SOON);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    say(&mut wire, "before\n").await;
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    served.secret.swap(&served.ca.leaf(&["localhost"]).files());
    for _ in 0..100 {
        served.sidecar.signal(Signal::HUP);
    }
    say(&mut wire, "after\n").await;
    wire.shutdown().await.unwrap();
    wire.assert_closed().await;
    let (code, log) = ended(served);
    assert_eq!(code, Some(0));
    for line in [
        "certificate reloaded",
        "certificate unchanged",
        "not reloaded",
    ] {
        assert!(!log.contains(line), "{log}");
    }
}

/// An application that says every line back until its client ends.
fn echo() -> Raw {
    Raw::tcp(|mut conn| async move {
        while let Ok(line) = conn.read_until(b"\n").await {
            conn.write(line).await.unwrap();
        }
    })
}

async fn say<S>(wire: &mut Wire<S>, line: &str)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    wire.write(line).await.unwrap();
    let echoed = within("an echo", wire.read_until(b"\n")).await.unwrap();
    assert_eq!(echoed, line.as_bytes());
}

fn until_draining(served: &Served) {
    let is_said = |line: &Value| line["message"] == "draining: still accepting";
    served.sidecar.wait_for_log("the drain", is_said);
}
