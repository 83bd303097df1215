//! Rotations under load: no failed handshake, no failed request, nothing that grows.
//!
//! `cargo test` runs the short form. The long one, with a thousand rotations and 200,000 requests:
//! `cargo test --test it -- --ignored --nocapture a_thousand_rotations`.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::clients::Client;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::requests::once_still;
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const HTTP1_CONNECTIONS: usize = 64;
const HTTP2_CONNECTIONS: usize = 16;
const HANDSHAKERS: usize = 4;

/// Between two requests of one connection: 80 connections make about 2,000 a second.
const PACE: Duration = Duration::from_millis(36);

/// Requests after which each connection has made some.
const WARM: usize = 10 * (HTTP1_CONNECTIONS + HTTP2_CONNECTIONS);

/// Between two rotations.
const ROTATION: Duration = Duration::from_millis(100);

/// What all tasks share.
struct Shared {
    address: SocketAddr,
    /// Each certificate so far, by its DER, with its number.
    numbers: Mutex<HashMap<Vec<u8>, usize>>,
    /// The newest certificate that was seen served.
    published: AtomicUsize,
    is_over: AtomicBool,
    requests: AtomicUsize,
    handshakes: AtomicUsize,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// One handshake: what it shows is never older than what was seen before it began.
    async fn handshake(&self, client: &Client) -> usize {
        let seen = self.published.load(Ordering::SeqCst);
        let stream = client.connect(self.address).await.unwrap();
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let shown = self.numbers.lock().unwrap()[&leaf];
        assert!(shown >= seen, "certificate {shown} after {seen}");
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        shown
    }
}

/// What the process has open and holds.
#[derive(Debug)]
struct Footprint {
    descriptors: usize,
    threads: usize,
    kibibytes: usize,
}

impl Footprint {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count(),
            threads: number("Threads:"),
            kibibytes: number("VmRSS:"),
        }
    }
}

// CERT-01, CERT-02
#[tokio::test(flavor = "multi_thread")]
async fn rotations_under_load_lose_nothing() {
    rotate_under_load(30, 1_000).await;
}

// CERT-01, CERT-02
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes; the long form of the one above"]
async fn a_thousand_rotations_under_load_lose_nothing() {
    let mut latencies = rotate_under_load(1_000, 200_000).await;
    latencies.sort();
    let [median, high] = [
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
    ];
    assert!(median < Duration::from_millis(10), "{median:?}");
    assert!(high < Duration::from_millis(50), "{high:?}");
}

async fn rotate_under_load(rotations: usize, least_requests: usize) -> Vec<Duration> {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--access-log", "off"]);
    let client = served.client();
    let descriptors = || Footprint::of(served.sidecar.id()).descriptors as u64;
    // The watch on the files is set up beside the first connections.
    let rest = once_still("the descriptors at rest", descriptors).await;
    let first = client.connect(served.address()).await.unwrap();
    let leaf = first.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    drop(first);
    let shared = Arc::new(Shared {
        address: served.address(),
        numbers: Mutex::new(HashMap::from([(leaf, 0)])),
        published: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        handshakes: AtomicUsize::new(0),
    });
    let mut load = JoinSet::new();
    for _ in 0..HTTP1_CONNECTIONS {
        load.spawn(http1(Arc::clone(&shared), client.clone()));
    }
    for _ in 0..HTTP2_CONNECTIONS {
        load.spawn(http2(Arc::clone(&shared), client.clone()));
    }
    for _ in 0..HANDSHAKERS {
        load.spawn(handshakes(Arc::clone(&shared), client.clone()));
    }
    let mut latencies = rotate(&served, &shared, &client, rotations / 5, 1).await;
    // Every connection is there by then, also on a machine that is busy with something else.
    let warm = || shared.requests.load(Ordering::Relaxed) >= WARM;
    eventually_async("a round of requests", PATIENCE, warm).await;
    let before = Footprint::of(served.sidecar.id());
    latencies.extend(
        rotate(
            &served,
            &shared,
            &client,
            rotations - rotations / 5,
            rotations / 5 + 1,
        )
        .await,
    );
    let after = Footprint::of(served.sidecar.id());
    shared.is_over.store(true, Ordering::Relaxed);
    within("the end of the load", load.join_all()).await;
    report(&latencies, &shared, &before, &after);
    let requests = shared.requests.load(Ordering::Relaxed);
    assert!(requests >= least_requests, "{requests} requests");
    // Handshakes and pooled connections come and go; at rest nothing is left of them.
    let end = once_still("the descriptors at the end", || match descriptors() {
        now if now <= rest => now,
        _ => 0,
    });
    end.await;
    assert_eq!(after.threads, before.threads);
    assert!(
        after.kibibytes <= before.kibibytes + 8 * 1024,
        "{before:?} {after:?}"
    );
    latencies
}

/// Time from each rename to the first handshake that showed the new certificate.
async fn rotate(
    served: &Served,
    shared: &Shared,
    client: &Client,
    count: usize,
    from: usize,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut pace = tokio::time::interval(ROTATION);
    for number in from..from + count {
        pace.tick().await;
        let new = served.ca.leaf(&["localhost", "127.0.0.1"]);
        let staged = served.secret.stage(&new.files());
        let leaf = new.leaf_der().to_vec();
        shared.numbers.lock().unwrap().insert(leaf, number);
        let start = Instant::now();
        served.secret.publish(staged);
        within("the new certificate", async {
            while shared.handshake(client).await != number {}
        })
        .await;
        latencies.push(start.elapsed());
        shared.published.store(number, Ordering::SeqCst);
    }
    latencies
}

async fn http1(shared: Arc<Shared>, client: Client) {
    let mut wire = client.http1(shared.address).await.unwrap();
    let mut pace = tokio::time::interval(PACE);
    while shared.goes_on() {
        pace.tick().await;
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "served");
        shared.requests.fetch_add(1, Ordering::Relaxed);
    }
}

async fn http2(shared: Arc<Shared>, client: Client) {
    let mut h2 = client.h2(shared.address).await.unwrap();
    let mut pace = tokio::time::interval(PACE);
    while shared.goes_on() {
        pace.tick().await;
        let answer = h2.get("/").await.unwrap();
        assert_eq!(whole(answer).await.unwrap().status, 200);
        shared.requests.fetch_add(1, Ordering::Relaxed);
    }
}

async fn handshakes(shared: Arc<Shared>, client: Client) {
    let mut pace = tokio::time::interval(PACE);
    while shared.goes_on() {
        pace.tick().await;
        shared.handshake(&client).await;
    }
}

fn report(latencies: &[Duration], shared: &Shared, before: &Footprint, after: &Footprint) {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    println!(
        "{} rotations: rename to first new handshake median {:?}, p99 {:?}, most {:?}; {} requests, \
         {} handshakes; {before:?} then {after:?}",
        sorted.len(),
        sorted[sorted.len() / 2],
        sorted[sorted.len() * 99 / 100],
        sorted[sorted.len() - 1],
        shared.requests.load(Ordering::Relaxed),
        shared.handshakes.load(Ordering::Relaxed),
    );
}
