//! What a running proxy knows of itself, gathered for whoever asks: a scrape or a person.

use super::Handle;
use crate::admin::gather;
use crate::drain::Stage;
use crate::telemetry::exposition::{Sources, State};
use crate::telemetry::log::LogControl;

impl Handle {
    /// Everything that a scrape tells, but the readiness that others judge.
    pub fn sources(&self) -> Sources {
        let state = State {
            is_draining: *self.leaving.borrow() != Stage::Running,
            ..State::default()
        };
        gather(&self.telemetry, &self.certificates, &self.log, state)
    }

    /// The log: its level, and what was lost of it.
    pub fn log(&self) -> &LogControl {
        &self.log
    }

    /// Writes the lines that were held back to be gathered.
    pub(super) fn tell_what_is_owed(&self) {
        if let Some(telemetry) = self.telemetry.first() {
            telemetry.failures.flush();
            telemetry.spans.flush();
        }
    }
}
