//! When a connection that is well is asked to be opened anew: it is old, or its certificate is.
//!
//! Asked gently, as each protocol can: a GOAWAY, or `Connection: close` on the next answer, so that
//! nothing is lost. Jitter and `--retire-over` spread what would else come all at once. Invariant:
//! a connection is asked once.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Context;

/// How much an age differs from connection to connection, either way.
const JITTER: f64 = 0.1;

/// Between two looks whether the certificate is still the one that is shown, at least and at most.
const CHECKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// One connection's end of its own.
#[derive(Debug)]
pub(super) struct Recycling {
    due: Option<Instant>,
    /// `--retire-over`, until the certificate was found replaced.
    retire_over: Option<Duration>,
    /// The next look whether it was.
    check: Option<Instant>,
    is_asked: bool,
}

impl Recycling {
    pub(super) fn of(context: &Context) -> Self {
        let limits = &context.worker.policy.http;
        let now = Instant::now();
        let age = |age: Duration| age.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64());
        Self {
            due: limits.max_connection_age.map(|limit| now + age(limit)),
            retire_over: limits.retire_over,
            check: limits.retire_over.map(|over| now + between_checks(over)),
            is_asked: false,
        }
    }

    /// When to look again, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        let times = [self.due, self.check].into_iter().flatten();
        times.min().filter(|_| !self.is_asked)
    }

    /// Whether the connection is to be asked now.
    pub(super) fn is_due(&mut self, context: &Context, now: Instant) -> bool {
        if self.is_asked {
            return false;
        }
        if let Some(over) = self.retire_over {
            self.check = Some(now + between_checks(over));
            if context.has_old_certificate() {
                let chosen = now + over.mul_f64(fastrand::f64());
                self.due = Some(self.due.map_or(chosen, |due| due.min(chosen)));
                (self.retire_over, self.check) = (None, None);
            }
        }
        self.is_asked = self.due.is_some_and(|due| due <= now);
        self.is_asked
    }
}

fn between_checks(over: Duration) -> Duration {
    (over / 4).clamp(CHECKS.0, CHECKS.1)
}
