//! One attempt to reach the application.
//!
//! `localhost` is 127.0.0.1, then ::1, without asking a resolver: an image from scratch has none,
//! and applications differ in which of the two they bind. Each attempt has its own deadline.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use super::Stream;
use crate::config::Address;

/// Why the application could not be reached.
#[derive(Debug)]
pub enum ConnectError {
    /// Nobody listens there (ECONNREFUSED, or no such Unix socket).
    Refused(io::Error),
    /// No answer within the deadline.
    Timeout,
    /// No local port or descriptor is left.
    Exhausted(io::Error),
    /// Anything else the system said.
    Failed(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "connection refused: {error}"),
            Self::Timeout => f.write_str("connection timed out"),
            Self::Exhausted(error) => write!(f, "no local port or descriptor left: {error}"),
            Self::Failed(error) => write!(f, "connection failed: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// The same once more, for another request that meets it.
    pub fn again(&self) -> Self {
        let same = |error: &io::Error| match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        match self {
            Self::Refused(error) => Self::Refused(same(error)),
            Self::Timeout => Self::Timeout,
            Self::Exhausted(error) => Self::Exhausted(same(error)),
            Self::Failed(error) => Self::Failed(same(error)),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        let is_shortage = matches!(
            error.raw_os_error(),
            Some(libc::EADDRNOTAVAIL | libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EAGAIN)
        );
        if is_shortage {
            return Self::Exhausted(error);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused(error),
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Failed(error),
        }
    }
}

/// Opens connections to the application.
#[derive(Debug, Clone)]
pub struct Connector {
    address: Address,
    timeout: Duration,
    keepalive: Duration,
}

impl Connector {
    /// A connector to `address` whose attempts end after `timeout`.
    pub fn new(address: Address, timeout: Duration, keepalive: Duration) -> Self {
        Self {
            address,
            timeout,
            keepalive,
        }
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// Why there is none, kinds kept apart.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        match tokio::time::timeout(self.timeout, self.open()).await {
            Ok(result) => result.map_err(ConnectError::from),
            Err(_) => Err(ConnectError::Timeout),
        }
    }

    async fn open(&self) -> io::Result<Stream> {
        match &self.address {
            Address::Ip(address) => self.tcp(*address).await,
            Address::Unix(path) => UnixStream::connect(path).await.map(Stream::unix),
            Address::Name { host, port } if host.eq_ignore_ascii_case("localhost") => {
                match self.tcp((Ipv4Addr::LOCALHOST, *port).into()).await {
                    Ok(stream) => Ok(stream),
                    Err(first) => {
                        let second = self.tcp((Ipv6Addr::LOCALHOST, *port).into()).await;
                        // The IPv4 error is the one people recognise.
                        second.map_err(|_| first)
                    }
                }
            }
            Address::Name { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "no address for this name");
                for address in tokio::net::lookup_host((host.as_str(), *port)).await? {
                    match self.tcp(address).await {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    async fn tcp(&self, address: SocketAddr) -> io::Result<Stream> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        // On loopback the kernel knows at once when the other end dies.
        if !address.ip().is_loopback() {
            let keepalive = TcpKeepalive::new()
                .with_time(self.keepalive)
                .with_interval(self.keepalive);
            SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        }
        Ok(Stream::tcp(socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RES-06: no local port is told from an application that is not there.
    #[test]
    fn a_shortage_of_our_own_is_told_from_a_fault_of_the_application() {
        let of = |code| ConnectError::from(io::Error::from_raw_os_error(code));
        for shortage in [
            libc::EADDRNOTAVAIL,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
        ] {
            assert!(matches!(of(shortage), ConnectError::Exhausted(_)));
        }
        assert!(matches!(of(libc::ECONNREFUSED), ConnectError::Refused(_)));
        assert!(matches!(of(libc::ENOENT), ConnectError::Refused(_)));
        assert!(matches!(of(libc::ETIMEDOUT), ConnectError::Timeout));
        assert!(matches!(of(libc::EHOSTUNREACH), ConnectError::Failed(_)));
    }
}
