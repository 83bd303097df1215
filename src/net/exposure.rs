//! Who else can reach the application: its listening sockets, read off `/proc/net/tcp{,6}`.
//!
//! The sidecar talks to it on loopback. An application that listens on every address is open to
//! the whole network beside the sidecar, in clear and past every check. All containers of a Pod
//! share these tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::Address;

/// The state of a listening socket in the tables of the kernel.
const LISTEN: &str = "0A";

/// Sockets beyond loopback on which an application is reached that is meant to be on loopback.
pub fn exposure(application: &Address) -> Vec<SocketAddr> {
    match port_on_loopback(application) {
        Some(port) => open_at(port, &listening()),
        // Elsewhere by intention: no need to read tables that are long on a busy host.
        None => Vec::new(),
    }
}

/// Every TCP socket that listens in this network namespace; none where `/proc` is not to be had.
pub fn listening() -> Vec<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    text.iter().flat_map(|text| parse(text)).collect()
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

fn parse(table: &str) -> impl Iterator<Item = SocketAddr> + '_ {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        (state == LISTEN).then(|| address(local)).flatten()
    })
}

/// `ADDRESS:PORT` in hexadecimal, the address in words of the host's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut octets = [0; 16];
            for at in 0..4 {
                octets[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::from(octets)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1F91 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 3 1
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A
";

    #[test]
    fn listening_sockets_are_read_from_both_tables() {
        let shown = |table| parse(table).map(|s| s.to_string()).collect::<Vec<_>>();
        assert_eq!(shown(TCP), ["127.0.0.1:8080", "0.0.0.0:8080"]);
        let six = ["[::]:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"];
        assert_eq!(shown(TCP6), six);
    }

    #[test]
    fn only_the_applications_port_beyond_loopback_is_an_exposure() {
        let sockets: Vec<_> = parse(TCP).chain(parse(TCP6)).collect();
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

    proptest! {
        #[test]
        fn no_table_panics(text in "(\\PC{0,40}[ :]){0,6}\n\\PC*") {
            parse(&text).for_each(drop);
        }
    }
}
