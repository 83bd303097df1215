//! HTTP messages: their heads, and over HTTP/1 their bodies taken out of their framing, and put into it
//! (RFC 9112 sections 6 and 7). The same for what clients and what the application send and are sent.
//!
//! The grammar is [`crate::syntax`]'s; what a head means is for whoever reads or writes it.

mod chunks;
mod head;
mod outgoing;
mod read;

pub use chunks::{Chunks, Unsound};
pub use head::{Protocol, Request, Response};
pub use outgoing::{Coding, Interrupted, Outgoing, encode_field, is_option};
pub use read::Read;
