//! The numbers, one set per worker: nothing is shared between workers on the path of a request.
//!
//! Every handle is resolved when a worker starts. Only the worker's own thread counts, so that counting
//! is a load and a store, which cost a tenth of an addition that others could see halfway; they are
//! atomic for whoever reads (the admin port), who adds the workers up. Labels take values from fixed
//! tables only.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode, Version};

use crate::tls::{ClientFault, HandshakeFailure, Session};

/// Upper bounds in seconds: OpenTelemetry's for HTTP durations, with three below 5 ms because a
/// sidecar's own share is microseconds.
pub const DURATION_BOUNDS: [f64; 17] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

/// The same in nanoseconds.
const NANOS: [u64; DURATION_BOUNDS.len()] = {
    let mut nanos = [0; DURATION_BOUNDS.len()];
    let mut i = 0;
    while i < nanos.len() {
        // Tenths of milliseconds are whole nanoseconds, which the sum is rounded to.
        nanos[i] = (DURATION_BOUNDS[i] * 1e9 + 0.5) as u64;
        i += 1;
    }
    nanos
};

/// The registered methods that have a label of their own; the rest are `other`.
pub const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "other",
];

/// Downstream protocols, as label values.
pub const PROTOCOLS: [&str; 3] = ["http/1.0", "http/1.1", "h2"];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Durations by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; DURATION_BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

/// One worker's numbers.
#[derive(Debug)]
pub struct Metrics {
    requests: Box<[OnceLock<Box<RequestCounters>>]>,
    /// From the head of the request to the end of the answer.
    pub request_duration: Histogram,
    /// From handing the request to the application to the head of its answer.
    pub upstream_duration: Histogram,
    /// What the proxy itself added before the head of the answer.
    pub overhead: Histogram,
    /// Requests being answered.
    pub requests_in_flight: Gauge,
    /// Request body bytes.
    pub request_bytes: Counter,
    /// Response body bytes.
    pub response_bytes: Counter,
    /// Open downstream connections, by what they are doing.
    pub connections: Connections,
    /// Handshakes that led to a session, by version and resumption.
    pub handshakes: Handshakes,
    /// From accept to the session.
    pub handshake_duration: Histogram,
    handshake_failures: Box<[(&'static str, Counter)]>,
    /// Clients by their certificates.
    pub clients: ClientMetrics,
    /// Connections to the application.
    pub upstream: UpstreamMetrics,
    /// Connections that ended in a panic.
    pub panics: Counter,
    /// Errors of `accept`.
    pub accept_errors: Counter,
    /// Connections cut: the drain was out of time, the client took no data, or its certificate was
    /// no longer good.
    pub cut: Counter,
}

type RequestCounters = [[Counter; PROTOCOLS.len()]; METHODS.len()];

/// Open downstream connections by state, and how they ended.
#[derive(Debug, Default)]
pub struct Connections {
    /// In the handshake.
    pub handshaking: Gauge,
    /// Speaking HTTP/1.
    pub http1: Gauge,
    /// Speaking HTTP/2.
    pub http2: Gauge,
    /// Passing raw bytes.
    pub raw: Gauge,
    /// Ended as both sides meant it.
    pub closed: Counter,
    /// Ended by an error of the connection or its peer.
    pub failed: Counter,
    /// Ended by one of the proxy's timeouts.
    pub timed_out: Counter,
    /// Ended because the client sent too many HTTP/2 frames that move nothing.
    pub flooded: Counter,
}

/// Handshakes that led to a session.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// TLS 1.2, full.
    pub tls12: Counter,
    /// TLS 1.2, resumed.
    pub tls12_resumed: Counter,
    /// TLS 1.3, full.
    pub tls13: Counter,
    /// TLS 1.3, resumed.
    pub tls13_resumed: Counter,
}

/// Clients by their certificates.
#[derive(Debug, Default)]
pub struct ClientMetrics {
    /// Requests answered 403 because of the certificate.
    pub refused: Counter,
    ended: [Counter; ClientFault::ALL.len()],
}

impl ClientMetrics {
    /// Counts a connection that ends because its client is no longer good.
    pub fn count_end(&self, fault: ClientFault) {
        self.ended[fault as usize].increment();
    }

    /// Connections that ended so, by reason.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.ended.iter().map(Counter::value);
        ClientFault::ALL
            .into_iter()
            .map(ClientFault::as_str)
            .zip(counts)
    }
}

/// Connections to the application.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    /// In use.
    pub active: Gauge,
    /// Waiting in the pool.
    pub idle: Gauge,
    /// Opened.
    pub opened: Counter,
    /// Could not be opened.
    pub failed: Counter,
    /// Heads of answers that came: the application is there.
    pub answered: Counter,
    /// Requests sent a second time.
    pub retries: Counter,
}

impl Handshakes {
    /// Counts one.
    pub fn count(&self, session: &Session) {
        match (session.version, session.resumed) {
            ("1.2", false) => self.tls12.increment(),
            ("1.2", true) => self.tls12_resumed.increment(),
            (_, false) => self.tls13.increment(),
            (_, true) => self.tls13_resumed.increment(),
        }
    }
}

/// Adds `n`, in the one thread that does.
fn add(number: &AtomicU64, n: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(n);
    number.store(sum, Ordering::Relaxed);
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        add(&self.0, n);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds one; whoever does so takes it off in a `Drop`.
    pub fn increment(&self) {
        self.set(self.value() + 1);
    }

    /// Takes one off.
    pub fn decrement(&self) {
        self.set(self.value() - 1);
    }

    /// Adds one to the gauge that `find` finds in `holder`, until the guard is dropped.
    pub fn enter<T>(holder: Arc<T>, find: fn(&T) -> &Self) -> GaugeGuard<T> {
        find(&holder).increment();
        GaugeGuard { holder, find }
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Takes one off its gauge when dropped, on every way out.
#[derive(Debug)]
pub struct GaugeGuard<T> {
    holder: Arc<T>,
    find: fn(&T) -> &Gauge,
}

impl<T> Drop for GaugeGuard<T> {
    fn drop(&mut self) {
        (self.find)(&self.holder).decrement();
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs().saturating_mul(1_000_000_000);
        let nanos = seconds.saturating_add(u64::from(duration.subsec_nanos()));
        let bucket = NANOS.partition_point(|bound| *bound < nanos);
        add(&self.buckets[bucket], 1);
        add(&self.sum_nanos, nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    /// Counts by bucket, the last one beyond every bound.
    pub fn buckets(&self) -> [u64; DURATION_BOUNDS.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: (0..CODES).map(|_| OnceLock::new()).collect(),
            request_duration: Histogram::default(),
            upstream_duration: Histogram::default(),
            overhead: Histogram::default(),
            requests_in_flight: Gauge::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            connections: Connections::default(),
            handshakes: Handshakes::default(),
            handshake_duration: Histogram::default(),
            handshake_failures: HandshakeFailure::labels()
                .map(|label| (label, Counter::default()))
                .collect(),
            clients: ClientMetrics::default(),
            upstream: UpstreamMetrics::default(),
            panics: Counter::default(),
            accept_errors: Counter::default(),
            cut: Counter::default(),
        }
    }
}

/// Status codes 100 to 599, and one slot for what is outside.
const CODES: usize = 501;

impl Metrics {
    /// Counts one answered request.
    pub fn count_request(&self, code: StatusCode, method: &Method, version: Version) {
        // Made on first sight of a code: 500 codes times 30 counters would be memory for nothing.
        let counters = self.requests[slot(code)].get_or_init(Box::default);
        counters[method_index(method)][protocol_index(version)].increment();
    }

    /// Counts one failed handshake.
    pub fn count_handshake_failure(&self, failure: HandshakeFailure) {
        let label = failure.as_str();
        if let Some((_, counter)) = self
            .handshake_failures
            .iter()
            .find(|(known, _)| std::ptr::eq(*known, label) || *known == label)
        {
            counter.increment();
        }
    }

    /// Failed handshakes by reason.
    pub fn handshake_failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.handshake_failures
            .iter()
            .map(|(label, counter)| (*label, counter.value()))
    }

    fn request_count(&self, slot: usize, method: usize, protocol: usize) -> u64 {
        let counters = self.requests[slot].get();
        counters.map_or(0, |counters| counters[method][protocol].value())
    }

    /// Answered requests, over all methods and protocols, with `code`.
    pub fn requests(&self, code: StatusCode) -> u64 {
        self.requests[slot(code)].get().map_or(0, |counters| {
            counters.iter().flatten().map(Counter::value).sum()
        })
    }

    /// Answered requests over everything.
    pub fn requests_total(&self) -> u64 {
        self.requests
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|counters| counters.iter().flatten())
            .map(Counter::value)
            .sum()
    }
}

/// How often one kind of request was answered in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount {
    /// The status code.
    pub code: u16,
    /// The method as a label value.
    pub method: &'static str,
    /// The client's protocol as a label value.
    pub protocol: &'static str,
    /// How often.
    pub value: u64,
}

impl RequestCount {
    /// Every kind that some worker has counted, added up over `workers`.
    pub fn over<'a>(workers: impl Iterator<Item = &'a Metrics> + Clone) -> Vec<Self> {
        let mut counts = Vec::new();
        for (slot, code) in (100..).take(CODES).enumerate() {
            if !workers.clone().any(|w| w.requests[slot].get().is_some()) {
                continue;
            }
            for (method_at, method) in METHODS.into_iter().enumerate() {
                for (protocol_at, protocol) in PROTOCOLS.into_iter().enumerate() {
                    let of = |w: &Metrics| w.request_count(slot, method_at, protocol_at);
                    let value = workers.clone().map(of).sum();
                    if value > 0 {
                        counts.push(Self {
                            code,
                            method,
                            protocol,
                            value,
                        });
                    }
                }
            }
        }
        counts
    }
}

fn slot(code: StatusCode) -> usize {
    usize::from(code.as_u16())
        .saturating_sub(100)
        .min(CODES - 1)
}

fn method_index(method: &Method) -> usize {
    METHODS
        .iter()
        .position(|known| *known == method.as_str())
        .unwrap_or(METHODS.len() - 1)
}

fn protocol_index(version: Version) -> usize {
    match version {
        Version::HTTP_2 => 2,
        Version::HTTP_10 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_takes_a_value_that_a_client_chooses() {
        let metrics = Metrics::default();
        let odd = Method::from_bytes(b"FROBNICATE").unwrap();
        let code = StatusCode::from_u16(999).unwrap();
        metrics.count_request(code, &odd, Version::HTTP_11);
        assert_eq!((metrics.requests(code), metrics.requests_total()), (1, 1));
        assert_eq!(METHODS[method_index(&odd)], "other");
    }

    #[test]
    fn requests_of_all_workers_are_added_up_by_code_method_and_protocol() {
        let workers = [Metrics::default(), Metrics::default()];
        for worker in &workers {
            worker.count_request(StatusCode::OK, &Method::GET, Version::HTTP_2);
        }
        workers[1].count_request(StatusCode::NOT_FOUND, &Method::POST, Version::HTTP_11);
        let count = |code, method, protocol, value| RequestCount {
            code,
            method,
            protocol,
            value,
        };
        assert_eq!(
            RequestCount::over(workers.iter()),
            [
                count(200, "GET", "h2", 2),
                count(404, "POST", "http/1.1", 1)
            ]
        );
    }

    #[test]
    fn a_duration_on_a_bound_belongs_to_that_bucket() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(100));
        histogram.observe(Duration::from_secs(3600));
        let buckets = histogram.buckets();
        assert_eq!(
            (
                buckets[0],
                buckets[DURATION_BOUNDS.len()],
                histogram.count()
            ),
            (1, 1, 2)
        );
        assert_eq!(histogram.sum(), Duration::from_micros(3_600_000_100));
    }

    #[test]
    fn a_gauge_returns_to_zero_on_every_way_out() {
        let metrics = Arc::new(Metrics::default());
        let guard = Gauge::enter(Arc::clone(&metrics), |m| &m.requests_in_flight);
        assert_eq!(metrics.requests_in_flight.value(), 1);
        drop(guard);
        assert_eq!(metrics.requests_in_flight.value(), 0);
    }
}
