//! One request from its first instant to its last.
//!
//! Opened when the head has arrived, carried by the answer's body, and told exactly once, by its
//! `Drop`, on every way out: answered, cut short, cancelled, panicked. Field names are
//! OpenTelemetry's. Invariant: no query string, no header value, nothing secret is in it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode, Uri, Version};
use serde::Serialize;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime, time::SystemTime};

use super::log::{AccessWriter, Format};
use super::metrics::Metrics;
use crate::config::AccessLog;
use crate::tls::Session;

/// What one worker's records are told to.
#[derive(Debug)]
pub struct Telemetry {
    /// The worker's numbers.
    pub metrics: Metrics,
    /// Where access records go.
    pub access: AccessWriter,
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
    target: Option<Uri>,
    trace_id: Option<Box<str>>,
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
    pub fn open<B>(facts: &Arc<ConnectionFacts>, request: &http::Request<B>) -> Self {
        let access = facts.telemetry.access.policy();
        let (target, trace_id) = match access {
            AccessLog::Off => (None, None),
            AccessLog::Errors | AccessLog::All => {
                (Some(request.uri().clone()), trace_id(request.headers()))
            }
        };
        facts.telemetry.metrics.requests_in_flight.increment();
        let mut record = Self::blank(facts);
        record.method = Some(request.method().clone());
        record.version = request.version();
        record.target = target;
        record.trace_id = trace_id;
        record
    }

    /// The target is not known: the head was refused as it stood.
    pub fn forget_target(&mut self) {
        self.target = None;
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
            trace_id: None,
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

    /// The request goes to the application now.
    pub fn sent(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// The head of the application's answer is here.
    pub fn answered(&mut self) {
        self.answered = Some(Instant::now());
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
    fn write(
        &self,
        status: StatusCode,
        duration: Duration,
        upstream: Option<Duration>,
        bytes_in: u64,
    ) {
        let session = &self.facts.session;
        let mut timestamp = String::with_capacity(32);
        // Formatting the time into a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let line = Line {
            timestamp: &timestamp,
            message: if self.method.is_some() {
                "request"
            } else {
                "session"
            },
            method: self.method.as_ref().map(Method::as_str),
            path: self.target.as_ref().map(Uri::path),
            status: self.method.as_ref().map(|_| status.as_u16()),
            client: self.facts.client.to_string(),
            server: self.facts.server.to_string(),
            protocol: match self.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            tls_version: session.version,
            cipher: session.cipher,
            server_name: session.server_name.as_deref(),
            resumed: session.resumed,
            duration_ms: millis(duration),
            upstream_ms: upstream.map(millis),
            bytes_in,
            bytes_out: self.bytes_out,
            trace_id: self.trace_id.as_deref(),
            flag: self.flag,
        };
        let access = &self.facts.telemetry.access;
        access.write(&line.render(access.format()));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish();
    }
}

fn millis(duration: Duration) -> f64 {
    // Microseconds are as fine as a log line needs to be.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// The trace id of W3C trace context: 32 hex digits after the version.
fn trace_id(headers: &HeaderMap) -> Option<Box<str>> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let id = parts.nth(1)?;
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.into())
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    message: &'a str,
    #[serde(
        rename = "http.request.method",
        skip_serializing_if = "Option::is_none"
    )]
    method: Option<&'a str>,
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(
        rename = "http.response.status_code",
        skip_serializing_if = "Option::is_none"
    )]
    status: Option<u16>,
    #[serde(rename = "client.address")]
    client: String,
    #[serde(rename = "server.address")]
    server: String,
    #[serde(rename = "network.protocol.version")]
    protocol: &'a str,
    #[serde(rename = "tls.protocol.version")]
    tls_version: &'a str,
    #[serde(rename = "tls.cipher")]
    cipher: &'a str,
    #[serde(rename = "tls.server_name", skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(rename = "tls.resumed")]
    resumed: bool,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<&'a str>,
}

impl Line<'_> {
    fn render(&self, format: Format) -> Vec<u8> {
        let mut line = match format {
            Format::Json => serde_json::to_vec(self).unwrap_or_default(),
            Format::Text => self.text().into_bytes(),
        };
        line.push(b'\n');
        line
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(160);
        let _ = write!(text, "{} {} ", self.timestamp, self.client);
        let _ = match (self.method, self.path, self.status) {
            (Some(method), path, Some(status)) => {
                write!(
                    text,
                    "\"{method} {} HTTP/{}\" {status}",
                    path.unwrap_or("-"),
                    self.protocol
                )
            }
            _ => write!(text, "session"),
        };
        let _ = write!(
            text,
            " {}ms in={} out={}",
            self.duration_ms, self.bytes_in, self.bytes_out
        );
        if let Some(flag) = self.flag {
            let _ = write!(text, " flag={flag}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Alpn;

    fn facts() -> Arc<ConnectionFacts> {
        Arc::new(ConnectionFacts {
            telemetry: Arc::new(Telemetry {
                metrics: Metrics::default(),
                access: AccessWriter::off(),
            }),
            client: ([192, 0, 2, 1], 1000).into(),
            server: ([192, 0, 2, 2], 443).into(),
            session: Session {
                version: "1.3",
                cipher: "TLS13_AES_256_GCM_SHA384",
                server_name: None,
                resumed: false,
                certificate: 0,
                alpn: Alpn::Http1,
            },
            cut: AtomicBool::new(false),
        })
    }

    #[test]
    fn a_record_counts_once_also_when_the_request_is_cancelled() {
        let facts = facts();
        let request = http::Request::new(());
        drop(Record::open(&facts, &request));
        let mut answered = Record::open(&facts, &request);
        answered.status(StatusCode::OK);
        answered.complete();
        drop(answered);
        let metrics = &facts.telemetry.metrics;
        assert_eq!(metrics.requests_total(), 2);
        assert_eq!(metrics.requests(StatusCode::from_u16(499).unwrap()), 1);
        assert_eq!(metrics.requests_in_flight.value(), 0);
    }

    #[test]
    fn only_a_well_formed_trace_id_is_repeated() {
        let mut headers = HeaderMap::new();
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", good.parse().unwrap());
        assert_eq!(
            trace_id(&headers).as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        headers.insert("traceparent", "00-<script>-1".parse().unwrap());
        assert_eq!(trace_id(&headers), None);
    }
}
