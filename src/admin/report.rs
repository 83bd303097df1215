//! Everything there is to know, as data: for `/status`, `/certs`, `/config` and the page.
//!
//! Made at the moment of asking. Invariant: a path, a name or an error is passed on as it is;
//! whoever shows it escapes it for where it is shown.

mod certificates;
mod trust;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::history::{self, Figures};
use super::{Admin, Serving, handshake_words, moment, probes};
use crate::config::Shown;
use crate::drain::Stage;
use crate::telemetry::metrics::{Counter, Gauge, Metrics};
use crate::tls::PROVIDER_NAME;
pub(super) use certificates::{Certificate, Certificates, Facts, Reload};
pub(super) use trust::{ClientTrust, TrustedAuthority};

/// Samples that make the figures of now: one minute.
const MINUTE: usize = 12;

/// The state of the sidecar.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) revision: &'static str,
    pub(super) tls_provider: &'static str,
    pub(super) now: String,
    pub(super) started: String,
    pub(super) uptime_seconds: u64,
    pub(super) stage: &'static str,
    pub(super) ready: bool,
    pub(super) conditions: Vec<Found>,
    pub(super) listeners: Vec<String>,
    pub(super) log_level: Option<String>,
    pub(super) upstream: Upstream,
    /// What is known only while serving.
    pub(super) traffic: Option<Traffic>,
    pub(super) certificates: Option<Certificates>,
}

/// One condition of readiness.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) name: &'static str,
    pub(super) holds: bool,
    pub(super) words: String,
}

/// The application.
#[derive(Debug, Serialize)]
pub(super) struct Upstream {
    pub(super) target: String,
    pub(super) reached: Option<bool>,
    pub(super) since: Option<String>,
    pub(super) error: Option<String>,
    /// Sockets on which others reach it too, in clear.
    pub(super) exposed_at: Vec<String>,
}

/// What goes through.
#[derive(Debug, Serialize)]
pub(super) struct Traffic {
    pub(super) connections: Connections,
    pub(super) requests_total: u64,
    pub(super) requests_in_flight: i64,
    pub(super) last_minute: Figures,
    pub(super) upstream_connections: UpstreamConnections,
    pub(super) handshakes: BTreeMap<&'static str, u64>,
    pub(super) handshake_failures: Vec<Failure>,
    pub(super) clients: Clients,
}

/// What became of clients whose certificate was no good after the handshake.
#[derive(Debug, Serialize)]
pub(super) struct Clients {
    pub(super) requests_refused_total: u64,
    /// Connections that were ended, by reason; what never happened is left out.
    pub(super) connections_ended: BTreeMap<&'static str, u64>,
}

/// Connections of clients.
#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) most: usize,
    pub(super) handshaking: i64,
    pub(super) http1: i64,
    pub(super) http2: i64,
    pub(super) raw: i64,
}

/// Connections to the application.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamConnections {
    pub(super) active: i64,
    pub(super) idle: i64,
    pub(super) opened_total: u64,
    pub(super) failed_total: u64,
    pub(super) retries_total: u64,
}

/// Handshakes that failed for one reason.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) words: String,
    pub(super) count: u64,
}

/// What `/certs` tells; `None` before the proxy serves.
pub(super) fn certificates(admin: &Admin) -> Option<Certificates> {
    let serving = admin.serving.get()?;
    let status = serving.certificates.status.load();
    Some(Certificates::of(&status, SystemTime::now()))
}

/// What `/config` tells; `None` before the proxy serves.
pub(super) fn configuration(admin: &Admin) -> Option<BTreeMap<&'static str, Value>> {
    let settings = admin.serving.get()?.settings.iter();
    let settings = settings.map(|(flag, shown)| {
        let value = match shown {
            Shown::One(value) => Value::from(value.as_str()),
            Shown::Many(values) => Value::from(values.clone()),
        };
        (*flag, value)
    });
    Some(settings.collect())
}

impl Report {
    /// The state now.
    pub(super) fn of(admin: &Admin) -> Self {
        let now = SystemTime::now();
        let serving = admin.serving.get();
        let findings = probes::findings(admin);
        let seen = admin.application.seen();
        let addresses = serving.map(|serving| serving.addresses.as_slice());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            revision: option_env!("TLS_SIDECAR_REVISION").unwrap_or("unknown"),
            tls_provider: PROVIDER_NAME,
            now: moment::of(now),
            started: moment::of(admin.started),
            uptime_seconds: since(admin.started, now).as_secs(),
            stage: match (admin.stage(), serving) {
                (Stage::Running, None) => "starting",
                (Stage::Running, Some(_)) => "serving",
                (Stage::Leaving, _) => "draining: still accepting",
                (Stage::Graceful, _) => "draining: work in flight goes on",
                (Stage::Forced, _) => "draining: out of time",
                (Stage::Over, _) => "drained",
            },
            ready: findings.iter().all(|finding| finding.holds),
            conditions: findings.into_iter().map(Found::from).collect(),
            listeners: addresses
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect(),
            log_level: admin
                .log
                .level()
                .map(|level| level.as_str().to_ascii_lowercase()),
            upstream: Upstream {
                target: admin.upstream.to_string(),
                reached: seen.reached.as_ref().map(Result::is_ok),
                since: seen.since.map(moment::of),
                error: seen.reached.and_then(Result::err),
                exposed_at: admin
                    .exposure
                    .sockets()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
            traffic: serving.map(|serving| Traffic::of(admin, serving)),
            certificates: certificates(admin),
        }
    }
}

impl From<crate::readiness::Finding> for Found {
    fn from(finding: crate::readiness::Finding) -> Self {
        Self {
            name: finding.condition.as_str(),
            holds: finding.holds,
            words: finding.words,
        }
    }
}

impl Traffic {
    fn of(admin: &Admin, serving: &Serving) -> Self {
        let all = Workers(serving);
        Self {
            connections: Connections {
                most: serving.connections.get(),
                handshaking: all.gauge(|m| &m.connections.handshaking),
                http1: all.gauge(|m| &m.connections.http1),
                http2: all.gauge(|m| &m.connections.http2),
                raw: all.gauge(|m| &m.connections.raw),
            },
            requests_total: all.metrics().map(Metrics::requests_total).sum(),
            requests_in_flight: all.gauge(|m| &m.requests_in_flight),
            last_minute: history::of(admin).figures(MINUTE),
            upstream_connections: UpstreamConnections {
                active: all.gauge(|m| &m.upstream.active),
                idle: all.gauge(|m| &m.upstream.idle),
                opened_total: all.counter(|m| &m.upstream.opened),
                failed_total: all.counter(|m| &m.upstream.failed),
                retries_total: all.counter(|m| &m.upstream.retries),
            },
            handshakes: BTreeMap::from([
                ("tls1.2", all.counter(|m| &m.handshakes.tls12)),
                (
                    "tls1.2_resumed",
                    all.counter(|m| &m.handshakes.tls12_resumed),
                ),
                ("tls1.3", all.counter(|m| &m.handshakes.tls13)),
                (
                    "tls1.3_resumed",
                    all.counter(|m| &m.handshakes.tls13_resumed),
                ),
            ]),
            handshake_failures: all.failures(),
            clients: all.clients(),
        }
    }
}

/// Every worker's numbers, added up.
struct Workers<'a>(&'a Serving);

impl Workers<'_> {
    fn metrics(&self) -> impl Iterator<Item = &Metrics> {
        self.0.telemetry.iter().map(|worker| &worker.metrics)
    }

    fn gauge(&self, find: fn(&Metrics) -> &Gauge) -> i64 {
        self.metrics().map(|metrics| find(metrics).value()).sum()
    }

    fn counter(&self, find: fn(&Metrics) -> &Counter) -> u64 {
        self.metrics().map(|metrics| find(metrics).value()).sum()
    }

    fn clients(&self) -> Clients {
        let mut ended = BTreeMap::new();
        for (reason, count) in self.metrics().flat_map(|metrics| metrics.clients.ended()) {
            if count > 0 {
                *ended.entry(reason).or_insert(0) += count;
            }
        }
        Clients {
            requests_refused_total: self.counter(|m| &m.clients.refused),
            connections_ended: ended,
        }
    }

    /// The most frequent reason first; what never happened is left out.
    fn failures(&self) -> Vec<Failure> {
        let mut counts = BTreeMap::new();
        for (reason, count) in self.metrics().flat_map(Metrics::handshake_failures) {
            *counts.entry(reason).or_insert(0) += count;
        }
        let mut failures: Vec<_> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| Failure {
                reason,
                words: handshake_words::of(reason),
                count,
            })
            .collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        failures
    }
}

/// From `then` to `now`; a clock that was set back makes it zero.
fn since(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}
