//! Certificates that nobody renews: told daily from two thirds of the lifetime on, then louder.
//!
//! cert-manager and certbot renew at two thirds; what is older was forgotten. Invariant: one line
//! a day for each certificate and level, however often it is looked at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::tls::Facts;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far a certificate's lifetime has gone, from harmless to over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It has not begun.
    NotYetValid,
    /// As it should be.
    Fresh,
    /// Two thirds are over and it was not renewed.
    Overdue,
    /// Seven days are left, or a twelfth of a short lifetime.
    Soon,
    /// One day is left, or a fiftieth of a short lifetime.
    VerySoon,
    /// It is over.
    Expired,
}

impl Age {
    /// The age of a certificate at `now`.
    pub fn of(facts: &Facts, now: SystemTime) -> Self {
        let Ok(age) = now.duration_since(facts.not_before) else {
            return Self::NotYetValid;
        };
        let lifetime = facts.lifetime();
        let left = lifetime.saturating_sub(age);
        // The renewer acts at two thirds, and the kubelet needs a while to bring it here.
        let grace = (lifetime / 50).min(HOUR);
        match left {
            Duration::ZERO => Self::Expired,
            left if left <= (lifetime / 50).min(DAY) => Self::VerySoon,
            left if left <= (lifetime / 12).min(7 * DAY) => Self::Soon,
            _ if age > lifetime / 3 * 2 + grace => Self::Overdue,
            _ => Self::Fresh,
        }
    }

    /// Whether the renewal is overdue.
    pub fn is_overdue(self) -> bool {
        self >= Self::Overdue
    }
}

/// Remembers what was said, so that it is said once a day.
#[derive(Debug, Default)]
pub(super) struct Reminder(HashMap<PathBuf, (Age, Instant)>);

impl Reminder {
    /// Says what there is to say about the certificate in `file`.
    pub(super) fn remind(&mut self, file: &Path, facts: &Facts, now: SystemTime) -> Age {
        let age = Age::of(facts, now);
        if !age.is_overdue() {
            self.0.remove(file);
            return age;
        }
        let said = self.0.get(file);
        if said.is_some_and(|(said, at)| *said == age && at.elapsed() < DAY) {
            return age;
        }
        self.0.insert(file.to_path_buf(), (age, Instant::now()));
        say(file, age, facts, now);
        age
    }
}

fn say(file: &Path, age: Age, facts: &Facts, now: SystemTime) {
    let left = facts.not_after.duration_since(now).unwrap_or_default();
    let (file, hours) = (file.display(), left.as_secs() / 3600);
    match age {
        Age::Expired => tracing::error!(
            %file,
            "certificate has expired and is served all the same; clients refuse it: renew it"
        ),
        Age::VerySoon => tracing::error!(
            %file, hours_left = hours,
            "certificate is about to expire and was not renewed: look at who renews it"
        ),
        Age::Soon => tracing::warn!(
            %file, hours_left = hours,
            "certificate expires soon and was not renewed: look at who renews it"
        ),
        _ => tracing::warn!(
            %file, hours_left = hours,
            "renewal overdue: two thirds of the certificate's lifetime are over"
        ),
    }
}
