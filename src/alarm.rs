//! A clock that is asked only when it may have rung.
//!
//! A connection is polled for everything that happens on it, and asking the runtime for the time each
//! time costs more than reading a small request's frame. Invariant: it is polled by one task, which
//! the runtime wakes when it rings.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// A clock that rings once, and again when it is set anew.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// The runtime knows whom to wake.
    is_set: bool,
}

impl Alarm {
    /// One that rings `at` that time.
    pub fn new(at: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(at)),
            is_set: false,
        }
    }

    /// When it rings.
    pub fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// Has it ring at another time.
    pub fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.is_set = false;
    }

    /// Ready when it has rung.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_set && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // Who has used its turn up is not even noted, and is polled again.
        let is_noted = coop::has_budget_remaining();
        let polled = self.sleep.as_mut().poll(cx);
        self.is_set = polled.is_pending() && is_noted;
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_was_set_to_and_not_before() {
        let begun = Instant::now();
        let mut alarm = Alarm::new(begun + Duration::from_secs(5));
        let mut is_first = true;
        std::future::poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                assert!(alarm.poll(cx).is_pending());
                alarm.set(begun + Duration::from_secs(2));
            }
            alarm.poll(cx)
        })
        .await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        alarm.set(begun + Duration::from_secs(3));
        std::future::poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_a_task_that_had_used_its_turn_up() {
        let mut alarm = Alarm::new(Instant::now() + Duration::from_secs(1));
        let mut is_first = true;
        std::future::poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                while coop::has_budget_remaining() {
                    let _ = std::pin::pin!(coop::consume_budget()).poll(cx);
                }
            }
            alarm.poll(cx)
        })
        .await;
    }
}
