//! A limit of memory, and what follows from it.

mod http2;

use std::fs;

use bytes::Bytes;

use super::OK;
use crate::support::admin::json;
use crate::support::application::Raw;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::{get, once_still};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const MIB: u64 = 1024 * 1024;

/// Memory of its own that a process has in use, in bytes: without its program, which a build for
/// tests makes large.
fn own_memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.unwrap().trim().parse::<u64>().unwrap() * 1024
}

// RES-04: as many again as are let in, of which each asks for 8 MiB and reads none of it.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_fit_the_limit_of_memory_however_many_there_are() {
    const READERS: usize = 3000;
    static LARGE: [u8; 8 * 1024 * 1024] = [0; 8 * 1024 * 1024];
    let application = Hyper::http1(|_| async { answer(200, Bytes::from_static(&LARGE)) });
    let served = Served::start(application.upstream(), &["--max-memory", "64MiB"]);
    let id = served.sidecar.id();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (client, address) = (served.client(), served.address());
            tokio::spawn(async move {
                // Who is not let in waits with the kernel.
                if let Ok(mut wire) = client.http1(address).await
                    && wire.write(get("/")).await.is_ok()
                {
                    std::future::pending::<()>().await;
                }
            })
        })
        .collect();
    let mut most = 0;
    eventually_async("the application is asked", 3 * PATIENCE, || {
        most = most.max(own_memory(id));
        application.asked().len() >= 250
    })
    .await;
    most = most.max(once_still("memory", || own_memory(id)).await);
    assert!(most < 64 * MIB, "{} MiB", most / MIB);
    for reader in readers {
        reader.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_is_whole_however_little_of_it_may_be_held() {
    const SIZE: usize = 3 * 1024 * 1024 + 7;
    let application = Hyper::http1(|_| async { answer(200, vec![b'x'; SIZE]) });
    let served = Served::start(application.upstream(), &["--max-memory", "16MiB"]);
    let client = served.client();
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write(get("/")).await.unwrap();
        open.push(wire);
    }
    for wire in &mut open {
        let response = within("the answer", wire.response()).await.unwrap();
        assert_eq!(response.body.len(), SIZE);
        // And the connection goes on.
        wire.write(get("/")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().body.len(), SIZE);
    }
    let mut h2 = client.h2(served.address()).await.unwrap();
    for _ in 0..2 {
        let answer = h2.get("/").await.unwrap();
        assert_eq!(whole(answer).await.unwrap().body.len(), SIZE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_the_limit_yields_to_what_is_said() {
    const NAMES: [&str; 3] = ["max-memory", "max-connections", "max-upstream-connections"];
    let application = Raw::answering(OK);
    for (said, expected) in [
        ([Some("64MiB"), None, None], ["64MiB", "682", "256"]),
        ([Some("64MiB"), Some("20"), Some("7")], ["64MiB", "20", "7"]),
        ([Some("off"), Some("20"), None], ["off", "20", "1024"]),
    ] {
        let said = NAMES.iter().zip(said);
        let mut arguments: Vec<_> = said
            .filter_map(|(name, value)| Some(format!("--{name}={}", value?)))
            .collect();
        arguments.extend(["--admin-listen", "127.0.0.1:0"].map(str::to_owned));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let served = Served::start(application.upstream(), &arguments);
        let config = json(served.sidecar.admin(), "/config").await;
        assert_eq!(NAMES.map(|name| config[name].as_str().unwrap()), expected);
    }
}
