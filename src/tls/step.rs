//! What rustls does not pass on about the handshake under way.
//!
//! It asks for a certificate, has a chain verified and makes and reads tickets in the middle of a
//! handshake, and says each time only what the client wrote. A handshake runs in steps, each on
//! one thread without an await: what is known of it stands here while a step runs. Invariant:
//! nothing of one handshake is seen in another.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::SystemTime;

use super::trust::Judged;

/// One handshake, as far as it has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handshake {
    /// The address that the client connected to.
    pub(super) address: Option<IpAddr>,
    /// What was found of the client's chain.
    pub(super) judged: Option<Judged>,
    /// When the client's chain, verified here or stored in its ticket, is no longer good.
    pub(super) until: Option<SystemTime>,
}

thread_local! {
    static NOW: Cell<Handshake> = const { Cell::new(Handshake { address: None, judged: None, until: None }) };
}

/// Runs one step of `handshake`.
pub(super) fn run<T>(handshake: &mut Handshake, step: impl FnOnce() -> T) -> T {
    NOW.set(*handshake);
    let result = step();
    *handshake = NOW.take();
    result
}

/// The address that the client of this step connected to.
pub(super) fn address() -> Option<IpAddr> {
    NOW.get().address
}

/// Notes that the client's chain is good.
pub(super) fn judged(judged: Judged) {
    NOW.set(Handshake {
        judged: Some(judged),
        until: judged.until,
        ..NOW.get()
    });
}

/// Notes until when the chain in the client's ticket is good.
pub(super) fn resumes(until: Option<SystemTime>) {
    NOW.set(Handshake { until, ..NOW.get() });
}

/// Until when the client's chain is good; for ever where there is none.
pub(super) fn until() -> Option<SystemTime> {
    NOW.get().until
}
