//! One blocking HTTP/1.1 exchange over TLS, on a connection that the caller may go on using.
//!
//! Any answer but 200 with a length is an error: what does not work is not measured.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::credentials::server_name;

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection after its handshake.
pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

/// The head of an answer.
pub(crate) struct Head {
    /// Bytes of the head, and of the body after it.
    pub(crate) length: usize,
    pub(crate) body: usize,
    /// Whether the connection ends with this answer.
    pub(crate) last: bool,
}

/// A request for `path`.
pub(crate) fn request_for(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n")
}

/// Connects and shakes hands.
pub(crate) fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Connection> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut connection = ClientConnection::new(Arc::clone(config), server_name())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// Connects, sends one small request and reads its answer.
pub(crate) fn request(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Connection> {
    let mut connection = connect(config, address)?;
    exchange(&mut connection)?;
    Ok(connection)
}

/// Whether the handshake took up an earlier session.
pub(crate) fn resumed(connection: &Connection) -> bool {
    connection.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Says goodbye.
pub(crate) fn close(mut connection: Connection) {
    connection.conn.send_close_notify();
    // The answer is there; whether the goodbye arrives changes nothing.
    let _ = connection.conn.complete_io(&mut connection.sock);
}

/// The head of the answer in `bytes`, when all of it is there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("answered `{status}`");
    }
    let mut body = None;
    let mut last = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            last |= value.trim().eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(Head {
        length: end + 4,
        body: body.context("an answer without a length")?,
        last,
    }))
}

fn exchange(connection: &mut Connection) -> Result<()> {
    connection.write_all(request_for("/small").as_bytes())?;
    connection.flush()?;
    let mut received = Vec::with_capacity(1024);
    let mut piece = [0; 4096];
    loop {
        let count = connection.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        received.extend_from_slice(&piece[..count]);
        if let Some(head) = head(&received)?
            && received.len() >= head.length + head.body
        {
            return Ok(());
        }
    }
}
