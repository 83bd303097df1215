//! Tickets that end with the client certificate they carry.
//!
//! rustls stores the client's chain in a ticket and takes it back unseen. So the moment at which
//! the chain expires goes with it: afterwards the ticket is not read, and a full handshake asks
//! for a certificate that is good. The keys below are those of one trust alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::ProducesTickets;

use crate::tls::step;

/// For a session without a client certificate.
const NEVER: u64 = u64::MAX;

/// Adds the date to the tickets of another.
#[derive(Debug)]
pub(in crate::tls) struct Dated(pub(in crate::tls) Arc<dyn ProducesTickets>);

impl ProducesTickets for Dated {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let end = step::until().map_or(NEVER, seconds);
        self.0.encrypt(&[&end.to_be_bytes(), plain].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let dated = self.0.decrypt(ticket)?;
        let (end, plain) = dated.split_first_chunk()?;
        let end = u64::from_be_bytes(*end);
        if end <= seconds(SystemTime::now()) {
            return None;
        }
        let until = (end != NEVER).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(end));
        step::resumes(until);
        Some(plain.to_vec())
    }
}

fn seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::step::Handshake;

    /// What it gets, it gives.
    #[derive(Debug)]
    struct Plain;

    impl ProducesTickets for Plain {
        fn enabled(&self) -> bool {
            true
        }

        fn lifetime(&self) -> u32 {
            1
        }

        fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
            Some(plain.to_vec())
        }

        fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
            Some(ticket.to_vec())
        }
    }

    fn ticket(until: Option<SystemTime>) -> Vec<u8> {
        let mut handshake = Handshake {
            until,
            ..Handshake::default()
        };
        step::run(&mut handshake, || {
            Dated(Arc::new(Plain)).encrypt(b"session")
        })
        .unwrap()
    }

    // TLS-14
    #[test]
    fn a_ticket_is_read_until_the_certificate_in_it_expires_and_passes_its_date_on() {
        let now = SystemTime::now();
        let later = now + Duration::from_secs(60);
        let tickets = Dated(Arc::new(Plain));
        let mut handshake = Handshake::default();
        let read = |ticket: &[u8]| step::run(&mut handshake, || tickets.decrypt(ticket));
        let mut read = read;
        assert_eq!(read(&ticket(None)).as_deref(), Some(&b"session"[..]));
        assert_eq!(read(&ticket(Some(later))).as_deref(), Some(&b"session"[..]));
        assert_eq!(read(&ticket(Some(now))), None);
        assert_eq!(read(b"short"), None);
        assert_eq!(handshake.until.map(seconds), Some(seconds(later)));
    }
}
