//! Whether a silent client is still there (RFC 9113 section 6.7).
//!
//! One that has said nothing for an interval is asked, and is given up when it says nothing then
//! either. Invariant: the path of a request costs a flag, no look at the clock.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::alarm::Alarm;

/// What a silent client is asked with.
pub(super) const QUESTION: [u8; 8] = *b"anybody?";
/// Without an answer to a PING for this long the client is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection's clock.
pub(super) struct Keepalive {
    interval: Duration,
    timer: Alarm,
    has_heard: bool,
    /// How long the client has not answered.
    waited: Option<Duration>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The client is to be asked.
    Question,
    /// It is gone.
    End,
}

impl Keepalive {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            timer: Alarm::new(Instant::now() + interval),
            has_heard: false,
            waited: None,
        }
    }

    /// Something came from the client.
    pub(super) fn heard(&mut self) {
        self.has_heard = true;
    }

    /// Ready when something is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.poll(cx));
            let step = self.interval.min(PATIENCE);
            let (next, due) = if std::mem::take(&mut self.has_heard) {
                self.waited = None;
                (self.interval, None)
            } else {
                match &mut self.waited {
                    None => {
                        self.waited = Some(Duration::ZERO);
                        (step, Some(Due::Question))
                    }
                    Some(waited) => {
                        *waited += step;
                        (step, (*waited >= PATIENCE).then_some(Due::End))
                    }
                }
            };
            self.timer.set(Instant::now() + next);
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_asked_and_then_given_up() {
        let mut clock = Keepalive::new(Duration::from_secs(10));
        let begun = Instant::now();
        clock.heard();
        for (due, after) in [(Due::Question, 20), (Due::End, 40)] {
            assert_eq!(std::future::poll_fn(|cx| clock.poll(cx)).await, due);
            assert_eq!(begun.elapsed().as_secs(), after);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_is_asked_again() {
        let mut clock = Keepalive::new(Duration::from_secs(10));
        for _ in 0..3 {
            let due = std::future::poll_fn(|cx| clock.poll(cx)).await;
            assert_eq!(due, Due::Question);
            clock.heard();
        }
    }
}
