//! TLS: what is served, to whom, and why a handshake failed. Knows no HTTP.
//!
//! [`directory`] reads files, [`certificate`] pairs a chain with its key, [`cert_set`] is what is
//! published and looked up by SNI, [`mod@acceptor`] turns an accepted socket into a TLS stream under
//! one deadline, [`failure`] names every way in which that ends badly.
//! Invariant: no other room names rustls.

mod acceptor;
mod cert_set;
mod certificate;
mod directory;
mod failure;
mod pem;
mod server_config;

pub use acceptor::{Acceptor, Alpn, Session, Stream, is_reset, request_sign_of_life};
pub use cert_set::CertSet;
pub use certificate::Certificate;
pub use directory::{LoadError, load};
pub use failure::HandshakeFailure;
pub use server_config::{Offer, PROVIDER_NAME, acceptor};
