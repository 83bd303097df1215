//! What the limit of memory means for the settings that it decides where nobody else did.

use std::num::NonZeroUsize;

use crate::config::{Config, Memory, defaults};
use crate::limits::{self, Shares};

/// How memory is shared out, if it is limited; what follows from it for `config` stands there then.
pub(super) fn share(config: &mut Config) -> Option<Shares> {
    let limit = match config.memory {
        Memory::Off => None,
        Memory::Bytes(bytes) => Some(bytes),
        Memory::Container => limits::memory(),
    };
    let shares = limit.map(Shares::of);
    let answers = shares.and_then(|shares| NonZeroUsize::new(shares.answers));
    let usual = defaults::MAX_UPSTREAM_CONNECTIONS;
    config.memory = limit.map_or(Memory::Off, Memory::Bytes);
    config
        .upstream
        .max_connections
        .get_or_insert(answers.map_or(usual, |answers| usual.min(answers)));
    shares
}
