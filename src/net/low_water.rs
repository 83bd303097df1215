//! How much has to have come before a connection is told that something has (`SO_RCVLOWAT`, socket(7)).

use std::io;

use nix::sys::socket::SetSockOpt as _;
use nix::sys::socket::sockopt::SetUsize;
use tokio::net::TcpStream;

/// `SO_RCVLOWAT`, in bytes.
#[derive(Debug, Clone, Copy)]
struct LowWater;

nix::setsockopt_impl!(
    LowWater,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    usize,
    SetUsize
);

/// Has `socket` told of what has come when it is `bytes`, or an end. When less is enough than before, it is
/// told of what is there already (Linux 4.18).
///
/// # Errors
/// When the kernel does not know this.
pub fn tell_from(socket: &TcpStream, bytes: usize) -> io::Result<()> {
    LowWater.set(socket, &bytes).map_err(io::Error::from)
}
