//! The listening sockets, read off `/proc/net/tcp` and `tcp6`.
//!
//! The kernel goes through its whole table of connections for it, those of other Pods on the node
//! included: tens of milliseconds, whatever there is to be found.

use std::net::{IpAddr, SocketAddr};

/// The state of a listening socket.
const LISTEN: &str = "0A";

/// Every listening socket in the tables; none where `/proc` is not to be had.
pub(super) fn listening() -> Vec<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    text.iter().flat_map(|text| parse(text)).collect()
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

    proptest! {
        #[test]
        fn no_table_panics(text in "(\\PC{0,40}[ :]){0,6}\n\\PC*") {
            parse(&text).for_each(drop);
        }
    }
}
