//! No local port or descriptor is left to connect with: a fault of our own, and no outage.
//!
//! An attempt is dear then: the kernel looks at every port of its range, which takes milliseconds
//! of the worker's own thread. Invariant: while a shortage lasts, a worker makes one attempt in a
//! pause, however many requests wait; once it is over, they connect one behind another without one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::net::ConnectError;

/// Between two attempts of a worker.
const PAUSE: Duration = Duration::from_millis(25);

/// Whether one worker has met a shortage.
#[derive(Debug)]
pub(super) struct Shortage {
    last: Mutex<Option<Failed>>,
    turns: Semaphore,
}

/// The last attempt that failed.
#[derive(Debug)]
struct Failed {
    at: Instant,
    why: ConnectError,
}

impl Default for Shortage {
    fn default() -> Self {
        Self {
            last: Mutex::new(None),
            turns: Semaphore::new(1),
        }
    }
}

impl Shortage {
    /// An attempt failed for `why`.
    pub(super) fn met(&self, why: ConnectError) {
        let at = Instant::now();
        *self.last() = Some(Failed { at, why });
    }

    /// An attempt did not fail for a shortage.
    pub(super) fn over(&self) {
        *self.last() = None;
    }

    /// What the last attempt failed for, while the shortage lasts.
    pub(super) fn why(&self) -> Option<ConnectError> {
        self.last().as_ref().map(|last| last.why.again())
    }

    /// Leave for one attempt; `None`, and at once, where there is no shortage.
    ///
    /// # Errors
    /// The shortage, when there is no leave until `end`.
    pub(super) async fn turn(
        &self,
        end: Instant,
    ) -> Result<Option<SemaphorePermit<'_>>, ConnectError> {
        if self.last().is_none() {
            return Ok(None);
        }
        let turn = async {
            // Never closed.
            let turn = self.turns.acquire().await.ok();
            let next = self.last().as_ref().map(|last| last.at + PAUSE);
            if let Some(next) = next {
                sleep_until(next).await;
            }
            turn
        };
        match timeout_at(end, turn).await {
            Ok(turn) => Ok(turn),
            // It may be over in the very moment in which time ended.
            Err(_) => self.why().map_or(Ok(None), Err),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Failed>> {
        // One worker's own: never contended, and no panic can leave it half-changed.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn shortage() -> ConnectError {
        std::io::Error::from_raw_os_error(libc::EADDRNOTAVAIL).into()
    }

    // RES-06
    #[tokio::test(start_paused = true)]
    async fn all_who_wait_take_turns_a_pause_apart_until_their_time_is_over() {
        let state = Shortage::default();
        assert!(matches!(state.turn(Instant::now()).await, Ok(None)));
        state.met(shortage());
        let begun = Instant::now();
        let waiting = (0..1000).map(|_| async {
            let turn = state.turn(begun + PATIENCE).await?;
            state.met(shortage());
            drop(turn);
            Ok::<_, ConnectError>(())
        });
        let had_turn = join_all(waiting).await.iter().filter(|t| t.is_ok()).count();
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
        let pauses = PATIENCE.as_millis() / PAUSE.as_millis();
        assert!(
            (pauses - 2..=pauses).contains(&(had_turn as u128)),
            "{had_turn}"
        );
    }

    // RES-06
    #[tokio::test(start_paused = true)]
    async fn nobody_pauses_behind_an_attempt_that_succeeded() {
        let state = Shortage::default();
        state.met(shortage());
        let begun = Instant::now();
        let waiting = (0..1000).map(|_| async {
            let turn = state.turn(begun + PATIENCE).await.unwrap();
            state.over();
            drop(turn);
        });
        join_all(waiting).await;
        assert!(begun.elapsed() < PAUSE * 2, "{:?}", begun.elapsed());
    }
}
