//! Keeps the trust in clients in step with its files: authorities, revocation lists, patterns.
//!
//! Followed by the same watch and poll as the certificates, and by the same rule: what is no good
//! changes nothing. A file that is written in place may be read half, and half a bundle is a
//! smaller one that would turn clients away; so it counts only when it is read the same twice.
//! Invariant: there is always a trust, and it was loaded whole.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::mount::Mounts;
use super::status::{Event, Problem};
use super::store::Urgency;
use crate::config::ClientAuth;
use crate::telemetry::certificates::ReloadResult;
use crate::tls::{Doorkeeper, Places, Trust, TrustError, TrustSources, Versions, trust_sources};

/// What may be half written must stay as it is for this long.
const SETTLED: Duration = Duration::from_secs(1);

/// The first trust, before there is a door to keep.
#[derive(Debug)]
pub(super) struct FirstTrust {
    section: ClientAuth,
    trust: Arc<Trust>,
    places: Places,
    versions: Versions,
}

/// The trust in service and what was last read of its files.
#[derive(Debug)]
pub(super) struct ClientTrust {
    section: ClientAuth,
    in_service: Arc<Trust>,
    loaded_at: SystemTime,
    keeper: Doorkeeper,
    versions: Versions,
    pub(super) places: Places,
    /// What was read last and may be half of what is to come, and when it counts.
    unsettled: Option<(String, Instant)>,
    problem: Option<Problem>,
    /// The mount that keeps a file from changing, as of the last look that found something new.
    frozen_by: Option<PathBuf>,
    /// Revocation lists that were warned about.
    told: BTreeSet<String>,
}

/// What is known of the trust in clients.
#[derive(Debug, Clone)]
pub struct TrustStatus {
    /// What is in service.
    pub in_service: Arc<Trust>,
    /// The files and directories that it is read from.
    pub files: Vec<PathBuf>,
    /// Since when.
    pub loaded_at: SystemTime,
    /// What is wrong with the files now.
    pub last_error: Option<Problem>,
    /// The mount that keeps a file from changing.
    pub frozen_by: Option<PathBuf>,
}

impl FirstTrust {
    /// Loads what `section` names.
    pub(super) fn open(section: ClientAuth) -> Result<Self, TrustError> {
        let (sources, places, versions) = trust_sources(&section);
        let trust = Arc::new(Trust::new(sources?, None)?);
        Ok(Self {
            section,
            trust,
            places,
            versions,
        })
    }

    /// What clients are to be let in by.
    pub(super) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// Follows the files from now on.
    pub(super) fn kept_by(self, keeper: Doorkeeper) -> ClientTrust {
        let mut trust = ClientTrust {
            section: self.section,
            in_service: self.trust,
            loaded_at: SystemTime::now(),
            keeper,
            versions: self.versions,
            places: self.places,
            unsettled: None,
            problem: None,
            frozen_by: None,
            told: BTreeSet::new(),
        };
        trust.frozen_by = frozen(&trust.files());
        trust.tell("client trust loaded");
        if let Some(mount) = &trust.frozen_by {
            tracing::warn!(
                mount = %mount.display(),
                "client trust is mounted with subPath and never changes: mount the directory"
            );
        }
        trust.remind();
        trust
    }
}

impl ClientTrust {
    /// Whether nothing can have changed.
    pub(super) fn are_unchanged(&self) -> bool {
        self.versions.are_unchanged()
    }

    /// How long until what may have been half written counts.
    pub(super) fn next_retry(&self) -> Option<Duration> {
        let (_, at) = self.unsettled.as_ref()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// What is known now.
    pub(super) fn status(&self) -> TrustStatus {
        TrustStatus {
            in_service: Arc::clone(&self.in_service),
            loaded_at: self.loaded_at,
            last_error: self.problem.clone(),
            frozen_by: self.frozen_by.clone(),
            files: self.files(),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let section = &self.section;
        let files = section.authorities.iter().chain(&section.revocations);
        files.chain(&section.allow_file).cloned().collect()
    }

    /// Reads the files once more and lets clients in by what is new; says what became of it.
    pub(super) fn look(&mut self, urgency: Urgency) -> Option<Event> {
        let (sources, places, versions) = trust_sources(&self.section);
        (self.places, self.versions) = (places, versions);
        let found = sources.map(|sources| (sources.digest(), sources));
        if let Ok((digest, _)) = &found
            && *digest == self.in_service.digest()
        {
            self.unsettled = None;
            if self.problem.take().is_some() {
                tracing::info!("client trust: the files hold what is in service again");
            }
            return (urgency == Urgency::Asked).then(|| self.event(ReloadResult::Unchanged, None));
        }
        let seen = match &found {
            Ok((digest, _)) => hex(digest),
            Err(error) => error.to_string(),
        };
        if !self.is_settled(seen, urgency) {
            return None;
        }
        match found.and_then(|(_, sources)| self.change(sources)) {
            Ok(()) => {
                self.problem = None;
                self.loaded_at = SystemTime::now();
                self.tell("client trust reloaded");
                self.remind();
                Some(self.event(ReloadResult::Published, None))
            }
            Err(error) => self.keep(&error, urgency),
        }
    }

    /// Warns once of each revocation list that is about to end or has ended.
    pub(super) fn remind(&mut self) {
        let now = SystemTime::now();
        let trust = Arc::clone(&self.in_service);
        for list in trust.revocations() {
            let is_over = list.next_update.is_some_and(|end| end <= now);
            let is_nearly = list.nearly_over_from().is_some_and(|from| from <= now);
            let word = if is_over { "over" } else { "nearly" };
            let key = || format!("{word} {:?} {}", list.next_update, list.issuer);
            if !(is_over || is_nearly) || !self.told.insert(key()) {
                continue;
            }
            match is_over {
                true => tracing::error!(
                    issuer = %list.issuer,
                    "revocation list has expired: every client of this authority is refused until \
                     --client-crl-file has a new one"
                ),
                false => tracing::warn!(
                    issuer = %list.issuer,
                    "revocation list expires within a day; then every client of this authority is \
                     refused"
                ),
            }
        }
        for authority in trust.authorities() {
            let facts = &authority.facts;
            if facts.not_after <= now && self.told.insert(facts.sha256.clone()) {
                tracing::warn!(
                    subject = %facts.subject, sha256 = %facts.sha256,
                    "an authority in --client-ca-file has expired: its clients are refused"
                );
            }
        }
    }

    fn change(&mut self, sources: TrustSources) -> Result<(), TrustError> {
        let trust = Trust::new(sources, Some(&self.in_service))?;
        let now = SystemTime::now();
        if trust.is_out_of_date(now) && !self.in_service.is_out_of_date(now) {
            return Err(TrustError::OutOfDate);
        }
        let trust = Arc::new(trust);
        self.keeper
            .change(Arc::clone(&trust))
            .map_err(|error| TrustError::Refused(error.to_string()))?;
        self.in_service = trust;
        // Mounts are looked at when files changed, not whenever somebody asks for the status.
        self.frozen_by = frozen(&self.files());
        Ok(())
    }

    /// Whether what was read counts now: an atomic volume is never half written.
    fn is_settled(&mut self, seen: String, urgency: Urgency) -> bool {
        let now = Instant::now();
        let is_certain = urgency == Urgency::Asked || self.versions.are_atomic();
        match &self.unsettled {
            _ if is_certain => {}
            Some((before, at)) if *before == seen && *at <= now => {}
            Some((before, _)) if *before == seen => return false,
            _ => {
                self.unsettled = Some((seen, now + SETTLED));
                return false;
            }
        }
        self.unsettled = None;
        true
    }

    fn keep(&mut self, error: &TrustError, urgency: Urgency) -> Option<Event> {
        let words = error.to_string();
        let is_news = self
            .problem
            .as_ref()
            .is_none_or(|known| known.words != words);
        if is_news {
            let reason = error.reason().as_str();
            tracing::warn!(%error, reason, "client trust not reloaded; the last good one stays");
            self.problem = Some(Problem {
                reason: error.reason(),
                words,
                since: SystemTime::now(),
            });
        }
        let is_told = is_news || urgency == Urgency::Asked;
        is_told.then(|| self.event(ReloadResult::Kept, Some(error)))
    }

    fn event(&self, result: ReloadResult, error: Option<&TrustError>) -> Event {
        Event {
            at: SystemTime::now(),
            file: self
                .section
                .authorities
                .first()
                .cloned()
                .unwrap_or_default(),
            result,
            reason: error.map(TrustError::reason),
            words: error.map(ToString::to_string).unwrap_or_default(),
        }
    }

    fn tell(&self, message: &'static str) {
        let trust = &self.in_service;
        tracing::info!(
            authorities = trust.authorities().len(),
            revocation_lists = trust.revocations().len(),
            patterns = trust.allow().len(),
            sha256 = %hex(&trust.digest()),
            "{message}"
        );
        for facts in trust.passed_over() {
            tracing::warn!(
                subject = %facts.subject, sha256 = %facts.sha256,
                "not trusted: a certificate in --client-ca-file is no authority"
            );
        }
        for facts in trust.without_revocations() {
            tracing::warn!(
                subject = %facts.subject, sha256 = %facts.sha256,
                "no revocation list for this authority: its clients are refused"
            );
        }
    }
}

/// The first mount that keeps one of `files` from changing.
fn frozen(files: &[PathBuf]) -> Option<PathBuf> {
    let mounts = Mounts::now();
    let of = |path: &PathBuf| match path.is_dir() {
        // Of a directory it is what stands in it that does not change.
        true => mounts.freezing(&path.join("any")).map(PathBuf::from),
        false => mounts.freezing(path).map(PathBuf::from),
    };
    files.iter().find_map(of)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
