//! Findings about the trust in clients: what keeps good clients out, now or soon.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Finding;
use crate::reload::TrustStatus;
use crate::tls::{AuthorityFacts, RevocationFacts, TrustError};

/// What a client authority is mounted by.
const MOUNT: &str = "\
spec:
  containers:
  - name: tls-sidecar
    volumeMounts:
    - name: client-ca
      mountPath: /etc/client-ca  # the directory, without subPath
      readOnly: true
  volumes:
  - name: client-ca
    configMap:
      name: NAME  # or a projected clusterTrustBundle";

/// An authority that ends within this is worth a word.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The finding for a trust that cannot be loaded.
pub(super) fn missing(error: &TrustError) -> Finding {
    Finding::error("client_trust", error.to_string()).mended_by(MOUNT)
}

/// What is wrong with the trust that clients would be let in by.
pub(super) fn findings(status: &TrustStatus, now: SystemTime) -> Vec<Finding> {
    let trust = &status.in_service;
    let mut found: Vec<_> = status.frozen_by.iter().map(|m| frozen(m)).collect();
    let authorities = trust.authorities().iter();
    found.extend(authorities.filter_map(|one| authority(&one.facts, now)));
    found.extend(trust.revocations().iter().filter_map(|one| list(one, now)));
    found.extend(trust.without_revocations().map(|facts| {
        let message = format!(
            "{}: no list in --client-crl-file is of this authority, so its clients are refused; add \
             its list",
            facts.subject
        );
        Finding::warning("authority_without_crl", message)
    }));
    found.extend(trust.passed_over().iter().map(|facts| {
        let message = format!(
            "{} stands in --client-ca-file and is no authority: it is passed over",
            facts.subject
        );
        Finding::note("no_authority", message)
    }));
    found
}

fn frozen(mount: &Path) -> Finding {
    let message = format!(
        "{} is mounted with subPath and keeps its first version for ever: authorities and \
         revocation lists in it never change; mount the whole directory",
        mount.display()
    );
    Finding::warning("sub_path", message).mended_by(MOUNT)
}

fn authority(facts: &AuthorityFacts, now: SystemTime) -> Option<Finding> {
    let name = &facts.subject;
    if facts.not_before > now {
        let message = format!("authority {name} is not valid yet: its clients are refused");
        return Some(Finding::warning("authority_not_yet_valid", message));
    }
    // One of a day's lifetime always ends within the week: then it is the last quarter that matters.
    let lifetime = facts.not_after.duration_since(facts.not_before).ok()?;
    let hours = match facts.not_after.duration_since(now) {
        Ok(left) if left > WEEK.min(lifetime / 4) => return None,
        Ok(left) => left.as_secs() / 3600,
        Err(_) => {
            let message = format!(
                "authority {name} has expired: its clients are refused; put its successor into \
                 --client-ca-file"
            );
            return Some(Finding::warning("authority_expired", message));
        }
    };
    let message = format!(
        "authority {name} expires in {hours} h, and its clients are refused then; put its \
         successor beside it"
    );
    Some(Finding::warning("authority_expires_soon", message))
}

fn list(facts: &RevocationFacts, now: SystemTime) -> Option<Finding> {
    let name = &facts.issuer;
    let Ok(left) = facts.next_update?.duration_since(now) else {
        let message = format!(
            "the revocation list of {name} has expired: every client of it is refused; renew the \
             file that --client-crl-file names"
        );
        return Some(Finding::error("crl_expired", message));
    };
    (facts.nearly_over_from()? <= now).then(|| {
        let hours = left.as_secs() / 3600;
        let message = format!(
            "the revocation list of {name} expires in {hours} h; then every client of it is refused"
        );
        Finding::warning("crl_expires_soon", message)
    })
}
