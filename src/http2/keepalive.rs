//! Whether a silent peer is still there (RFC 9113 section 6.7).
//!
//! One that has said nothing for an interval is asked, and is given up when it says nothing then
//! either. Invariant: the path of a request costs a flag, no look at the clock.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::alarm::Alarm;

/// What a silent peer is asked with.
pub const QUESTION: [u8; 8] = *b"anybody?";
/// Without an answer to a PING for this long the peer is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection's clock.
pub struct Keepalive {
    interval: Duration,
    timer: Alarm,
    has_heard: bool,
    /// How long the peer has not answered.
    waited: Option<Duration>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The peer is to be asked.
    Question,
    /// It is gone.
    End,
}

impl Keepalive {
    /// One that asks a peer which has said nothing for `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            timer: Alarm::new(Instant::now() + interval),
            has_heard: false,
            waited: None,
        }
    }

    /// Something came from the peer.
    pub fn heard(&mut self) {
        self.has_heard = true;
    }

    /// Ready when something is due.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
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
    async fn a_silent_peer_is_asked_and_then_given_up() {
        let mut clock = Keepalive::new(Duration::from_secs(10));
        let begun = Instant::now();
        clock.heard();
        for (due, after) in [(Due::Question, 20), (Due::End, 40)] {
            assert_eq!(std::future::poll_fn(|cx| clock.poll(cx)).await, due);
            assert_eq!(begun.elapsed().as_secs(), after);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_is_asked_again() {
        let mut clock = Keepalive::new(Duration::from_secs(10));
        for _ in 0..3 {
            let due = std::future::poll_fn(|cx| clock.poll(cx)).await;
            assert_eq!(due, Due::Question);
            clock.heard();
        }
    }
}
