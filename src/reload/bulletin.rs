//! What is told of the certificates after every change: status, metrics and the reminders.
//!
//! Invariant: the published status is that of one moment, whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::expiry::{Age, Reminder};
use super::mount::Mounts;
use super::status::{CertificateStatus, Event, Status};
use super::store::{Outcome, Store};
use super::trust::TrustStatus;
use super::watch::Health;
use crate::config;
use crate::live::{Live, Publisher, live};
use crate::telemetry::certificates::{CertificateMetrics, ReloadResult};
use crate::tls::Certificate;

/// Tells what is known.
#[derive(Debug)]
pub(super) struct Bulletin {
    status: Publisher<Status>,
    metrics: Arc<CertificateMetrics>,
    reminder: Reminder,
    /// Certificates on frozen mounts that were warned about.
    frozen: BTreeSet<PathBuf>,
    poll_interval: Duration,
}

impl Bulletin {
    pub(super) fn new(section: config::Reload) -> (Self, Live<Status>) {
        let (status, seen) = live(Status::new(section.on_expiry));
        let bulletin = Self {
            status,
            metrics: Arc::default(),
            reminder: Reminder::default(),
            frozen: BTreeSet::new(),
            poll_interval: section.poll_interval,
        };
        (bulletin, seen)
    }

    pub(super) fn metrics(&self) -> &Arc<CertificateMetrics> {
        &self.metrics
    }

    /// How changes are found from now on.
    pub(super) fn health(&mut self, health: Health) {
        let mut status = Status::clone(&self.status.current());
        if status.watch == health {
            return;
        }
        match &health {
            Health::Degraded(why) => tracing::warn!(
                why, poll_interval = ?self.poll_interval,
                "certificate changes are found by polling alone"
            ),
            Health::Watching => tracing::info!("certificate changes are seen at once again"),
        }
        let is_degraded = health != Health::Watching;
        self.metrics.watch_degraded.set(is_degraded.into());
        status.watch = health;
        self.status.publish(status);
    }

    /// Counts and remembers what a look came to.
    pub(super) fn record(&mut self, outcomes: &[Outcome]) {
        if outcomes.is_empty() {
            return;
        }
        let at = SystemTime::now();
        let mut status = Status::clone(&self.status.current());
        // One that is unchanged says that somebody asked; a thousand would push the rest out.
        let mut is_noted = false;
        for outcome in outcomes {
            self.metrics.count_reload(outcome.result, outcome.reason);
            if outcome.result == ReloadResult::Published {
                self.metrics.last_reload_success.set(unix(at));
            }
            if outcome.result == ReloadResult::Unchanged && is_noted {
                continue;
            }
            is_noted |= outcome.result == ReloadResult::Unchanged;
            status.remember(Event {
                at,
                file: outcome.file.clone(),
                result: outcome.result,
                reason: outcome.reason,
                words: outcome.words.clone(),
            });
        }
        self.status.publish(status);
    }

    /// Tells what became of the trust in clients, and what it is now.
    pub(super) fn trust(&mut self, event: Option<Event>, trust: TrustStatus) {
        let mut status = Status::clone(&self.status.current());
        if let Some(event) = event {
            self.metrics.count_reload(event.result, event.reason);
            status.remember(event);
        }
        status.trust = Some(trust);
        self.status.publish(status);
    }

    /// Publishes the state of every certificate as it is now.
    pub(super) fn refresh(&mut self, store: &Store) {
        let (mounts, now) = (Mounts::now(), SystemTime::now());
        let mut certificates = Vec::new();
        for (file, slot) in store.slots() {
            let age = match &slot.in_service {
                Some(certificate) => self.reminder.remind(file, certificate.facts(), now),
                None => Age::Expired,
            };
            let frozen_by = frozen(&mounts, file, slot.in_service.as_deref());
            if let Some(mount) = &frozen_by
                && self.frozen.insert(file.clone())
            {
                tracing::warn!(
                    file = %file.display(), mount = %mount.display(),
                    "certificate will never be renewed here: a subPath mount keeps its first \
                     version; mount the whole Secret as a directory"
                );
            }
            certificates.push(CertificateStatus {
                file: file.clone(),
                in_service: slot.in_service.clone(),
                loaded_at: slot.loaded_at,
                last_error: slot.problem.clone(),
                names_lost: slot.names_lost.clone(),
                frozen_by,
                age,
            });
        }
        self.count_states(&certificates);
        let mut status = Status::clone(&self.status.current());
        status.certificates = certificates;
        self.status.publish(status);
    }

    fn count_states(&self, certificates: &[CertificateStatus]) {
        let count = |counts: fn(&CertificateStatus) -> bool| {
            let number = certificates.iter().filter(|status| counts(status)).count();
            i64::try_from(number).unwrap_or(i64::MAX)
        };
        let metrics = &self.metrics;
        metrics.frozen_mounts.set(count(|c| c.frozen_by.is_some()));
        metrics.renewals_overdue.set(count(|c| c.age.is_overdue()));
        metrics.expired.set(count(|c| c.age == Age::Expired));
        metrics.names_lost.set(count(|c| !c.names_lost.is_empty()));
    }
}

/// The mount that keeps one of a certificate's files from changing.
fn frozen(mounts: &Mounts, file: &Path, certificate: Option<&Certificate>) -> Option<PathBuf> {
    let files = certificate.map(|certificate| certificate.files());
    let key = files.map_or(file, |files| files.key.as_path());
    [file, key].into_iter().find_map(|file| {
        let parent = file.parent()?.canonicalize().ok()?;
        mounts
            .freezing(&parent.join(file.file_name()?))
            .map(Path::to_path_buf)
    })
}

fn unix(at: SystemTime) -> i64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
