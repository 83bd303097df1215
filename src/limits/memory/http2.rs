//! Memory for what clients may do over HTTP/2: many requests on one connection, and uploads that are
//! sent ahead.
//!
//! A client may send as much as its windows allow before anybody asks for it. What has arrived and is
//! not taken yet is counted; while it is too much, nothing more is read of a connection that has some
//! of it, and TCP holds its client back. An upload that the application takes goes on nevertheless,
//! piece by piece, and only where many connections are not read is one more refused: what has arrived
//! may be gone in a moment, and refuses nobody. Over HTTP/1.1 a connection has one request, and nothing
//! of an upload is read ahead.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::Shares;

/// Streams a client may have open at once (RFC 9113 section 5.1.2 recommends at least 100).
const MOST_STREAMS: u64 = 128;
/// The same where there are many connections: each keeps 0.7 KiB for each stream that it has had at
/// once, until it rests.
const FEWEST_STREAMS: u64 = 8;

/// Requests in flight for each connection that may be open, on average: over HTTP/2 one connection
/// has many, of 4 KiB each, and takes less than what it is counted with by itself.
const REQUESTS_OF_A_CONNECTION: u64 = 2;
/// What a connection that is not read holds beside all that is counted: a frame, or part of one.
const OF_ONE_NOT_READ: u64 = 16 * 1024;

/// One worker's room for requests over HTTP/2 and their uploads.
#[derive(Debug)]
pub struct Http2Room {
    connections: u64,
    uploads: u64,
    unread: AtomicU64,
    /// Connections that are not read, by a key of theirs.
    paused: Mutex<HashMap<usize, Waker>>,
    /// How many, for those who need not look.
    paused_count: AtomicUsize,
}

impl Http2Room {
    /// One of `workers` workers' share; `None` where memory is not limited.
    pub fn new(shares: Option<Shares>, workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            connections: shares.map_or(u64::MAX, |shares| {
                shares.connections.div_ceil(workers) as u64
            }),
            uploads: shares.map_or(u64::MAX, |shares| shares.uploads / workers as u64),
            unread: AtomicU64::new(0),
            paused: Mutex::default(),
            paused_count: AtomicUsize::new(0),
        }
    }

    /// How many streams a client may have open whose connection is one of `open`.
    pub fn streams(&self, open: i64) -> u32 {
        let open = u64::try_from(open).unwrap_or(0).max(1);
        (self.connections / open).clamp(FEWEST_STREAMS, MOST_STREAMS) as u32
    }

    /// Whether there is no room for a request with so many in flight, itself included.
    pub fn is_exceeded(&self, in_flight: i64) -> bool {
        let most = self.connections.saturating_mul(REQUESTS_OF_A_CONNECTION);
        u64::try_from(in_flight).is_ok_and(|in_flight| in_flight > most)
    }

    /// Whether there is no room for one more upload: so many connections are not read that they hold
    /// as much again.
    pub fn is_overfull(&self) -> bool {
        self.paused_count.load(Relaxed) as u64 > self.uploads / OF_ONE_NOT_READ
    }

    /// `n` bytes of uploads have arrived.
    pub fn arrived(&self, n: u64) {
        self.unread.fetch_add(n, Relaxed);
    }

    /// `n` bytes that had arrived on the connection `key` were taken, or thrown away. It may be read
    /// again, and all may when there is room.
    pub fn taken(&self, n: u64, key: usize) {
        self.unread.fetch_sub(n, Relaxed);
        if self.paused_count.load(Relaxed) == 0 {
            return;
        }
        let is_full = self.is_full();
        self.change_paused(|paused| {
            if !is_full {
                paused.drain().for_each(|(_, connection)| connection.wake());
            } else if let Some(connection) = paused.remove(&key) {
                connection.wake();
            }
        });
    }

    /// Whether a connection with unread bytes must wait; it is woken by `waker` when it may go on.
    pub fn holds_up(&self, key: usize, waker: &Waker) -> bool {
        let is_full = self.is_full();
        if is_full {
            self.change_paused(|paused| _ = paused.insert(key, waker.clone()));
        }
        is_full
    }

    /// The connection `key` has ended.
    pub fn forget(&self, key: usize) {
        if self.paused_count.load(Relaxed) > 0 {
            self.change_paused(|paused| _ = paused.remove(&key));
        }
    }

    fn is_full(&self) -> bool {
        self.unread.load(Relaxed) >= self.uploads
    }

    fn change_paused(&self, change: impl FnOnce(&mut HashMap<usize, Waker>)) {
        let mut paused = self.paused();
        change(&mut paused);
        self.paused_count.store(paused.len(), Relaxed);
    }

    fn paused(&self) -> MutexGuard<'_, HashMap<usize, Waker>> {
        // One worker's own, and all of it runs on one thread: never contended.
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn few_connections_may_do_much_and_many_little() {
        let streams =
            |limit: Option<u64>, open| Http2Room::new(limit.map(Shares::of), 1).streams(open);
        assert_eq!(streams(Some(64 * MIB), 1), 128);
        assert_eq!(streams(Some(64 * MIB), 11), 62);
        assert_eq!(streams(Some(64 * MIB), 700), 8);
        assert_eq!(streams(None, 10_000), 128);
    }

    // RES-04
    #[test]
    fn who_has_sent_too_much_is_not_read_until_some_of_it_is_taken() {
        let room = Http2Room::new(Some(Shares::of(64 * MIB)), 1);
        let waker = Waker::noop();
        room.arrived(2 * MIB - 1);
        assert!(!room.holds_up(1, waker));
        room.arrived(1);
        assert!(room.holds_up(1, waker) && room.holds_up(2, waker));
        room.arrived(1);
        room.taken(1, 1);
        assert_eq!(room.paused().keys().copied().collect::<Vec<_>>(), [2]);
        room.taken(1, 1);
        assert!(room.paused().is_empty());
        assert!(!room.holds_up(1, waker));
        // What is counted refuses nobody, and 128 connections that are not read hold as much again.
        room.arrived(8 * MIB);
        for key in 0..128 {
            assert!(room.holds_up(key, waker) && !room.is_overfull());
        }
        assert!(room.holds_up(128, waker) && room.is_overfull());
        room.forget(128);
        assert!(!room.is_overfull());
        let unlimited = Http2Room::new(None, 1);
        unlimited.arrived(u64::MAX - 1);
        assert!(!unlimited.holds_up(1, waker) && !unlimited.is_overfull());
    }
}
