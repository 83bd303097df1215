//! TLS: what is served, to whom, and why a handshake failed. Knows no HTTP.
//!
//! [`directory`] reads files, [`certificate`] pairs a chain with its key, [`gate`] decides whether
//! it is better than the one in service, [`cert_set`] is what is published and looked up by SNI,
//! [`mod@acceptor`] turns an accepted socket into a TLS stream under one deadline, on the [`terms`]
//! that the [`trust`] in clients makes; [`failure`] names every way in which that ends badly.
//! Invariant: no other room names rustls.

mod acceptor;
mod cert_set;
mod certificate;
#[cfg(fuzzing)]
mod clear;
mod client;
mod digest;
mod directory;
mod failure;
mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gate;
mod pem;
mod server_config;
mod step;
mod suites;
mod terms;
mod tickets;
mod trust;
mod x509;

#[cfg(not(fuzzing))]
pub use acceptor::{Acceptor, Stream, hold_at_most, request_sign_of_life, socket};
pub use acceptor::{Alpn, Session};
pub use cert_set::CertSet;
pub use certificate::{Certificate, Files};
#[cfg(fuzzing)]
pub use clear::{Acceptor, Stream, hold_at_most, request_sign_of_life, socket};
pub use client::{Client, ClientFault};
pub use digest::Digest;
pub use directory::{Entry, Layout, Places, Rank, Scan, Versions, scan};
pub use failure::HandshakeFailure;
pub use fault::{LoadError, Mismatch, Reason};
pub use pem::PemError;
pub use server_config::{Offer, PROVIDER_NAME, acceptor};
pub use terms::Doorkeeper;
pub use tickets::{SecretsError, TicketSecrets, ticket_secrets};
pub use trust::{Authority, Trust, TrustError, TrustSources, trust_sources};
pub use x509::{AuthorityFacts, Facts, Holder, KeyKind, Names, RevocationFacts};
