//! LIFE-09: mixed load, a certificate that rotates, an application that flaps and clients that are
//! rude, for as long as it is told; it fails on any error that nothing explains, on lost requests,
//! and on growth of memory, descriptors or threads.
//!
//! `cargo test --test soak -- --minutes 10`; without an argument it takes 20 seconds.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking, and owns its tasks and threads"
)]

#[path = "soak/applications.rs"]
mod applications;
#[path = "soak/load.rs"]
mod load;
#[path = "soak/rude.rs"]
mod rude;
mod support;
#[path = "soak/tally.rs"]
mod tally;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use applications::Flapping;
use support::sidecar::{Served, Signal};
use support::wait::eventually;
use tally::{Measure, Tally};

const SHORT: Duration = Duration::from_secs(20);
/// Time in which connections of clients that have gone must be gone too.
const QUIET: Duration = Duration::from_secs(20);

/// A sidecar with the load on it.
struct Subject {
    name: &'static str,
    served: Arc<Served>,
    start: Measure,
    warm: Measure,
}

fn main() -> ExitCode {
    let Some(duration) = duration() else {
        // `cargo test NAME` asks every target for its tests of that name.
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(soak(duration)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reasons) => {
            eprintln!("soak: failed\n{}", reasons.join("\n"));
            ExitCode::FAILURE
        }
    }
}

/// How long to run; `None` when other tests than this were asked for.
fn duration() -> Option<Duration> {
    let mut duration = SHORT;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--minutes" => {
                let minutes = arguments.next().and_then(|m| m.parse::<f64>().ok());
                duration = Duration::from_secs_f64(minutes.expect("--minutes N") * 60.0);
            }
            "--list" | "--ignored" => return None,
            flag if flag.starts_with('-') => {}
            name if "soak".contains(name) => {}
            _ => return None,
        }
    }
    Some(duration)
}

async fn soak(duration: Duration) -> Result<(), Vec<String>> {
    let arguments = ["--access-log", "off", "--log-level", "info"];
    let tally = Arc::new(Tally::default());
    let old = Flapping::http1();
    let new = Flapping::grpc();
    let mut subjects = [("http", old.upstream()), ("grpc", new.upstream())].map(|(name, url)| {
        let served = Arc::new(Served::start(&url, &arguments));
        let start = Measure::once_still(served.sidecar.id());
        let warm = start;
        Subject {
            name,
            served,
            start,
            warm,
        }
    });

    let end = Instant::now() + duration;
    let mut tasks = JoinSet::new();
    let [http, grpc] = [&subjects[0].served, &subjects[1].served].map(Arc::clone);
    for _ in 0..4 {
        tasks.spawn(load::http1(Arc::clone(&http), Arc::clone(&tally), end));
    }
    for _ in 0..2 {
        tasks.spawn(load::http2(Arc::clone(&http), Arc::clone(&tally), end));
        tasks.spawn(load::websocket(Arc::clone(&http), Arc::clone(&tally), end));
        tasks.spawn(load::grpc(Arc::clone(&grpc), Arc::clone(&tally), end));
    }
    for served in [&http, &grpc] {
        tasks.spawn(rude::clients(Arc::clone(served), Arc::clone(&tally), end));
        tasks.spawn(load::rotation(Arc::clone(served), Arc::clone(&tally), end));
    }
    tasks.spawn(old.flap(Arc::clone(&tally), end));
    tasks.spawn(new.flap(Arc::clone(&tally), end));

    let warm_up = (duration / 4).min(Duration::from_secs(60));
    tokio::time::sleep_until((Instant::now() + warm_up).into()).await;
    for subject in &mut subjects {
        subject.warm = Measure::of(subject.served.sidecar.id());
    }
    let mut reasons = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        if let Err(error) = joined {
            reasons.push(format!("a client came to no end: {error}"));
        }
    }
    drop((http, grpc));
    reasons.extend(tally.verdict());
    tally.print();
    for subject in subjects {
        reasons.extend(subject.verdict());
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(reasons)
    }
}

impl Subject {
    fn verdict(self) -> Vec<String> {
        let id = self.served.sidecar.id();
        let loaded = Measure::of(id);
        let mut quiet = loaded;
        let end = Instant::now() + QUIET;
        eventually("a look at what is left", QUIET * 2, || {
            quiet = Measure::of(id);
            quiet.descriptors <= self.start.descriptors + Measure::SLACK || Instant::now() > end
        });
        println!(
            "\n{:<6}{:>12}{:>14}{:>10}",
            self.name, "RSS KiB", "descriptors", "threads"
        );
        for (when, measure) in [
            ("start", self.start),
            ("warm", self.warm),
            ("end", loaded),
            ("quiet", quiet),
        ] {
            println!("{when:<6}{measure}");
        }
        let mut reasons = quiet.grown_from(self.start, self.warm, loaded);
        let panics = self
            .served
            .sidecar
            .log_lines()
            .iter()
            .filter(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|message| message.contains("panic"))
            })
            .count();
        if panics > 0 {
            reasons.push(format!("{panics} panics"));
        }
        let Ok(served) = Arc::try_unwrap(self.served) else {
            reasons.push("a client still holds its sidecar".to_owned());
            return reasons;
        };
        served.sidecar.signal(Signal::TERM);
        let ended = served.sidecar.wait_exit();
        if !ended.status.success() {
            reasons.push(format!("it ended with {}", ended.status));
        }
        reasons
            .iter()
            .map(|reason| format!("{}: {reason}", self.name))
            .collect()
    }
}
