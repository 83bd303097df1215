//! One round of a case at one proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Case, Pace, Sessions, Work, memory};
use crate::accounting;
use crate::credentials::{Credentials, Exchange};
use crate::generators::h2load::{self, Outcome, Protocol, Requests};
use crate::generators::pace::{self, Clients, Tally};
use crate::generators::{handshakes, steady, storm, streams, websocket};
use crate::peers::Running;
use crate::sample::{Metric, P99, Sample, higher, lower};

const CPU_REQUEST: Metric = lower("cpu_us", "CPU per request, µs");
const CPU_TRANSFER: Metric = lower("cpu_ms", "CPU per 100 MB, ms");
const CPU_HANDSHAKE: Metric = lower("cpu_us", "CPU per connection, µs");
const CPU_MESSAGE: Metric = lower("cpu_us", "CPU per message, µs");
const REQUESTS: Metric = higher("per_second", "requests/s");
const CONNECTIONS: Metric = higher("per_second", "connections/s");
const MESSAGES: Metric = higher("per_second", "messages/s");
const SPEED: Metric = higher("mb_per_second", "MB/s");
const STORM: Metric = higher("handshakes_per_second", "handshakes/s meanwhile");
const BUSIEST: Metric = lower("busiest_percent", "CPU of the busiest worker, % of all");
const LOST: Metric = lower("lost", "requests lost a rotation");
const CLOSED: Metric = lower("closed", "connections closed a rotation");

/// Below this part of what was asked a rate was not held.
const HELD: f64 = 0.97;
/// What a client of HTTP/2 asks at once on a connection, as for the parts of a page.
const TOGETHER: u32 = 8;
/// What our client and the application hold on their CPU without being what is measured.
const MOST: f64 = 10_000.0;
const STORM_RATE: f64 = 1000.0;
const ROTATION_RATE: f64 = 800.0;
const OPEN: u32 = 16;

/// Where a proxy listens, and its process group.
type Target = (SocketAddr, u32);

/// What every measurement needs.
pub(crate) struct Bench<'a> {
    pub(crate) credentials: &'a Credentials,
    /// Where files to send are, and may be written.
    pub(crate) directory: &'a Path,
    /// How long one measurement takes.
    pub(crate) time: Duration,
    pub(crate) extent: Extent,
    pub(crate) runtime: &'a tokio::runtime::Runtime,
}

/// Whether figures matter, or only that everything works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Quick,
    Full,
}

impl Bench<'_> {
    /// One round of `case` at `proxy`; `half` is the rate for [`Pace::HalfOfSlowest`].
    pub(crate) fn measure(&self, case: &Case, proxy: &Running, half: f64) -> Result<Sample> {
        let target = (proxy.address, proxy.group());
        match &case.work {
            Work::Requests(requests, pace) => self.requests(requests, *pace, half, target),
            Work::Transfer(requests) => self.transfer(requests, target),
            Work::Handshakes(exchange, sessions) => self.handshakes(*exchange, *sessions, target),
            Work::WebSocket(pace) => self.websocket(pace.rate(half), target),
            Work::Storm => self.storm(proxy),
            Work::Rotation => self.rotation(proxy),
            Work::Workers(requests, rate) => self.workers(requests, *rate, target),
            Work::Memory(crowd) => memory::come(*crowd, self, proxy),
        }
    }

    fn requests(
        &self,
        requests: &Requests,
        pace: Pace,
        half: f64,
        target: Target,
    ) -> Result<Sample> {
        let requests = self.with_file(requests);
        if pace == Pace::HalfOfSlowest {
            let (tally, nanoseconds) = self.paced(&requests, Some(half), target)?;
            return Ok(self.told(tally, nanoseconds, Some(half), (CPU_REQUEST, REQUESTS)));
        }
        let rate = pace.rate(half);
        let outcome = h2load::timed(&requests, target, self.time, rate)?;
        let sample = Sample {
            short: rate.is_some_and(|rate| outcome.per_second < HELD * rate),
            ..Sample::default()
        };
        Ok(sample
            .with(CPU_REQUEST, per_unit(&outcome, 1e3))
            .with(REQUESTS, outcome.per_second))
    }

    /// At a rate, since the worker beside which load and application run has less of a CPU: where
    /// each does what it can, it is their shares of the CPUs that are measured.
    fn workers(&self, requests: &Requests, rate: f64, target: Target) -> Result<Sample> {
        let before = accounting::workers(target.1)?;
        let (tally, _) = self.paced(requests, Some(rate), target)?;
        let after = accounting::workers(target.1)?;
        let used = after.iter().map(|(name, now)| {
            let before = before.get(name).copied().unwrap_or_default();
            now.saturating_sub(before) as f64
        });
        let used: Vec<f64> = used.collect();
        if used.len() != 2 {
            bail!("{} workers where there are to be two", used.len());
        }
        let busiest = used.iter().copied().fold(0.0, f64::max);
        let per_second = tally.timely as f64 / self.time.as_secs_f64();
        let sample = Sample {
            short: per_second < HELD * rate,
            ..Sample::default()
        };
        Ok(sample
            .with(BUSIEST, 100.0 * busiest / used.iter().sum::<f64>())
            .with(REQUESTS, per_second))
    }

    fn transfer(&self, requests: &Requests, target: Target) -> Result<Sample> {
        let count = match self.extent {
            Extent::Quick => 1,
            Extent::Full => 3,
        };
        let outcome = h2load::counted(&self.with_file(requests), target, count)?;
        Ok(Sample::default()
            .with(CPU_TRANSFER, per_unit(&outcome, 1e6))
            .with(SPEED, outcome.per_second * 100.0))
    }

    fn handshakes(&self, exchange: Exchange, sessions: Sessions, target: Target) -> Result<Sample> {
        let config = match sessions {
            Sessions::New => self.credentials.client(exchange),
            Sessions::Resumed => self.credentials.resuming_client(),
        };
        let tally = handshakes::run(config, target, self.time)?;
        let expected = match sessions {
            Sessions::New => 0,
            Sessions::Resumed => tally.connections,
        };
        if tally.resumed != expected {
            bail!(
                "resumed {} of {} sessions",
                tally.resumed,
                tally.connections
            );
        }
        let count = tally.connections as f64;
        Ok(Sample::default()
            .with(CPU_HANDSHAKE, tally.nanoseconds as f64 / count / 1e3)
            .with(CONNECTIONS, count / tally.took.as_secs_f64()))
    }

    /// Requests at a rate: their tally, and the CPU time of the proxy.
    fn paced(
        &self,
        requests: &Requests,
        rate: Option<f64>,
        (address, group): Target,
    ) -> Result<(Tally, u64)> {
        let config = self.credentials.client(Exchange::X25519);
        let pace = pace::Pace {
            rate,
            together: match requests.protocol {
                Protocol::Http1 => 1,
                Protocol::Http2 => TOGETHER,
            },
            time: self.time,
        };
        let (tally, nanoseconds) = self.runtime.block_on(async {
            match requests.protocol {
                Protocol::Http1 => {
                    let (connections, path) = (requests.connections, requests.path);
                    let mut clients =
                        steady::Clients::connect(config, address, connections, path).await?;
                    pace::measured(&mut clients, group, pace).await
                }
                Protocol::Http2 => {
                    let mut clients = streams::Clients::connect(config, address, requests).await?;
                    pace::measured(&mut clients, group, pace).await
                }
            }
        })?;
        if tally.lost > 0 {
            bail!("{} requests were lost", tally.lost);
        }
        Ok((tally, nanoseconds))
    }

    fn websocket(&self, rate: Option<f64>, (address, group): Target) -> Result<Sample> {
        let config = self.credentials.client(Exchange::X25519);
        let pace = pace::Pace {
            rate,
            together: 1,
            time: self.time,
        };
        let (tally, nanoseconds) = self.runtime.block_on(async {
            let mut clients = websocket::Clients::connect(config, address, 32).await?;
            pace::measured(&mut clients, group, pace).await
        })?;
        Ok(self.told(tally, nanoseconds, rate, (CPU_MESSAGE, MESSAGES)))
    }

    /// What a tally says: CPU time for each answer, answers a second, latencies.
    fn told(
        &self,
        tally: Tally,
        nanoseconds: u64,
        rate: Option<f64>,
        (cpu, speed): (Metric, Metric),
    ) -> Sample {
        let per_second = tally.timely as f64 / self.time.as_secs_f64();
        let sample = Sample {
            short: rate.is_some_and(|rate| per_second < HELD * rate),
            ..Sample::default()
        };
        let each = nanoseconds as f64 / tally.latencies.len() as f64;
        sample
            .with(cpu, each / 1e3)
            .with(speed, per_second)
            .with_latencies(tally.latencies)
    }

    fn storm(&self, proxy: &Running) -> Result<Sample> {
        let time = self.time * 2;
        let rise = Duration::from_millis(200);
        let mut clients = self.open(proxy, STORM_RATE)?;
        let storm = storm::start(proxy.address, time + rise)?;
        // What comes before it rages is no storm.
        std::thread::sleep(rise);
        let tally = self.ask(&mut clients, STORM_RATE, time)?;
        if tally.lost > 0 {
            bail!("{} requests on open connections were lost", tally.lost);
        }
        let served = storm.served()?;
        let sample = Sample {
            short: served < HELD,
            ..Sample::default()
        };
        let sample = sample.with_latencies(tally.latencies);
        Ok(sample.led_by(P99).with(STORM, served * storm::rate()))
    }

    fn rotation(&self, proxy: &Running) -> Result<Sample> {
        let count = self.time.as_secs().max(2);
        let mut clients = self.open(proxy, ROTATION_RATE)?;
        let start = Instant::now();
        let rotate = || -> Result<()> {
            for turn in 0..count {
                // In the middle of its second, so that the last has its time too.
                let due = start + Duration::from_millis(turn * 1000 + 500);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let turn = usize::try_from(turn)? + 1;
                proxy.rotate(self.credentials.by_turns(turn))?;
            }
            Ok(())
        };
        let (tally, rotated) = std::thread::scope(|scope| {
            let rotating = scope.spawn(rotate);
            let tally = self.ask(&mut clients, ROTATION_RATE, Duration::from_secs(count));
            (tally, rotating.join())
        });
        match rotated {
            Ok(rotated) => rotated?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let tally = tally?;
        let rotations = count as f64;
        let sample = Sample::default()
            .with(LOST, tally.lost as f64 / rotations)
            .with(CLOSED, tally.closed as f64 / rotations);
        Ok(sample.with_latencies(tally.latencies))
    }

    /// Connections that have had their first requests, as one in a hundred would be such otherwise.
    fn open(&self, proxy: &Running, rate: f64) -> Result<steady::Clients> {
        let config = self.credentials.client(Exchange::X25519);
        let connecting = steady::Clients::connect(config, proxy.address, OPEN, "/small");
        let mut clients = self.runtime.block_on(connecting)?;
        self.ask(&mut clients, rate, Duration::from_millis(200))?;
        Ok(clients)
    }

    fn ask(&self, clients: &mut steady::Clients, rate: f64, time: Duration) -> Result<Tally> {
        let pace = pace::Pace {
            rate: Some(rate),
            together: 1,
            time,
        };
        self.runtime.block_on(clients.ask(pace))
    }

    /// With the file to send, which is in the run's directory.
    fn with_file(&self, requests: &Requests) -> Requests {
        let mut requests = requests.clone();
        if let Some(file) = &mut requests.upload {
            *file = self.directory.join(&*file);
        }
        requests
    }
}

impl Pace {
    fn rate(self, half: f64) -> Option<f64> {
        match self {
            Pace::Saturated => None,
            Pace::Rate(rate) => Some(rate),
            Pace::HalfOfSlowest => Some(half),
        }
    }
}

/// Half of the requests a second that the slowest of `proxies` can do, [`MOST`] at most; 0 where
/// that is not asked. What fails here fails in its round too, and is told there.
pub(crate) fn calibrate(bench: &Bench<'_>, case: &Case, proxies: &[&Running]) -> f64 {
    let Work::Requests(requests, Pace::HalfOfSlowest) = &case.work else {
        return 0.0;
    };
    let speeds = proxies.iter().filter_map(|proxy| {
        let target = (proxy.address, proxy.group());
        let outcome = h2load::timed(requests, target, bench.time, None);
        outcome.ok().map(|outcome| outcome.per_second)
    });
    let slowest = speeds.reduce(f64::min).unwrap_or(0.0);
    // In round numbers, for whoever reads of it.
    ((slowest / 200.0).floor().max(1.0) * 100.0).min(MOST)
}

fn per_unit(outcome: &Outcome, nanoseconds: f64) -> f64 {
    outcome.nanoseconds as f64 / outcome.requests as f64 / nanoseconds
}
