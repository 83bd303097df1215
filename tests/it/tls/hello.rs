//! ClientHellos written byte by byte, for what no TLS library would send, and the answers to them
//! as far as they come in clear.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::sidecar::Served;
use crate::support::wait::PATIENCE;

/// More than the sidecar reads at once, so that something is unread when it closes.
pub(super) static BEHIND: [u8; 256 * 1024] = [0; 256 * 1024];

/// What a hello says; [`Hello::tls12`] and [`Hello::tls13`] are hellos that are served.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    /// The cipher suites, two bytes each.
    pub(super) ciphers: Vec<u8>,
    /// Extensions by number, each with the bytes of its value.
    pub(super) extensions: Vec<(u16, Vec<u8>)>,
}

/// RFC 6066 section 3.
pub(super) const SERVER_NAME: u16 = 0;
/// RFC 8446 section 4.2.7.
pub(super) const GROUPS: u16 = 10;
/// RFC 8446 section 4.2.3.
pub(super) const SIGNATURES: u16 = 13;
/// RFC 7301 section 3.1.
pub(super) const ALPN: u16 = 16;

impl Hello {
    /// ECDHE-ECDSA with AES-128-GCM over x25519: the certificate comes back in clear.
    pub(super) fn tls12() -> Self {
        Self {
            ciphers: vec![0xc0, 0x2b],
            extensions: vec![
                (GROUPS, vec![0, 2, 0, 0x1d]),
                (11, vec![1, 0]),
                (SIGNATURES, vec![0, 2, 4, 3]),
            ],
        }
    }

    /// AES-128-GCM over x25519.
    pub(super) fn tls13() -> Self {
        // The base point is a public key like any other (RFC 7748 section 4.1).
        let mut share = vec![0, 36, 0, 0x1d, 0, 32, 9];
        share.extend([0; 31]);
        Self {
            ciphers: vec![0x13, 1],
            extensions: vec![
                (GROUPS, vec![0, 2, 0, 0x1d]),
                (SIGNATURES, vec![0, 2, 4, 3]),
                (43, vec![2, 3, 4]),
                (51, share),
            ],
        }
    }

    /// With this extension, instead of its own if it has one.
    pub(super) fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.extensions.retain(|(own, _)| *own != number);
        self.extensions.push((number, value.to_vec()));
        self
    }

    /// Without this extension.
    pub(super) fn without(mut self, number: u16) -> Self {
        self.extensions.retain(|(own, _)| *own != number);
        self
    }

    /// With these cipher suites alone.
    pub(super) fn ciphers(mut self, ciphers: &[u8]) -> Self {
        self.ciphers = ciphers.to_vec();
        self
    }

    /// The record that carries it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (number, value) in &self.extensions {
            extensions.extend(number.to_be_bytes());
            extensions.extend(prefixed(value));
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(prefixed(&self.ciphers));
        body.extend([1, 0]);
        body.extend(prefixed(&extensions));
        let mut message = vec![1, 0];
        message.extend(prefixed(&body));
        let mut record = vec![0x16, 3, 1];
        record.extend(prefixed(&message));
        record
    }
}

/// `value` behind its length in two bytes.
pub(super) fn prefixed(value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&length.to_be_bytes(), value].concat()
}

/// The value of the server_name extension that asks for `name`.
pub(super) fn asking_for(name: &[u8]) -> Vec<u8> {
    prefixed(&[&[0], &prefixed(name)[..]].concat())
}

pub(super) fn connect(served: &Served) -> TcpStream {
    let socket = TcpStream::connect(served.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// All that comes until the FIN; a reset fails.
pub(super) fn read_to_fin(mut socket: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("FIN and no reset");
    bytes
}

/// What a client that sends `bytes`, and much behind them, gets until the FIN.
pub(super) fn answer_to(served: &Served, bytes: &[u8]) -> (std::net::SocketAddr, Vec<u8>) {
    let mut socket = connect(served);
    socket.write_all(bytes).unwrap();
    socket.write_all(&BEHIND).unwrap();
    let answer = read_to_fin(&socket);
    (socket.local_addr().unwrap(), answer)
}

/// The next record: its type and its payload.
pub(super) fn record(mut socket: &TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 5];
    socket.read_exact(&mut head).expect("a record");
    let mut payload = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    socket.read_exact(&mut payload).expect("a whole record");
    (head[0], payload)
}
