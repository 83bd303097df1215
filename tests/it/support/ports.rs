//! Ports that nobody has and nobody gets by chance.
//!
//! A port that the kernel chose and got back may be the next outgoing connection's of another
//! test: these are below the range from which it chooses (`ip_local_port_range`, from 32768 on).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

/// The next to be tried.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which nobody listens; never given twice.
pub(crate) fn unused() -> SocketAddr {
    // Another run at the same time begins elsewhere.
    let span = u32::from(LAST - FIRST);
    let begin = u16::try_from(std::process::id() * 97 % span).unwrap();
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + u16::try_from((u32::from(begin) + u32::from(step)) % span).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if try_out(address).is_ok() {
            return address;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free");
}

/// Whether `address` can be bound. Nothing listens there meanwhile: a child that another test has just
/// forked has the socket, too, and would take connections for a moment.
fn try_out(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

#[test]
fn no_port_is_given_twice() {
    assert_ne!(unused(), unused());
}
