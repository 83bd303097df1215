//! What a look at the files came to, in the log.
//!
//! One line for each certificate that something became of, with file, fingerprints and reason.

use super::store::Outcome;
use crate::telemetry::certificates::{NO_REASON, ReloadResult};
use crate::tls::{Certificate, Reason};

/// Lines about single certificates at the start; a thousand of them would hide everything else.
const FIRST_LINES: usize = 8;

/// The certificates that the start found.
pub(super) fn started(outcomes: &[Outcome]) {
    for (number, outcome) in outcomes.iter().enumerate() {
        match (outcome.result, &outcome.new) {
            (ReloadResult::Published, Some(new)) => {
                let (file, sha256) = (outcome.file.display(), new.fingerprint());
                if !outcome.words.is_empty() {
                    warn_of(outcome);
                }
                if number < FIRST_LINES {
                    tracing::info!(%file, sha256, names = names(new), "certificate loaded");
                } else {
                    tracing::debug!(%file, sha256, names = names(new), "certificate loaded");
                }
            }
            _ => tracing::error!(
                file = %outcome.file.display(), reason = label(outcome.reason),
                error = outcome.words, "certificate not loaded"
            ),
        }
    }
}

/// What a look while running came to.
pub(super) fn changed(outcomes: &[Outcome]) {
    let mut unchanged = 0;
    for outcome in outcomes {
        unchanged += usize::from(outcome.result == ReloadResult::Unchanged);
        if unchanged <= FIRST_LINES || outcome.result != ReloadResult::Unchanged {
            one(outcome);
        }
    }
    if unchanged > FIRST_LINES {
        tracing::info!(certificates = unchanged, "certificates unchanged");
    }
}

fn one(outcome: &Outcome) {
    let file = outcome.file.display();
    let sha256 = |certificate: Option<&std::sync::Arc<Certificate>>| {
        certificate.map_or("none", |c| c.fingerprint()).to_owned()
    };
    let (old, new) = (sha256(outcome.old.as_ref()), sha256(outcome.new.as_ref()));
    let (reason, error) = (label(outcome.reason), outcome.words.as_str());
    match outcome.result {
        ReloadResult::Published => {
            if !outcome.words.is_empty() {
                warn_of(outcome);
            }
            tracing::info!(%file, old.sha256 = old, new.sha256 = new, "certificate reloaded");
        }
        ReloadResult::Unchanged => {
            tracing::info!(%file, sha256 = old, "certificate unchanged");
        }
        ReloadResult::Kept if outcome.old.is_none() => {
            tracing::warn!(%file, reason, error, "certificate not loaded; the others are served");
        }
        ReloadResult::Kept => tracing::warn!(
            %file, reason, error, sha256 = old,
            "certificate not reloaded; the last good one stays in service"
        ),
        ReloadResult::Dropped => {
            tracing::warn!(%file, sha256 = old, "certificate is gone and no longer served");
        }
    }
}

fn warn_of(outcome: &Outcome) {
    tracing::warn!(
        file = %outcome.file.display(), reason = label(outcome.reason), warning = outcome.words,
        "certificate is served with a warning"
    );
}

fn label(reason: Option<Reason>) -> &'static str {
    reason.map_or(NO_REASON, Reason::as_str)
}

/// Its names, as many as fit a line.
fn names(certificate: &Certificate) -> String {
    let names: Vec<_> = certificate.facts().names.iter().take(5).collect();
    names.join(",")
}
