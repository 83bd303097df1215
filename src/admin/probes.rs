//! What `/readyz` and `/startupz` answer.
//!
//! Findings are made at the moment of asking, from what others publish. Invariant: a probe that
//! fails says in its body what is missing.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::StatusCode;

use super::Admin;
use super::routes::{Answer, text};
use crate::drain::Stage;
use crate::readiness::{Condition, Finding, Question};
use crate::reload::{Age, Status, Unready};

/// Every condition as it is now.
pub(super) fn findings(admin: &Admin) -> [Finding; 4] {
    let serving = admin.serving.get();
    let listening = match serving {
        None => (false, "not yet: a certificate comes first".to_owned()),
        Some(serving) => match admin.stage() >= Stage::Graceful {
            true => (false, "closed by the drain".to_owned()),
            false => (true, format!("on {}", joined(&serving.addresses))),
        },
    };
    let certificate = match serving {
        None => (false, "none is loaded".to_owned()),
        Some(serving) => certificate(&serving.certificates.status.load()),
    };
    let application = match admin.application.seen().reached {
        None => (false, format!("{}: not looked at yet", admin.upstream)),
        Some(Ok(())) => (true, format!("{}: reached", admin.upstream)),
        Some(Err(error)) => (false, format!("{}: {error}", admin.upstream)),
    };
    let not_draining = match admin.stage() {
        Stage::Running => (true, "no drain runs".to_owned()),
        Stage::Leaving => (false, "a drain runs: still accepting".to_owned()),
        Stage::Graceful => (false, "a drain runs: work in flight goes on".to_owned()),
        Stage::Forced => (false, "a drain runs: out of time".to_owned()),
        Stage::Over => (false, "the drain is over".to_owned()),
    };
    let finding = |condition, (holds, words)| Finding {
        condition,
        holds,
        words,
    };
    [
        finding(Condition::Listening, listening),
        finding(Condition::Certificate, certificate),
        finding(Condition::Application, application),
        finding(Condition::NotDraining, not_draining),
    ]
}

fn certificate(status: &Status) -> (bool, String) {
    let Some(default) = status.certificates.first() else {
        return (false, "none is loaded".to_owned());
    };
    let file = default.file.display();
    match status.unready() {
        Some(Unready::CertificateExpired) => (
            false,
            format!("{file}: expired, and --on-expiry is unready"),
        ),
        None if default.age_at(SystemTime::now()) == Age::Expired => {
            (true, format!("{file}: expired, and --on-expiry is serve"))
        }
        None => (true, format!("{file}: valid")),
    }
}

pub(super) fn answer(admin: &Admin, question: Question, query: &str) -> Answer {
    let mut findings = findings(admin).to_vec();
    findings.retain(|finding| finding.condition.matters_to(question));
    let is_verbose = query
        .split('&')
        .any(|part| part == "verbose" || part.starts_with("verbose="));
    let (yes, no) = match question {
        Question::Ready => ("ready", "not ready"),
        Question::Started => ("started", "not started"),
    };
    let missing: Vec<_> = findings
        .iter()
        .filter(|finding| !finding.holds)
        .map(|finding| finding.condition.as_str())
        .collect();
    let mut body = match missing.is_empty() {
        true => format!("{yes}\n"),
        false => format!("{no}: {}\n", missing.join(", ")),
    };
    for finding in findings.iter().filter(|f| is_verbose || !f.holds) {
        let sign = if finding.holds { '+' } else { '-' };
        // Writing into a string cannot fail.
        let _ = writeln!(body, "[{sign}] {}: {}", finding.condition, finding.words);
    }
    let status = match missing.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, body)
}

/// Addresses as a list for a person.
pub(super) fn joined(addresses: &[impl ToString]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}
