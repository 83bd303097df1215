//! Addresses to listen on and networks to trust.
//!
//! Both are literal: a host name would make what is bound, or who is believed, depend on a
//! resolver's answer of the moment.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenError {
    /// A literal address without a port.
    NoPort,
    /// A host name with a port.
    HostName,
    /// A port above 65535.
    Port,
    /// Anything else.
    NotAnAddress,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "has no port; write ADDRESS:PORT, e.g. 0.0.0.0:443 or [::]:443",
            Self::HostName => {
                "a host name cannot be listened on; write a literal address, e.g. 127.0.0.1:8443, \
                 or :8443 for every address"
            }
            Self::Port => "not a port; write a number from 0 to 65535",
            Self::NotAnAddress => {
                "not an address; write ADDRESS:PORT, e.g. 0.0.0.0:443 or [::]:443, or a port alone"
            }
        })
    }
}

impl std::error::Error for ListenError {}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkError;

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a network; write an address or a CIDR block, e.g. 10.0.0.0/8 or fd00::/8")
    }
}

impl std::error::Error for NetworkError {}

/// Parses an address to listen on; a port alone, with or without a colon, means every address.
pub fn listen(text: &str) -> Result<SocketAddr, ListenError> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if is_digits(port) {
        // Only digits are left, so a failure to parse can only be an overflow.
        let port = port.parse().map_err(|_| ListenError::Port)?;
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    text.parse().map_err(|_| wrong_listen(text))
}

/// A text that is no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortError;

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a port; write a number from 1 to 65535, e.g. 8443")
    }
}

impl std::error::Error for PortError {}

/// Parses a port that somebody can connect to.
pub fn port(text: &str) -> Result<u16, PortError> {
    match text.parse() {
        Ok(port) if port > 0 && is_digits(text) => Ok(port),
        _ => Err(PortError),
    }
}

/// Parses `off`, or an address to listen on.
pub fn listen_or_off(text: &str) -> Result<Option<SocketAddr>, ListenError> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    listen(text).map(Some)
}

fn wrong_listen(text: &str) -> ListenError {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return ListenError::NoPort;
    }
    match text.rsplit_once(':') {
        Some((host, port)) if is_digits(port) => {
            if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
                match port.parse::<u16>() {
                    Ok(_) => ListenError::NotAnAddress,
                    Err(_) => ListenError::Port,
                }
            } else if host.starts_with(|c: char| c.is_ascii_alphabetic()) && !host.contains(':') {
                ListenError::HostName
            } else {
                ListenError::NotAnAddress
            }
        }
        _ => ListenError::NotAnAddress,
    }
}

/// Parses a CIDR block; a bare address is a block of one, and bits beyond the prefix are dropped.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(network.trunc());
    }
    text.parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| NetworkError)
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_port_alone_means_every_address() {
        let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8443));
        assert_eq!(listen("8443"), Ok(every));
        assert_eq!(listen(":8443"), Ok(every));
        assert_eq!(listen("[::]:8443"), Ok(every));
        assert_eq!(listen("0").map(|address| address.port()), Ok(0));
    }

    #[test]
    fn what_cannot_be_bound_is_refused_by_its_kind() {
        for (text, error) in [
            ("0.0.0.0", ListenError::NoPort),
            ("::1", ListenError::NoPort),
            ("[::1]", ListenError::NoPort),
            ("localhost:8443", ListenError::HostName),
            ("example.com:443", ListenError::HostName),
            ("65536", ListenError::Port),
            ("0.0.0.0:65536", ListenError::Port),
            ("[::]:65536", ListenError::Port),
            ("", ListenError::NotAnAddress),
            (":", ListenError::NotAnAddress),
            ("localhost", ListenError::NotAnAddress),
            ("300.0.0.1:443", ListenError::NotAnAddress),
            ("https://0.0.0.0:443", ListenError::NotAnAddress),
        ] {
            assert_eq!(listen(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("fd00::1").unwrap().to_string(), "fd00::1/128");
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "*"] {
            assert_eq!(network(text), Err(NetworkError), "{text:?}");
        }
    }

    #[test]
    fn a_port_is_a_number_that_can_be_connected_to() {
        assert_eq!(port("443"), Ok(443));
        for text in ["", "0", "+1", "65536", "https", " 1"] {
            assert_eq!(port(text), Err(PortError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_address_shown_is_read_back(ip in any::<IpAddr>(), port in any::<u16>()) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(listen(&address.to_string()), Ok(address));
        }

        #[test]
        fn a_network_shown_is_read_back(ip in any::<IpAddr>(), prefix in 0u8..=32) {
            let block = IpNet::new(ip, prefix).unwrap().trunc();
            prop_assert_eq!(network(&block.to_string()), Ok(block));
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "\\[?[0-9a-f:.]*\\]?:?[0-9]*") {
            let _ = (listen(&text), network(&text), listen(&near), network(&near));
        }
    }
}
