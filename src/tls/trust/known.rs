//! Chains that were found good, so that whoever comes back with the same one is not verified again.
//!
//! Verifying a chain is as dear as all else that a server does in a handshake, and clients come back
//! with theirs for hours or days. What is kept is a hash of every byte of the chain, and holds under
//! the one trust that it is a part of, from the moment at which it was found until something in
//! the chain, its authority or a revocation list ends. That the client has the key is proven each
//! time. Only good chains are kept. Fixed in number, without a lock: two that share a place drive
//! each other out.

use std::fmt;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use rustls::pki_types::CertificateDer;

use super::Judged;
use crate::tls::digest::{Digest, Parts};

/// How many are kept at most, of 100 bytes each.
const PLACES: usize = 1024;

/// What was found of chains.
pub(super) struct Known(Box<[ArcSwapOption<Entry>]>);

struct Entry {
    chain: Digest,
    judged: Judged,
    since: SystemTime,
}

/// Of `leaf` and what was shown with it.
pub(super) fn digest(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Digest {
    let mut parts = Parts::none();
    let chain = [leaf].into_iter().chain(rest);
    chain.for_each(|certificate| parts.add(Some(certificate)));
    parts.digest()
}

impl Known {
    pub(super) fn none() -> Self {
        Self((0..PLACES).map(|_| ArcSwapOption::empty()).collect())
    }

    /// What was found of `chain`, where that holds at `now`.
    pub(super) fn find(&self, chain: Digest, now: SystemTime) -> Option<Judged> {
        let entry = self.0[place(&chain)].load();
        let entry = entry.as_ref().filter(|entry| entry.chain == chain)?;
        // Before it was found, as when the clock was set back, something may not have begun.
        let is_over = entry.judged.until.is_some_and(|until| until <= now);
        (entry.since <= now && !is_over).then_some(entry.judged)
    }

    /// Keeps that `chain` was found good at `now`.
    pub(super) fn keep(&self, chain: Digest, judged: Judged, now: SystemTime) {
        let entry = Entry {
            chain,
            judged,
            since: now,
        };
        self.0[place(&chain)].store(Some(entry.into()));
    }
}

fn place(chain: &Digest) -> usize {
    usize::from(u16::from_be_bytes([chain[0], chain[1]])) % PLACES
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn chain(certificates: &[&[u8]]) -> Digest {
        let mut all = certificates
            .iter()
            .map(|bytes| CertificateDer::from(bytes.to_vec()));
        let leaf = all.next().unwrap();
        digest(&leaf, &all.collect::<Vec<_>>())
    }

    #[test]
    fn a_verdict_holds_from_when_it_was_found_until_something_ends() {
        let (known, one) = (Known::none(), chain(&[b"leaf", b"issuer"]));
        let second = Duration::from_secs(1);
        let found = SystemTime::UNIX_EPOCH + 1_000 * second;
        let until = found + 10 * second;
        let judged = Judged {
            authority: Some(3),
            until: Some(until),
        };
        assert_eq!(known.find(one, found), None);
        known.keep(one, judged, found);
        assert_eq!(known.find(one, found), Some(judged));
        assert_eq!(known.find(one, until - second), Some(judged));
        assert_eq!(known.find(one, until), None);
        assert_eq!(known.find(one, found - second), None);
    }

    #[test]
    fn another_chain_is_not_taken_for_it() {
        let known = Known::none();
        let now = SystemTime::UNIX_EPOCH;
        let judged = Judged {
            authority: None,
            until: None,
        };
        known.keep(chain(&[b"leaf", b"issuer"]), judged, now);
        for other in [
            &[&b"leaf"[..]][..],
            &[b"issuer", b"leaf"],
            &[b"leafi", b"ssuer"],
            &[b"leaf", b"issuer", b""],
        ] {
            assert_eq!(known.find(chain(other), now), None, "{other:?}");
        }
    }

    #[test]
    fn two_in_one_place_drive_each_other_out() {
        let (known, now) = (Known::none(), SystemTime::UNIX_EPOCH);
        let judged = Judged {
            authority: None,
            until: None,
        };
        let first = chain(&[b"0"]);
        let second = (1_u32..)
            .map(|number| chain(&[&number.to_be_bytes()]))
            .find(|other| place(other) == place(&first))
            .unwrap();
        known.keep(first, judged, now);
        known.keep(second, judged, now);
        assert_eq!(known.find(first, now), None);
        assert_eq!(known.find(second, now), Some(judged));
    }
}
