//! Findings about certificates: whether there are any, and what is wrong with those there are.

use std::path::Path;
use std::time::SystemTime;

use super::{Finding, Surroundings, clients};
use crate::reload::{Age, CertificateStatus, Health, OpenError, Status};
use crate::tls::gate::{self, Objection};
use crate::tls::{Certificate, Reason};

const MOUNT: &str = "\
spec:
  containers:
  - name: tls-sidecar
    volumeMounts:
    - name: tls
      mountPath: /etc/tls  # the directory, without subPath
      readOnly: true
  volumes:
  - name: tls
    secret:
      secretName: NAME";

/// The finding for a start that fails.
pub(super) fn missing(error: &OpenError, around: &Surroundings) -> Finding {
    match error {
        OpenError::Certificate(error) => trouble(error.reason(), error.to_string(), around),
        OpenError::Tickets(error) => Finding::error("ticket_secrets", error.to_string()),
        OpenError::Trust(error) => clients::missing(error),
        OpenError::Tls(_) => Finding::error("tls", error.to_string()),
    }
}

/// What is wrong with the certificates that would be served.
pub(super) fn served(status: &Status, around: &Surroundings, now: SystemTime) -> Vec<Finding> {
    let mut found = Vec::new();
    for certificate in &status.certificates {
        found.extend(one(certificate, around, now));
    }
    let in_service = status.certificates.iter();
    let in_service: Vec<_> = in_service.filter_map(|c| c.in_service.as_deref()).collect();
    found.extend(shadowed(&in_service));
    found
}

/// A finding when changes would be seen late.
pub(super) fn watching(health: &Health, around: &Surroundings) -> Option<Finding> {
    let Health::Degraded(why) = health else {
        return None;
    };
    let shown = |limit: Option<u64>| limit.map_or("?".to_owned(), |limit| limit.to_string());
    let (instances, watches) = around.inotify;
    let message = format!(
        "certificate changes are found by polling alone: {why}; raise fs.inotify.max_user_instances \
         ({}) or fs.inotify.max_user_watches ({}) on the node, as root: sysctl -w \
         fs.inotify.max_user_instances=1024",
        shown(instances),
        shown(watches),
    );
    Some(Finding::warning("inotify", message))
}

fn one(status: &CertificateStatus, around: &Surroundings, now: SystemTime) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(problem) = &status.last_error {
        found.push(trouble(problem.reason, problem.words.clone(), around));
    }
    if let Some(mount) = &status.frozen_by {
        let message = format!(
            "{} is mounted with subPath and keeps its first version for ever: the certificate in \
             it is never renewed; mount the whole Secret as a directory",
            mount.display()
        );
        found.push(Finding::warning("sub_path", message).mended_by(MOUNT));
    }
    if let Some(certificate) = &status.in_service {
        found.extend(age(&status.file, status.age, certificate, now));
        found.extend(disliked(certificate, now));
    }
    found
}

/// Files that hold nothing that could be served.
fn trouble(reason: Reason, words: String, around: &Surroundings) -> Finding {
    let (uid, gid) = around.identity;
    match reason {
        Reason::PermissionDenied => {
            let group = if gid == 0 { 65532 } else { gid };
            let message = format!("{words}; this process is uid {uid}, gid {gid}");
            Finding::error(reason.as_str(), message).mended_by(format!(
                "spec:\n  securityContext:\n    fsGroup: {group}\n  volumes:\n  - name: tls\n    \
                 secret:\n      secretName: NAME\n      defaultMode: 0440"
            ))
        }
        Reason::Missing | Reason::NoCertificate | Reason::NoKey => {
            Finding::error(reason.as_str(), words).mended_by(MOUNT)
        }
        _ => Finding::error(reason.as_str(), words),
    }
}

fn age(file: &Path, age: Age, certificate: &Certificate, now: SystemTime) -> Option<Finding> {
    let facts = certificate.facts();
    let file = file.display();
    let hours = |moment: SystemTime| {
        let distance = moment
            .duration_since(now)
            .or_else(|_| now.duration_since(moment));
        distance.unwrap_or_default().as_secs() / 3600
    };
    let (begin, end) = (hours(facts.not_before), hours(facts.not_after));
    Some(match age {
        Age::Fresh => return None,
        Age::NotYetValid => Finding::error(
            "not_yet_valid",
            format!("{file} is not valid for another {begin} h; look at the clocks"),
        ),
        Age::Expired => Finding::error(
            "expired",
            format!("{file} expired {end} h ago; clients refuse it: renew it"),
        ),
        Age::Soon | Age::VerySoon => Finding::warning(
            "expires_soon",
            format!("{file} expires in {end} h and was not renewed: look at who renews it"),
        ),
        Age::Overdue => Finding::warning(
            "renewal_overdue",
            format!(
                "{file} expires in {end} h, two thirds of its lifetime are over and it was not \
                 renewed: look at who renews it"
            ),
        ),
    })
}

/// What the gate would hold against it, but for its time.
fn disliked(certificate: &Certificate, now: SystemTime) -> Vec<Finding> {
    let found = gate::objections(certificate, now).into_iter();
    let others = found.filter(|o| !matches!(o, Objection::Expired | Objection::NotYetValid(_)));
    let finding = |objection: Objection| {
        let message = format!("{} {objection}", certificate.file().display());
        Finding::warning(objection.reason().as_str(), message)
    };
    others.map(finding).collect()
}

/// Certificates that no client is ever shown: others before them have all their names and a key of
/// the same kind.
fn shadowed(in_service: &[&Certificate]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, certificate) in in_service.iter().enumerate() {
        let facts = certificate.facts();
        let rival = in_service[..at].iter().find(|before| {
            let other = before.facts();
            let same_names: Vec<_> = other.names.iter().collect();
            other.key == facts.key
                && !facts.names.is_empty()
                && facts.names.iter().all(|name| same_names.contains(&name))
        });
        if let Some(rival) = rival {
            let message = format!(
                "{} is never served: {} has all of its names and the same kind of key; remove one",
                certificate.file().display(),
                rival.file().display(),
            );
            found.push(Finding::warning("names_taken", message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::surroundings::tests::clean;
    use crate::tls::LoadError;
    use std::io;

    #[test]
    fn an_unreadable_key_is_mended_by_the_group_of_this_process() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = LoadError::Read("/etc/tls/tls.key".into(), denied.into());
        let finding = missing(&OpenError::Certificate(error), &clean());
        assert_eq!(finding.code, "permission_denied");
        assert!(finding.message.starts_with("/etc/tls/tls.key: "));
        assert!(finding.message.ends_with("uid 65532, gid 65532"));
        let yaml = finding.yaml.unwrap();
        assert!(yaml.contains("fsGroup: 65532") && yaml.contains("defaultMode: 0440"));
    }

    #[test]
    fn no_certificate_at_all_is_mended_by_a_mount() {
        let error = LoadError::NoPair(vec!["/etc/tls".into()], Vec::new());
        let finding = missing(&OpenError::Certificate(error), &clean());
        assert_eq!(finding.code, "missing");
        assert!(finding.yaml.unwrap().contains("secretName"));
    }

    #[test]
    fn polling_alone_is_a_warning_with_the_limits() {
        assert_eq!(watching(&Health::Watching, &clean()), None);
        let finding = watching(&Health::Degraded("too many".to_owned()), &clean()).unwrap();
        assert_eq!(finding.code, "inotify");
        assert!(finding.message.contains("max_user_instances (128)"));
    }
}
