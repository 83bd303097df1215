//! Start, drain and end of the process as Kubernetes sees them.

use std::fs;
use std::net::TcpListener;

use tokio::task::JoinSet;

use crate::support::background::Gate;
use crate::support::certs::Ca;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Ended, Served, Sidecar, Signal};
use crate::support::wait::{PATIENCE, eventually_async, within};

const HTTP1_IN_FLIGHT: usize = 40;
const STREAMS_IN_FLIGHT: usize = 15;

async fn until_held(gate: &Gate, requests: usize) {
    let what = format!("{requests} requests at the application");
    eventually_async(&what, PATIENCE, || gate.waiting() == requests).await;
}

/// It ended with `code` and said why in one line on stderr that has all of `words`.
fn assert_one_line(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let stderr = ended.stderr.trim_end();
    assert_eq!(stderr.lines().count(), 1, "one line: {stderr:?}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} in {stderr:?}");
    }
}

// LIFE-07
#[test]
fn port_in_use_is_one_line_and_exit_1() {
    let secret = SecretDir::new(&Ca::new().leaf(&["localhost"]).files());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Sidecar::run_to_end(&["--cert-dir", secret.as_str(), "--listen", &address]);
    assert_one_line(&ended, 1, &[&address]);
}

// LIFE-07, CERT-09
#[test]
fn no_certificate_is_one_line_and_exit_1() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    let ended = Sidecar::run_to_end(&["--cert-dir", path]);
    assert_one_line(&ended, 1, &[path]);

    let missing = format!("{path}/missing");
    let ended = Sidecar::run_to_end(&["--cert-dir", &missing]);
    assert_one_line(&ended, 1, &[&missing]);
}

// LIFE-07, CERT-07
#[test]
fn a_broken_certificate_at_start_is_one_line_that_names_the_file() {
    let pair = Ca::new().leaf(&["localhost"]);
    let secret = SecretDir::new(&[
        ("tls.crt", b"not a certificate"),
        ("tls.key", pair.key_pem.as_bytes()),
    ]);
    let ended = Sidecar::run_to_end(&["--cert-dir", secret.as_str()]);
    assert_one_line(&ended, 1, &["tls.crt"]);
}

// LIFE-07
#[test]
fn a_bad_value_is_one_line_that_names_flag_and_value_and_exit_2() {
    let ended = Sidecar::run_to_end(&["--drain-timeout", "soonish"]);
    assert_one_line(&ended, 2, &["--drain-timeout", "soonish"]);
    let ended = Sidecar::run_to_end(&["--upstream", "ftp://127.0.0.1"]);
    assert_one_line(&ended, 2, &["--upstream", "ftp://127.0.0.1"]);
}

// LIFE-07
#[test]
fn an_unknown_flag_suggests_the_nearest_and_exits_2() {
    let ended = Sidecar::run_to_end(&["--upstreem", "8080"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--upstreem"), "{}", ended.stderr);
    assert!(ended.stderr.contains("'--upstream'"), "{}", ended.stderr);
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_requests_in_flight() {
    requests_in_flight_finish_after(Signal::TERM).await;
}

// LIFE-03
#[tokio::test(flavor = "multi_thread")]
async fn sigquit_drains_like_sigterm() {
    requests_in_flight_finish_after(Signal::QUIT).await;
}

// LIFE-03
#[tokio::test(flavor = "multi_thread")]
async fn sigint_drains_like_sigterm() {
    requests_in_flight_finish_after(Signal::INT).await;
}

async fn requests_in_flight_finish_after(signal: Signal) {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let served = Served::start(application.upstream(), &["--drain-delay", "100ms"]);
    let client = served.client();

    let mut answers = JoinSet::new();
    for _ in 0..HTTP1_IN_FLIGHT {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        answers.spawn(async move {
            let response = wire.response().await.unwrap();
            // What came during the drain says that nothing more will be answered, and is then ended.
            assert_eq!(response.header("connection"), Some("close"));
            wire.assert_closed().await;
            (response.status, response.body)
        });
    }
    let mut h2 = client.h2(served.address()).await.unwrap();
    for _ in 0..STREAMS_IN_FLIGHT {
        let answer = h2.get("/held").await.unwrap();
        answers.spawn(async move {
            let response = whole(answer).await.unwrap();
            (response.status, response.body.to_vec())
        });
    }
    until_held(&gate, HTTP1_IN_FLIGHT + STREAMS_IN_FLIGHT).await;

    served.sidecar.signal(signal);
    served.sidecar.wait_until_closed();
    assert_eq!(gate.waiting(), HTTP1_IN_FLIGHT + STREAMS_IN_FLIGHT);
    gate.open();

    let answers = answers.join_all().await;
    assert_eq!(answers.len(), HTTP1_IN_FLIGHT + STREAMS_IN_FLIGHT);
    for answer in answers {
        assert_eq!(answer, (200, b"finished".to_vec()));
    }
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

// LIFE-01: the drain delay is for who has not heard of it yet.
#[tokio::test(flavor = "multi_thread")]
async fn new_connections_are_served_during_the_drain_delay() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--drain-delay", "10m"]);
    let client = served.client();
    served.sidecar.signal(Signal::TERM);
    // Answered as before until the signal has arrived, and then with the word that it closes.
    within("an answer that says it closes", async {
        loop {
            let mut wire = client.http1(served.address()).await.unwrap();
            wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await
                .unwrap();
            let response = wire.response().await.unwrap();
            assert_eq!((response.status, response.text().as_str()), (200, "served"));
            if response.header("connection") == Some("close") {
                break wire.assert_closed().await;
            }
        }
    })
    .await;
}

// LIFE-03
#[tokio::test(flavor = "multi_thread")]
async fn second_signal_ends_at_once() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let timeouts = ["--drain-delay", "100ms", "--drain-timeout", "10m"];
    let served = Served::start(application.upstream(), &timeouts);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    until_held(&gate, 1).await;

    served.sidecar.signal(Signal::TERM);
    // Two signals at once may arrive as one.
    served.sidecar.wait_until_closed();
    served.sidecar.signal(Signal::TERM);
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

// LIFE-02
#[tokio::test(flavor = "multi_thread")]
async fn stuck_stream_at_the_deadline_exits_1() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let timeouts = ["--drain-delay", "100ms", "--drain-timeout", "500ms"];
    let served = Served::start(application.upstream(), &timeouts);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut h2 = client.h2(served.address()).await.unwrap();
    let stuck = h2.get("/held").await.unwrap();
    until_held(&gate, 2).await;

    served.sidecar.signal(Signal::TERM);
    // Never a clean end: the stream is reset or its connection told it is over.
    let error = whole(stuck).await.unwrap_err();
    assert!(error.is_reset() || error.is_go_away(), "{error:?}");
    wire.assert_closed().await;
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

// LIFE-06
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_went_first_does_not_stop_the_drain() {
    let application = Hyper::saying("here");
    let served = Served::start(application.upstream(), &["--drain-delay", "100ms"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "here");
    drop(application);

    served.sidecar.signal(Signal::TERM);
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

// LIFE-04
#[tokio::test(flavor = "multi_thread")]
async fn sigkill_and_restart_binds_at_once() {
    let application = Hyper::saying("again");
    let served = Served::start(application.upstream(), &[]);
    let address = served.address();
    let client = served.client();
    let mut wire = client.http1(address).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "again");

    served.sidecar.signal(Signal::KILL);
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), None);
    let again = Sidecar::start(&[
        "--cert-dir",
        served.secret.as_str(),
        "--upstream",
        application.upstream(),
        "--listen",
        &address.to_string(),
    ]);
    assert_eq!(again.address(), address);
    let mut wire = client.http1(address).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "again");
}

// CERT-07
#[test]
fn a_directory_where_a_file_should_be_does_not_start() {
    let secret = tempfile::tempdir().unwrap();
    fs::create_dir(secret.path().join("tls.crt")).unwrap();
    fs::create_dir(secret.path().join("tls.key")).unwrap();
    let ended = Sidecar::run_to_end(&["--cert-dir", secret.path().to_str().unwrap()]);
    assert_one_line(&ended, 1, &["tls.crt"]);
}
