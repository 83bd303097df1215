//! Where load comes from: h2load, and clients of our own for what it cannot do.

pub(crate) mod crowd;
pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod steady;
pub(crate) mod storm;
pub(crate) mod websocket;
