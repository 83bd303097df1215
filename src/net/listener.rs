//! Listening sockets: binding with words that mend, accepting through every shortage.
//!
//! The socket is bound once, without `SO_REUSEPORT` unless asked for (a second process on the port
//! is an error, not a silent partner), and shared by all workers. Invariant: no error of `accept` ends the loop.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::PortSharing;

/// Connections the kernel holds while permits are out; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Drops segments with the flag SYN, in the byte of flags of the TCP header (RFC 9293 section 3.1),
/// as a program of the classic BPF: load the byte, look at the flag, keep nothing or everything.
const NO_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Why an address could not be bound.
#[derive(Debug)]
pub struct BindError {
    flag: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// An address to be bound.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// The setting that it comes from, for the words of an error.
    pub flag: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Whether another process may have it too.
    pub sharing: PortSharing,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{} {}: {}", self.flag, self.address, self.source)?;
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => write!(
                f,
                "; set the Pod's sysctl net.ipv4.ip_unprivileged_port_start=0 \
                 (securityContext.sysctls), or listen on a port above 1023, e.g. --{} [::]:8443",
                self.flag
            ),
            io::ErrorKind::AddrInUse => {
                f.write_str("; another process has the port: stop it, or choose another port")
            }
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("; no interface has this address: use [::] for all of them")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds the address; `[::]` takes IPv4 too and becomes `0.0.0.0` where there is no IPv6.
///
/// # Errors
/// What the system said, with the mend.
pub fn bind(binding: Binding) -> Result<StdListener, BindError> {
    let Binding {
        flag,
        address,
        sharing,
    } = binding;
    let bound = match bind_exactly(address, sharing) {
        Err(error) if is_any_v6(address) && has_no_ipv6(&error) => {
            tracing::info!(%address, "no IPv6 here: listening on 0.0.0.0 instead");
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            bind_exactly(address, sharing)
        }
        result => result,
    };
    bound.map_err(|source| BindError {
        flag,
        address,
        source,
    })
}

/// Has every client of `socket` be sent what there is at once, and be asked each `interval` of silence
/// whether it is still there.
///
/// Set here once: what is accepted on Linux begins with the options of its listener.
///
/// # Errors
/// When the kernel takes no such option.
pub fn look_after_clients(socket: &StdListener, interval: Duration) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new()
        .with_time(interval)
        .with_interval(interval);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)
}

fn is_any_v6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
}

fn bind_exactly(address: SocketAddr, sharing: PortSharing) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for TIME_WAIT; on Linux this never steals a live listener.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == PortSharing::Shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One worker's end of a bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// Takes the socket into the runtime of the calling thread.
    ///
    /// # Errors
    /// When the runtime cannot register it.
    pub fn new(socket: StdListener) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            local,
        })
    }

    /// The bound address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits for the next connection; after an error the caller backs off.
    ///
    /// # Errors
    /// What `accept` said; each is passing.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept().await
    }

    /// Has the kernel drop the first packet of every further connection: its client sends it again
    /// a second later, when another process that shares the port will get it.
    ///
    /// # Errors
    /// When the kernel takes no filter.
    pub fn turn_away(&self) -> io::Result<()> {
        SockRef::from(&self.socket).attach_filter(&NO_SYN)
    }

    /// A connection that already waits, if there is one.
    pub fn accept_queued(
        self: &Listener,
        cx: &mut std::task::Context<'_>,
    ) -> Option<(TcpStream, SocketAddr)> {
        match self.socket.poll_accept(cx) {
            std::task::Poll::Ready(Ok(accepted)) => Some(accepted),
            _ => None,
        }
    }
}

/// How long to leave the listener alone after an error: 5 ms doubling to 1 s.
#[derive(Debug, Default)]
pub struct AcceptBackoff(Option<Duration>);

impl AcceptBackoff {
    const FIRST: Duration = Duration::from_millis(5);
    const LAST: Duration = Duration::from_secs(1);

    /// The pause that `error` calls for; `None` when the failed connection was its peer's doing.
    pub fn pause(&mut self, error: &io::Error) -> Option<Duration> {
        // accept(2): errors of the new connection itself, already pending on it, say nothing
        // about the listener.
        if matches!(
            error.raw_os_error(),
            Some(libc::ECONNABORTED | libc::ECONNRESET | libc::EPROTO | libc::EINTR | libc::EPERM)
        ) {
            return None;
        }
        let pause = self
            .0
            .map_or(Self::FIRST, |last| (last * 2).min(Self::LAST));
        self.0 = Some(pause);
        Some(pause)
    }

    /// An accept succeeded.
    pub fn reset(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_shortage_backs_off_and_an_aborted_peer_does_not() {
        let mut backoff = AcceptBackoff::default();
        let emfile = io::Error::from_raw_os_error(libc::EMFILE);
        let aborted = io::Error::from_raw_os_error(libc::ECONNABORTED);
        assert_eq!(backoff.pause(&aborted), None);
        let pauses: Vec<_> = (0..10).filter_map(|_| backoff.pause(&emfile)).collect();
        assert_eq!(pauses.first(), Some(&Duration::from_millis(5)));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(1)));
        backoff.reset();
        assert_eq!(backoff.pause(&emfile), Some(Duration::from_millis(5)));
    }

    #[tokio::test]
    async fn a_connection_begins_with_the_options_of_its_listener() {
        let interval = Duration::from_secs(7);
        let socket = bind(Binding {
            flag: "listen",
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            sharing: PortSharing::Exclusive,
        });
        let socket = socket.unwrap();
        look_after_clients(&socket, interval).unwrap();
        let listener = Listener::new(socket).unwrap();
        let _client = std::net::TcpStream::connect(listener.local()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), interval);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), interval);
    }

    // RES-01: the ones a test cannot bring about from outside.
    #[test]
    fn every_shortage_backs_off_and_every_fault_of_a_peer_does_not() {
        use libc::{ECONNABORTED, ECONNRESET, EPROTO};
        use libc::{EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
        for shortage in [EMFILE, ENFILE, ENOBUFS, ENOMEM] {
            let mut backoff = AcceptBackoff::default();
            let error = io::Error::from_raw_os_error(shortage);
            let pauses: Vec<_> = (0..20).filter_map(|_| backoff.pause(&error)).collect();
            assert_eq!(pauses.len(), 20, "{error}");
            // Recovery is never later than the last pause.
            assert!(pauses.iter().all(|pause| *pause <= AcceptBackoff::LAST));
            assert!(pauses.is_sorted(), "{pauses:?}");
        }
        for fault in [ECONNABORTED, ECONNRESET, EPROTO, EINTR, EPERM] {
            let error = io::Error::from_raw_os_error(fault);
            assert_eq!(AcceptBackoff::default().pause(&error), None, "{error}");
        }
    }

    #[test]
    fn both_mends_for_port_443_are_printed() {
        let error = BindError {
            flag: "listen",
            address: SocketAddr::from(([0, 0, 0, 0], 443)),
            source: io::Error::from_raw_os_error(libc::EACCES),
        };
        let text = error.to_string();
        assert!(
            text.contains("ip_unprivileged_port_start=0") && text.contains("8443"),
            "{text}"
        );
    }
}
