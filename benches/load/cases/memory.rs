//! Memory: at rest, with many idle connections, and when they have gone.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::measure::{Bench, Extent};
use crate::accounting;
use crate::credentials::Exchange;
use crate::generators::crowd;
use crate::peers::Running;
use crate::sample::{Metric, Sample, lower};

const PER_CONNECTION: Metric = lower("kib_per_connection", "per idle connection, KiB");
const REST: Metric = lower("rest_mib", "at rest, MiB");
const PEAK: Metric = lower("peak_mib", "with the crowd, MiB");
const AFTER: Metric = lower("after_mib", "a minute after, MiB");
const RETURN: Metric = lower("after_over_rest", "a minute after, parts of rest");

/// As many as a proxy that sets two descriptors aside for each can have below the usual hard limit
/// of 20,000.
const PEAK_CONNECTIONS: usize = 9800;
/// Seconds for which memory is given time to settle, and the part by which two readings, two
/// seconds apart, may differ then.
const SETTLED: usize = 10;
const SAME: f64 = 0.01;
const MIB: f64 = 1024.0 * 1024.0;

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// 3,000 connections that have a request each and stay idle.
    Idle,
    /// [`PEAK_CONNECTIONS`], which then leave.
    Peak,
}

/// How long a crowd has been gone when a proxy is to be as it was.
pub(crate) fn recovery(extent: Extent) -> Duration {
    match extent {
        Extent::Quick => Duration::from_secs(1),
        Extent::Full => Duration::from_secs(60),
    }
}

/// The crowd comes, is measured and leaves.
pub(super) fn come(crowd: Crowd, bench: &Bench<'_>, proxy: &Running) -> Result<Sample> {
    let (count, patience) = match (crowd, bench.extent) {
        (Crowd::Idle, Extent::Full) => (3000, SETTLED),
        // As soon as it is there: what becomes of it as it idles is the other case's.
        (Crowd::Peak, Extent::Full) => (PEAK_CONNECTIONS, 1),
        (_, Extent::Quick) => (300, 1),
    };
    let rest = accounting::memory(proxy.group())?;
    let config = bench.credentials.client(Exchange::X25519);
    let crowd_here = crowd::gather(config, proxy.address, count)?;
    let peak = settled(proxy, patience)?;
    drop(crowd_here);
    let sample = Sample::default();
    Ok(match crowd {
        Crowd::Idle => sample
            .with(PER_CONNECTION, (peak - rest) / count as f64 / 1024.0)
            .with(REST, rest / MIB),
        Crowd::Peak => sample.with(REST, rest / MIB).with(PEAK, peak / MIB),
    })
}

/// Memory when it has settled, or after so many seconds.
///
/// Clients leave connections idle for minutes, and a proxy may give back some of what a connection
/// took only when it has idled for a while.
fn settled(proxy: &Running, patience: usize) -> Result<f64> {
    let mut readings: Vec<f64> = Vec::new();
    while readings.len() < patience {
        sleep(Duration::from_secs(1));
        let now = accounting::memory(proxy.group())?;
        readings.push(now);
        if let [.., before, _, _] = readings[..]
            && (now - before).abs() < before * SAME
        {
            break;
        }
    }
    readings.pop().context("nothing was read")
}

/// Completes `sample` when the crowd has been gone for [`recovery`].
pub(crate) fn recovered(sample: Sample, proxy: &Running) -> Result<Sample> {
    let after = accounting::memory(proxy.group())? / MIB;
    let rest = sample.values.iter().find(|(metric, _)| *metric == REST);
    let rest = rest.map_or(f64::NAN, |(_, value)| *value);
    let sample = sample.with(AFTER, after).with(RETURN, after / rest);
    Ok(sample.led_by(RETURN))
}
