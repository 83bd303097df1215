//! The certificates in service, what is wrong with their files, and what the last reloads came to.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::trust::ClientTrust;
use crate::admin::moment;
use crate::reload::{self, Age, CertificateStatus, Event, Health, Status};

/// All certificates.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Certificates {
    /// Each, the default one first.
    pub(in crate::admin) certificates: Vec<Certificate>,
    /// The last reloads, the newest first.
    pub(in crate::admin) reloads: Vec<Reload>,
    /// How changes are found: `watching`, or why by polling alone.
    pub(in crate::admin) changes: String,
    /// Whom clients may be certified by; none where they are not asked.
    pub(in crate::admin) client_trust: Option<ClientTrust>,
}

/// One certificate.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Certificate {
    pub(in crate::admin) file: String,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) loaded_at: Option<String>,
    /// What is in service; none when it never was any good.
    #[serde(flatten)]
    pub(in crate::admin) in_service: Option<Facts>,
    pub(in crate::admin) names_lost: Vec<String>,
    pub(in crate::admin) frozen_by: Option<String>,
    pub(in crate::admin) last_error: Option<Problem>,
}

/// What a certificate says.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Facts {
    pub(in crate::admin) names: Vec<String>,
    pub(in crate::admin) serial: String,
    pub(in crate::admin) issuer: String,
    pub(in crate::admin) key: String,
    pub(in crate::admin) sha256: String,
    pub(in crate::admin) not_before: String,
    pub(in crate::admin) not_after: String,
    pub(in crate::admin) seconds_left: u64,
    pub(in crate::admin) lifetime_seconds: u64,
}

/// What is wrong with its files now.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Problem {
    pub(in crate::admin) reason: &'static str,
    pub(in crate::admin) words: String,
    pub(in crate::admin) since: String,
}

/// What became of one certificate at one reload.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Reload {
    pub(in crate::admin) at: String,
    pub(in crate::admin) file: String,
    pub(in crate::admin) result: &'static str,
    pub(in crate::admin) reason: Option<&'static str>,
    pub(in crate::admin) words: String,
}

impl Certificates {
    pub(super) fn of(status: &Status, now: SystemTime) -> Self {
        let certificates = status.certificates.iter();
        Self {
            certificates: certificates.map(|one| Certificate::of(one, now)).collect(),
            reloads: status.reloads.iter().rev().map(Reload::from).collect(),
            changes: match &status.watch {
                Health::Watching => "watching".to_owned(),
                Health::Degraded(why) => format!("polling alone: {why}"),
            },
            client_trust: status
                .trust
                .as_ref()
                .map(|trust| ClientTrust::of(trust, now)),
        }
    }
}

impl Certificate {
    fn of(status: &CertificateStatus, now: SystemTime) -> Self {
        Self {
            file: status.file.display().to_string(),
            state: state(status.age_at(now)),
            loaded_at: status.loaded_at.map(moment::of),
            in_service: status.in_service.as_ref().map(|served| {
                let facts = served.facts();
                let left = facts.not_after.duration_since(now);
                Facts {
                    names: facts.names.iter().collect(),
                    serial: facts.serial.clone(),
                    issuer: facts.issuer.clone(),
                    key: facts.key.to_string(),
                    sha256: served.fingerprint().to_owned(),
                    not_before: moment::of(facts.not_before),
                    not_after: moment::of(facts.not_after),
                    seconds_left: left.unwrap_or(Duration::ZERO).as_secs(),
                    lifetime_seconds: facts.lifetime().as_secs(),
                }
            }),
            names_lost: status.names_lost.clone(),
            frozen_by: status
                .frozen_by
                .as_ref()
                .map(|mount| mount.display().to_string()),
            last_error: status.last_error.as_ref().map(Problem::of),
        }
    }
}

impl Problem {
    pub(super) fn of(problem: &reload::Problem) -> Self {
        Self {
            reason: problem.reason.as_str(),
            words: problem.words.clone(),
            since: moment::of(problem.since),
        }
    }
}

impl From<&Event> for Reload {
    fn from(event: &Event) -> Self {
        Self {
            at: moment::of(event.at),
            file: event.file.display().to_string(),
            result: event.result.as_str(),
            reason: event.reason.map(|reason| reason.as_str()),
            words: event.words.clone(),
        }
    }
}

fn state(age: Age) -> &'static str {
    match age {
        Age::NotYetValid => "not yet valid",
        Age::Fresh => "valid",
        Age::Overdue => "renewal overdue",
        Age::Soon => "expires soon",
        Age::VerySoon => "about to expire",
        Age::Expired => "expired",
    }
}
