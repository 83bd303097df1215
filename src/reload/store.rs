//! Every certificate with its last good version, what is wrong with its files, and what follows.
//!
//! One [`Store::look`] takes what a scan found and decides for each certificate by itself: a bad
//! one keeps its own last good one and does not stop the others. Invariant: what is in service
//! was parsed, rehearsed and let through the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::pace::{PATIENCE, next_retry};
use super::status::Problem;
use crate::config::{OnNameLoss, TlsVersion};
use crate::telemetry::certificates::ReloadResult;
use crate::tls::gate::{self, Objection, Verdict};
use crate::tls::{CertSet, Certificate, Digest, Entry, Layout, LoadError, Rank, Reason};

/// The certificates.
#[derive(Debug)]
pub(super) struct Store {
    slots: BTreeMap<PathBuf, Slot>,
    policy: Policy,
}

/// What the gate is asked with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) on_name_loss: OnNameLoss,
    pub(super) min_version: TlsVersion,
}

/// One certificate.
#[derive(Debug, Default)]
pub(super) struct Slot {
    rank: Rank,
    pub(super) in_service: Option<Arc<Certificate>>,
    pub(super) loaded_at: Option<SystemTime>,
    pub(super) names_lost: Vec<String>,
    pub(super) problem: Option<Problem>,
    /// The contents that were judged last.
    digest: Option<Digest>,
    /// Whole, and not better than the one in service as things stood.
    refused: Option<Arc<Certificate>>,
    trouble: Option<Trouble>,
}

/// Contents that cannot be served.
#[derive(Debug)]
struct Trouble {
    error: LoadError,
    layout: Layout,
    since: Instant,
    is_told: bool,
}

/// How urgent a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A change was seen, or time has passed.
    Routine,
    /// Somebody asked and wants to know now.
    Asked,
}

/// What became of one certificate.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) file: PathBuf,
    pub(super) result: ReloadResult,
    pub(super) reason: Option<Reason>,
    pub(super) words: String,
    pub(super) old: Option<Arc<Certificate>>,
    pub(super) new: Option<Arc<Certificate>>,
}

impl Store {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            slots: BTreeMap::new(),
            policy,
        }
    }

    /// The certificates by name.
    pub(super) fn known(&self) -> BTreeSet<PathBuf> {
        self.slots.keys().cloned().collect()
    }

    /// The certificates, the default one first.
    pub(super) fn slots(&self) -> Vec<(&PathBuf, &Slot)> {
        let mut slots: Vec<_> = self.slots.iter().collect();
        slots.sort_by_key(|(name, slot)| (slot.rank, *name));
        slots
    }

    /// What is to be served; `None` when there is nothing.
    pub(super) fn set(&self) -> Option<CertSet> {
        let slots = self.slots();
        let certificates = slots.iter().filter_map(|(_, slot)| slot.in_service.clone());
        CertSet::new(certificates.collect())
    }

    /// Decides about everything that was found and everything it found no more.
    pub(super) fn look(&mut self, entries: Vec<Entry>, urgency: Urgency) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut gone: BTreeSet<PathBuf> = self.slots.keys().cloned().collect();
        let layout = match entries.iter().all(|e| e.layout == Layout::Atomic) {
            true if !entries.is_empty() => Layout::Atomic,
            _ => Layout::Plain,
        };
        for entry in entries {
            gone.remove(&entry.name);
            outcomes.extend(self.entry(entry, urgency));
        }
        for name in gone {
            outcomes.extend(self.gone(name, layout, urgency));
        }
        outcomes
    }

    /// When contents that are no good should be looked at again.
    pub(super) fn next_retry(&self) -> Option<std::time::Duration> {
        let troubles = self.slots.values().filter_map(|slot| slot.trouble.as_ref());
        let plain = troubles.filter(|trouble| trouble.layout == Layout::Plain);
        plain
            .filter_map(|trouble| next_retry(trouble.since.elapsed()))
            .min()
    }

    /// What is wrong with the default one, when nothing can be served.
    pub(super) fn into_error(self) -> Option<LoadError> {
        let mut slots: Vec<_> = self.slots.into_values().collect();
        slots.sort_by_key(|slot| slot.rank);
        slots.into_iter().find_map(|slot| Some(slot.trouble?.error))
    }

    fn entry(&mut self, entry: Entry, urgency: Urgency) -> Option<Outcome> {
        let policy = self.policy;
        let (name, layout) = (entry.name.clone(), entry.layout);
        let slot = self.slots.entry(name.clone()).or_default();
        slot.rank = entry.rank;
        let digest = entry.digest();
        if slot.digest == Some(digest) {
            return slot.look_again(name, policy, urgency);
        }
        slot.digest = Some(digest);
        slot.refused = None;
        let made = entry.certificate().and_then(|certificate| {
            gate::rehearse(&certificate, policy.min_version)?;
            Ok(Arc::new(certificate))
        });
        match made {
            Ok(certificate) => {
                slot.trouble = None;
                slot.judge(name, certificate, policy, urgency)
            }
            Err(error) => slot.troubled(name, error, layout, urgency),
        }
    }

    fn gone(&mut self, name: PathBuf, layout: Layout, urgency: Urgency) -> Option<Outcome> {
        let slot = self.slots.get(&name)?;
        let is_told = slot.trouble.as_ref().is_some_and(|trouble| trouble.is_told);
        if slot.in_service.is_none() || is_told && self.is_dispensable(&name) {
            let old = self.slots.remove(&name)?.in_service?;
            return Some(Outcome {
                words: format!("{} is gone and no longer served", name.display()),
                file: name,
                result: ReloadResult::Dropped,
                reason: Some(Reason::Missing),
                old: Some(old),
                new: None,
            });
        }
        let slot = self.slots.get_mut(&name)?;
        // What comes back is looked at anew, also when it is what was here before.
        slot.digest = None;
        slot.refused = None;
        match &slot.trouble {
            Some(trouble) if matches!(trouble.error, LoadError::Gone(_)) => {
                slot.tell(name, urgency)
            }
            _ => slot.troubled(name.clone(), LoadError::Gone(name), layout, urgency),
        }
    }

    /// A certificate whose files are gone goes on while anybody needs it.
    fn is_dispensable(&self, name: &PathBuf) -> bool {
        let own = self
            .slots
            .get(name)
            .and_then(|slot| slot.in_service.as_ref());
        let Some(own) = own else { return true };
        let others = || {
            let others = self.slots.iter().filter(|(other, _)| *other != name);
            others.filter_map(|(_, slot)| match slot.trouble {
                None => slot.in_service.as_ref(),
                Some(_) => None,
            })
        };
        let is_over = own.facts().not_after <= SystemTime::now();
        let is_covered = |name: &String| others().any(|other| other.facts().names.cover(name));
        others().next().is_some() && (is_over || own.facts().names.iter().all(|n| is_covered(&n)))
    }
}

impl Slot {
    /// The contents are those of the last look; time may still have changed what they mean.
    fn look_again(&mut self, name: PathBuf, policy: Policy, urgency: Urgency) -> Option<Outcome> {
        if self.trouble.is_some() {
            return self.tell(name, urgency);
        }
        if let Some(refused) = self.refused.clone() {
            return self.judge(name, refused, policy, urgency);
        }
        self.unchanged(name, urgency)
    }

    fn judge(
        &mut self,
        name: PathBuf,
        candidate: Arc<Certificate>,
        policy: Policy,
        urgency: Urgency,
    ) -> Option<Outcome> {
        let current = self.in_service.as_deref();
        if current.is_some_and(|current| current.is_same_as(&candidate)) {
            self.problem = None;
            return self.unchanged(name, urgency);
        }
        let now = SystemTime::now();
        match gate::judge(&candidate, current, policy.on_name_loss, now) {
            Verdict::Publish(warnings) => Some(self.publish(name, candidate, &warnings)),
            Verdict::Refuse(objections) => {
                let is_known = self.refused.is_some() && urgency == Urgency::Routine;
                self.refused = Some(Arc::clone(&candidate));
                if is_known {
                    return None;
                }
                Some(self.kept(name, reason(&objections), words(&candidate, &objections)))
            }
        }
    }

    fn publish(
        &mut self,
        name: PathBuf,
        candidate: Arc<Certificate>,
        warnings: &[Objection],
    ) -> Outcome {
        let lost = warnings.iter().find_map(|warning| match warning {
            Objection::NamesLost(names) => Some(names.clone()),
            _ => None,
        });
        self.names_lost = lost.unwrap_or_default();
        self.refused = None;
        self.problem = None;
        self.loaded_at = Some(SystemTime::now());
        let old = self.in_service.replace(Arc::clone(&candidate));
        let words = match warnings {
            [] => String::new(),
            warnings => words(&candidate, warnings),
        };
        Outcome {
            file: name,
            result: ReloadResult::Published,
            reason: reason(warnings),
            words,
            old,
            new: Some(candidate),
        }
    }

    fn troubled(
        &mut self,
        name: PathBuf,
        error: LoadError,
        layout: Layout,
        urgency: Urgency,
    ) -> Option<Outcome> {
        tracing::debug!(%error, "certificate not usable as it is");
        self.trouble = Some(Trouble {
            error,
            layout,
            since: Instant::now(),
            is_told: false,
        });
        self.tell(name, urgency)
    }

    /// Calls the contents bad once they have had the time to become good.
    fn tell(&mut self, name: PathBuf, urgency: Urgency) -> Option<Outcome> {
        let trouble = self.trouble.as_mut()?;
        let is_final = trouble.layout == Layout::Atomic || trouble.since.elapsed() >= PATIENCE;
        let is_due = !trouble.is_told && is_final;
        if !is_due && urgency == Urgency::Routine {
            return None;
        }
        trouble.is_told = true;
        let (reason, words) = (trouble.error.reason(), trouble.error.to_string());
        Some(self.kept(name, Some(reason), words))
    }

    fn kept(&mut self, name: PathBuf, reason: Option<Reason>, words: String) -> Outcome {
        if let Some(reason) = reason {
            let same = self.problem.take().filter(|problem| problem.words == words);
            self.problem = Some(Problem {
                reason,
                words: words.clone(),
                since: same.map_or_else(SystemTime::now, |problem| problem.since),
            });
        }
        Outcome {
            file: name,
            result: ReloadResult::Kept,
            reason,
            words,
            old: self.in_service.clone(),
            new: None,
        }
    }

    fn unchanged(&self, name: PathBuf, urgency: Urgency) -> Option<Outcome> {
        (urgency == Urgency::Asked).then(|| Outcome {
            file: name,
            result: ReloadResult::Unchanged,
            reason: None,
            words: String::new(),
            old: self.in_service.clone(),
            new: None,
        })
    }
}

fn reason(objections: &[Objection]) -> Option<Reason> {
    objections.first().map(Objection::reason)
}

fn words(candidate: &Certificate, objections: &[Objection]) -> String {
    let sentences: Vec<_> = objections.iter().map(Objection::to_string).collect();
    format!("{} {}", candidate.file().display(), sentences.join("; it "))
}
