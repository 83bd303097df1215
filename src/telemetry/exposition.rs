//! What `GET /metrics` answers: every worker's numbers added up, and what is known beside them.
//!
//! Made on the thread of whoever asks, from relaxed loads: a scrape takes no lock and stops no
//! worker. The text is prometheus-client's; [`FAMILIES`] is the list of what stands in it, and the
//! README repeats that list. Invariant: no label takes a value that a client chooses.

mod dialect;
mod encode;
mod family;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

pub use dialect::Dialect;
pub use family::{FAMILIES, Family, Kind};

use super::certificates::CertificateMetrics;
use super::log::Lost;
use super::process::Process;
use super::record::Telemetry;

/// Everything that is told, as it is at the moment of asking.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Each worker's numbers.
    pub workers: Arc<[Arc<Telemetry>]>,
    /// The numbers about certificates.
    pub certificate_metrics: Arc<CertificateMetrics>,
    /// The certificates in service.
    pub certificates: Vec<ServedCertificate>,
    /// Certificates whose files are no good now.
    pub failing_certificates: usize,
    /// Whom clients may be certified by; `None` where they are not asked.
    pub trust: Option<ServedTrust>,
    /// Log lines that nobody got.
    pub lost_lines: Lost,
    /// What the sidecar is ready for.
    pub state: State,
}

/// A certificate in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCertificate {
    /// The first of its names.
    pub name: String,
    /// SHA-256 of the leaf, lower-case hex.
    pub sha256: String,
    /// Valid up to this moment.
    pub not_after: SystemTime,
}

/// The trust in clients that is in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedTrust {
    /// Each authority once.
    pub authorities: Vec<ServedAuthority>,
    /// When the first revocation list ends.
    pub next_update: Option<SystemTime>,
    /// Whether its files are no good now.
    pub is_failing: bool,
}

/// An authority that clients are certified by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAuthority {
    /// SHA-256 of its certificate, lower-case hex.
    pub sha256: String,
    /// Valid up to this moment.
    pub not_after: SystemTime,
    /// Handshakes of its clients.
    pub handshakes: u64,
}

/// What the sidecar is ready for. What is not known here is left out of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Conditions of readiness by name, and whether each holds.
    pub conditions: Vec<(&'static str, bool)>,
    /// Whether the application has been reached by the last probe.
    pub upstream_up: Option<bool>,
    /// Sockets on which others reach the application in clear.
    pub upstream_exposed: Option<usize>,
    /// Whether a drain runs.
    pub is_draining: bool,
}

/// The text that `GET /metrics` answers with, in `dialect`.
pub fn render(sources: &Sources, dialect: Dialect) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page {
        sources: sources.clone(),
        process: Process::now(),
    }));
    let mut open_metrics = String::with_capacity(32 * 1024);
    // Writing into a string cannot fail.
    let _ = text::encode(&mut open_metrics, &registry);
    dialect.translate(open_metrics)
}

#[derive(Debug)]
struct Page {
    sources: Sources,
    process: Process,
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = encode::Encoder::new(encoder);
        encode::requests(&mut page, &self.sources.workers)?;
        encode::connections(&mut page, &self.sources.workers)?;
        encode::upstream(&mut page, &self.sources)?;
        encode::certificates(&mut page, &self.sources)?;
        encode::clients(&mut page, &self.sources)?;
        encode::state(&mut page, &self.sources)?;
        encode::process(&mut page, &self.process)
    }
}

#[cfg(test)]
mod tests;
