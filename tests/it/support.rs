//! What tests stand on: certificates, a Secret mount, an application to put behind the sidecar,
//! the sidecar as a real process, and clients to put before it.
//!
//! Each helper runs on threads of its own where it must answer while a test blocks, so both plain
//! tests and `#[tokio::test(flavor = "multi_thread")]` may use all of it.

#![allow(
    dead_code,
    reason = "a vocabulary for tests to come; each topic uses a part of it"
)]

pub(crate) mod admin;
pub(crate) mod application;
pub(crate) mod background;
pub(crate) mod certs;
pub(crate) mod clients;
pub(crate) mod frames;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod h2_application;
pub(crate) mod hyper_application;
pub(crate) mod inside;
pub(crate) mod namespace;
pub(crate) mod ports;
pub(crate) mod programs;
pub(crate) mod requests;
pub(crate) mod secret_dir;
pub(crate) mod sidecar;
pub(crate) mod wait;
