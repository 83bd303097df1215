//! What a limit of memory allows: how many connections and requests, and how much of answers is held
//! for clients that are slow to take them.
//!
//! Half of what the process itself does not need is for connections, idle ones included, and half for
//! answers on their way. Invariant: with every connection that is let in asking for a large answer
//! and reading none of it, both halves are not exceeded. What clients may do besides over HTTP/2 is in
//! [`http2`].

mod http2;

use std::path::Path;

pub use http2::Http2Room;

/// The process itself: code in use, certificates, one heap for each thread.
const PROCESS: u64 = 16 * MIB;
/// An open connection with a request of which nothing is answered yet; one at rest is 12 KiB.
const CONNECTION: u64 = 36 * KIB;
/// An answer at its smallest, beside its connection: two pieces, each of which may have been asked
/// for when the last was nearly gone, and the connection to the application.
const ANSWER: u64 = 96 * KIB;
/// A piece is held at two places, in HTTP's queue and in TLS's; the rest is room for what those hold
/// that came when there were fewer. The test below finds the least that is enough.
const SHARES_OF_AN_ANSWER: u64 = 12;
/// What may have arrived of uploads over HTTP/2 is this part of the same half: it takes about twice its
/// length, since a frame keeps the buffer that it was read into, and every connection may have a
/// frame more, or half of one.
const PART_OF_UPLOADS: u64 = 12;
/// What an HTTP/2 application may send ahead is this part of what is held of answers: what has
/// arrived takes about twice its length, since a frame keeps the buffer that it was read into.
const PART_SENT_AHEAD: u64 = 6;
/// Answers whose clients take nothing, before the others on their connection have to wait. Small
/// windows are dear: an answer in pieces of 64 KiB costs half as much again as one of 512 KiB.
const ANSWERS_OF_A_WINDOW: u64 = 32;
/// What may be sent ahead of one answer: less is never asked for before a client has spoken (RFC
/// 9113 section 6.9.2), and more spares nothing.
const SMALLEST_WINDOW: u64 = 64 * KIB;
const LARGEST_WINDOW: u64 = 512 * KIB;
/// RFC 9113 section 6.9.1.
const MOST_OF_A_WINDOW: u32 = (1 << 31) - 1;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Held of an answer at each place while there is memory for it: fewer and longer reads and writes
/// spare a seventh of what a long answer costs over pieces of 64 KiB, larger ones nothing more.
const LARGEST_PIECE: usize = 256 * 1024;
/// Held of an answer in any case: a TLS record.
pub const SMALLEST_PIECE: usize = 16 * 1024;
/// For answers on their way where memory is not limited.
const UNLIMITED: u64 = 128 * MIB;

/// How a limit of memory is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Open connections from clients.
    pub connections: usize,
    /// Requests that may be with the application.
    pub answers: usize,
    /// Bytes for answers on their way.
    pub held: u64,
    /// Bytes of uploads over HTTP/2 that have arrived and that the application has not taken yet.
    pub uploads: u64,
}

/// How much an HTTP/2 application may send ahead, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// On one stream.
    pub stream: u32,
    /// On all streams of a connection together.
    pub connection: u32,
}

/// Memory for one worker's answers.
#[derive(Debug, Clone, Copy)]
pub struct AnswerRoom {
    held: u64,
    answers: Option<usize>,
}

/// The memory limit of the container, if it has one.
pub fn limit() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let limit = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))?;
    let limit = limit.trim().parse().ok()?;
    // Version 1 says so much where there is no limit, page by page.
    (limit < u64::MAX / 4).then_some(limit)
}

impl Shares {
    /// Of `limit` bytes.
    pub fn of(limit: u64) -> Self {
        // What is less than the process needs is given anyway: it may need less.
        let half = limit.saturating_sub(PROCESS).max(limit / 4) / 2;
        let count = |each: u64| usize::try_from((half / each).max(1)).unwrap_or(usize::MAX);
        Self {
            connections: count(CONNECTION),
            answers: count(ANSWER),
            held: half,
            uploads: half / PART_OF_UPLOADS,
        }
    }
}

impl AnswerRoom {
    /// One of `workers` workers' share of what there is for all; `None` where memory is not limited.
    pub fn new(shares: Option<Shares>, workers: usize) -> Self {
        let workers = workers.max(1);
        let held = shares.map_or(UNLIMITED, |shares| shares.held);
        Self {
            held: held / workers as u64,
            answers: shares.map(|shares| shares.answers.div_ceil(workers)),
        }
    }

    /// How much of one answer may be held at each place on its way, with so many in flight.
    pub fn piece(self, in_flight: i64) -> usize {
        let in_flight = u64::try_from(in_flight).unwrap_or(0).max(1);
        let share = self.held / (SHARES_OF_AN_ANSWER * in_flight);
        usize::try_from(share).map_or(LARGEST_PIECE, |share| {
            share.clamp(SMALLEST_PIECE, LARGEST_PIECE)
        })
    }

    /// How many requests may be with the application at once, if memory says so.
    pub fn answers(self) -> Option<usize> {
        self.answers
    }

    /// What the application may send ahead on one of `open` HTTP/2 connections.
    pub fn windows(self, open: usize) -> Windows {
        let connection = self.held / PART_SENT_AHEAD / open.max(1) as u64;
        let connection = connection.max(SMALLEST_WINDOW);
        let stream = (connection / ANSWERS_OF_A_WINDOW).clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        Windows {
            stream: stream as u32,
            connection: u32::try_from(connection)
                .map_or(MOST_OF_A_WINDOW, |n| n.min(MOST_OF_A_WINDOW)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RES-04
    #[test]
    fn whatever_the_limit_all_that_is_let_in_fits_it() {
        for mib in [32, 64, 128, 256, 1024] {
            let limit = mib * MIB;
            let shares = Shares::of(limit);
            let room = AnswerRoom::new(Some(shares), 1);
            // Each came when there were as many before it, and holds what it then could.
            let held: u64 = (1..=shares.answers)
                .map(|n| 2 * room.piece(n as i64) as u64)
                .sum();
            let connections = shares.connections as u64 * CONNECTION;
            assert!(held <= shares.held, "{mib} MiB: {held} > {}", shares.held);
            assert!(PROCESS + connections + held <= limit, "{mib} MiB");
        }
    }

    #[test]
    fn few_answers_have_large_pieces_and_many_small_ones() {
        let room = AnswerRoom::new(Some(Shares::of(64 * MIB)), 1);
        assert_eq!(room.piece(0), LARGEST_PIECE);
        assert_eq!(room.piece(8), LARGEST_PIECE);
        assert_eq!(room.piece(16), LARGEST_PIECE / 2);
        assert_eq!(room.piece(10_000), 16 * 1024);
        assert_eq!(AnswerRoom::new(None, 1).piece(42), LARGEST_PIECE);
        assert!(AnswerRoom::new(None, 2).piece(42) < LARGEST_PIECE);
    }

    #[test]
    fn an_application_may_send_the_more_ahead_the_more_memory_there_is() {
        let windows = |limit: Option<u64>, open| {
            let windows = AnswerRoom::new(limit.map(Shares::of), 1).windows(open);
            [windows.stream, windows.connection].map(|bytes| bytes / 1024)
        };
        assert_eq!(windows(Some(16 * MIB), 1), [64, 341]);
        assert_eq!(windows(Some(64 * MIB), 1), [128, 4096]);
        assert_eq!(windows(Some(64 * MIB), 2), [64, 2048]);
        assert_eq!(windows(Some(64 * MIB), 256), [64, 64]);
        assert_eq!(windows(None, 1), [512, 21845]);
    }
}
