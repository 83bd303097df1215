//! The rustls configuration: versions, groups, ALPN, tickets, one provider passed explicitly.
//!
//! Built once for each trust; certificates change under it through the resolver's published set.
//! Early data (0-RTT) stays off: it can be replayed and the application could not tell (RFC 8446
//! section 8).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::cert_set::Resolver;
use super::terms::{Doorkeeper, Verifier};
use super::tickets::{Dated, SharedTickets};
use super::{Acceptor, CertSet, TicketSecrets, Trust, suites};
use crate::config::{Protocol, Tls, TlsVersion};
use crate::live::Live;

/// The TLS implementation, for `--version`.
pub const PROVIDER_NAME: &str = "rustls with aws-lc-rs";

/// rustls keeps what it skips until the handshake goes on, and counts it again at every read: with
/// its default a client fails that sends early the 16 KiB which servers commonly allow. What can be
/// skipped is bounded by its buffer of 18 KiB; this bounds the work of a client that dribbles.
const SKIPPED_EARLY_DATA: u32 = 256 * 1024;

/// Protocols offered by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// `h2`, then `http/1.1`.
    Http,
    /// None: raw bytes are passed on whatever the client speaks.
    Raw,
}

impl Offer {
    /// What goes with the language of the application.
    pub fn to_reach(application: Protocol) -> Self {
        match application {
            Protocol::Raw => Self::Raw,
            Protocol::Http1 | Protocol::H2c => Self::Http,
        }
    }
}

/// aws-lc-rs with X25519MLKEM768 first (draft-ietf-tls-ecdhe-mlkem): recorded traffic stays
/// closed to a later quantum computer, at 60 microseconds a handshake.
pub(super) fn provider() -> CryptoProvider {
    let default = aws_lc_rs::default_provider();
    CryptoProvider {
        cipher_suites: suites::ordered(default.cipher_suites),
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..default
    }
}

/// What a configuration is made from, whatever the trust.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) section: Tls,
    pub(super) offer: Offer,
    pub(super) set: Live<CertSet>,
    pub(super) secrets: Option<Live<TicketSecrets>>,
}

/// An acceptor that serves `set` as it changes, with tickets under `secrets` where there are some,
/// and what changes whom it trusts.
///
/// # Errors
/// When the system has no randomness for the ticket keys.
pub fn acceptor(
    section: &Tls,
    offer: Offer,
    set: Live<CertSet>,
    secrets: Option<Live<TicketSecrets>>,
    trust: Option<Arc<Trust>>,
) -> Result<(Doorkeeper, Acceptor), rustls::Error> {
    let recipe = Recipe {
        section: section.clone(),
        offer,
        set,
        secrets,
    };
    Doorkeeper::open(recipe, trust)
}

impl Recipe {
    /// A configuration that asks clients for a certificate where there is a `trust` to judge it by.
    pub(super) fn config(&self, trust: Option<&Arc<Trust>>) -> Result<ServerConfig, rustls::Error> {
        let resolver = Resolver {
            set: self.set.clone(),
            unknown_sni: self.section.unknown_sni,
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions(self.section.min_version))?;
        let builder = match trust {
            Some(trust) => builder.with_client_cert_verifier(Arc::new(Verifier(Arc::clone(trust)))),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = match self.offer {
            // The last for clients that offer what they speak and no more (`curl --http1.0`).
            Offer::Http => [&b"h2"[..], b"http/1.1", b"http/1.0"].map(Vec::from).into(),
            Offer::Raw => Vec::new(),
        };
        // Stateless (RFC 5077, RFC 8446 section 4.6.1): no shared cache is locked per handshake.
        config.ticketer = self.tickets(trust)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Each costs its keys, its sealing and a record. A client needs one a connection: what it
        // resumes brings it the next (RFC 8446 section 4.6.1), and HTTP/2 needs no second connection.
        config.send_tls13_tickets = 1;
        // Not an offer: rustls takes early data only with stateful sessions, and never puts this
        // into a stateless ticket. It is how much of what comes early all the same, under a ticket
        // of another server that had this name, is skipped (RFC 8446 section 4.2.10).
        config.max_early_data_size = SKIPPED_EARLY_DATA;
        config.send_half_rtt_data = true;
        Ok(config)
    }

    /// Tickets of this trust and no other: made under keys of its own.
    fn tickets(
        &self,
        trust: Option<&Arc<Trust>>,
    ) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let tickets: Arc<dyn ProducesTickets> = match &self.secrets {
            Some(secrets) => {
                let trust = trust.map(|trust| trust.digest());
                Arc::new(SharedTickets::new(secrets.clone(), trust))
            }
            // Keys are made here and rotate by themselves.
            None => aws_lc_rs::Ticketer::new()?,
        };
        Ok(match trust {
            Some(_) => Arc::new(Dated(tickets)),
            None => tickets,
        })
    }
}

pub(super) fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] =
        [&rustls::version::TLS13, &rustls::version::TLS12];
    match min {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_2[..1],
    }
}
