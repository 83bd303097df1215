//! What holds where nothing is written, each with its reason.
//!
//! A default that depends on the machine (workers, connections) is `None` in [`super::Config`] and
//! is found where it is used. The help text states each default again; a test compares them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Address, Protocol, Target};

/// The port that `https://` means; IPv6's any-address takes IPv4 too where the kernel has both.
pub fn listen() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, 443))
}

/// The port of a Service in front: what the container listens on is nobody's business outside.
pub const REDIRECT_PORT: u16 = 443;
/// The admin port of Envoy, which dashboards and probes of many clusters know already.
pub fn admin_listen() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9901))
}

/// Where most application images listen, on the loopback that Pods share.
pub fn upstream() -> Target {
    Target {
        protocol: Protocol::Http1,
        address: Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
    }
}

/// A path no base image uses, short to write in a `volumeMount`.
pub const CERT_DIR: &str = "/etc/tls";

/// A handshake takes milliseconds; a phone that changes its network takes seconds.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds a dead peer well inside the 350 s after which cloud load balancers forget a connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// TCP counts keep-alive in whole seconds.
pub const KEEPALIVE_SHORTEST: Duration = Duration::from_secs(1);

/// Linux refuses more than 32767 s.
pub const KEEPALIVE_LONGEST: Duration = Duration::from_secs(9 * 60 * 60);

/// The application is in the same Pod: a connect that takes longer was lost.
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Below the shortest default of common servers (Node: 5 s), so that the proxy closes first.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// What one process usually handles before it queues, and well below the usual descriptor limits.
pub const MAX_UPSTREAM_CONNECTIONS: NonZeroUsize = match NonZeroUsize::new(1024) {
    Some(count) => count,
    None => NonZeroUsize::MIN,
};

/// Large cookies and tokens fit; the total stays small against a connection's TLS buffers.
pub const MAX_HEADER_SIZE: u32 = 64 << 10;

/// Below this a browser's ordinary request would not fit.
pub const HEADER_SIZE_LEAST: u32 = 1 << 10;

/// Above this a few clients could fill the memory of a sidecar.
pub const HEADER_SIZE_MOST: u32 = 1 << 20;

/// Browsers send about twenty, and a chain of proxies doubles that at most.
pub const MAX_HEADERS: u16 = 128;

/// Looking a field up is linear work: more is an attack, not a request.
pub const HEADERS_MOST: u16 = 4096;

/// A header section is written in one go; slower is a slow-header attack.
pub const REQUEST_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// nginx's value: mobile uploads stall for tens of seconds and go on.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// nginx's value, for the other direction.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// nginx's value, above the 60 s of cloud load balancers, so that they close first.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Kubernetes takes a few seconds to take a Pod out of every load balancer.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// With the delay 25 s: inside the default grace period of 30 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Both stages of the drain with their defaults, and some seconds for the process to end.
pub const DRAIN_WAIT: Duration = Duration::from_secs(30);

/// Threads beyond any machine's cores: more is a slip of the keyboard.
pub const WORKERS_MOST: usize = 1024;

/// Connections beyond any descriptor limit (`fs.nr_open` is 2^20, containers raise it to 2^30).
pub const CONNECTIONS_MOST: usize = 1 << 30;

/// Half of what the kubelet takes to sync a Secret: a lost event costs no more than that.
pub const CERTIFICATE_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Below this the files would be read more often than anybody writes them.
pub const CERTIFICATE_POLL_SHORTEST: Duration = Duration::from_millis(100);

/// A client that is no longer trusted is not waited for.
pub const REVOKED_GRACE: Duration = Duration::ZERO;
