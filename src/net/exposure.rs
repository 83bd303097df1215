//! Who else can reach the application.
//!
//! The sidecar talks to it on loopback. An application that listens on every address is open to
//! the whole network beside the sidecar, in clear and past every check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::listening;
use crate::config::Address;

/// Sockets beyond loopback on which an application is reached that is meant to be on loopback.
pub fn exposure(application: &Address) -> Vec<SocketAddr> {
    match port_on_loopback(application) {
        Some(port) => open_at(port, &listening()),
        // Elsewhere by intention.
        None => Vec::new(),
    }
}

/// Those of `sockets` beyond loopback that have the port of an application on loopback.
pub fn beyond_loopback(application: &Address, sockets: &[SocketAddr]) -> Vec<SocketAddr> {
    port_on_loopback(application).map_or_else(Vec::new, |port| open_at(port, sockets))
}

/// The port of an application that is meant to be on loopback.
fn port_on_loopback(application: &Address) -> Option<u16> {
    match application {
        Address::Ip(address) if address.ip().to_canonical().is_loopback() => Some(address.port()),
        Address::Name { host, port } if host.eq_ignore_ascii_case("localhost") => Some(*port),
        _ => None,
    }
}

fn open_at(port: u16, sockets: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_open =
        |socket: &&SocketAddr| socket.port() == port && !socket.ip().to_canonical().is_loopback();
    sockets.iter().filter(is_open).copied().collect()
}

/// The address from which this host reaches others, which is that of the Pod.
pub fn own_address() -> Option<IpAddr> {
    // Connecting a datagram socket chooses a route and sends nothing (the peers are of the
    // documentation, RFC 5737 and RFC 3849).
    let toward = |from: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_loopback() && !own.is_unspecified()).then_some(own)
    };
    let v4 = || {
        toward(
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        )
    };
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    v4().or_else(|| toward(Ipv6Addr::UNSPECIFIED.into(), documentation.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_applications_port_beyond_loopback_is_an_exposure() {
        let sockets = [
            "127.0.0.1:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
        ]
        .map(|text| text.parse().unwrap());
        let local = Address::Name {
            host: "localhost".to_owned(),
            port: 8080,
        };
        let open = ["0.0.0.0:8080", "[::]:8080"].map(|text| text.parse().unwrap());
        assert_eq!(beyond_loopback(&local, &sockets), open);
        let literal = |text: &str| Address::Ip(text.parse().unwrap());
        assert_eq!(beyond_loopback(&literal("127.0.0.1:8080"), &sockets), open);
        assert!(beyond_loopback(&literal("127.0.0.1:8081"), &sockets).is_empty());
        // Elsewhere by intention.
        assert!(beyond_loopback(&literal("10.0.0.1:8080"), &sockets).is_empty());
    }
}
