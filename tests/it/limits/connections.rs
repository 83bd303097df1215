//! How many connections, on which worker, and with how many descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{OK, good};
use crate::support::application::Raw;
use crate::support::h2::{H2, whole};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually, within};

const SWITCH: &str =
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";

// RES-02
#[tokio::test(flavor = "multi_thread")]
async fn over_max_connections_the_next_waits_and_is_served_when_one_ends() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-connections", "2"]);
    let client = served.client();
    let mut first = client.http1(served.address()).await.unwrap();
    let mut second = client.http1(served.address()).await.unwrap();
    good(&mut first).await;
    good(&mut second).await;

    let (waiting, address) = (client.clone(), served.address());
    let third = tokio::spawn(async move { waiting.http1(address).await.unwrap() });
    good(&mut first).await;
    good(&mut second).await;
    assert!(!third.is_finished());
    drop(first);
    let mut third = within("the third connection", third).await.unwrap();
    good(&mut third).await;
    good(&mut second).await;
}

// RES-02
#[tokio::test(flavor = "multi_thread")]
async fn permits_come_back_however_a_connection_ends() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-connections", "2"]);
    let client = served.client();
    for _ in 0..20 {
        // A probe, a word in clear, a broken request, and a client that just goes.
        drop(TcpStream::connect(served.address()).unwrap());
        let mut clear = TcpStream::connect(served.address()).unwrap();
        std::io::Write::write_all(&mut clear, b"GET / HTTP/1.0\r\n\r\n").unwrap();
        drop(clear);
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write("broken\r\n\r\n").await.unwrap();
        wire.response().await.unwrap();
        drop(wire);
        good(&mut client.http1(served.address()).await.unwrap()).await;
    }
}

/// Few and long-lived connections must not all be one worker's.
#[tokio::test(flavor = "multi_thread")]
async fn four_connections_spread_evenly_over_two_workers() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--workers", "2"]);
    let client = served.client();
    let mut open: Vec<H2> = Vec::new();
    for _ in 0..4 {
        let mut h2 = client.h2(served.address()).await.unwrap();
        whole(h2.get("/").await.unwrap()).await.unwrap();
        open.push(h2);
    }
    assert_eq!(connections_by_worker(&served), [2, 2]);
}

/// A tunnel has left its connection's task and is its worker's as long as it lives.
#[tokio::test(flavor = "multi_thread")]
async fn four_tunnels_spread_evenly_over_two_workers() {
    let application = Raw::tcp(|mut stream| async move {
        let _ = stream.read_head().await;
        let _ = stream.write(SWITCHED).await;
        let _ = stream.read_to_end().await;
    });
    let served = Served::start(application.upstream(), &["--workers", "2"]);
    let client = served.client();
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write(SWITCH).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 101);
        open.push(wire);
    }
    assert_eq!(connections_by_worker(&served), [2, 2]);
}

/// How many accepted connections each event queue (epoll) of the process has.
fn connections_by_worker(served: &Served) -> Vec<usize> {
    let process = format!("/proc/{}", served.sidecar.id());
    let port = format!(":{:04X}", served.address().port());
    let table = fs::read_to_string(format!("{process}/net/tcp")).unwrap();
    let established = table.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let is_ours = columns[1].ends_with(&port) && columns[3] == "01";
        is_ours.then(|| format!("socket:[{}]", columns[9]))
    });
    let established: BTreeSet<String> = established.collect();
    let link = |descriptor: &str| {
        let link = fs::read_link(format!("{process}/fd/{descriptor}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    };
    // One queue may have two descriptors; what it watches tells it from the others.
    let mut queues = BTreeSet::new();
    for entry in fs::read_dir(format!("{process}/fdinfo")).unwrap() {
        let descriptor = entry.unwrap().file_name().into_string().unwrap();
        if link(&descriptor).as_deref() != Some("anon_inode:[eventpoll]") {
            continue;
        }
        let watched = fs::read_to_string(format!("{process}/fdinfo/{descriptor}")).unwrap();
        let watched = watched.lines().filter_map(|line| {
            let rest = line.strip_prefix("tfd:")?;
            link(rest.split_whitespace().next()?)
        });
        let sockets: BTreeSet<String> = watched.collect();
        queues.insert(&sockets & &established);
    }
    // The control thread has no connection.
    let counts = queues.iter().map(BTreeSet::len);
    counts.filter(|count| *count > 0).collect()
}

// RES-01
#[tokio::test(flavor = "multi_thread")]
async fn out_of_descriptors_it_pauses_without_spinning_and_recovers() {
    let application = Raw::answering(OK);
    let arguments = ["--max-connections", "1000", "--handshake-timeout", "10m"];
    let arguments = [&arguments[..], &["--workers", "1"]].concat();
    let served = Served::start(application.upstream(), &arguments);
    // Its one worker has all the descriptors it needs by now.
    let mut open = served.client().http1(served.address()).await.unwrap();
    good(&mut open).await;
    let process = format!("/proc/{}", served.sidecar.id());
    let used = fs::read_dir(format!("{process}/fd")).unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(used + 5),
        maximum: Some(used + 5),
    };
    let pid = Pid::from_raw(i32::try_from(served.sidecar.id()).unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();

    let (begun, used) = (Instant::now(), cpu(&process));
    let silent: Vec<_> = (0..40)
        .map(|_| TcpStream::connect(served.address()).unwrap())
        .collect();
    // The pause doubles from 5 ms; at this one it has lasted for more than a second.
    eventually("a long pause", PATIENCE, || {
        let lines = served.sidecar.log_lines();
        eprintln!(
            "{:?}",
            lines.iter().map(|l| l["pause"].clone()).collect::<Vec<_>>()
        );
        lines.iter().any(|line| line["pause"] == "1s")
    });
    let (elapsed, used) = (begun.elapsed(), cpu(&process) - used);
    assert!(used < elapsed / 20, "{used:?} of CPU time in {elapsed:?}");

    // Who was in stays in, and who comes later is served.
    good(&mut open).await;
    drop(silent);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    good(&mut wire).await;
}

/// CPU time that a process has used, in user and kernel mode.
fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
    // The name in parentheses may hold anything.
    let fields = stat.rsplit_once(") ").unwrap().1;
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    // USER_HZ is 100 on every architecture Linux runs containers on.
    Duration::from_millis(ticks * 10)
}
