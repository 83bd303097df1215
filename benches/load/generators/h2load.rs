//! Requests by h2load: for a time, with a warm-up that is not counted, or a number of them.
//!
//! The proxy's CPU time is read when h2load says that the counted time begins and ends, so that
//! handshakes and the first requests are in no figure.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::accounting;
use crate::process::{Process, Turn};

/// Seconds after which something hangs, whatever is asked.
const PATIENCE: &str = "60";

/// What is asked, and how.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) protocol: Protocol,
    pub(crate) path: &'static str,
    pub(crate) connections: u32,
    /// At a time on one connection.
    pub(crate) streams: u32,
    /// A file to send with each request.
    pub(crate) upload: Option<PathBuf>,
    pub(crate) headers: &'static [&'static str],
}

/// What h2load speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What became of it.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// On a CPU, of the proxy.
    pub(crate) nanoseconds: u64,
    pub(crate) per_second: f64,
}

/// Asks for `time`, as fast as it goes or, with `rate`, this often a second over all connections.
///
/// On a machine that is busy otherwise nothing may come back in a short time: then it asks for
/// longer, and what works slowly is not taken for what does not work.
pub(crate) fn timed(
    requests: &Requests,
    target: (SocketAddr, u32),
    time: Duration,
    rate: Option<f64>,
) -> Result<Outcome> {
    for time in [time, time * 4] {
        let outcome = timed_once(requests, target, time, rate)?;
        if outcome.requests > 0 {
            return Ok(outcome);
        }
    }
    let outcome = timed_once(requests, target, time * 16, rate)?;
    if outcome.requests == 0 {
        bail!("nothing was answered");
    }
    Ok(outcome)
}

fn timed_once(
    requests: &Requests,
    target: (SocketAddr, u32),
    time: Duration,
    rate: Option<f64>,
) -> Result<Outcome> {
    let mut command = requests.command();
    let warm_up = (time / 3).max(Duration::from_millis(200));
    command
        .args(["-D", &format!("{}ms", time.as_millis())])
        .arg(format!("--warm-up-time={}ms", warm_up.as_millis()));
    if let Some(rate) = rate {
        let each = (rate / f64::from(requests.connections)).round().max(1.0);
        command.arg(format!("--rps={each}"));
    }
    let mut outcome = requests.run(command, target)?;
    outcome.per_second = outcome.requests as f64 / time.as_secs_f64();
    Ok(outcome)
}

/// Asks `count` times.
pub(crate) fn counted(
    requests: &Requests,
    target: (SocketAddr, u32),
    count: u32,
) -> Result<Outcome> {
    let mut command = requests.command();
    command.args(["-n", &count.to_string()]);
    requests.run(command, target)
}

impl Requests {
    fn command(&self) -> Command {
        // Before a proxy that stands still with data in its buffers it never ends.
        let mut command = Command::new("timeout");
        command.args(["--foreground", "--kill-after=1", PATIENCE, "h2load"]);
        if self.protocol == Protocol::Http1 {
            command.arg("--h1");
        }
        command
            .args(["-c", &self.connections.to_string()])
            .args(["-m", &self.streams.to_string()]);
        if let Some(file) = &self.upload {
            command.arg("-d").arg(file);
        }
        for header in self.headers {
            command.args(["-H", header]);
        }
        command
    }

    fn run(&self, mut command: Command, (address, group): (SocketAddr, u32)) -> Result<Outcome> {
        command.arg(format!("https://{address}{}", self.path));
        let (mut from, mut to) = (accounting::cpu(group)?, None);
        let mut process = Process::speaking(&command, Turn::Fair)?;
        let mut output = BufReader::new(process.output()?);
        let mut line = String::new();
        let mut said = String::new();
        while output.read_line(&mut line)? > 0 {
            if line.starts_with("Main benchmark duration is started") {
                from = accounting::cpu(group)?;
            } else if line.starts_with("Main benchmark duration is over") {
                to = Some(accounting::cpu(group)?);
            } else if line.starts_with("finished in") {
                said.push_str(&line);
                output.read_to_string(&mut said)?;
            }
            line.clear();
        }
        process.wait().context("h2load")?;
        let to = to.map_or_else(|| accounting::cpu(group), Ok)?;
        let mut outcome = outcome(&said)?;
        outcome.nanoseconds = to.saturating_sub(from);
        Ok(outcome)
    }
}

/// Reads h2load's last lines; a request that was not answered as it should be is an error.
fn outcome(said: &str) -> Result<Outcome> {
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let counts = line("requests: ").context("h2load said nothing of its requests")?;
    let count = |name: &str| -> Option<u64> {
        let mut parts = counts.split(", ");
        let part = parts.find_map(|part| part.strip_suffix(name))?;
        part.trim().parse().ok()
    };
    let (done, succeeded) = (count("done"), count("succeeded"));
    let requests = done.context("h2load counted nothing")?;
    if succeeded != done || count("failed") != Some(0) {
        let codes = line("status codes: ").unwrap_or_default();
        bail!("h2load: {counts}; {codes}");
    }
    let per_second = line("finished in ").and_then(|text| {
        let rate = text.split(", ").nth(1)?.strip_suffix(" req/s")?;
        rate.parse().ok()
    });
    Ok(Outcome {
        requests,
        nanoseconds: 0,
        per_second: per_second.unwrap_or_default(),
    })
}
