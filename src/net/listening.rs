//! What listens in this network namespace, which all containers of a Pod share.
//!
//! The kernel is asked for its listening sockets alone, which takes microseconds. Where it does not
//! answer that (a kernel without inet_diag, a sandbox), its tables of all connections are read.

mod diagnosis;
mod tables;

use std::net::SocketAddr;

/// Every TCP socket that listens in this network namespace; none where the kernel does not tell.
pub fn listening() -> Vec<SocketAddr> {
    diagnosis::listening().unwrap_or_else(|error| {
        tracing::debug!(%error, "the kernel lists no sockets: reading /proc/net/tcp");
        tables::listening()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn both_ways_find_what_listens_and_nothing_that_is_only_connected() {
        let mut listeners = vec![TcpListener::bind("127.0.0.1:0").unwrap()];
        listeners.extend(TcpListener::bind("0.0.0.0:0"));
        // Where there is IPv6.
        listeners.extend(TcpListener::bind("[::1]:0"));
        let at = |listener: &TcpListener| listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(at(&listeners[0])).unwrap();
        let mut ways = vec![tables::listening()];
        // Not in every sandbox.
        ways.extend(diagnosis::listening());
        for found in ways {
            assert!(
                listeners
                    .iter()
                    .all(|listener| found.contains(&at(listener)))
            );
            assert!(!found.contains(&client.local_addr().unwrap()));
        }
    }
}
