//! Handshakes that failed, in the log: the first of a kind in full, then one line a minute.
//!
//! A kind is a reason and the client's network (/24, or /64 of IPv6): a scanner, a load balancer's
//! probes or a fleet with a wrong trust store fill one line a minute and not a disk. Invariant: the
//! table is bounded; networks beyond it share one entry for each reason.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::tls::HandshakeFailure;

/// Between two lines about one kind.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds that are remembered, some tens of kilobytes.
const MOST: usize = 1024;

/// Handshakes that failed, of all workers: a failure is rare beside a request, and what the table
/// is locked for takes less than a microsecond.
#[derive(Debug, Default)]
pub struct FailureLog(Mutex<HashMap<Kind, Entry>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    reason: &'static str,
    network: Network,
}

/// Where clients come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 3]),
    V6([u8; 8]),
    /// More networks than are told apart.
    Others,
}

/// What there is to say about one kind since its last line.
#[derive(Debug)]
struct Entry {
    until: Instant,
    count: u64,
    last: SocketAddr,
}

/// Failures of one kind in one window.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    kind: Kind,
    count: u64,
    last: SocketAddr,
}

/// Whether somebody was told of this kind lately.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    First,
    Again,
}

impl FailureLog {
    /// Writes what there is to write about `failure` of the client at `peer`.
    pub fn tell(&self, failure: HandshakeFailure, peer: SocketAddr) {
        let reason = failure.as_str();
        if failure.is_quiet() {
            tracing::debug!(client.address = %peer, reason, "no handshake");
            return;
        }
        match self.note(reason, peer) {
            Seen::First => tracing::info!(client.address = %peer, reason, "handshake failed"),
            Seen::Again => tracing::debug!(client.address = %peer, reason, "handshake failed"),
        }
    }

    /// Writes the lines whose minute is over; to be called every second or so.
    pub fn sweep(&self) {
        write(self.due(Instant::now()));
    }

    /// Writes every line that is still owed, at the end.
    pub fn flush(&self) {
        write(self.due(Instant::now() + WINDOW));
    }

    fn note(&self, reason: &'static str, peer: SocketAddr) -> Seen {
        let mut table = self.table();
        let mut kind = Kind {
            reason,
            network: Network::of(peer.ip()),
        };
        if table.len() >= MOST && !table.contains_key(&kind) {
            kind.network = Network::Others;
        }
        if let Some(entry) = table.get_mut(&kind) {
            entry.count += 1;
            entry.last = peer;
            return Seen::Again;
        }
        let entry = Entry {
            until: Instant::now() + WINDOW,
            count: 0,
            last: peer,
        };
        table.insert(kind, entry);
        Seen::First
    }

    /// Summaries of the windows that are over at `now`; a kind that was quiet for one is forgotten.
    fn due(&self, now: Instant) -> Vec<Summary> {
        let mut due = Vec::new();
        self.table().retain(|kind, entry| {
            if entry.until > now {
                return true;
            }
            if entry.count == 0 {
                return false;
            }
            due.push(Summary {
                kind: *kind,
                count: std::mem::take(&mut entry.count),
                last: entry.last,
            });
            entry.until = now + WINDOW;
            true
        });
        due
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Kind, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(summaries: Vec<Summary>) {
    for Summary { kind, count, last } in summaries {
        tracing::info!(
            client.network = %kind.network, client.address = %last, reason = kind.reason, count,
            "handshakes failed"
        );
    }
}

impl Network {
    fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6(prefix) => {
                let bits = u128::from(u64::from_be_bytes(prefix)) << 64;
                write!(f, "{}/64", Ipv6Addr::from_bits(bits))
            }
            Self::Others => f.write_str("others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn told(log: &FailureLog) -> Vec<(String, &'static str, u64)> {
        let due = log.due(Instant::now()).into_iter();
        let mut told: Vec<_> = due
            .map(|s| (s.kind.network.to_string(), s.kind.reason, s.count))
            .collect();
        told.sort();
        told
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_at_once_and_the_rest_once_a_minute() {
        let log = FailureLog::default();
        assert_eq!(log.note("timeout", peer("192.0.2.1:1")), Seen::First);
        assert_eq!(log.note("timeout", peer("192.0.2.200:2")), Seen::Again);
        assert_eq!(log.note("timeout", peer("192.0.3.1:1")), Seen::First);
        assert_eq!(log.note("malformed", peer("192.0.2.1:1")), Seen::First);
        assert_eq!(log.note("timeout", peer("[2001:db8::1]:1")), Seen::First);
        let neighbour = peer("[2001:db8::ffff:1:1]:1");
        assert_eq!(log.note("timeout", neighbour), Seen::Again);
        assert_eq!(log.note("timeout", neighbour), Seen::Again);
        let mapped = peer("[::ffff:192.0.2.9]:1");
        assert_eq!(log.note("timeout", mapped), Seen::Again);
        tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
        assert_eq!(told(&log), []);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(
            told(&log),
            [
                ("192.0.2.0/24".to_owned(), "timeout", 2),
                ("2001:db8::/64".to_owned(), "timeout", 2),
            ]
        );
        // Still going on: no line of its own.
        assert_eq!(log.note("timeout", peer("192.0.2.7:7")), Seen::Again);
        // Had nothing to say for a minute: new again.
        assert_eq!(log.note("timeout", peer("192.0.3.1:1")), Seen::First);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(&log), [("192.0.2.0/24".to_owned(), "timeout", 1)]);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(&log), []);
        assert!(log.table().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_from_everywhere_stays_within_the_table() {
        let log = FailureLog::default();
        let mut lines = 0;
        for number in 0..10 * MOST as u32 {
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + (number << 8));
            let seen = log.note("timeout", (ip, 1).into());
            lines += usize::from(seen == Seen::First);
        }
        assert_eq!((lines, log.table().len()), (MOST + 1, MOST + 1));
        tokio::time::advance(WINDOW).await;
        let others = (9 * MOST - 1) as u64;
        assert_eq!(told(&log), [("others".to_owned(), "timeout", others)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_at_the_end_is_told() {
        let log = FailureLog::default();
        for _ in 0..3 {
            log.note("timeout", peer("192.0.2.1:1"));
        }
        assert_eq!(log.due(Instant::now() + WINDOW).len(), 1);
    }
}
