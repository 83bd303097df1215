//! Whom clients may be certified by, and who of them still is.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::certificates::Problem;
use crate::admin::moment;
use crate::config::ClientAuthMode;
use crate::reload::TrustStatus;
use crate::tls::{Authority, RevocationFacts};

/// The trust in clients.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ClientTrust {
    pub(in crate::admin) mode: &'static str,
    pub(in crate::admin) files: Vec<String>,
    pub(in crate::admin) loaded_at: String,
    pub(in crate::admin) authorities: Vec<TrustedAuthority>,
    pub(in crate::admin) revocations: Vec<RevocationList>,
    /// Patterns of who may come in; empty for everybody with a good certificate.
    pub(in crate::admin) allow: Vec<String>,
    /// Subjects that stand among the authorities and are none.
    pub(in crate::admin) passed_over: Vec<String>,
    pub(in crate::admin) frozen_by: Option<String>,
    pub(in crate::admin) last_error: Option<Problem>,
}

/// One authority.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct TrustedAuthority {
    pub(in crate::admin) subject: String,
    pub(in crate::admin) sha256: String,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) not_before: String,
    pub(in crate::admin) not_after: String,
    pub(in crate::admin) seconds_left: u64,
    pub(in crate::admin) lifetime_seconds: u64,
    /// Handshakes of its clients since the start.
    pub(in crate::admin) handshakes: u64,
    /// Whether its clients are refused for want of a list.
    pub(in crate::admin) lacks_revocation_list: bool,
}

/// One revocation list.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct RevocationList {
    pub(in crate::admin) issuer: String,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) this_update: String,
    pub(in crate::admin) next_update: Option<String>,
    pub(in crate::admin) revoked: usize,
}

impl ClientTrust {
    pub(super) fn of(status: &TrustStatus, now: SystemTime) -> Self {
        let trust = &status.in_service;
        let uncovered: Vec<_> = trust.without_revocations().collect();
        let authority = |authority: &Authority| TrustedAuthority {
            lacks_revocation_list: uncovered.contains(&&authority.facts),
            ..TrustedAuthority::of(authority, now)
        };
        let lists = trust.revocations().iter();
        Self {
            mode: match trust.mode() {
                ClientAuthMode::Optional => "optional",
                ClientAuthMode::Required => "required",
            },
            files: status
                .files
                .iter()
                .map(|f| f.display().to_string())
                .collect(),
            loaded_at: moment::of(status.loaded_at),
            authorities: trust.authorities().iter().map(authority).collect(),
            revocations: lists.map(|list| RevocationList::of(list, now)).collect(),
            allow: trust.allow().iter().map(ToString::to_string).collect(),
            passed_over: trust
                .passed_over()
                .iter()
                .map(|f| f.subject.clone())
                .collect(),
            frozen_by: status.frozen_by.as_ref().map(|m| m.display().to_string()),
            last_error: status.last_error.as_ref().map(Problem::of),
        }
    }
}

impl TrustedAuthority {
    fn of(authority: &Authority, now: SystemTime) -> Self {
        let facts = &authority.facts;
        let left = facts.not_after.duration_since(now);
        let lifetime = facts.not_after.duration_since(facts.not_before);
        Self {
            subject: facts.subject.clone(),
            sha256: facts.sha256.clone(),
            state: match (facts.not_before > now, facts.not_after <= now) {
                (true, _) => "not yet valid",
                (_, true) => "expired",
                _ => "valid",
            },
            not_before: moment::of(facts.not_before),
            not_after: moment::of(facts.not_after),
            seconds_left: left.unwrap_or(Duration::ZERO).as_secs(),
            lifetime_seconds: lifetime.unwrap_or(Duration::ZERO).as_secs(),
            handshakes: authority.handshakes(),
            lacks_revocation_list: false,
        }
    }
}

impl RevocationList {
    fn of(facts: &RevocationFacts, now: SystemTime) -> Self {
        let is_over = facts.next_update.is_some_and(|end| end <= now);
        Self {
            issuer: facts.issuer.clone(),
            state: if is_over { "expired" } else { "valid" },
            this_update: moment::of(facts.this_update),
            next_update: facts.next_update.map(moment::of),
            revoked: facts.revoked,
        }
    }
}
