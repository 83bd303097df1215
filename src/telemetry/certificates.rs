//! The numbers about certificates, one set for the process: reloading happens on one thread.
//!
//! What has a label per certificate (validity, names lost) is read off the published status when
//! somebody asks. Labels of counters take values from fixed tables only.

use crate::telemetry::metrics::{Counter, Gauge};
use crate::tls::Reason;

/// What became of a certificate at a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// A new one is in service.
    Published,
    /// It was looked at because somebody asked, and is the one in service.
    Unchanged,
    /// The new one is no good, or not better; the last good one stays.
    Kept,
    /// Its files are gone and it is no longer served.
    Dropped,
}

/// The label of a reload without a reason.
pub const NO_REASON: &str = "none";

/// Numbers about certificates.
#[derive(Debug)]
pub struct CertificateMetrics {
    reloads: Box<[ReasonCounters; ReloadResult::ALL.len()]>,
    /// When the last new certificate went into service, Unix time in seconds.
    pub last_reload_success: Gauge,
    /// Times the files were read.
    pub loads: Counter,
    /// 1 while changes are found by polling alone.
    pub watch_degraded: Gauge,
    /// Certificates on mounts that never change.
    pub frozen_mounts: Gauge,
    /// Certificates whose renewal is overdue.
    pub renewals_overdue: Gauge,
    /// Certificates whose time is over.
    pub expired: Gauge,
    /// Certificates whose last rotation lost names.
    pub names_lost: Gauge,
}

type ReasonCounters = [Counter; Reason::ALL.len() + 1];

impl ReloadResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Published, Self::Unchanged, Self::Kept, Self::Dropped];

    /// The result as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Dropped => "dropped",
        }
    }
}

impl Default for CertificateMetrics {
    fn default() -> Self {
        let none = || std::array::from_fn(|_| Counter::default());
        Self {
            reloads: Box::new(std::array::from_fn(|_| none())),
            last_reload_success: Gauge::default(),
            loads: Counter::default(),
            watch_degraded: Gauge::default(),
            frozen_mounts: Gauge::default(),
            renewals_overdue: Gauge::default(),
            expired: Gauge::default(),
            names_lost: Gauge::default(),
        }
    }
}

impl CertificateMetrics {
    /// Counts what became of one certificate.
    pub fn count_reload(&self, result: ReloadResult, reason: Option<Reason>) {
        self.counter(result, reason).increment();
    }

    /// How often that was so.
    pub fn reloads(&self, result: ReloadResult, reason: Option<Reason>) -> u64 {
        self.counter(result, reason).value()
    }

    /// Every combination of result and reason that was counted, with its count.
    pub fn all_reloads(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        ReloadResult::ALL.into_iter().flat_map(move |result| {
            let reasons = Reason::ALL.into_iter().map(Some).chain([None]);
            let counted = reasons.map(move |reason| {
                let label = reason.map_or(NO_REASON, Reason::as_str);
                (result.as_str(), label, self.reloads(result, reason))
            });
            counted.filter(|(_, _, count)| *count > 0)
        })
    }

    fn counter(&self, result: ReloadResult, reason: Option<Reason>) -> &Counter {
        let position = |reason| Reason::ALL.iter().position(|known| *known == reason);
        // The last one is for no reason.
        let at = reason.and_then(position).unwrap_or(Reason::ALL.len());
        &self.reloads[result as usize][at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_and_reason_has_a_counter_of_its_own() {
        let metrics = CertificateMetrics::default();
        metrics.count_reload(ReloadResult::Kept, Some(Reason::KeyMismatch));
        metrics.count_reload(ReloadResult::Published, None);
        let all: Vec<_> = metrics.all_reloads().collect();
        assert_eq!(all, [("published", "none", 1), ("kept", "key_mismatch", 1)]);
    }
}
