//! Session tickets under keys that every replica derives from one mounted secret and the hour.
//!
//! So a client resumes on any replica and across restarts (RFC 5077, RFC 8446 section 4.6.1), and
//! keys still change every hour without anybody's doing. HKDF-SHA256 makes a name and an AES-256-GCM
//! key of each secret and hour; a ticket is name, random nonce, ciphertext. Invariant: nothing of a
//! ticket is believed before its tag is, and its length tells only a multiple of [`BLOCK`].

mod dated;
mod secrets;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use super::digest::Digest;
use crate::live::Live;
pub(super) use dated::Dated;
pub use secrets::{SecretsError, TicketSecrets, ticket_secrets};

/// How long one key makes tickets; replicas and clocks meet in the hours around it.
const HOUR_SECONDS: u64 = 60 * 60;

/// Lifetime told to clients: the last ticket of an hour is read to the end of the next one.
const LIFETIME_SECONDS: u32 = 60 * 60;

const NAME_LEN: usize = 16;

/// Plaintext is filled up to a multiple of this, so that the length of a name in it stays hidden.
const BLOCK: usize = 512;

/// Makes every derivation this program's own.
const SALT: &[u8] = b"tls-sidecar session tickets 1";

/// Makes and reads tickets under the secrets as last published.
pub(super) struct SharedTickets {
    secrets: Live<TicketSecrets>,
    /// Of the trust in whose name tickets are made; without client certificates there is none.
    trust: Option<Digest>,
    keys: ArcSwap<Keys>,
    clock: fn() -> SystemTime,
}

/// The keys of one hour and those beside it.
struct Keys {
    hour: u64,
    secrets: Arc<TicketSecrets>,
    /// The first makes tickets; all read them.
    keys: Vec<Key>,
}

struct Key {
    name: [u8; NAME_LEN],
    key: LessSafeKey,
}

/// Bytes of key name and key together.
struct Material;

impl KeyType for Material {
    fn len(&self) -> usize {
        NAME_LEN + AES_256_GCM.key_len()
    }
}

impl SharedTickets {
    pub(super) fn new(secrets: Live<TicketSecrets>, trust: Option<Digest>) -> Self {
        Self::at(secrets, trust, SystemTime::now)
    }

    fn at(secrets: Live<TicketSecrets>, trust: Option<Digest>, clock: fn() -> SystemTime) -> Self {
        let keys = Keys::derive(secrets.load(), trust, hour(clock()));
        Self {
            secrets,
            trust,
            keys: ArcSwap::from_pointee(keys),
            clock,
        }
    }

    /// The keys for now; derived by whoever first needs them in an hour.
    fn keys(&self) -> Arc<Keys> {
        let (keys, secrets) = (self.keys.load_full(), self.secrets.load());
        let hour = hour((self.clock)());
        if keys.hour == hour && Arc::ptr_eq(&keys.secrets, &secrets) {
            return keys;
        }
        let keys = Arc::new(Keys::derive(secrets, self.trust, hour));
        self.keys.store(Arc::clone(&keys));
        keys
    }
}

impl Keys {
    fn derive(secrets: Arc<TicketSecrets>, trust: Option<Digest>, hour: u64) -> Self {
        let hours = [hour, hour.saturating_sub(1), hour + 1];
        let all = secrets.iter();
        let keys = all.flat_map(|secret| {
            let of_hour = move |hour| Key::derive(secret, trust, hour);
            hours.into_iter().filter_map(of_hour)
        });
        Self {
            hour,
            keys: keys.collect(),
            secrets,
        }
    }
}

impl Key {
    /// Also of the trust, so that no replica resumes a session that was made under another one.
    fn derive(secret: &[u8], trust: Option<Digest>, hour: u64) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let info = hour.to_be_bytes();
        let info = [info.as_slice(), trust.as_ref().map_or(&[], |trust| trust)];
        let mut material = [0; 48];
        prk.expand(&info, Material).ok()?.fill(&mut material).ok()?;
        let (name, key) = material.split_first_chunk()?;
        Some(Self {
            name: *name,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?),
        })
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let key = keys.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = pad(plain)?;
        let aad = Aad::from(key.name);
        let unique = Nonce::assume_unique_for_key(nonce);
        key.key
            .seal_in_place_append_tag(unique, aad, &mut sealed)
            .ok()?;
        Some([key.name.as_slice(), &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys();
        // A name is no secret: it travels in clear.
        let key = keys.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key
            .key
            .open_in_place(nonce, Aad::from(key.name), &mut sealed)
            .ok()?;
        unpad(opened).map(<[u8]>::to_vec)
    }
}

/// Length, contents, zeros.
fn pad(plain: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(plain.len()).ok()?.to_be_bytes();
    let mut padded = [length.as_slice(), plain].concat();
    padded.resize(padded.len().next_multiple_of(BLOCK), 0);
    Some(padded)
}

fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn hour(now: SystemTime) -> u64 {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs() / HOUR_SECONDS
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::live::{Publisher, live};

    const NOON: Duration = Duration::from_secs(1_800_000_000 / HOUR_SECONDS * HOUR_SECONDS);

    fn at_noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + NOON
    }

    fn at_one() -> SystemTime {
        at_noon() + Duration::from_secs(HOUR_SECONDS)
    }

    fn at_two() -> SystemTime {
        at_one() + Duration::from_secs(HOUR_SECONDS)
    }

    fn replica(
        secrets: &[&[u8]],
        clock: fn() -> SystemTime,
    ) -> (Publisher<TicketSecrets>, SharedTickets) {
        let (publisher, secrets) = live(TicketSecrets::of(secrets));
        (publisher, SharedTickets::at(secrets, None, clock))
    }

    #[test]
    fn a_ticket_of_one_replica_is_read_by_another_in_this_and_the_next_hour() {
        let (_a, noon) = replica(&[&[7; 32]], at_noon);
        let ticket = noon.encrypt(b"session").unwrap();
        let read = |clock| replica(&[&[7; 32]], clock).1.decrypt(&ticket);
        assert_eq!(read(at_noon).as_deref(), Some(&b"session"[..]));
        assert_eq!(read(at_one).as_deref(), Some(&b"session"[..]));
        assert_eq!(read(at_two), None);
        // A clock that is ahead makes tickets of the next hour.
        let (_b, one) = replica(&[&[7; 32]], at_one);
        assert!(noon.decrypt(&one.encrypt(b"session").unwrap()).is_some());
    }

    #[test]
    fn another_secret_reads_nothing_and_a_former_one_still_reads() {
        let (publisher, tickets) = replica(&[&[7; 32]], at_noon);
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_eq!(replica(&[&[8; 32]], at_noon).1.decrypt(&ticket), None);
        publisher.publish(TicketSecrets::of(&[&[8; 32], &[7; 32]]));
        assert!(tickets.decrypt(&ticket).is_some());
        publisher.publish(TicketSecrets::of(&[&[8; 32]]));
        assert_eq!(tickets.decrypt(&ticket), None);
    }

    #[test]
    fn the_length_of_a_ticket_does_not_tell_the_length_of_a_name() {
        let (_publisher, tickets) = replica(&[&[7; 32]], at_noon);
        let lengths = [1, 60, 255].map(|n| tickets.encrypt(&vec![1; n]).unwrap().len());
        assert_eq!(lengths, [lengths[0]; 3]);
        let long = vec![9; 3 * BLOCK];
        assert_eq!(
            tickets.decrypt(&tickets.encrypt(&long).unwrap()),
            Some(long)
        );
    }

    #[test]
    fn a_changed_ticket_is_no_ticket() {
        let (_publisher, tickets) = replica(&[&[7; 32]], at_noon);
        let ticket = tickets.encrypt(b"session").unwrap();
        for at in (0..ticket.len()).step_by(7) {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
        }
        for length in 0..40 {
            assert_eq!(tickets.decrypt(&ticket[..length]), None);
        }
    }
}
