//! The list of everything that can be scraped: name, kind, labels and words.
//!
//! One constant a family, so that what is encoded, the README and the alert rules all speak of the
//! same names.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// One family of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name without unit and `_total`.
    pub(super) stem: &'static str,
    measure: Measure,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, as a sentence without its full stop.
    pub help: &'static str,
}

/// What its number counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Pieces,
    Seconds,
    Bytes,
}

/// What kind of number a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
    /// Always 1; the labels tell.
    Info,
}

impl Kind {
    /// The kind as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    pub(super) fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

impl Family {
    /// The name by which it is asked for.
    pub fn name(&self) -> String {
        let unit = match self.measure {
            Measure::Pieces => "",
            Measure::Seconds => "_seconds",
            Measure::Bytes => "_bytes",
        };
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{suffix}", self.stem)
    }

    pub(super) fn unit(&self) -> Option<Unit> {
        match self.measure {
            Measure::Pieces => None,
            Measure::Seconds => Some(Unit::Seconds),
            Measure::Bytes => Some(Unit::Bytes),
        }
    }

    const fn counter(stem: &'static str, labels: Labels, help: &'static str) -> Self {
        Self::new(stem, Kind::Counter, labels, help)
    }

    const fn gauge(stem: &'static str, labels: Labels, help: &'static str) -> Self {
        Self::new(stem, Kind::Gauge, labels, help)
    }

    const fn durations(stem: &'static str, help: &'static str) -> Self {
        Self::new(stem, Kind::Histogram, &[], help).seconds()
    }

    const fn new(stem: &'static str, kind: Kind, labels: Labels, help: &'static str) -> Self {
        Self {
            stem,
            measure: Measure::Pieces,
            kind,
            labels,
            help,
        }
    }

    const fn seconds(mut self) -> Self {
        self.measure = Measure::Seconds;
        self
    }

    const fn bytes(mut self) -> Self {
        self.measure = Measure::Bytes;
        self
    }
}

type Labels = &'static [&'static str];

macro_rules! families {
    ($($name:ident = $family:expr;)*) => {
        $(pub(super) static $name: Family = $family;)*
        /// Every family, in the order of the text.
        pub static FAMILIES: &[&Family] = &[$(&$name),*];
    };
}

families! {
    REQUESTS = Family::counter("tls_sidecar_requests", &["code", "method", "protocol"],
        "Requests answered, also by the sidecar itself; 499 when the client left before an answer");
    REQUEST_DURATION = Family::durations("tls_sidecar_request_duration",
        "From the head of a request to the end of its answer");
    UPSTREAM_DURATION = Family::durations("tls_sidecar_upstream_duration",
        "From handing a request to the application to the head of its answer");
    OVERHEAD = Family::durations("tls_sidecar_overhead",
        "What the sidecar itself added before a request was handed on");
    IN_FLIGHT = Family::gauge("tls_sidecar_requests_in_flight", &[],
        "Requests being answered");
    REQUEST_BYTES = Family::counter("tls_sidecar_request", &[],
        "Bytes of request bodies, and of what clients sent in upgraded and raw sessions")
        .bytes();
    RESPONSE_BYTES = Family::counter("tls_sidecar_response", &[],
        "Bytes of response bodies, and of what clients got in upgraded and raw sessions")
        .bytes();
    CONNECTIONS = Family::gauge("tls_sidecar_connections", &["state"],
        "Open client connections: handshaking, http1, http2 or raw");
    CONNECTIONS_ENDED = Family::counter("tls_sidecar_connections", &["result"],
        "Client connections that were served and have ended: closed, failed, timed_out or flooded");
    CONNECTIONS_CUT = Family::counter("tls_sidecar_connections_cut", &[],
        "Client connections cut: the drain was out of time, or the client took no data");
    HANDSHAKES = Family::counter("tls_sidecar_handshakes", &["result", "reason", "version", "resumed"],
        "TLS handshakes by result (ok or failed) and, where it failed, reason");
    HANDSHAKE_DURATION = Family::durations("tls_sidecar_handshake_duration",
        "From accept to the end of a handshake that succeeded, the client's own time included");
    ACCEPT_ERRORS = Family::counter("tls_sidecar_accept_errors", &[],
        "Failures to accept a connection, such as a lack of descriptors");
    PANICS = Family::counter("tls_sidecar_panics", &[],
        "Connections that ended in a panic; the process goes on, and each is a bug");
    UPSTREAM_CONNECTIONS = Family::gauge("tls_sidecar_upstream_connections", &["state"],
        "Open connections to the application: active or idle");
    UPSTREAM_OPENED = Family::counter("tls_sidecar_upstream_connects", &["result"],
        "Attempts to connect to the application: ok or failed");
    UPSTREAM_RETRIES = Family::counter("tls_sidecar_upstream_retries", &[],
        "Requests sent to the application a second time");
    UPSTREAM_UP = Family::gauge("tls_sidecar_upstream_up", &[],
        "1 while the application can be reached");
    UPSTREAM_EXPOSED = Family::gauge("tls_sidecar_upstream_exposed", &[],
        "Sockets beyond loopback on which the application can be reached in clear, past TLS");
    CERTIFICATE_NOT_AFTER = Family::gauge("tls_sidecar_certificate_not_after_timestamp", &["name", "sha256"],
        "When each certificate in service expires, Unix time")
        .seconds();
    CERTIFICATE_RELOADS = Family::counter("tls_sidecar_certificate_reloads", &["result", "reason"],
        "What reloads of single certificates came to: published, unchanged, kept or dropped, and why");
    RELOADS_FAILING = Family::gauge("tls_sidecar_certificate_reloads_failing", &[],
        "Certificates whose files are no good now; the last good one is served, where there is one");
    LAST_RELOAD_SUCCESS = Family::gauge("tls_sidecar_last_reload_success_timestamp", &[],
        "When a certificate was last put into service, Unix time")
        .seconds();
    CERTIFICATE_LOADS = Family::counter("tls_sidecar_certificate_loads", &[],
        "Times that the certificate files were read");
    WATCH_DEGRADED = Family::gauge("tls_sidecar_certificate_watch_degraded", &[],
        "1 while changes of the files are found by polling alone");
    FROZEN_MOUNTS = Family::gauge("tls_sidecar_certificate_frozen_mounts", &[],
        "Certificates on mounts that never change (subPath)");
    RENEWALS_OVERDUE = Family::gauge("tls_sidecar_certificate_renewals_overdue", &[],
        "Certificates not renewed although two thirds of their lifetime are over");
    EXPIRED = Family::gauge("tls_sidecar_certificates_expired", &[],
        "Certificates in service that have expired");
    NAMES_LOST = Family::gauge("tls_sidecar_certificates_names_lost", &[],
        "Certificates whose last rotation lost names");
    CLIENT_HANDSHAKES = Family::counter("tls_sidecar_client_handshakes", &["authority"],
        "Handshakes of clients by the authority of their certificate, as its SHA-256");
    CLIENT_AUTHORITY_NOT_AFTER = Family::gauge("tls_sidecar_client_authority_not_after_timestamp", &["authority"],
        "When each authority of clients expires, Unix time")
        .seconds();
    CLIENT_LISTS_END = Family::gauge("tls_sidecar_client_crl_next_update_timestamp", &[],
        "When the first revocation list ends, Unix time; from then on its clients are refused")
        .seconds();
    CLIENT_TRUST_FAILING = Family::gauge("tls_sidecar_client_trust_failing", &[],
        "1 while the files of the trust in clients are no good; the last good one is in service");
    CLIENTS_REFUSED = Family::counter("tls_sidecar_client_requests_refused", &[],
        "Requests answered 403 because --client-allow does not list the client");
    CLIENTS_ENDED = Family::counter("tls_sidecar_client_connections_ended", &["reason"],
        "Open connections ended because their client is no longer good: the trust changed or time passed");
    READY = Family::gauge("tls_sidecar_ready", &[],
        "1 while every condition of readiness holds");
    READY_CONDITION = Family::gauge("tls_sidecar_ready_condition", &["condition"],
        "1 while this condition of readiness holds");
    DRAINING = Family::gauge("tls_sidecar_draining", &[],
        "1 from the signal to stop on");
    LOG_LINES_LOST = Family::counter("tls_sidecar_log_lines_lost", &["stream", "reason"],
        "Log lines that nobody got: the queue was full, or writing failed");
    BUILD = Family::new("tls_sidecar_build", Kind::Info, &["version", "revision"],
        "What is running");
    PROCESS_CPU = Family::counter("process_cpu", &[],
        "CPU time used, user and system")
        .seconds();
    PROCESS_START = Family::gauge("process_start_time", &[],
        "When the process started, Unix time")
        .seconds();
    PROCESS_RESIDENT = Family::gauge("process_resident_memory", &[],
        "Resident memory")
        .bytes();
    PROCESS_VIRTUAL = Family::gauge("process_virtual_memory", &[],
        "Virtual memory")
        .bytes();
    PROCESS_OPEN_FDS = Family::gauge("process_open_fds", &[],
        "Open descriptors");
    PROCESS_MAX_FDS = Family::gauge("process_max_fds", &[],
        "The limit of open descriptors");
    PROCESS_THREADS = Family::gauge("process_threads", &[],
        "Threads");
}
