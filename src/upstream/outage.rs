//! How long the application has been away.
//!
//! While an outage is new, requests are held and tried again: a restart of the application costs
//! nobody an error. Once it has lasted longer than the connect timeout, each request gets one
//! attempt and fails at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two attempts of one held request.
const PAUSE: Duration = Duration::from_millis(25);

/// One worker's view of the outage.
#[derive(Debug)]
pub(super) struct Outage {
    patience: Duration,
    since: Mutex<Option<Instant>>,
}

impl Outage {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Mutex::new(None),
        }
    }

    /// An attempt succeeded.
    pub(super) fn over(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An attempt failed: how long to wait before the next, or `None` to give up.
    pub(super) fn pause(&self) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let lasted = since.get_or_insert_with(Instant::now).elapsed();
        let left = self.patience.checked_sub(lasted)?;
        (!left.is_zero()).then(|| left.min(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_outage_is_waited_for_and_an_old_one_is_not() {
        let new = Outage::new(Duration::from_secs(60));
        assert_eq!(new.pause(), Some(PAUSE));
        let old = Outage::new(Duration::ZERO);
        assert_eq!(old.pause(), None);
        old.over();
        assert_eq!(old.pause(), None);
    }
}
