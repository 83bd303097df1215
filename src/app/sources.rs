//! What a running proxy knows of itself, gathered for whoever asks: a scrape or a person.

use super::Handle;
use crate::drain::Stage;
use crate::telemetry::exposition::{ServedCertificate, Sources, State};
use crate::telemetry::log::LogControl;

impl Handle {
    /// Everything that a scrape tells, but the readiness that others judge.
    pub fn sources(&self) -> Sources {
        let status = self.certificates.status.load();
        let served = status.certificates.iter().filter_map(|certificate| {
            let certificate = certificate.in_service.as_ref()?;
            let facts = certificate.facts();
            Some(ServedCertificate {
                name: facts.names.iter().next().unwrap_or_default(),
                sha256: certificate.fingerprint().to_owned(),
                not_after: facts.not_after,
            })
        });
        let mut certificates: Vec<_> = served.collect();
        // The same one may be mounted twice, and two samples with the same labels are an error.
        certificates.sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
        certificates.dedup();
        let failing = status.certificates.iter();
        let failing_certificates = failing.filter(|c| c.last_error.is_some()).count();
        Sources {
            workers: self.telemetry.clone(),
            certificate_metrics: self.certificates.metrics.clone(),
            certificates,
            failing_certificates,
            lost_lines: self.log.lost().clone(),
            state: State {
                is_draining: *self.leaving.borrow() != Stage::Running,
                ..State::default()
            },
        }
    }

    /// The log: its level, and what was lost of it.
    pub fn log(&self) -> &LogControl {
        &self.log
    }

    /// Writes the lines that were held back to be gathered.
    pub(super) fn tell_what_is_owed(&self) {
        if let Some(telemetry) = self.telemetry.first() {
            telemetry.failures.flush();
            telemetry.spans.flush();
        }
    }
}
