//! The listening sockets, as the kernel lists them to who asks (sock_diag(7)).

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the kernel writes at once at most.
const BUFFER: usize = 32 * 1024;

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `TCP_LISTEN` of linux/tcp_states.h, as a bit.
const LISTENING: u32 = 1 << 10;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_req_v2`.
const QUESTION: usize = 56;
const TYPE_ERROR: u16 = libc::NLMSG_ERROR as u16;
const TYPE_DONE: u16 = libc::NLMSG_DONE as u16;

/// Every listening TCP socket, of both families.
///
/// # Errors
/// When the kernel does not list them.
pub(super) fn listening() -> io::Result<Vec<SocketAddr>> {
    let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut found = Vec::new();
    let mut bytes = vec![0; BUFFER];
    for family in [libc::AF_INET, libc::AF_INET6] {
        socket.write_all(&question(family as u8))?;
        loop {
            let n = socket.read(&mut bytes)?;
            if answers(&bytes[..n], &mut found)? == Answer::Over {
                break;
            }
        }
    }
    Ok(found)
}

/// Asks for the listening TCP sockets of a family: `struct nlmsghdr`, `struct inet_diag_req_v2`.
fn question(family: u8) -> [u8; HEADER + QUESTION] {
    const FLAGS: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut question = [0; HEADER + QUESTION];
    question[..4].copy_from_slice(&((HEADER + QUESTION) as u32).to_ne_bytes());
    question[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    question[6..8].copy_from_slice(&FLAGS.to_ne_bytes());
    question[HEADER] = family;
    question[HEADER + 1] = libc::IPPROTO_TCP as u8;
    question[HEADER + 4..HEADER + 8].copy_from_slice(&LISTENING.to_ne_bytes());
    question
}

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    More,
    Over,
}

/// Adds to `found` what the messages in `bytes` list.
fn answers(mut bytes: &[u8], found: &mut Vec<SocketAddr>) -> io::Result<Answer> {
    while let Some((length, kind)) = header(bytes) {
        let message = bytes.get(HEADER..length).unwrap_or_default();
        match kind {
            TYPE_DONE => return Ok(Answer::Over),
            TYPE_ERROR => {
                let code = message
                    .first_chunk()
                    .map_or(0, |code| i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(-code));
            }
            BY_FAMILY => found.extend(socket(message)),
            _ => {}
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Answer::More)
}

/// Length and type of the message that `bytes` begin with.
fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    (length >= HEADER && length <= bytes.len()).then_some((length, kind))
}

/// The address in a `struct inet_diag_msg`: its family, and behind four bytes the port and 16 bytes
/// of address in network order.
fn socket(message: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*message.get(4..)?.first_chunk()?);
    let address = message.get(8..)?;
    let ip = match i32::from(*message.first()?) {
        libc::AF_INET => IpAddr::from(*address.first_chunk::<4>()?),
        libc::AF_INET6 => IpAddr::from(*address.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut message = ((HEADER + content.len()) as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend_from_slice(content);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let four = [2, 10, 0, 0, 0x1f, 0x90, 0, 0, 127, 0, 0, 1];
        let mut six = vec![10, 10, 0, 0, 0x1f, 0x91, 0, 0];
        six.extend_from_slice(&std::net::Ipv6Addr::LOCALHOST.octets());
        let mut bytes = [message(BY_FAMILY, &four), message(BY_FAMILY, &six)].concat();
        let mut found = Vec::new();
        assert_eq!(answers(&bytes, &mut found).unwrap(), Answer::More);
        let shown: Vec<_> = found.iter().map(SocketAddr::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:8080", "[::1]:8081"]);
        bytes.extend(message(TYPE_DONE, &[0; 4]));
        bytes.extend(message(BY_FAMILY, &four));
        found.clear();
        assert_eq!(answers(&bytes, &mut found).unwrap(), Answer::Over);
        assert_eq!(found.len(), 2);
        let refused = message(TYPE_ERROR, &(-libc::ENOENT).to_ne_bytes());
        let error = answers(&refused, &mut found).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), length: u8, kind in 0..24_u16) {
            let mut told = u32::from(length).to_ne_bytes().to_vec();
            told.extend_from_slice(&kind.to_ne_bytes());
            told.extend_from_slice(&bytes);
            let _ = answers(&told, &mut Vec::new());
        }
    }
}
