//! Spans to a collector, over HTTP with protobuf.
//!
//! Where to, how often and under which name the environment says, in OpenTelemetry's own variables
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_BSP_*`). The SDK's batch processor
//! takes spans into a bounded queue and exports them on a thread of its own. Which are recorded the
//! caller has decided: those of its `traceparent` with the sampled flag.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};

use super::RequestTold;
use crate::telemetry::metrics::METHODS;
use crate::telemetry::trace::{SAMPLED, TraceContext};
use crate::tls::{HandshakeFailure, Session};

/// What is owed at the end has so long.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The way to the collector, if there is one.
#[derive(Debug, Clone)]
pub struct Spans(Option<Arc<Export>>);

#[derive(Debug)]
struct Export {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

/// The spans of one request: its own and the application's part.
#[derive(Debug)]
pub struct RequestSpans {
    trace_id: u128,
    parent_id: Option<u64>,
    own: u64,
    upstream: u64,
}

/// One span before it is the SDK's.
struct Span {
    trace_id: u128,
    id: u64,
    parent: Option<(u64, Parent)>,
    kind: SpanKind,
    name: &'static str,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

/// Where a span's parent was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    Here,
    Elsewhere,
}

impl Spans {
    /// Exports nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Exports to the collector that the environment names; nothing where it names none.
    pub fn from_environment() -> Self {
        let is_named = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if !is_named {
            return Self::off();
        }
        match SpanExporter::builder().with_http().build() {
            Ok(exporter) => Self(Some(Arc::new(Export::new(exporter)))),
            Err(error) => {
                tracing::warn!(%error, "no spans are exported: see OTEL_EXPORTER_OTLP_ENDPOINT");
                Self::off()
            }
        }
    }

    /// The spans of a request of `trace`, when they are to be recorded.
    pub fn begin(&self, trace: TraceContext) -> Option<RequestSpans> {
        (self.0.is_some() && trace.is_sampled()).then(|| RequestSpans {
            trace_id: trace.trace_id,
            parent_id: trace.is_remote.then_some(trace.parent_id),
            // A trace that begins here begins with this request.
            own: match trace.is_remote {
                true => fastrand::u64(1..),
                false => trace.parent_id,
            },
            upstream: fastrand::u64(1..),
        })
    }

    /// Exports the spans of a request that is over.
    pub fn finish(&self, spans: RequestSpans, told: RequestTold<'_>) {
        let Some(export) = &self.0 else { return };
        let now = SystemTime::now();
        let at = |instant: Instant| now - told.end.saturating_duration_since(instant);
        let known = METHODS.into_iter().find(|known| *known == told.method);
        let name = known.filter(|name| *name != "other").unwrap_or("HTTP");
        if let Some(sent) = told.sent {
            export.end(Span {
                trace_id: spans.trace_id,
                id: spans.upstream,
                parent: Some((spans.own, Parent::Here)),
                kind: SpanKind::Client,
                name,
                start: at(sent),
                end: at(told.answered.unwrap_or(told.end)),
                attributes: vec![KeyValue::new("http.request.method", name)],
                status: status(told.answered.is_none(), told.flag),
            });
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", name),
            KeyValue::new("http.response.status_code", i64::from(told.status)),
            KeyValue::new("client.address", told.client.ip().to_string()),
            KeyValue::new("network.protocol.version", told.protocol),
            KeyValue::new("url.scheme", "https"),
        ];
        attributes.extend(told.flag.map(|flag| KeyValue::new("error.type", flag)));
        export.end(Span {
            trace_id: spans.trace_id,
            id: spans.own,
            parent: spans.parent_id.map(|id| (id, Parent::Elsewhere)),
            kind: SpanKind::Server,
            name,
            start: at(told.start),
            end: now,
            attributes,
            status: status(told.status >= 500, told.flag),
        });
    }

    /// Exports the span of a handshake, which is a trace of its own.
    pub fn handshake(
        &self,
        client: SocketAddr,
        start: Instant,
        result: Result<&Session, HandshakeFailure>,
    ) {
        let Some(export) = &self.0 else { return };
        let end = SystemTime::now();
        let mut attributes = vec![KeyValue::new("client.address", client.ip().to_string())];
        let status = match result {
            Ok(session) => {
                attributes.extend([
                    KeyValue::new("tls.protocol.version", session.version),
                    KeyValue::new("tls.cipher", session.cipher),
                    KeyValue::new("tls.resumed", session.resumed),
                ]);
                Status::Unset
            }
            Err(failure) if failure.is_quiet() => return,
            Err(failure) => {
                attributes.push(KeyValue::new("error.type", failure.as_str()));
                Status::error(failure.as_str())
            }
        };
        export.end(Span {
            trace_id: fastrand::u128(1..),
            id: fastrand::u64(1..),
            parent: None,
            kind: SpanKind::Server,
            name: "TLS handshake",
            start: end - start.elapsed(),
            end,
            attributes,
            status,
        });
    }

    /// Exports what is queued and nothing more after it.
    pub fn flush(&self) {
        if let Some(export) = &self.0
            && let Err(error) = export.processor.shutdown_with_timeout(LAST_EXPORT)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

impl RequestSpans {
    /// Whom the application is asked by.
    pub fn handed_on(&self) -> TraceContext {
        TraceContext {
            trace_id: self.trace_id,
            parent_id: self.upstream,
            flags: SAMPLED,
            is_remote: false,
        }
    }
}

impl Export {
    fn new(exporter: SpanExporter) -> Self {
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("tls-sidecar");
        }
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("tls-sidecar")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { processor, scope }
    }

    /// Queues a span; a full queue drops it.
    fn end(&self, span: Span) {
        let (parent, is_remote) = match span.parent {
            Some((id, parent)) => (SpanId::from(id), parent == Parent::Elsewhere),
            None => (SpanId::INVALID, false),
        };
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from(span.trace_id),
                SpanId::from(span.id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent,
            parent_span_is_remote: is_remote,
            span_kind: span.kind,
            name: span.name.into(),
            start_time: span.start,
            end_time: span.end,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: span.status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn status(is_error: bool, flag: Option<&'static str>) -> Status {
    match is_error {
        true => Status::error(flag.unwrap_or_default()),
        false => Status::Unset,
    }
}
