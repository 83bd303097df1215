//! The clock of the host steps by hours, forward and back: no timer fires for it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use http::Request;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::GET;
use crate::support::admin::json;
use crate::support::background::Gate;
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h1::Wire;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::get;
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

/// A clock that steps when a test says so: a file that libfaketime reads at every look.
struct Clock {
    folder: tempfile::TempDir,
    library: &'static str,
}

impl Clock {
    /// None, and a line that says so, where libfaketime is missing.
    fn new() -> Option<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: libfaketime is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let clock = Self { folder, library };
        clock.step("+0");
        Some(clock)
    }

    /// Whole at once.
    fn step(&self, offset: &str) {
        let next = self.folder.path().join("next");
        fs::write(&next, offset).unwrap();
        fs::rename(&next, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// A sidecar that lives by it.
    fn start(&self, arguments: &[&str]) -> Option<Sidecar> {
        let preload = format!("LD_PRELOAD={}", self.library);
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", self.file().display());
        let under = [
            "env",
            &preload,
            &file,
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ];
        Sidecar::start_under(&under, arguments)
    }
}

/// An application that holds requests for `/held` at `gate`.
fn holding(gate: &Gate) -> Hyper {
    let held = gate.clone();
    Hyper::http1(move |request: Request<_>| {
        let held = held.clone();
        async move {
            if request.uri().path() == "/held" {
                held.pass().await;
            }
            answer(200, "ok")
        }
    })
}

async fn answered(what: &str, wire: &mut Wire<TlsStream<TcpStream>>) {
    assert_eq!(
        within(what, wire.response()).await.unwrap().status,
        200,
        "{what}"
    );
}

// RES-09
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_by_hours_fires_no_timer_and_ends_nothing() {
    let Some(clock) = Clock::new() else {
        return;
    };
    let gate = Gate::closed();
    let application = holding(&gate);
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let own = [
        "--upstream",
        application.upstream(),
        "--cert-dir",
        secret.as_str(),
        "--drain-delay",
        "0s",
    ];
    let Some(sidecar) = clock.start(&[&own[..], &ADMIN].concat()) else {
        return;
    };
    let client = Client::new(&ca);
    let connect = async || client.http1(sidecar.address()).await.unwrap();
    let (mut idle, mut half, mut waiting) = (connect().await, connect().await, connect().await);
    idle.write(GET).await.unwrap();
    answered("the first", &mut idle).await;
    waiting.write(get("/held")).await.unwrap();
    eventually("a request at the application", PATIENCE, || {
        gate.waiting() == 1
    });
    let mut seen = now(&sidecar).await;
    for (at, offset) in ["+3h", "-2h"].into_iter().enumerate() {
        // Half of a head stands, and is within its time.
        half.write("GET / HTTP/1.1\r\nHost: loc").await.unwrap();
        clock.step(offset);
        let before = std::mem::replace(&mut seen, now(&sidecar).await);
        assert_ne!(seen[..13], before[..13], "the clock did not step");
        half.write("alhost\r\n\r\n").await.unwrap();
        answered("half a head", &mut half).await;
        idle.write(GET).await.unwrap();
        answered("an idle connection", &mut idle).await;
        let mut fresh = connect().await;
        fresh.write(GET).await.unwrap();
        answered("a new connection", &mut fresh).await;
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
    answered("what was held", &mut waiting).await;
    sidecar.signal(Signal::TERM);
    let ended = tokio::task::spawn_blocking(|| sidecar.wait_exit())
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
}
