//! `status`, `drain` and `healthcheck` beside a sidecar that runs.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;

use super::served;
use crate::support::admin::{ask, until};
use crate::support::background::Gate;
use crate::support::hyper_application::Hyper;
use crate::support::ports;
use crate::support::sidecar::{ADMIN, Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async};

/// What `tls-sidecar` does with `arguments`, asked of `admin`.
async fn run(admin: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"));
    command.args(arguments);
    command.env("TLS_SIDECAR_ADMIN_LISTEN", admin.to_string());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    ports::unused()
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_is_a_probe_as_an_exit_code() {
    let gone = nobody();
    let served = Served::start(&format!("http://{gone}"), &ADMIN);
    let admin = served.sidecar.admin();
    let lives = run(admin, &["healthcheck"]).await;
    assert_eq!(
        (lives.status.code(), text(&lives.stdout).as_str()),
        (Some(0), "live\n")
    );
    let ready = run(admin, &["healthcheck", "--ready"]).await;
    assert_eq!(ready.status.code(), Some(1));
    let error = text(&ready.stderr);
    assert!(error.contains("not ready: application"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // The flag beats the environment.
    let elsewhere = nobody().to_string();
    let away = run(admin, &["healthcheck", "--admin-address", &elsewhere]).await;
    assert_eq!(away.status.code(), Some(1));
    assert!(
        text(&away.stderr).contains(&elsewhere),
        "{}",
        text(&away.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_a_table_or_the_json_of_the_admin_port() {
    let (application, served) = served(&[]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let table = run(admin, &["status"]).await;
    assert_eq!(table.status.code(), Some(0), "{table:?}");
    let table = text(&table.stdout);
    for words in [
        ": ready, serving for ",
        "[+] not-draining",
        "localhost, 127.0.0.1\n    valid, ",
        &format!("{} reached since ", application.upstream()),
        "1 HTTP/1, 0 HTTP/2",
        "1 in all",
        "published",
    ] {
        assert!(table.contains(words), "{words:?} in {table}");
    }
    let json = run(admin, &["status", "--output", "json"]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&json["ready"], &json["stage"]),
        (&true.into(), &"serving".into())
    );
    let wrong = run(admin, &["status", "--output", "xml"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(
        text(&wrong.stderr),
        "tls-sidecar: --output \"xml\": not a choice; write table or json\n"
    );
    let away = run(nobody(), &["status"]).await;
    assert_eq!((away.status.code(), away.stdout.len()), (Some(1), 0));
}

// LIFE-01, LIFE-06
#[tokio::test(flavor = "multi_thread")]
async fn drain_returns_when_the_sidecar_has_ended_and_nothing_was_lost() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let arguments = [&ADMIN[..], &["--drain-delay", "100ms"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let admin = served.sidecar.admin();
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    eventually_async("the request", PATIENCE, || gate.waiting() == 1).await;

    let early = run(admin, &["drain", "--wait", "0s"]).await;
    assert_eq!(early.status.code(), Some(1), "{early:?}");
    assert!(
        text(&early.stderr).contains("draining"),
        "{}",
        text(&early.stderr)
    );
    // As the kubelet does when preStop has taken too long.
    served.sidecar.signal(Signal::TERM);
    let waiting = tokio::spawn(async move { run(admin, &["drain"]).await });
    served.sidecar.wait_until_closed();
    gate.open();
    assert_eq!(wire.response().await.unwrap().text(), "finished");
    let done = waiting.await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let nobody = run(admin, &["drain"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains(&admin.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_without_an_admin_port_has_none_and_is_told_as_such() {
    let application = Hyper::saying("hello");
    let served = Served::start(application.upstream(), &["--admin-listen", "off"]);
    let lines = served.sidecar.log_lines();
    assert!(
        lines
            .iter()
            .all(|line| line["message"] != "admin port listening")
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"));
    command
        .args(["status"])
        .env("TLS_SIDECAR_ADMIN_LISTEN", "off");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("tls-sidecar: --admin-listen \"off\": "));
    assert_eq!(application.connections(), 0, "no look at the application");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_answers_until_the_end_of_the_drain() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let arguments = [&ADMIN[..], &["--drain-delay", "50ms"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    let admin = served.sidecar.admin();
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    eventually_async("the request", PATIENCE, || gate.waiting() == 1).await;
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    assert_eq!(ask(admin, "GET /readyz").await.status, 503);
    assert_eq!(ask(admin, "GET /metrics").await.status, 200);
    gate.open();
    assert_eq!(wire.response().await.unwrap().text(), "finished");
    assert_eq!(served.sidecar.wait_exit().status.code(), Some(0));
}
