//! Listeners: where clients come in, and how many may.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::BindError;
use crate::config::Listen;
use crate::limits::{self, Shares};
use crate::net::{self, Binding};
use crate::runtime::{Entrance, Permits};

/// A bound socket, and what is spoken on it.
pub(super) type Door = (Entrance, TcpListener);

/// A client in clear is told where to go and leaves: more at once is no use but to an attacker.
const MOST_IN_CLEAR: usize = 1024;

/// Binds every address.
pub(super) fn bind(section: &Listen) -> Result<Vec<Door>, BindError> {
    let tls = section.addresses.iter();
    let clear = section.redirect.addresses.iter();
    let tls = tls.map(|address| (Entrance::Tls, "listen", address));
    let all = tls.chain(clear.map(|address| (Entrance::Clear, "redirect-listen", address)));
    all.map(|(entrance, flag, &address)| {
        let sharing = section.sharing;
        let socket = net::bind(Binding {
            flag,
            address,
            sharing,
        });
        let socket = socket.map_err(BindError::Listen)?;
        net::look_after_clients(&socket, section.keepalive_interval)?;
        Ok((entrance, socket))
    })
    .collect()
}

/// The addresses as the system gave them: with TLS, and in clear.
pub(super) fn addresses(doors: &[Door]) -> io::Result<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let (mut tls, mut clear) = (Vec::new(), Vec::new());
    for (entrance, socket) in doors {
        let address = socket.local_addr()?;
        match entrance {
            Entrance::Tls => tls.push(address),
            Entrance::Clear => clear.push(address),
        }
    }
    Ok((tls, clear))
}

/// Connections with TLS at most, and leave for these and for those in clear.
pub(super) fn permits(section: &Listen, shares: Option<Shares>) -> (NonZeroUsize, Permits) {
    let by_memory = shares.map_or(usize::MAX, |shares| shares.connections);
    let possible = limits::connections().get().min(by_memory);
    let clear = match section.redirect.addresses.is_empty() {
        true => 0,
        false => (possible / 8).clamp(1, MOST_IN_CLEAR),
    };
    let rest = NonZeroUsize::new(possible.saturating_sub(clear)).unwrap_or(NonZeroUsize::MIN);
    let connections = section.max_connections.unwrap_or(rest);
    let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
    let permits = Permits {
        tls: semaphore(connections.get()),
        clear: semaphore(clear),
    };
    (connections, permits)
}
