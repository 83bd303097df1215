//! Where load comes from: h2load where a proxy is saturated, and clients of our own for what it
//! cannot do, such as a rate without bursts.

pub(crate) mod crowd;
pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod pace;
pub(crate) mod steady;
pub(crate) mod storm;
pub(crate) mod streams;
pub(crate) mod websocket;
