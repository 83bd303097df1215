//! How often files are read: at once when it is quiet, rarely when everything changes all the time.
//!
//! A `..data` rename is complete when it is seen, so that the first of a series is read without
//! delay; a series beyond [`BURST`] is read every [`INTERVAL`]. In any second that is 19 loads at
//! most. Invariant: a delayed load still comes, so the last state wins.

use std::time::Duration;

use tokio::time::Instant;

/// Between two loads of a long series.
const INTERVAL: Duration = Duration::from_millis(75);

/// Loads beyond one that may follow each other without a pause.
const BURST: u32 = 5;

/// Spaces loads out.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the series so far would have ended at one load every [`INTERVAL`].
    paid_until: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            paid_until: Instant::now(),
        }
    }

    /// When the next load may start.
    pub(super) fn earliest(&self) -> Instant {
        let credit = INTERVAL * BURST;
        self.paid_until
            .checked_sub(credit)
            .unwrap_or_else(Instant::now)
    }

    /// A load starts now.
    pub(super) fn loaded(&mut self) {
        self.paid_until = self.paid_until.max(Instant::now()) + INTERVAL;
    }
}

/// When contents that are no good are read again, counted from when they were first seen.
pub(super) const RETRIES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Contents that stay as they are for this long are called bad.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The next retry of contents that are `age` old.
pub(super) fn next_retry(age: Duration) -> Option<Duration> {
    RETRIES
        .iter()
        .find(|retry| **retry > age)
        .map(|retry| *retry - age)
}

#[cfg(test)]
mod tests {
    use super::*;

    // CERT-03
    #[tokio::test(start_paused = true)]
    async fn a_thousand_changes_in_a_second_are_at_most_twenty_loads() {
        let mut pace = Pace::new();
        let start = Instant::now();
        let mut loads = 0;
        while start.elapsed() < Duration::from_secs(1) {
            if pace.earliest() <= Instant::now() {
                pace.loaded();
                loads += 1;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((10..=20).contains(&loads), "{loads}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_after_a_quiet_while_is_loaded_at_once() {
        let mut pace = Pace::new();
        for _ in 0..50 {
            pace.loaded();
        }
        assert!(pace.earliest() > Instant::now());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(pace.earliest() <= Instant::now());
    }

    #[test]
    fn bad_contents_are_read_again_after_one_two_and_four_seconds() {
        let at = |millis| next_retry(Duration::from_millis(millis));
        assert_eq!(at(0), Some(Duration::from_secs(1)));
        assert_eq!(at(1000), Some(Duration::from_secs(1)));
        assert_eq!(at(2500), Some(Duration::from_millis(1500)));
        assert_eq!(at(4000), None);
    }
}
