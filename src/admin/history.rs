//! The last minutes: a sample every few seconds, for rates and percentiles.
//!
//! Counters only grow, so a sample is the difference to the one before. Invariant: the ring has a
//! fixed size, and taking a sample reads atomics and nothing else.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::{Admin, Serving};
use crate::telemetry::metrics::{DURATION_BOUNDS, Metrics};

/// Between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// Samples that are kept: ten minutes.
pub(super) const KEPT: usize = 120;
const BUCKETS: usize = DURATION_BOUNDS.len() + 1;

/// What happened in one step of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// How long the step was.
    pub(super) seconds: f64,
    /// Requests answered in it, by how long that took.
    pub(super) durations: [u64; BUCKETS],
    /// Requests that were being answered at its end.
    pub(super) in_flight: i64,
    /// Connections of clients at its end.
    pub(super) connections: i64,
}

/// Rate and percentiles over some time.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Figures {
    /// Requests a second.
    pub(super) per_second: f64,
    /// Half took no longer, in milliseconds; `None` when there was no request.
    pub(super) p50_ms: Option<f64>,
    /// Nine tenths took no longer.
    pub(super) p90_ms: Option<f64>,
    /// All but a hundredth took no longer.
    pub(super) p99_ms: Option<f64>,
}

/// The ring.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    last: Option<(Instant, [u64; BUCKETS])>,
}

/// Takes samples for ever.
pub(super) async fn keep(admin: &Admin) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Some(serving) = admin.serving.get() {
            of(admin).take(serving, Instant::now());
        }
    }
}

/// The ring, for as long as the guard is held: never over an await.
pub(super) fn of(admin: &Admin) -> MutexGuard<'_, History> {
    admin.history.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    fn take(&mut self, serving: &Serving, now: Instant) {
        let workers = || serving.telemetry.iter().map(|worker| &worker.metrics);
        let mut total = [0; BUCKETS];
        for metrics in workers() {
            add(&mut total, &metrics.request_duration.buckets());
        }
        let in_flight = workers().map(|m| m.requests_in_flight.value()).sum();
        let connections = workers().map(connections).sum();
        self.push(now, total, in_flight, connections);
    }

    fn push(&mut self, now: Instant, total: [u64; BUCKETS], in_flight: i64, connections: i64) {
        let Some((then, before)) = self.last.replace((now, total)) else {
            return;
        };
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            seconds: now.duration_since(then).as_secs_f64(),
            durations: std::array::from_fn(|at| total[at].saturating_sub(before[at])),
            in_flight,
            connections,
        });
    }

    /// Every sample, the oldest first.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Figures over the last `count` samples.
    pub(super) fn figures(&self, count: usize) -> Figures {
        let first = self.samples.len().saturating_sub(count);
        Figures::over(self.samples.range(first..))
    }
}

impl Figures {
    /// Figures over `samples` together.
    pub(super) fn over<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let (mut durations, mut seconds) = ([0; BUCKETS], 0.0);
        for sample in samples {
            add(&mut durations, &sample.durations);
            seconds += sample.seconds;
        }
        let requests: u64 = durations.iter().sum();
        #[allow(
            clippy::cast_precision_loss,
            reason = "a rate for a person, and counts stay far below 2^52"
        )]
        let requests = requests as f64;
        let milliseconds = |part| percentile(&durations, part).map(|seconds| seconds * 1e3);
        Self {
            per_second: if seconds > 0.0 {
                requests / seconds
            } else {
                0.0
            },
            p50_ms: milliseconds(0.5),
            p90_ms: milliseconds(0.9),
            p99_ms: milliseconds(0.99),
        }
    }
}

/// Connections of clients, whatever they are doing.
pub(super) fn connections(metrics: &Metrics) -> i64 {
    let open = &metrics.connections;
    open.handshaking.value() + open.http1.value() + open.http2.value() + open.raw.value()
}

fn add(total: &mut [u64; BUCKETS], more: &[u64; BUCKETS]) {
    for (total, more) in total.iter_mut().zip(more) {
        *total += more;
    }
}

/// The duration in seconds that `part` of those counted did not exceed, as Prometheus's
/// `histogram_quantile` reckons: evenly within a bucket, and the last bound for what is beyond it.
#[allow(
    clippy::cast_precision_loss,
    reason = "an estimate, and counts stay far below 2^52"
)]
fn percentile(buckets: &[u64; BUCKETS], part: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let rank = part * all as f64;
    let (mut below, mut low) = (0.0, 0.0);
    for (count, high) in buckets.iter().zip(DURATION_BOUNDS) {
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return Some(low + (high - low) * (rank - below) / count);
        }
        below += count;
        low = high;
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(usize, u64)]) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for (at, count) in pairs {
            counts[*at] = *count;
        }
        counts
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        // All between 0.5 and 1 ms.
        let one = counts(&[(2, 100)]);
        assert_eq!(percentile(&one, 0.5), Some(0.00075));
        assert_eq!(percentile(&one, 1.0), Some(0.001));
        let two = counts(&[(0, 90), (BUCKETS - 1, 10)]);
        assert_eq!(percentile(&two, 0.5), Some(0.0001 * 50.0 / 90.0));
        assert_eq!(percentile(&two, 0.99), Some(10.0));
        assert_eq!(percentile(&counts(&[]), 0.5), None);
    }

    #[test]
    fn rates_are_of_the_samples_asked_for_and_the_ring_is_bounded() {
        let (mut history, start) = (History::default(), Instant::now());
        for step in 0..1000 {
            let total = counts(&[(2, step * 50)]);
            let at = start + EVERY * u32::try_from(step).unwrap();
            history.push(at, total, 1, 2);
        }
        assert_eq!(history.samples().count(), KEPT);
        let figures = history.figures(12);
        assert_eq!(figures.per_second, 10.0);
        assert_eq!(figures.p50_ms, Some(0.75));
        assert_eq!(History::default().figures(12).per_second, 0.0);
    }
}
