//! When requests are due: evenly spread over time and over connections, the same for every proxy.
//!
//! Timers of the runtime tick by the millisecond, and whatever is due within one would be sent at
//! once. So a thread sleeps to each moment and tells the connection whose turn it is.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::thread::set_current_timer_slack;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::accounting;

/// Whoever is behind by more has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Requests a second over all connections; without, each when the one before is answered.
    pub(crate) rate: Option<f64>,
    /// Requests that a connection sends at once, at a rate.
    pub(crate) together: u32,
    pub(crate) time: Duration,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of every answer, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// Answers that came before the time was over.
    pub(crate) timely: u64,
    /// Requests that were sent and got no answer.
    pub(crate) lost: u64,
    /// Connections that the proxy closed between two requests.
    pub(crate) closed: u64,
}

/// Open connections that can ask.
pub(crate) trait Clients {
    /// Asks at this pace, until the last answer is there.
    async fn ask(&mut self, pace: Pace) -> Result<Tally>;
}

/// When one connection is to ask.
pub(crate) struct Beats {
    /// None where it asks without end.
    due: Option<UnboundedReceiver<Instant>>,
    end: Instant,
}

/// Asks at this pace, and measures the CPU time of the proxy in nanoseconds; what comes before,
/// so that nothing is new to the proxy, is in no figure.
pub(crate) async fn measured(
    clients: &mut impl Clients,
    group: u32,
    pace: Pace,
) -> Result<(Tally, u64)> {
    let time = (pace.time / 3).max(Duration::from_millis(200));
    clients.ask(Pace { time, ..pace }).await?;
    let before = accounting::cpu(group)?;
    let tally = clients.ask(pace).await?;
    let nanoseconds = accounting::cpu(group)?.saturating_sub(before);
    Ok((tally, nanoseconds))
}

/// Begins now; one for each connection, by turns.
pub(crate) fn begin(pace: Pace, connections: usize) -> Vec<Beats> {
    let start = Instant::now();
    let end = start + pace.time;
    let Some(rate) = pace.rate else {
        let endless = || Beats { due: None, end };
        return (0..connections).map(|_| endless()).collect();
    };
    let channels = (0..connections).map(|_| unbounded_channel());
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    thread::spawn(move || {
        // Where it cannot be had, signals are late by some 50 µs, for everybody.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let turn = f64::from(pace.together) / rate;
        for (number, sender) in (0_u32..).zip(senders.iter().cycle()) {
            let due = start + Duration::from_secs_f64(f64::from(number) * turn);
            if due >= end {
                return;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // How late this thread is is not the proxy's.
            let now = Instant::now();
            // A connection that has failed ends the others with it, and says why.
            if (0..pace.together).any(|_| sender.send(now).is_err()) {
                return;
            }
        }
    });
    let beats = |due| Beats {
        due: Some(due),
        end,
    };
    receivers.into_iter().map(beats).collect()
}

impl Beats {
    /// Waits until the next is due; since when it is, or nothing when there is none any more.
    ///
    /// What has to wait for answers to others is due meanwhile: it is late, and its time says so.
    pub(crate) async fn next(&mut self) -> Result<Option<Instant>> {
        let Some(due) = &mut self.due else {
            let now = Instant::now();
            return Ok((now < self.end).then_some(now));
        };
        let due = due.recv().await;
        if due.is_some_and(|due| due.elapsed() > PATIENCE) {
            bail!("hopelessly late");
        }
        Ok(due)
    }
}

impl Tally {
    /// Of all connections.
    pub(crate) fn sum(each: Vec<Result<Self>>) -> Result<Self> {
        let mut total = Self::default();
        for tally in each {
            let tally = tally?;
            total.latencies.extend(tally.latencies);
            total.timely += tally.timely;
            total.lost += tally.lost;
            total.closed += tally.closed;
        }
        Ok(total)
    }

    /// An answer has come to what was due at this moment.
    pub(crate) fn answered(&mut self, due: Instant, beats: &Beats) {
        let took = u32::try_from(due.elapsed().as_micros());
        self.latencies.push(took.unwrap_or(u32::MAX));
        self.timely += u64::from(Instant::now() < beats.end);
    }
}
