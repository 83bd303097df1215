//! One request from its first instant to its last.
//!
//! Opened when the head has arrived, carried by the answer's body, and told exactly once, by its
//! `Drop`, on every way out: answered, cut short, cancelled, panicked. Field names are
//! OpenTelemetry's. Invariant: no header value is in it, and no query string unless asked for.

mod line;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};

use super::failures::FailureLog;
use super::log::AccessWriter;
use super::metrics::Metrics;
use super::spans::{RequestSpans, RequestTold, Spans};
use super::trace::TraceContext;
use crate::config::{AccessLog, LogQuery};
use crate::tls::Session;
use line::{Line, timestamp};

/// What one worker's records are told to.
#[derive(Debug)]
pub struct Telemetry {
    /// The worker's numbers.
    pub metrics: Metrics,
    /// Where access records go.
    pub access: AccessWriter,
    /// Where failed handshakes are told.
    pub failures: Arc<FailureLog>,
    /// Where spans are told.
    pub spans: Spans,
}

/// What the workers tell in common.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// Where access records go.
    pub access: AccessWriter,
    /// Where failed handshakes are told.
    pub failures: Arc<FailureLog>,
    /// Where spans are told.
    pub spans: Spans,
}

impl Outlets {
    /// Keeps no access record and no span.
    pub fn off() -> Self {
        Self::new(AccessWriter::off(), Spans::off())
    }

    /// Keeps access records in `access` and spans in `spans`.
    pub fn new(access: AccessWriter, spans: Spans) -> Self {
        Self {
            access,
            failures: Arc::default(),
            spans,
        }
    }
}

impl Telemetry {
    /// One worker's, that tells what it has in common with others to `outlets`.
    pub fn new(outlets: Outlets) -> Self {
        Self {
            metrics: Metrics::default(),
            access: outlets.access,
            failures: outlets.failures,
            spans: outlets.spans,
        }
    }
}

/// What is known of a connection and is the same for each of its requests.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// The worker's numbers and log.
    pub telemetry: Arc<Telemetry>,
    /// The client: the socket's peer, or whom a trusted PROXY header names.
    pub client: SocketAddr,
    /// The address the client reached.
    pub server: SocketAddr,
    /// What the handshake settled.
    pub session: Session,
    /// Whether the proxy has cut the connection: then its requests did not end by their client.
    pub cut: AtomicBool,
}

/// Why the proxy, not the application, ended a request; a fixed set of words.
pub type Flag = &'static str;

/// The client left before the answer was complete.
pub const CLIENT_GONE: Flag = "client_gone";
/// The proxy cut the connection: out of drain time, or the client took no data.
const CUT: Flag = "cut";
/// Code counted when the client left before any answer began (nginx's 499).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Bytes of a request body on their way; shared with the body, which is given away.
pub type Transferred = Arc<AtomicU64>;

/// One request.
#[derive(Debug)]
pub struct Record {
    facts: Arc<ConnectionFacts>,
    /// `None` for a raw session, which is no request.
    method: Option<Method>,
    version: Version,
    target: Option<PathAndQuery>,
    trace: Option<TraceContext>,
    spans: Option<RequestSpans>,
    start: Instant,
    sent: Option<Instant>,
    answered: Option<Instant>,
    status: Option<StatusCode>,
    received: Option<Transferred>,
    bytes_out: u64,
    flag: Option<Flag>,
    complete: bool,
}

impl Record {
    /// Opens the record of a request whose head has just arrived.
    pub fn open(
        facts: &Arc<ConnectionFacts>,
        method: &Method,
        target: &Uri,
        version: Version,
    ) -> Self {
        let access = facts.telemetry.access.policy();
        let target = match access {
            AccessLog::Off => None,
            AccessLog::Errors | AccessLog::All => target.path_and_query().cloned(),
        };
        facts.telemetry.metrics.requests_in_flight.increment();
        let mut record = Self::blank(facts);
        record.method = Some(method.clone());
        record.version = version;
        record.target = target;
        record
    }

    /// The target is not known: the head was refused as it stood.
    pub fn forget_target(&mut self) {
        self.target = None;
    }

    /// The request belongs to this trace; what the application is to be told instead, if anything.
    pub fn belongs_to(&mut self, trace: TraceContext) -> Option<TraceContext> {
        self.trace = Some(trace);
        self.spans = self.facts.telemetry.spans.begin(trace);
        self.spans.as_ref().map(RequestSpans::handed_on)
    }

    /// Opens the record of a session of raw bytes.
    pub fn open_raw(facts: &Arc<ConnectionFacts>) -> Self {
        Self::blank(facts)
    }

    fn blank(facts: &Arc<ConnectionFacts>) -> Self {
        Self {
            facts: Arc::clone(facts),
            method: None,
            version: Version::HTTP_11,
            target: None,
            trace: None,
            spans: None,
            start: Instant::now(),
            sent: None,
            answered: None,
            status: None,
            received: None,
            bytes_out: 0,
            flag: None,
            complete: false,
        }
    }

    /// The connection's facts.
    pub fn facts(&self) -> &Arc<ConnectionFacts> {
        &self.facts
    }

    /// Counts request body bytes from now on.
    pub fn count_received(&mut self) -> Transferred {
        Arc::clone(self.received.get_or_insert_default())
    }

    /// The request goes to the application now: no time to speak of after its head was here.
    pub fn sent(&mut self) {
        self.sent = Some(self.start);
    }

    /// The head of the application's answer came `at`.
    pub fn answered(&mut self, at: Instant) {
        self.answered = Some(at);
        self.facts.telemetry.metrics.upstream.answered.increment();
    }

    /// When the head of the application's answer came, if it did.
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered
    }

    /// The answer's status goes to the client.
    pub fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// `n` bytes of the answer's body go to the client.
    pub fn body_bytes(&mut self, n: usize) {
        self.bytes_out += n as u64;
    }

    /// The proxy ends this request itself, for `flag`; the first reason stays.
    pub fn flag(&mut self, flag: Flag) {
        self.flag.get_or_insert(flag);
    }

    /// The answer was given away whole.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    fn finish(&mut self) {
        let end = Instant::now();
        let duration = end - self.start;
        if !self.complete {
            self.flag.get_or_insert(match std::thread::panicking() {
                true => "panic",
                false if self.facts.cut.load(Ordering::Relaxed) => CUT,
                false => CLIENT_GONE,
            });
        }
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST)
        });
        let received = self
            .received
            .as_ref()
            .map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        let upstream = self.sent.map(|sent| self.answered.unwrap_or(end) - sent);
        self.count(status, duration, upstream, received);
        if let Some(spans) = self.spans.take() {
            self.tell_spans(spans, status, end);
        }
        let telemetry = &self.facts.telemetry;
        let wanted = match telemetry.access.policy() {
            AccessLog::Off => false,
            AccessLog::Errors => {
                // A client that leaves is no error of anybody here.
                status.is_server_error() || self.flag.is_some_and(|flag| flag != CLIENT_GONE)
            }
            AccessLog::All => true,
        };
        if wanted {
            self.write(status, duration, upstream, received);
        }
    }

    fn count(
        &self,
        status: StatusCode,
        duration: Duration,
        upstream: Option<Duration>,
        received: u64,
    ) {
        let metrics = &self.facts.telemetry.metrics;
        if let Some(method) = &self.method {
            metrics.requests_in_flight.decrement();
            metrics.count_request(status, method, self.version);
            metrics.request_duration.observe(duration);
        }
        if let (Some(sent), Some(upstream)) = (self.sent, upstream) {
            metrics.upstream_duration.observe(upstream);
            metrics.overhead.observe(sent - self.start);
        }
        if received > 0 {
            metrics.request_bytes.add(received);
        }
        if self.bytes_out > 0 {
            metrics.response_bytes.add(self.bytes_out);
        }
    }

    #[cold]
    fn tell_spans(&self, spans: RequestSpans, status: StatusCode, end: Instant) {
        let told = RequestTold {
            method: self.method.as_ref().map_or("", Method::as_str),
            status: status.as_u16(),
            flag: self.flag,
            client: self.facts.client,
            protocol: version(self.version),
            start: self.start,
            sent: self.sent,
            answered: self.answered,
            end,
        };
        self.facts.telemetry.spans.finish(spans, told);
    }

    #[cold]
    fn write(
        &self,
        status: StatusCode,
        duration: Duration,
        upstream: Option<Duration>,
        bytes_in: u64,
    ) {
        let session = &self.facts.session;
        let access = &self.facts.telemetry.access;
        let target = self.target.as_ref();
        let client = session.client.as_deref();
        let line = Line {
            timestamp: &timestamp(),
            message: if self.method.is_some() {
                "request"
            } else {
                "session"
            },
            method: self.method.as_ref().map(Method::as_str),
            path: target.map(PathAndQuery::path),
            query: match access.query() {
                LogQuery::Left => None,
                LogQuery::Kept => target.and_then(PathAndQuery::query),
            },
            status: self.method.as_ref().map(|_| status.as_u16()),
            client: self.facts.client.to_string(),
            server: self.facts.server.to_string(),
            protocol: version(self.version),
            tls_version: session.version,
            cipher: session.cipher,
            server_name: session.server_name.as_deref(),
            resumed: (!session.is_in_clear()).then_some(session.resumed),
            client_subject: client.map(|client| client.holder().subject.as_str()),
            client_sha256: client.map(|client| client.holder().sha256.as_str()),
            duration_ms: millis(duration),
            upstream_ms: upstream.map(millis),
            bytes_in,
            bytes_out: self.bytes_out,
            trace_id: self.trace.map(|trace| format!("{:032x}", trace.trace_id)),
            flag: self.flag,
        };
        access.write(&line.render(access.format()));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish();
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn millis(duration: Duration) -> f64 {
    // Microseconds are as fine as a log line needs to be.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Alpn;

    fn facts() -> Arc<ConnectionFacts> {
        Arc::new(ConnectionFacts {
            telemetry: Arc::new(Telemetry::new(Outlets::off())),
            client: ([192, 0, 2, 1], 1000).into(),
            server: ([192, 0, 2, 2], 443).into(),
            session: Session {
                version: "1.3",
                cipher: "TLS13_AES_256_GCM_SHA384",
                server_name: None,
                resumed: false,
                certificate: 0,
                alpn: Alpn::Http1,
                client: None,
            },
            cut: AtomicBool::new(false),
        })
    }

    #[test]
    fn a_record_counts_once_also_when_the_request_is_cancelled() {
        let facts = facts();
        let open = || Record::open(&facts, &Method::GET, &Uri::default(), Version::HTTP_11);
        drop(open());
        let mut answered = open();
        answered.status(StatusCode::OK);
        answered.complete();
        drop(answered);
        let metrics = &facts.telemetry.metrics;
        assert_eq!(metrics.requests_total(), 2);
        assert_eq!(metrics.requests(StatusCode::from_u16(499).unwrap()), 1);
        assert_eq!(metrics.requests_in_flight.value(), 0);
    }
}
