//! Whoever reads the log is slow or gone, or the disk behind it is full: requests go on.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::hyper_application::Hyper;
use crate::support::ports;
use crate::support::requests::get;
use crate::support::secret_dir::SecretDir;
use crate::support::wait::{PATIENCE, eventually};

/// More lines than pipe and queue hold together.
const REQUESTS: usize = 20_000;

/// A sidecar whose stdout a test holds itself.
struct Loud {
    child: Child,
    address: SocketAddr,
    client: Client,
    _application: Hyper,
    _secret: SecretDir,
}

impl Loud {
    fn start(stdout: Stdio) -> Self {
        let ca = Ca::new();
        let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
        let application = Hyper::saying("ok");
        // Nobody can read which port it got.
        let address = ports::unused();
        let child = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"))
            .args(["--listen", &address.to_string(), "--admin-listen", "off"])
            .args(["--upstream", application.upstream()])
            .args(["--cert-dir", secret.as_str()])
            .args(["--access-log", "all", "--log-format", "json"])
            .args(["--drain-delay", "0s"])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the listener", PATIENCE, || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self {
            child,
            address,
            client: Client::new(&ca),
            _application: application,
            _secret: secret,
        }
    }

    async fn serves(&self, requests: usize) {
        let mut wire = self.client.http1(self.address).await.unwrap();
        for _ in 0..requests {
            wire.write(get("/")).await.unwrap();
            assert_eq!(wire.response().await.unwrap().status, 200);
        }
    }

    fn ends(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut status = None;
        eventually("a clean end", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}");
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// RES-07
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_gone_stops_neither_requests_nor_the_end() {
    let mut loud = Loud::start(Stdio::piped());
    drop(loud.child.stdout.take());
    loud.serves(1000).await;
    loud.ends();
}

// RES-07
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_stdout_stops_neither_requests_nor_the_end() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut loud = Loud::start(full.into());
    loud.serves(1000).await;
    loud.ends();
}

// RES-07
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_whole_lines() {
    let mut loud = Loud::start(Stdio::piped());
    let stdout = BufReader::new(loud.child.stdout.take().unwrap());
    loud.serves(REQUESTS).await;
    // Only now does it read: what the pipe and the queue held, each line whole, the rest dropped.
    let reader = std::thread::spawn(move || {
        let mut lines = 0;
        for line in stdout.lines() {
            let line = line.unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).expect(&line);
            lines += usize::from(value["message"] == "request");
        }
        lines
    });
    loud.serves(1).await;
    loud.ends();
    let lines = reader.join().unwrap();
    assert!(lines > 1000 && lines <= REQUESTS + 1, "{lines}");
    eprintln!("{lines} of {} lines reached a slow reader", REQUESTS + 1);
}
