//! Idle connections, last in, first out: the warmest is used, the rest can grow old and go.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Idle connections of one worker.
#[derive(Debug)]
pub(super) struct Pool<C>(Mutex<Vec<Idle<C>>>);

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    until: Instant,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<C> Pool<C> {
    /// The connection that was put back last, unless it has been idle too long; then all have
    /// been that were put back before it with the same limit, and they go with the next sweep.
    pub(super) fn take(&self) -> Option<C> {
        let now = Instant::now();
        loop {
            let idle = self.lock().pop()?;
            // Dropped outside the lock: closing a socket is a system call.
            if idle.until > now {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps `connection` for the next request until `until`.
    pub(super) fn put(&self, connection: C, until: Instant) {
        self.lock().push(Idle { connection, until });
    }

    /// Closes what has been idle too long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        {
            let mut idle = self.lock();
            let mut kept = Vec::with_capacity(idle.len());
            for entry in idle.drain(..) {
                if entry.until > now {
                    kept.push(entry)
                } else {
                    expired.push(entry)
                }
            }
            *idle = kept;
        }
        drop(expired);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle<C>>> {
        // One worker's own: never contended, and no panic can leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_last_put_back_is_used_first_and_the_old_are_not_used() {
        let pool = Pool::default();
        let now = Instant::now();
        pool.put("old", now);
        pool.put("first", now + Duration::from_secs(60));
        pool.put("second", now + Duration::from_secs(60));
        assert_eq!(pool.take(), Some("second"));
        pool.sweep();
        assert_eq!(pool.take(), Some("first"));
        assert_eq!(pool.take(), None);
    }
}
