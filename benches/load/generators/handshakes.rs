//! New connections one after the other, each with a handshake and one small request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustls::ClientConfig;

use crate::accounting;
use crate::client;

/// What became of it.
pub(crate) struct Tally {
    pub(crate) connections: u64,
    /// Those that took up an earlier session.
    pub(crate) resumed: u64,
    /// On a CPU, of the proxy.
    pub(crate) nanoseconds: u64,
    pub(crate) took: Duration,
}

/// Connects again and again for `time`.
pub(crate) fn run(
    config: ClientConfig,
    target: (SocketAddr, u32),
    time: Duration,
) -> Result<Tally> {
    let config = Arc::new(config);
    let (address, group) = target;
    // The first leaves a session for the next, where there are any.
    client::close(client::request(&config, address)?);
    let before = accounting::cpu(group)?;
    let start = Instant::now();
    let (mut connections, mut resumed) = (0, 0);
    while start.elapsed() < time {
        let connection = client::request(&config, address)?;
        connections += 1;
        resumed += u64::from(client::resumed(&connection));
        client::close(connection);
    }
    let took = start.elapsed();
    // The end of the last connection is work as well.
    std::thread::sleep(Duration::from_millis(5));
    Ok(Tally {
        connections,
        resumed,
        nanoseconds: accounting::cpu(group)?.saturating_sub(before),
        took,
    })
}
