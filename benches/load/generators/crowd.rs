//! Many connections that had one request each and stay.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;

use crate::client;

/// Opens `count` connections. Of each only the socket is kept: the crowd's own memory is no matter.
pub(crate) fn gather(
    config: ClientConfig,
    address: SocketAddr,
    count: usize,
) -> Result<Vec<TcpStream>> {
    let config = Arc::new(config);
    let open = |number| {
        let connection = client::request(&config, address);
        let connection = connection.with_context(|| format!("connection {number} of {count}"))?;
        Ok(connection.into_parts().1)
    };
    (1..=count).map(open).collect()
}
