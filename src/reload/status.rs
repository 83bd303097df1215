//! What is known about the certificates, as data: for probes, `/certs` and a person.
//!
//! Published whole after every change by the one thread that reloads. Invariant: bounded, however
//! often anything changes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::expiry::Age;
use super::trust::TrustStatus;
use super::watch::Health;
use crate::config::OnExpiry;
use crate::telemetry::certificates::ReloadResult;
use crate::tls::{Certificate, Reason};

/// Reloads that are remembered.
const REMEMBERED: usize = 32;

/// The state of all certificates.
#[derive(Debug, Clone)]
pub struct Status {
    /// Each certificate, the default one first.
    pub certificates: Vec<CertificateStatus>,
    /// What reloads came to, the last one last.
    pub reloads: VecDeque<Event>,
    /// How changes are found.
    pub watch: Health,
    /// Whom clients may be certified by; `None` where they are not asked.
    pub trust: Option<TrustStatus>,
    on_expiry: OnExpiry,
}

/// The state of one certificate.
#[derive(Debug, Clone)]
pub struct CertificateStatus {
    /// The file of its chain.
    pub file: PathBuf,
    /// What is in service; `None` when it never was any good.
    pub in_service: Option<Arc<Certificate>>,
    /// Since when.
    pub loaded_at: Option<SystemTime>,
    /// What is wrong with the files now.
    pub last_error: Option<Problem>,
    /// Names that its last rotation lost.
    pub names_lost: Vec<String>,
    /// The mount that keeps its files from changing.
    pub frozen_by: Option<PathBuf>,
    /// How far its lifetime has gone.
    pub age: Age,
}

/// Something wrong with a certificate's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As a label.
    pub reason: Reason,
    /// As a sentence that names the file and the mend.
    pub words: String,
    /// Since when.
    pub since: SystemTime,
}

/// What became of one certificate at one reload.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// Which.
    pub file: PathBuf,
    /// What became of it.
    pub result: ReloadResult,
    /// Why, as a label.
    pub reason: Option<Reason>,
    /// Why, as a sentence.
    pub words: String,
}

/// A condition of readiness that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// The default certificate has expired and `--on-expiry unready` stands.
    CertificateExpired,
}

impl CertificateStatus {
    /// How far its lifetime has gone at `now`, which may be later than the last look.
    pub fn age_at(&self, now: SystemTime) -> Age {
        match &self.in_service {
            Some(certificate) => Age::of(certificate.facts(), now),
            None => self.age,
        }
    }
}

impl Status {
    pub(super) fn new(on_expiry: OnExpiry) -> Self {
        Self {
            certificates: Vec::new(),
            reloads: VecDeque::new(),
            watch: Health::Watching,
            trust: None,
            on_expiry,
        }
    }

    /// What of this keeps the sidecar from being ready.
    pub fn unready(&self) -> Option<Unready> {
        let default = self.certificates.first()?;
        let is_over = default.age_at(SystemTime::now()) == Age::Expired;
        (is_over && self.on_expiry == OnExpiry::Unready).then_some(Unready::CertificateExpired)
    }

    pub(super) fn remember(&mut self, event: Event) {
        if self.reloads.len() == REMEMBERED {
            self.reloads.pop_front();
        }
        self.reloads.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_reloads_are_remembered() {
        let mut status = Status::new(OnExpiry::Serve);
        for number in 0..100 {
            status.remember(Event {
                at: SystemTime::now(),
                file: PathBuf::from("/etc/tls/tls.crt"),
                result: ReloadResult::Published,
                reason: None,
                words: number.to_string(),
            });
        }
        assert_eq!(status.reloads.len(), REMEMBERED);
        assert_eq!(status.reloads.back().map(|e| e.words.as_str()), Some("99"));
    }
}
