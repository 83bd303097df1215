//! The PROXY protocol, versions 1 and 2 (haproxy.org/download/1.8/doc/proxy-protocol.txt).
//!
//! Read before TLS from peers that are trusted, written before the first request to the
//! application. Not a byte past the header is consumed. Invariant: a header that is not exactly
//! right is refused; the addresses of the socket are never mixed with those of the header.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::config::ProxyProtocolOut;

/// A version 1 line with its CRLF, at most.
const V1_MAX: usize = 107;
/// The fixed part of a version 2 header.
const V2_FIXED: usize = 16;
/// Addresses and TLVs of a version 2 header: more than any sender in use writes.
const V2_MAX: usize = 4096;

/// Why there are no addresses.
#[derive(Debug)]
pub enum ProxyHeaderError {
    /// The first byte is not one of a PROXY header.
    Missing,
    /// A header that breaks the specification.
    Malformed,
    /// The socket failed first.
    Io(io::Error),
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no PROXY header"),
            Self::Malformed => f.write_str("malformed PROXY header"),
            Self::Io(error) => write!(f, "reading the PROXY header: {error}"),
        }
    }
}

impl std::error::Error for ProxyHeaderError {}

impl From<io::Error> for ProxyHeaderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the header that opens `socket`; `Ok(None)` is a health check of the proxy itself
/// (LOCAL, UNKNOWN), whose addresses are those of the socket.
///
/// # Errors
/// [`ProxyHeaderError::Missing`] leaves the socket untouched.
pub async fn read(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Err(ProxyHeaderError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    match first {
        [b'P'] => read_v1(socket).await,
        [b'\r'] => read_v2(socket).await,
        _ => Err(ProxyHeaderError::Missing),
    }
}

async fn read_v1(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut line = Vec::with_capacity(V1_MAX);
    // Byte by byte: what follows belongs to TLS, and the line is short.
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_MAX {
            return Err(ProxyHeaderError::Malformed);
        }
        line.push(socket.read_u8().await?);
    }
    parse_v1(&line)
}

fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let header = ppp::v1::Header::try_from(line).map_err(|_| ProxyHeaderError::Malformed)?;
    Ok(match header.addresses {
        ppp::v1::Addresses::Unknown => None,
        ppp::v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        ppp::v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
    })
}

async fn read_v2(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut bytes = vec![0; V2_FIXED];
    socket.read_exact(&mut bytes).await?;
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > V2_MAX {
        return Err(ProxyHeaderError::Malformed);
    }
    bytes.resize(V2_FIXED + length, 0);
    socket.read_exact(&mut bytes[V2_FIXED..]).await?;
    parse_v2(&bytes)
}

fn parse_v2(bytes: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let header = ppp::v2::Header::try_from(bytes).map_err(|_| ProxyHeaderError::Malformed)?;
    if header.command == ppp::v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        ppp::v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        ppp::v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        ppp::v2::Addresses::Unspecified | ppp::v2::Addresses::Unix(_) => None,
    })
}

/// The header that tells the application who `source` is, which reached us at `destination`.
pub fn encode(version: ProxyProtocolOut, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    // One family for both ends: an IPv4 peer of a dual-stack listener shows as mapped IPv6.
    let (source, destination) = (canonical(source), canonical(destination));
    match version {
        ProxyProtocolOut::Off => Vec::new(),
        ProxyProtocolOut::V1 => {
            let family = if source.is_ipv4() && destination.is_ipv4() {
                "TCP4"
            } else {
                "TCP6"
            };
            format!(
                "PROXY {family} {} {} {} {}\r\n",
                source.ip(),
                destination.ip(),
                source.port(),
                destination.port()
            )
            .into_bytes()
        }
        ProxyProtocolOut::V2 => encode_v2(source, destination),
    }
}

/// The header of a connection that speaks for nobody but ourselves, such as a health check.
pub fn encode_unknown(version: ProxyProtocolOut) -> &'static [u8] {
    match version {
        ProxyProtocolOut::Off => b"",
        ProxyProtocolOut::V1 => b"PROXY UNKNOWN\r\n",
        // Signature, version 2 with LOCAL, no family, no addresses (section 2.2).
        ProxyProtocolOut::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn encode_v2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let command = ppp::v2::Version::Two | ppp::v2::Command::Proxy;
    let built =
        ppp::v2::Builder::with_addresses(command, ppp::v2::Protocol::Stream, (source, destination))
            .build();
    // Building fails only for TLVs over 64 KiB, and there are none.
    built.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
            any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
        ]
    }

    #[test]
    fn the_header_of_a_health_check_reads_back_as_one() {
        assert_eq!(
            parse_v1(encode_unknown(ProxyProtocolOut::V1)).unwrap(),
            None
        );
        assert_eq!(
            parse_v2(encode_unknown(ProxyProtocolOut::V2)).unwrap(),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(source in address(), destination in address()) {
            prop_assume!(canonical(source).is_ipv4() == canonical(destination).is_ipv4());
            let v1 = encode(ProxyProtocolOut::V1, source, destination);
            prop_assert!(v1.len() <= V1_MAX);
            prop_assert_eq!(parse_v1(&v1).unwrap(), Some(canonical(source)));
            let v2 = encode(ProxyProtocolOut::V2, source, destination);
            prop_assert_eq!(parse_v2(&v2).unwrap(), Some(canonical(source)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_v1(&bytes);
            let _ = parse_v2(&bytes);
        }
    }
}
