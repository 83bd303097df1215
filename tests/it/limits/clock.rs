//! The clock of the host steps by hours, forward and back: no timer fires for it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use http::Request;
use serde_json::Value;

use super::GET;
use crate::support::admin::json;
use crate::support::background::Gate;
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{ADMIN, Sidecar, Signal};
use crate::support::wait::{PATIENCE, eventually, within};

/// Where Debian's libfaketime is, by machine.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// What `/status` says the time is, hour and minute.
async fn now(sidecar: &Sidecar) -> String {
    let status: Value = json(sidecar.admin(), "/status").await;
    status["now"].as_str().unwrap()[..16].to_owned()
}

// RES-09
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_by_hours_fires_no_timer_and_ends_nothing() {
    let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: libfaketime is not installed");
        return;
    };
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Hyper::http1(move |request: Request<_>| {
        let held = held.clone();
        async move {
            if request.uri().path() == "/held" {
                held.pass().await;
            }
            answer(200, "ok")
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    // Whole at once: it is read at every look at the clock.
    let step = |offset: &str| {
        let next = folder.path().join("next");
        fs::write(&next, offset).unwrap();
        fs::rename(&next, &clock).unwrap();
    };
    step("+0");
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let (preload, file) = (
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
    );
    let under = [
        "env",
        &preload,
        &file,
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    let own = [
        "--upstream",
        application.upstream(),
        "--cert-dir",
        secret.as_str(),
        "--drain-delay",
        "0s",
    ];
    let Some(sidecar) = Sidecar::start_under(&under, &[&own[..], &ADMIN].concat()) else {
        return;
    };
    let client = Arc::new(Client::new(&ca));
    let connect = async || client.http1(sidecar.address()).await.unwrap();
    let (mut idle, mut half, mut waiting) = (connect().await, connect().await, connect().await);
    idle.write(GET).await.unwrap();
    assert_eq!(idle.response().await.unwrap().status, 200);
    waiting
        .write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    eventually("a request at the application", PATIENCE, || {
        gate.waiting() == 1
    });
    let mut seen = vec![now(&sidecar).await];
    for (at, offset) in ["+3h", "-2h"].into_iter().enumerate() {
        // Half of a head stands, and is within its time.
        half.write("GET / HTTP/1.1\r\nHost: loc").await.unwrap();
        step(offset);
        seen.push(now(&sidecar).await);
        assert_ne!(seen[at + 1][..13], seen[at][..13], "the clock did not step");
        half.write("alhost\r\n\r\n").await.unwrap();
        assert_eq!(
            within("the half head", half.response())
                .await
                .unwrap()
                .status,
            200
        );
        idle.write(GET).await.unwrap();
        assert_eq!(
            within("the idle one", idle.response())
                .await
                .unwrap()
                .status,
            200
        );
        let mut fresh = connect().await;
        fresh.write(GET).await.unwrap();
        assert_eq!(
            within("a new one", fresh.response()).await.unwrap().status,
            200
        );
        // And rotation goes on.
        secret.swap(&ca.leaf(&["localhost"]).files());
        eventually("the new certificate", PATIENCE, || {
            let lines = sidecar.log_lines();
            let reloads = lines
                .iter()
                .filter(|line| line["message"] == "certificate reloaded");
            reloads.count() == at + 1
        });
    }
    gate.open();
    assert_eq!(
        within("what was held", waiting.response())
            .await
            .unwrap()
            .status,
        200
    );
    sidecar.signal(Signal::TERM);
    let ended = tokio::task::spawn_blocking(|| sidecar.wait_exit())
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
}
