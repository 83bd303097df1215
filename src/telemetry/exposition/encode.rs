//! The numbers of all workers into the text, family by family.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel, EncodeLabelSet,
    LabelSetEncoder, NoLabelSet,
};

use super::Sources;
use super::family::{self, Family};
use crate::telemetry::metrics::{
    Counter, DURATION_BOUNDS, Gauge, Histogram, Metrics, RequestCount,
};
use crate::telemetry::process::Process;
use crate::telemetry::record::Telemetry;

type Workers = [Arc<Telemetry>];

/// Writes families of [`family`].
pub(super) struct Encoder<'a>(DescriptorEncoder<'a>);

/// The names of a family's labels with the values of one sample.
struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [&'a str],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for label in self.names.iter().copied().zip(self.values.iter().copied()) {
            EncodeLabel::encode(&label, encoder.encode_label())?;
        }
        Ok(())
    }
}

impl<'a> Encoder<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    fn counter(&mut self, family: &Family, value: impl EncodeCounterValue) -> fmt::Result {
        self.counters::<_, 0>(family, [([], value)])
    }

    fn counters<'v, V: EncodeCounterValue, const N: usize>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> fmt::Result {
        let unit = family.unit();
        let kind = family.kind.metric_type();
        let mut metric = self
            .0
            .encode_descriptor(family.stem, family.help, unit.as_ref(), kind)?;
        for (values, value) in samples {
            let labels = labels(family, &values);
            if N == 0 {
                metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            } else {
                metric
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauge(&mut self, family: &Family, value: impl EncodeGaugeValue) -> fmt::Result {
        self.gauges::<_, 0>(family, [([], value)])
    }

    fn gauges<'v, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> fmt::Result {
        let unit = family.unit();
        let kind = family.kind.metric_type();
        let mut metric = self
            .0
            .encode_descriptor(family.stem, family.help, unit.as_ref(), kind)?;
        for (values, value) in samples {
            let labels = labels(family, &values);
            if N == 0 {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        family: &Family,
        workers: &Workers,
        find: fn(&Metrics) -> &Histogram,
    ) -> fmt::Result {
        let mut counts = [0; DURATION_BOUNDS.len() + 1];
        let mut sum = 0.0;
        for worker in workers {
            let histogram = find(&worker.metrics);
            for (count, more) in counts.iter_mut().zip(histogram.buckets()) {
                *count += more;
            }
            sum += histogram.sum().as_secs_f64();
        }
        let bounds = DURATION_BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let unit = family.unit();
        let kind = family.kind.metric_type();
        self.0
            .encode_descriptor(family.stem, family.help, unit.as_ref(), kind)?
            // The count is that of the buckets, which were read one after the other.
            .encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn info(&mut self, family: &Family, values: &[&str]) -> fmt::Result {
        let kind = family.kind.metric_type();
        self.0
            .encode_descriptor(family.stem, family.help, None, kind)?
            .encode_info(&labels(family, values))
    }
}

fn labels<'v>(family: &Family, values: &'v [&'v str]) -> Labels<'v> {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.stem);
    Labels {
        names: family.labels,
        values,
    }
}

fn sum(workers: &Workers, find: fn(&Metrics) -> &Counter) -> u64 {
    workers.iter().map(|w| find(&w.metrics).value()).sum()
}

fn level(workers: &Workers, find: fn(&Metrics) -> &Gauge) -> i64 {
    workers.iter().map(|w| find(&w.metrics).value()).sum()
}

pub(super) fn requests(page: &mut Encoder<'_>, workers: &Workers) -> fmt::Result {
    let counts = RequestCount::over(workers.iter().map(|worker| &worker.metrics));
    let counts: Vec<_> = counts
        .into_iter()
        .map(|count| {
            let labels = (count.code.to_string(), count.method, count.protocol);
            (labels, count.value)
        })
        .collect();
    let samples = counts
        .iter()
        .map(|((code, method, protocol), value)| ([code.as_str(), method, protocol], *value));
    page.counters(&family::REQUESTS, samples)?;
    page.histogram(&family::REQUEST_DURATION, workers, |m| &m.request_duration)?;
    page.histogram(&family::UPSTREAM_DURATION, workers, |m| {
        &m.upstream_duration
    })?;
    page.histogram(&family::OVERHEAD, workers, |m| &m.overhead)?;
    let in_flight = level(workers, |m| &m.requests_in_flight);
    page.gauge(&family::IN_FLIGHT, in_flight)?;
    page.counter(&family::REQUEST_BYTES, sum(workers, |m| &m.request_bytes))?;
    page.counter(&family::RESPONSE_BYTES, sum(workers, |m| &m.response_bytes))
}

pub(super) fn connections(page: &mut Encoder<'_>, workers: &Workers) -> fmt::Result {
    page.gauges(
        &family::CONNECTIONS,
        [
            (
                ["handshaking"],
                level(workers, |m| &m.connections.handshaking),
            ),
            (["http1"], level(workers, |m| &m.connections.http1)),
            (["http2"], level(workers, |m| &m.connections.http2)),
            (["raw"], level(workers, |m| &m.connections.raw)),
        ],
    )?;
    page.counters(
        &family::CONNECTIONS_ENDED,
        [
            (["closed"], sum(workers, |m| &m.connections.closed)),
            (["failed"], sum(workers, |m| &m.connections.failed)),
            (["timed_out"], sum(workers, |m| &m.connections.timed_out)),
            (["flooded"], sum(workers, |m| &m.connections.flooded)),
        ],
    )?;
    page.counter(&family::CONNECTIONS_CUT, sum(workers, |m| &m.cut))?;
    handshakes(page, workers)?;
    page.histogram(&family::HANDSHAKE_DURATION, workers, |m| {
        &m.handshake_duration
    })?;
    page.counter(&family::ACCEPT_ERRORS, sum(workers, |m| &m.accept_errors))?;
    page.counter(&family::PANICS, sum(workers, |m| &m.panics))
}

fn handshakes(page: &mut Encoder<'_>, workers: &Workers) -> fmt::Result {
    const NONE: &str = "none";
    let ok = |version, resumed, find| (["ok", NONE, version, resumed], sum(workers, find));
    let succeeded = [
        ok("1.2", "false", |m| &m.handshakes.tls12),
        ok("1.2", "true", |m| &m.handshakes.tls12_resumed),
        ok("1.3", "false", |m| &m.handshakes.tls13),
        ok("1.3", "true", |m| &m.handshakes.tls13_resumed),
    ];
    let mut failed: Vec<([&str; 4], u64)> = Vec::new();
    for worker in workers {
        for (at, (reason, count)) in worker.metrics.handshake_failures().enumerate() {
            match failed.get_mut(at) {
                Some((_, total)) => *total += count,
                None => failed.push((["failed", reason, NONE, "false"], count)),
            }
        }
    }
    page.counters(&family::HANDSHAKES, succeeded.into_iter().chain(failed))
}

pub(super) fn upstream(page: &mut Encoder<'_>, sources: &Sources) -> fmt::Result {
    let workers = &*sources.workers;
    page.gauges(
        &family::UPSTREAM_CONNECTIONS,
        [
            (["active"], level(workers, |m| &m.upstream.active)),
            (["idle"], level(workers, |m| &m.upstream.idle)),
        ],
    )?;
    page.counters(
        &family::UPSTREAM_OPENED,
        [
            (["ok"], sum(workers, |m| &m.upstream.opened)),
            (["failed"], sum(workers, |m| &m.upstream.failed)),
        ],
    )?;
    let retries = sum(workers, |m| &m.upstream.retries);
    page.counter(&family::UPSTREAM_RETRIES, retries)?;
    if let Some(is_up) = sources.state.upstream_up {
        page.gauge(&family::UPSTREAM_UP, i64::from(is_up))?;
    }
    match sources.state.upstream_exposed {
        Some(sockets) => page.gauge(&family::UPSTREAM_EXPOSED, sockets),
        None => Ok(()),
    }
}

pub(super) fn certificates(page: &mut Encoder<'_>, sources: &Sources) -> fmt::Result {
    let metrics = &sources.certificate_metrics;
    let ends = sources.certificates.iter().map(|certificate| {
        let labels = [certificate.name.as_str(), certificate.sha256.as_str()];
        (labels, unix(certificate.not_after))
    });
    page.gauges(&family::CERTIFICATE_NOT_AFTER, ends)?;
    let reloads = metrics.all_reloads();
    page.counters(
        &family::CERTIFICATE_RELOADS,
        reloads.map(|(result, reason, count)| ([result, reason], count)),
    )?;
    page.gauge(&family::RELOADS_FAILING, sources.failing_certificates)?;
    page.gauge(
        &family::LAST_RELOAD_SUCCESS,
        metrics.last_reload_success.value(),
    )?;
    page.counter(&family::CERTIFICATE_LOADS, metrics.loads.value())?;
    for (family, gauge) in [
        (&family::WATCH_DEGRADED, &metrics.watch_degraded),
        (&family::FROZEN_MOUNTS, &metrics.frozen_mounts),
        (&family::RENEWALS_OVERDUE, &metrics.renewals_overdue),
        (&family::EXPIRED, &metrics.expired),
        (&family::NAMES_LOST, &metrics.names_lost),
    ] {
        page.gauge(family, gauge.value())?;
    }
    Ok(())
}

pub(super) fn clients(page: &mut Encoder<'_>, sources: &Sources) -> fmt::Result {
    let Some(trust) = &sources.trust else {
        return Ok(());
    };
    let each = || trust.authorities.iter();
    let handshakes = each().map(|one| ([one.sha256.as_str()], one.handshakes));
    page.counters(&family::CLIENT_HANDSHAKES, handshakes)?;
    let ends = each().map(|one| ([one.sha256.as_str()], unix(one.not_after)));
    page.gauges(&family::CLIENT_AUTHORITY_NOT_AFTER, ends)?;
    if let Some(end) = trust.next_update {
        page.gauge(&family::CLIENT_LISTS_END, unix(end))?;
    }
    page.gauge(&family::CLIENT_TRUST_FAILING, i64::from(trust.is_failing))?;
    let workers = &*sources.workers;
    page.counter(
        &family::CLIENTS_REFUSED,
        sum(workers, |m| &m.clients.refused),
    )?;
    let mut ended: Vec<([&str; 1], u64)> = Vec::new();
    for worker in workers {
        for (at, (reason, count)) in worker.metrics.clients.ended().enumerate() {
            match ended.get_mut(at) {
                Some((_, total)) => *total += count,
                None => ended.push(([reason], count)),
            }
        }
    }
    page.counters(&family::CLIENTS_ENDED, ended)
}

pub(super) fn state(page: &mut Encoder<'_>, sources: &Sources) -> fmt::Result {
    let state = &sources.state;
    if !state.conditions.is_empty() {
        let is_ready = state.conditions.iter().all(|(_, holds)| *holds);
        page.gauge(&family::READY, i64::from(is_ready))?;
        let conditions = state.conditions.iter();
        let conditions = conditions.map(|(name, holds)| ([*name], i64::from(*holds)));
        page.gauges(&family::READY_CONDITION, conditions)?;
    }
    page.gauge(&family::DRAINING, i64::from(state.is_draining))?;
    page.counters(&family::LOG_LINES_LOST, sources.lost_lines.counts())?;
    let revision = option_env!("TLS_SIDECAR_REVISION").unwrap_or("unknown");
    page.info(&family::BUILD, &[env!("CARGO_PKG_VERSION"), revision])
}

pub(super) fn process(page: &mut Encoder<'_>, process: &Process) -> fmt::Result {
    page.counter(&family::PROCESS_CPU, process.cpu_seconds)?;
    page.gauge(&family::PROCESS_START, process.start_time_seconds)?;
    page.gauge(&family::PROCESS_RESIDENT, process.resident_bytes)?;
    page.gauge(&family::PROCESS_VIRTUAL, process.virtual_bytes)?;
    page.gauge(&family::PROCESS_OPEN_FDS, process.open_fds)?;
    page.gauge(&family::PROCESS_MAX_FDS, process.max_fds)?;
    page.gauge(&family::PROCESS_THREADS, process.threads)
}

fn unix(at: SystemTime) -> i64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
