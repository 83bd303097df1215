//! The load suite: this proxy beside nginx, HAProxy, Envoy, Caddy and hitch, one CPU for each of
//! them, the application and the load on another. See benches/README.md.
//!
//! `cargo bench --bench load -- --help`

#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a suite prints, sleeps between measurements, and owns its tasks and threads"
)]

mod accounting;
mod application;
mod arguments;
mod cases;
// Certificates and the kubelet's swap are those of the tests.
#[path = "../../tests/it/support/certs.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod certs;
mod chart;
mod client;
mod credentials;
mod generators;
mod machine;
mod peers;
mod process;
mod progress;
mod report;
mod results;
mod run;
mod sample;
#[path = "../../tests/it/support/secret_dir.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod secret_dir;
mod setup;
mod table;

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;

use application::Ports;
use arguments::{Arguments, Role};
use cases::{Bench, Case, Extent};
use credentials::Credentials;
use machine::Machine;
use peers::Peer;
use process::{LOAD_CPU, Process};
use progress::Progress;
use report::Report;
use run::Run;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Launch(launch)) => launch.run(),
        Some(Role::Application(ports)) => application::run(ports),
        Some(Role::Storm(storm)) => storm.run(),
        None => suite(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn suite(arguments: &Arguments) -> Result<()> {
    let cases = chosen(&arguments.cases)?;
    if arguments.list {
        for case in &cases {
            println!("{:18} {}", case.name, case.title);
        }
        return Ok(());
    }
    let start = Instant::now();
    let machine = Machine::this();
    process::pin(&[LOAD_CPU])?;
    process::raise_descriptors()?;
    if process::find("h2load", &[]).is_none() {
        bail!("h2load is missing; it is in Debian's nghttp2-client");
    }
    let mut peers = ours(&arguments.binaries)?;
    let (others, missing) = match arguments.alone {
        true => Default::default(),
        false => peers::discover(&arguments.peers, &arguments.programs)?,
    };
    peers.extend(others);

    let directory = tempfile::Builder::new().prefix("load-").tempdir()?;
    write_files(directory.path())?;
    let credentials = Credentials::new();
    let (application, _process) = start_application(directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rounds = arguments
        .rounds
        .unwrap_or(if arguments.quick { 1 } else { 5 });
    let seconds = arguments
        .seconds
        .unwrap_or(if arguments.quick { 0.25 } else { 1.0 });
    let steps: u32 = cases.iter().map(|case| case.rounds(rounds)).sum();
    let mut run = Run {
        bench: Bench {
            credentials: &credentials,
            directory: directory.path(),
            time: Duration::from_secs_f64(seconds),
            extent: if arguments.quick {
                Extent::Quick
            } else {
                Extent::Full
            },
            runtime: &runtime,
        },
        peers: &peers,
        application,
        rounds,
        progress: Progress::new(steps * u32::try_from(peers.len())?),
        faults: Vec::new(),
    };
    let results = run.all(&cases)?;
    let faults = std::mem::take(&mut run.faults);
    drop(run);

    let report = Report {
        machine: &machine,
        peers: &peers,
        missing: &missing,
        command: command(),
        rounds,
        seconds,
        results: &results,
    };
    tell(&report, &arguments.results())?;
    println!("took {:.0}s", start.elapsed().as_secs_f64());
    if !faults.is_empty() {
        bail!("did not work:\n{}", faults.join("\n"));
    }
    Ok(())
}

fn tell(report: &Report<'_>, directory: &Path) -> Result<()> {
    println!("{}", table::render(report.results));
    println!("{}", report.notes().join("\n"));
    report.write(directory)?;
    println!("results in {}", directory.display());
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Case>> {
    let all = cases::all();
    let unknown = |name: &&String| all.iter().all(|case| !case.name.starts_with(name.as_str()));
    if let Some(name) = names.iter().find(unknown) {
        bail!("no case is called {name}; --list tells them");
    }
    let wanted = |case: &Case| {
        names.is_empty()
            || names
                .iter()
                .any(|name| case.name.starts_with(name.as_str()))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// The builds of this proxy.
fn ours(binaries: &[String]) -> Result<Vec<Peer>> {
    if binaries.is_empty() {
        let made = Path::new(env!("CARGO_BIN_EXE_tls-sidecar"));
        return Ok(vec![Peer::sidecar("tls-sidecar", made)?]);
    }
    let named = binaries.iter().enumerate().map(|(at, binary)| {
        let usual = if at == 0 {
            "tls-sidecar".to_owned()
        } else {
            format!("tls-sidecar-{}", at + 1)
        };
        let (name, path) = binary.split_once('=').unwrap_or((&usual, binary));
        Peer::sidecar(name, Path::new(path))
    });
    named.collect()
}

/// What is sent by h2load.
fn write_files(directory: &Path) -> Result<()> {
    std::fs::write(directory.join(cases::MESSAGE), application::MESSAGE)?;
    // Of zeros, which no disk has to hold.
    File::create(directory.join(cases::UPLOAD))?.set_len(application::LARGE as u64)?;
    Ok(())
}

fn start_application(directory: &Path) -> Result<(Ports, Process)> {
    let [http, websocket, grpc] = peers::free_ports()?;
    let mut command = process::itself("application")?;
    command
        .args(["--http", &http.to_string()])
        .args(["--websocket", &websocket.to_string()])
        .args(["--grpc", &grpc.to_string()]);
    let log = directory.join("application.log");
    let mut process = Process::start(&command, &[LOAD_CPU], log)?;
    let end = Instant::now() + Duration::from_secs(10);
    // It listens on this one last.
    while std::net::TcpStream::connect(("127.0.0.1", grpc)).is_err() {
        process.check().context("the application")?;
        if Instant::now() > end {
            bail!("the application does not listen");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let ports = Ports {
        http,
        websocket,
        grpc,
    };
    Ok((ports, process))
}

/// As it may be typed again, from where it was typed: where that is concerns nobody.
fn command() -> String {
    let here = std::env::current_dir().ok();
    let here = here.map(|here| format!("{}/", here.display()));
    let arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .map(|argument| match &here {
            Some(here) => argument.replace(here, ""),
            None => argument,
        });
    let arguments: Vec<String> = arguments.collect();
    if arguments.is_empty() {
        return "cargo bench --bench load".to_owned();
    }
    format!("cargo bench --bench load -- {}", arguments.join(" "))
}
