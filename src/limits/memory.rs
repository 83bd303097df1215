//! What a limit of memory allows: how many connections, and how much of answers is held for clients
//! that are slow to take them.
//!
//! Half of what the process itself does not need is for connections, idle ones included, and half for
//! answers on their way. Invariant: with every connection that is let in asking for a large answer
//! and reading none of it, both halves are not exceeded.

use std::path::Path;

/// The process itself: code in use, certificates, one heap for each thread.
const PROCESS: u64 = 16 * MIB;
/// An open connection with a request of which nothing is answered yet; one at rest is 12 KiB.
const CONNECTION: u64 = 32 * KIB;
/// An answer at its smallest, beside its connection: two pieces, each of which may have been asked
/// for when the last was nearly gone, and the connection to the application.
const ANSWER: u64 = 96 * KIB;
/// A piece is held at two places, in HTTP's queue and in TLS's; the rest is room for what those hold
/// that came when there were fewer. The test below finds the least that is enough.
const SHARES_OF_AN_ANSWER: u64 = 12;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Held of an answer at each place while there is memory for it: fewer and longer reads and writes
/// spare a seventh of what a long answer costs over pieces of 64 KiB, larger ones nothing more.
const LARGEST_PIECE: usize = 256 * 1024;
/// Held of an answer in any case: a TLS record.
const SMALLEST_PIECE: u64 = 16 * KIB;
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
}

/// Memory for one worker's answers, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct AnswerRoom(u64);

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
        }
    }
}

impl AnswerRoom {
    /// One of `workers` workers' share of what there is for all; `None` where memory is not limited.
    pub fn new(shares: Option<Shares>, workers: usize) -> Self {
        let held = shares.map_or(UNLIMITED, |shares| shares.held);
        Self(held / workers.max(1) as u64)
    }

    /// How much of one answer may be held at each place on its way, with so many in flight.
    pub fn piece(self, in_flight: i64) -> usize {
        let in_flight = u64::try_from(in_flight).unwrap_or(0).max(1);
        let share = self.0 / (SHARES_OF_AN_ANSWER * in_flight);
        let share = share.max(SMALLEST_PIECE);
        usize::try_from(share).map_or(LARGEST_PIECE, |share| share.min(LARGEST_PIECE))
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
}
