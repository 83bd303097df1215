//! Whether traffic should come here, as conditions with names.
//!
//! What is known of the application comes from [`probe`], which runs beside the data path; the rest
//! is asked for at the moment of a probe. Invariant: nothing here is on the path of a request, and
//! no condition fails without words that say what is missing.

mod probe;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use probe::{Probe, ProbeError};

/// What must hold for traffic to come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// TLS is accepted.
    Listening,
    /// A certificate is loaded, and its time is not over where `--on-expiry unready` stands.
    Certificate,
    /// The application has been reached.
    Application,
    /// No drain runs.
    NotDraining,
}

/// What was found of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub condition: Condition,
    /// Whether it holds.
    pub holds: bool,
    /// What was seen, for a person.
    pub words: String,
}

/// What a probe of the sidecar asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// May the containers that wait for this one start? The application is one of them.
    Started,
    /// Should traffic come here?
    Ready,
}

/// What is known of the application; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Application(Arc<Mutex<Seen>>);

/// The application as it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it was reached, or why not; `None` before the first answer to that.
    pub reached: Option<Result<(), String>>,
    /// When that last changed.
    pub since: Option<SystemTime>,
}

impl Condition {
    /// The name that probes, metrics and documentation use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Certificate => "certificate",
            Self::Application => "application",
            Self::NotDraining => "not-draining",
        }
    }

    /// Whether `question` is also about this.
    pub fn matters_to(self, question: Question) -> bool {
        match question {
            Question::Ready => true,
            // A native sidecar's startup probe holds the application back: waiting for it here
            // would be waiting for ever.
            Question::Started => matches!(self, Self::Listening | Self::Certificate),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Application {
    /// The application as it was last seen.
    pub fn seen(&self) -> Seen {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Remembers what was seen now, and says so when it is news.
    fn saw(&self, reached: Result<(), String>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was = seen.reached.as_ref().map(Result::is_ok);
        if was != Some(reached.is_ok()) {
            seen.since = Some(SystemTime::now());
            match (&reached, was) {
                (Ok(()), _) => tracing::info!("application reached"),
                (Err(error), Some(_)) => {
                    tracing::warn!(error, "application not reached any more");
                }
                (Err(error), None) => tracing::info!(error, "application not reached yet"),
            }
        }
        seen.reached = Some(reached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_does_not_wait_for_the_application_or_for_the_end_of_a_drain() {
        let all = [
            Condition::Listening,
            Condition::Certificate,
            Condition::Application,
            Condition::NotDraining,
        ];
        let started = all.map(|condition| condition.matters_to(Question::Started));
        assert_eq!(started, [true, true, false, false]);
        assert!(
            all.iter()
                .all(|condition| condition.matters_to(Question::Ready))
        );
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let application = Application::default();
        assert_eq!(application.seen(), Seen::default());
        application.saw(Err("refused".to_owned()));
        let down = application.seen().since;
        application.saw(Err("timed out".to_owned()));
        let seen = application.seen();
        assert_eq!(
            (seen.since, seen.reached),
            (down, Some(Err("timed out".to_owned())))
        );
        application.saw(Ok(()));
        assert!(application.seen().since > down);
    }
}
