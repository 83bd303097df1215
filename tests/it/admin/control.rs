//! Reload, drain and log level: what they do, and for whom.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::served;
use crate::support::admin::{ask, json, send, until};
use crate::support::background::Gate;
use crate::support::hyper_application::Hyper;
use crate::support::sidecar::{ADMIN, Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async};

/// An address of this machine that is not loopback; none is asked for anything.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Only chooses a route: nothing is sent.
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn put_level(level: &str) -> String {
    let length = level.len();
    format!("PUT /log-level HTTP/1.1\r\nHost: admin\r\nContent-Length: {length}\r\n\r\n{level}")
}

#[tokio::test(flavor = "multi_thread")]
async fn control_is_refused_to_a_peer_that_is_not_on_loopback() {
    let Some(ip) = own_address() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no address but loopback");
        return;
    };
    let application = Hyper::saying("hello");
    let everywhere = ["--admin-listen", "[::]:0"];
    let served = Served::start(application.upstream(), &everywhere);
    let port = served.sidecar.admin().port();
    let outside = SocketAddr::new(ip, port);
    assert_eq!(ask(outside, "GET /livez").await.status, 200);
    for request in [
        "POST /reload HTTP/1.1\r\nHost: admin\r\n\r\n".to_owned(),
        "POST /drain HTTP/1.1\r\nHost: admin\r\n\r\n".to_owned(),
        put_level("debug"),
    ] {
        let refused = send(outside, &request).await;
        assert_eq!(refused.status, 403, "{request}");
        assert!(refused.text().contains("loopback"), "{}", refused.text());
    }
    let status = json(outside, "/status").await;
    assert_eq!(
        (&status["stage"], &status["log_level"]),
        (&"serving".into(), &"info".into())
    );
    // The same listener, asked from loopback over IPv4 and IPv6.
    for loopback in ["127.0.0.1", "::1"] {
        let inside = SocketAddr::new(loopback.parse().unwrap(), port);
        assert_eq!(ask(inside, "POST /reload").await.status, 202, "{loopback}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_is_refused_to_a_web_page() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    for field in ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"] {
        let request = format!("POST /drain HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n");
        assert_eq!(send(admin, &request).await.status, 403, "{field}");
    }
    assert_eq!(json(admin, "/status").await["stage"], "serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_reads_the_certificates_again() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    assert_eq!(ask(admin, "POST /reload").await.status, 202);
    served.sidecar.wait_for_log("the look", |line| {
        line["message"] == "certificate unchanged"
    });
    let certs = json(admin, "/certs").await;
    assert_eq!(certs["reloads"][0]["result"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_changes_while_it_runs() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    let quiet = send(admin, &put_level("error")).await;
    assert_eq!((quiet.status, quiet.text().as_str()), (200, "error\n"));
    assert_eq!(json(admin, "/status").await["log_level"], "error");
    assert_eq!(send(admin, &put_level(" DEBUG\n")).await.text(), "debug\n");
    served
        .sidecar
        .wait_for_log("the change", |line| line["message"] == "log level changed");
    // Told at the debug level only.
    drop(std::net::TcpStream::connect(served.address()).unwrap());
    served
        .sidecar
        .wait_for_log("a line at the debug level", |line| line["level"] == "DEBUG");
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_asked_for_is_the_drain_of_sigterm() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let arguments = [&ADMIN[..], &["--drain-delay", "100ms"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    eventually_async("the request", PATIENCE, || gate.waiting() == 1).await;

    assert_eq!(ask(admin, "POST /drain").await.status, 202);
    // Readiness fails before the answer is given, and asking again is no second signal.
    let ready = ask(admin, "GET /readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().starts_with("not ready: "), "{}", ready.text());
    assert!(ready.text().contains("not-draining"), "{}", ready.text());
    assert_eq!(ask(admin, "POST /drain").await.status, 202);
    assert_eq!(ask(admin, "POST /reload").await.status, 409);
    served.sidecar.wait_until_closed();
    // The kubelet sends SIGTERM when preStop is over: the first one is not a second request to end.
    served.sidecar.signal(Signal::TERM);
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    gate.open();
    let response = wire.response().await.unwrap();
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "finished")
    );
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

// LIFE-01: process 1 of a container takes who waits for it along, so it says first that it is done.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_drain_asked_for_is_told_before_the_process_ends() {
    let application = Hyper::saying("hello");
    let arguments = [&ADMIN[..], &["--drain-delay", "100ms"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let admin = served.sidecar.admin();
    assert_eq!(ask(admin, "POST /drain").await.status, 202);
    let mut stages = Vec::new();
    // Each answer is from a process that is there.
    while stages.last().is_none_or(|stage| stage != "drained") {
        stages.push(json(admin, "/status").await["stage"].clone());
    }
    assert!(
        stages.contains(&"draining: still accepting".into()),
        "{stages:?}"
    );
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

// LIFE-03
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_during_a_drain_asked_for_ends_at_once() {
    let timeouts = ["--drain-delay", "10m", "--drain-timeout", "10m"];
    let (_application, served) = served(&timeouts);
    let admin = served.sidecar.admin();
    assert_eq!(ask(admin, "POST /drain").await.status, 202);
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_for_log("the first signal", |line| {
        line["message"] == "draining already: the next signal ends at once"
    });
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    served.sidecar.signal(Signal::TERM);
    assert_eq!(served.sidecar.wait_exit().status.code(), Some(1));
}
