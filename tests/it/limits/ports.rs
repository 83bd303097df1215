//! No local port is left to reach the application with, in a network where a test can take them all.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use h2::client::ResponseFuture;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::support::background::Gate;
use crate::support::h1::Wire;
use crate::support::h2::{H2, H2Response, whole};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::namespace;
use crate::support::ports;
use crate::support::requests::get;
use crate::support::sidecar::{ADMIN, Served};
use crate::support::wait::{PATIENCE, eventually, eventually_async, within};

/// Requests that are with the application before the ports are gone.
const HELD: usize = 4;
/// Between two attempts of a worker.
const PAUSE: Duration = Duration::from_millis(25);
const SHORT: [&str; 2] = ["--upstream-connect-timeout", "500ms"];
const PATIENT: [&str; 2] = ["--upstream-connect-timeout", "15s"];

/// What the kernel chooses local ports from.
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// All local ports in the hands of somebody else, until it is dropped.
struct Shortage {
    range_before: String,
    _taken: Vec<TcpListener>,
}

impl Shortage {
    /// What the kernel may choose from then, and never chose from before.
    const PORTS: RangeInclusive<u16> = 61_000..=61_015;

    fn begin() -> Self {
        let taken = Self::PORTS.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        let taken = taken.collect();
        let range_before = fs::read_to_string(RANGE).unwrap();
        let range = format!("{} {}", Self::PORTS.start(), Self::PORTS.end());
        fs::write(RANGE, range).unwrap();
        let error = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
        Self {
            range_before,
            _taken: taken,
        }
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        fs::write(RANGE, &self.range_before).unwrap();
    }
}

/// A sidecar with one worker, and a connection to it from before the shortage.
struct Scene {
    served: Served,
    h2: H2,
}

impl Scene {
    async fn set(upstream: &str, arguments: &[&str]) -> Self {
        let own = [&ADMIN[..], &["--workers", "1"]].concat();
        let served = Served::start(upstream, &[&own, arguments].concat());
        let h2 = served.client().h2(served.address()).await.unwrap();
        Self { served, h2 }
    }

    async fn ask(&mut self, path: &str, count: usize) -> Vec<ResponseFuture> {
        let mut asked = Vec::new();
        for _ in 0..count {
            asked.push(self.h2.get(path).await.unwrap());
        }
        asked
    }

    /// Attempts to connect to the application that failed so far.
    async fn failed(&self) -> u32 {
        // From a port that is asked for by its number, which is still possible.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(ports::unused()).unwrap();
        let admin = socket.connect(self.served.sidecar.admin()).await.unwrap();
        let mut admin = Wire::new(admin);
        admin.write(get("/metrics")).await.unwrap();
        let page = admin.response().await.unwrap().text();
        let name = "tls_sidecar_upstream_connects_total{result=\"failed\"} ";
        let value = page.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse().unwrap()
    }

    async fn until_failed(&self, least: u32) -> u32 {
        within("attempts that failed", async {
            loop {
                let failed = self.failed().await;
                if failed >= least {
                    return failed;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

/// Answers "ok", requests for `/first` and `/second` behind their gates.
fn application() -> (Hyper, [Gate; 2]) {
    let gates = [Gate::closed(), Gate::closed()];
    let [first, second] = gates.clone();
    let application = Hyper::http1(move |request: Request<Incoming>| {
        let gate = match request.uri().path() {
            "/first" => Some(first.clone()),
            "/second" => Some(second.clone()),
            _ => None,
        };
        async move {
            if let Some(gate) = gate {
                gate.pass().await;
            }
            answer(200, "ok")
        }
    });
    (application, gates)
}

async fn until_waiting(gate: &Gate, count: usize) {
    eventually_async("all are with the application", PATIENCE, || {
        gate.waiting() == count
    })
    .await;
}

async fn answers(asked: Vec<ResponseFuture>) -> Vec<H2Response> {
    let answers = join_all(asked.into_iter().map(whole)).await;
    answers.into_iter().map(Result::unwrap).collect()
}

async fn assert_all_ok(asked: Vec<ResponseFuture>) {
    for answer in answers(asked).await {
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    }
}

fn assert_all_refused(scene: &Scene, answers: &[H2Response]) {
    for answer in answers {
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("no local port or descriptor"), "{text}");
    }
    let said = |lines: &[Value]| {
        lines
            .iter()
            .filter(|l| l["flag"] == "upstream_no_ports")
            .count()
    };
    eventually("a record of each", PATIENCE, || {
        said(&scene.served.sidecar.log_lines()) == answers.len()
    });
    let lines = scene.served.sidecar.log_lines();
    let warned = lines.iter().filter(|line| line["level"] == "WARN");
    let warned: Vec<_> = warned.filter(|line| line["flag"].is_null()).collect();
    assert!(warned.len() < 3, "{warned:?}");
}

// RES-06
#[tokio::test(flavor = "multi_thread")]
async fn without_a_local_port_requests_are_503_and_served_again_when_there_is_one() {
    const REFUSED: usize = 8;
    if !namespace::is_inside(|| ()) {
        return;
    }
    let (application, [first, second]) = application();
    let mut scene = Scene::set(application.upstream(), &SHORT).await;
    let held = scene.ask("/first", HELD).await;
    until_waiting(&first, HELD).await;
    let shortage = Shortage::begin();
    let asked = scene.ask("/", REFUSED).await;
    assert_all_refused(&scene, &answers(asked).await);
    let failed = scene.failed().await;
    assert!(failed > 0, "nobody tried");

    // Those who have a connection go on, and so does whoever comes next on one of these.
    first.open();
    assert_all_ok(held).await;
    let asked = scene.ask("/", 1).await;
    assert_all_ok(asked).await;

    drop(shortage);
    let asked = scene.ask("/second", HELD + REFUSED).await;
    until_waiting(&second, HELD + REFUSED).await;
    second.open();
    assert_all_ok(asked).await;
    assert_eq!(scene.failed().await, failed, "one that need not fail");
}

// RES-06
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_port_gets_a_connection_that_becomes_free() {
    if !namespace::is_inside(|| ()) {
        return;
    }
    let (application, [first, _]) = application();
    let mut scene = Scene::set(application.upstream(), &PATIENT).await;
    let held = scene.ask("/first", 1).await;
    until_waiting(&first, 1).await;
    let _shortage = Shortage::begin();
    let waiting = scene.ask("/", HELD).await;
    scene.until_failed(1).await;
    first.open();
    assert_all_ok(held).await;
    assert_all_ok(waiting).await;
}

// RES-06
#[tokio::test(flavor = "multi_thread")]
async fn however_many_requests_wait_for_a_port_a_worker_tries_once_a_pause() {
    const WAITING: usize = 100;
    if !namespace::is_inside(|| ()) {
        return;
    }
    let (application, [first, _]) = application();
    let mut scene = Scene::set(application.upstream(), &PATIENT).await;
    let shortage = Shortage::begin();
    let begun = Instant::now();
    let waiting = scene.ask("/first", WAITING).await;
    let failed = scene.until_failed(20).await;
    let pauses = begun.elapsed().as_millis() / PAUSE.as_millis();
    // A slow machine only makes them fewer.
    assert!(u128::from(failed) <= pauses + 1, "{failed} in {pauses}");

    drop(shortage);
    until_waiting(&first, WAITING).await;
    first.open();
    assert_all_ok(waiting).await;
}

// RES-06
#[tokio::test(flavor = "multi_thread")]
async fn without_a_local_port_to_an_h2c_application_all_are_503_in_time() {
    // More than have their turns one behind another before the test's patience ends.
    const REFUSED: usize = 60;
    if !namespace::is_inside(|| ()) {
        return;
    }
    let application = Hyper::h2c(|_| async { answer(200, "ok") });
    let mut scene = Scene::set(application.upstream(), &SHORT).await;
    let shortage = Shortage::begin();
    let asked = scene.ask("/", REFUSED).await;
    assert_all_refused(&scene, &answers(asked).await);

    drop(shortage);
    let asked = scene.ask("/", REFUSED).await;
    assert_all_ok(asked).await;
}
