//! Memory for what clients may do over HTTP/2: many requests on one connection, and uploads that are
//! sent ahead.
//!
//! A client may send as much as the windows it was given allow before anybody asks for it, so a
//! connection with an upload is counted with its windows and not with what has arrived. Invariant:
//! what is counted is never more than there is room for. Over HTTP/1.1 a connection has one request,
//! and nothing of an upload is read ahead.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Shares;

/// What every client may send before it has heard of other windows (RFC 9113 section 6.9.2).
const SMALLEST_WINDOW: u64 = 64 * 1024;
/// For all streams of a connection: enough for an upload over a long way.
const LARGEST_WINDOW: u64 = 1024 * 1024;
/// Streams that one connection's window is enough for.
const STREAMS_OF_A_WINDOW: u64 = 4;
/// Connections get a share as if there were this many times as many, since the first ones have had
/// the share of fewer.
const SHARES_OF_A_CONNECTION: u64 = 8;

/// Streams a client may have open at once (RFC 9113 section 5.1.2 recommends at least 100).
const MOST_STREAMS: u64 = 128;
/// The same where there are many connections: each keeps 1.6 KiB for each stream that it has ever
/// had at once.
const FEWEST_STREAMS: u64 = 8;

/// How much a peer may send ahead, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// On one stream.
    pub stream: u32,
    /// On all streams of a connection together.
    pub connection: u32,
}

/// What the client of one connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many streams it may have open at once.
    pub streams: u32,
    /// What it may send ahead.
    pub windows: Windows,
}

/// One worker's room for requests over HTTP/2 and their uploads.
#[derive(Debug)]
pub struct Http2Room {
    requests: u64,
    streams: u64,
    uploads: u64,
    taken: AtomicU64,
}

impl Windows {
    /// What a stream with an upload adds to what a connection may hold that has `others` already.
    pub fn added(self, others: u32) -> u64 {
        let (stream, connection) = (u64::from(self.stream), u64::from(self.connection));
        stream.min(connection.saturating_sub(stream * u64::from(others)))
    }
}

impl Http2Room {
    /// One of `workers` workers' share; `None` where memory is not limited.
    pub fn new(shares: Option<Shares>, workers: usize) -> Self {
        let workers = workers.max(1);
        let each = |of: fn(Shares) -> usize| {
            shares.map_or(u64::MAX, |shares| of(shares).div_ceil(workers) as u64)
        };
        Self {
            requests: each(|shares| shares.requests),
            streams: each(|shares| shares.connections),
            uploads: shares.map_or(u64::MAX, |shares| shares.uploads / workers as u64),
            taken: AtomicU64::new(0),
        }
    }

    /// What the client may do whose connection is one of `open`.
    pub fn terms(&self, open: i64) -> Terms {
        let open = u64::try_from(open).unwrap_or(0).max(1);
        let streams = (self.streams / open).clamp(FEWEST_STREAMS, MOST_STREAMS);
        let connection = self.uploads / SHARES_OF_A_CONNECTION / open;
        let connection = connection.clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        let stream = (connection / STREAMS_OF_A_WINDOW).max(SMALLEST_WINDOW);
        Terms {
            streams: streams as u32,
            windows: Windows {
                stream: stream as u32,
                connection: connection as u32,
            },
        }
    }

    /// Whether there is no room for a request with so many in flight, itself included.
    pub fn is_exceeded(&self, in_flight: i64) -> bool {
        u64::try_from(in_flight).is_ok_and(|in_flight| in_flight > self.requests)
    }

    /// Takes `bytes` for an upload, if they are there.
    pub fn take(&self, bytes: u64) -> bool {
        // One worker's own: nobody takes between the look and the store.
        let taken = self.taken.load(Relaxed).saturating_add(bytes);
        let is_there = taken <= self.uploads;
        if is_there {
            self.taken.store(taken, Relaxed);
        }
        is_there
    }

    /// Gives back `bytes` that were taken.
    pub fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    // RES-04
    #[test]
    fn a_connection_is_counted_with_its_streams_windows_and_no_more_than_its_own() {
        let windows = Windows {
            stream: 256,
            connection: 600,
        };
        assert_eq!([0, 1, 2, 3].map(|n| windows.added(n)), [256, 256, 88, 0]);
    }

    #[test]
    fn few_connections_may_do_much_and_many_little() {
        let terms = |limit: Option<u64>, open| {
            let terms = Http2Room::new(limit.map(Shares::of), 1).terms(open);
            let kib = |window: u32| window / 1024;
            let windows = terms.windows;
            (terms.streams, kib(windows.stream), kib(windows.connection))
        };
        assert_eq!(terms(Some(64 * MIB), 1), (128, 256, 1024));
        assert_eq!(terms(Some(64 * MIB), 12), (64, 64, 85));
        assert_eq!(terms(Some(64 * MIB), 700), (8, 64, 64));
        assert_eq!(terms(None, 10_000), (128, 256, 1024));
    }

    // RES-04
    #[test]
    fn no_more_is_taken_than_there_is() {
        let room = Http2Room::new(Some(Shares::of(64 * MIB)), 1);
        assert!(room.take(8 * MIB));
        assert!(!room.take(1));
        room.give_back(MIB);
        assert!(room.take(MIB));
        assert!(Http2Room::new(None, 1).take(u64::MAX));
    }
}
