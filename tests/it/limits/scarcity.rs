//! Clients that come and go, stay and say nothing, or read slowly; and a log that nobody reads.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{OK, good};
use crate::support::application::Raw;
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::ports;
use crate::support::requests::{get, once_still, resident_memory};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually, eventually_async};

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// Goes with a RST.
fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One connection that comes to nothing, in one of several ways.
async fn come_and_go(address: SocketAddr, client: &Client, way: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    match way % 40 {
        0..16 => {}
        16..30 => abort(&stream),
        30..34 => stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await?,
        34..37 => {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await?;
            abort(&stream);
        }
        37 => stream.write_all(b"garbage and more of it\r\n\r\n").await?,
        38 => drop(client.handshake(stream).await?),
        _ => {
            let mut stream = client.clone().alpn(&["http/1.1"]).handshake(stream).await?;
            stream.write_all(get("/").as_bytes()).await?;
            abort(stream.get_ref().0);
        }
    }
    Ok(())
}

// RES-02, RES-05
#[tokio::test(flavor = "multi_thread")]
async fn a_churn_of_connections_leaks_neither_permits_nor_descriptors_nor_memory() {
    const LIMIT: usize = 32;
    const EACH: usize = 10_000;
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--max-connections", "32"]);
    let id = served.sidecar.id();
    let client = served.client();
    good(&mut client.http1(served.address()).await.unwrap()).await;
    let before = once_still("descriptors", || descriptors(id) as u64).await;
    let memory = resident_memory(id);

    let mut churn = JoinSet::new();
    for _ in 0..2 {
        let (client, address) = (client.clone(), served.address());
        churn.spawn(async move {
            for n in 0..EACH {
                // What a client gets for going is its own affair.
                let _ = come_and_go(address, &client, n).await;
            }
        });
    }
    while let Some(done) = churn.join_next().await {
        done.unwrap();
    }
    // As many as there are permits at the same time, or one of them waits for ever.
    let mut open = Vec::new();
    for _ in 0..LIMIT {
        let mut wire = client.http1(served.address()).await.unwrap();
        good(&mut wire).await;
        open.push(wire);
    }
    drop(open);
    eventually_async("the descriptors are back", PATIENCE, || {
        descriptors(id) as u64 <= before + 4
    })
    .await;
    let grown = resident_memory(id).saturating_sub(memory);
    assert!(grown < 16 * 1024 * 1024, "grew by {grown}");
}

// RES-03
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_bounded_each_and_gone_by_the_idle_timeout() {
    const CONNECTIONS: u64 = 1500;
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--idle-timeout", "12s"]);
    let id = served.sidecar.id();
    let client = served.client();
    good(&mut client.http1(served.address()).await.unwrap()).await;
    let before = descriptors(id);
    let memory = resident_memory(id);
    let mut open = Vec::new();
    for n in 0..CONNECTIONS {
        let mut wire = client.http1(served.address()).await.unwrap();
        if n % 2 == 0 {
            good(&mut wire).await;
        }
        open.push(wire);
    }
    let each = resident_memory(id).saturating_sub(memory) / CONNECTIONS;
    assert!(each < 60 * 1024, "{each} bytes a connection");
    // All by themselves: the client keeps its end.
    eventually_async("the idle ones are gone", PATIENCE, || {
        descriptors(id) <= before + 40
    })
    .await;
    for wire in &mut open[..10] {
        wire.assert_closed().await;
    }
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_of_large_answers_are_bounded_each() {
    const READERS: u64 = 200;
    let application = Hyper::http1(|_| async { answer(200, vec![0; 8 * 1024 * 1024]) });
    let served = Served::start(application.upstream(), &[]);
    let id = served.sidecar.id();
    let client = served.client();
    let memory = resident_memory(id);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        wire.response_head().await.unwrap();
        readers.push(wire);
    }
    let full = once_still("memory", || resident_memory(id)).await;
    let each = full.saturating_sub(memory) / READERS;
    // 8 MiB wait for each, and nearly all of them with the application.
    assert!(each < 512 * 1024, "{each} bytes a reader");
}

// What a long-lived HTTP/2 connection remembers of its answers is no larger than what it remembers.
#[tokio::test(flavor = "multi_thread")]
async fn answers_with_an_id_each_leave_an_http2_connection_small() {
    const CONNECTIONS: u64 = 40;
    static ID: AtomicU64 = AtomicU64::new(0);
    let application = Hyper::http1(|_| async {
        let mut answer = answer(200, "ok");
        let id = format!("{:032}", ID.fetch_add(1, Ordering::Relaxed));
        answer
            .headers_mut()
            .insert("x-request-id", id.parse().unwrap());
        answer
    });
    let served = Served::start(application.upstream(), &[]);
    let id = served.sidecar.id();
    let client = served.client();
    let mut h2 = client.h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    let memory = once_still("memory", || resident_memory(id)).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut h2 = client.h2(served.address()).await.unwrap();
        for _ in 0..70 {
            whole(h2.get("/").await.unwrap()).await.unwrap();
        }
        open.push(h2);
    }
    let full = once_still("memory", || resident_memory(id)).await;
    let each = full.saturating_sub(memory) / CONNECTIONS;
    assert!(each < 160 * 1024, "{each} bytes a connection");
}

/// A sidecar whose log goes to a pipe that nobody reads.
struct Unread {
    child: Child,
    address: SocketAddr,
    ca: Ca,
    _secret: SecretDir,
}

impl Unread {
    fn start(upstream: &str) -> Self {
        let ca = Ca::new();
        let secret = SecretDir::new(&ca.leaf(&["localhost", "127.0.0.1"]).files());
        let address = ports::unused();
        let listen = address.to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"))
            .args(["--listen", &listen, "--upstream", upstream])
            .args(["--admin-listen", "off"])
            .args(["--cert-dir", secret.as_str(), "--drain-delay", "0s"])
            .args(["--log-format", "json", "--access-log", "all"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        eventually("it listens", PATIENCE, || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Self {
            child,
            address,
            ca,
            _secret: secret,
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// RES-07
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_neither_a_request_nor_the_end() {
    // More lines than the pipe and the queue hold together.
    const REQUESTS: usize = 20_000;
    let application = Hyper::saying("ok");
    let mut unread = Unread::start(application.upstream());
    let client = Client::new(&unread.ca);
    let mut h2 = client.h2(unread.address).await.unwrap();
    for _ in 0..REQUESTS / 50 {
        let mut asked = Vec::new();
        for _ in 0..50 {
            asked.push(h2.get("/").await.unwrap());
        }
        for answer in asked {
            assert_eq!(whole(answer).await.unwrap().body, "ok");
        }
    }
    let memory = resident_memory(unread.child.id());
    assert!(memory < 64 * 1024 * 1024, "{memory}");
    drop(h2);
    kill_process(Pid::from_child(&unread.child), Signal::TERM).unwrap();
    let mut status = None;
    eventually("it has ended", PATIENCE, || {
        status = unread.child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
}
