//! What both ends of an HTTP/2 connection have in common (RFC 9113): frames, flow control, header blocks,
//! settings, bodies on their way, and whose turn it is.
//!
//! Whether a side asks or answers is nothing that is known here: [`crate::proxy`] answers clients,
//! [`crate::upstream`] asks the application. Invariant: nothing here waits, spawns or reads a socket by
//! itself; a connection's one task does.

pub mod block;
pub mod frame;
pub mod intake;
pub mod keepalive;
pub mod output;
pub mod pieces;
pub mod ready;
pub mod sending;
pub mod settings;
pub mod streams;
pub mod window;

use crate::fields::{NameSet, name};

/// What no message over HTTP/2 has (RFC 9113 section 8.2.2).
pub const OF_CONNECTION: NameSet<5> = NameSet::new([
    name::CONNECTION,
    name::KEEP_ALIVE,
    name::PROXY_CONNECTION,
    name::TRANSFER_ENCODING,
    name::UPGRADE,
]);
