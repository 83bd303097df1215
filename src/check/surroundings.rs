//! What the process finds around it: rights, limits, sockets, addresses.
//!
//! Read once; the findings are pure functions of it. What cannot be read is taken to be in order:
//! a finding is never a guess.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::config::Config;
use crate::limits;
use crate::net::{self, ConnectError, Connector};
use crate::runtime;

/// `CAP_NET_BIND_SERVICE` of capabilities(7).
const NET_BIND_SERVICE: u32 = 10;
/// What the kernel starts with.
const UNPRIVILEGED_FROM: u16 = 1024;

/// What is around the process.
#[derive(Debug)]
pub struct Surroundings {
    /// Effective user and group.
    pub identity: (u32, u32),
    /// Ports below this are not for this process.
    pub first_port: u16,
    /// `fs.inotify.max_user_instances` and `max_user_watches`.
    pub inotify: (Option<u64>, Option<u64>),
    /// Whether an interface has an IPv6 address.
    pub has_ipv6: bool,
    /// Addresses to listen on that no socket can be bound to, and why.
    pub unbindable: Vec<(SocketAddr, String)>,
    /// Sockets that listen.
    pub listening: Vec<SocketAddr>,
    /// The address of the Pod.
    pub own_address: Option<IpAddr>,
    /// Why the application is not reached.
    pub unreached: Option<ConnectError>,
    /// Client connections that the limit of open files allows.
    pub connections: usize,
}

impl Surroundings {
    /// What is around a process that is to run `config`.
    pub fn of(config: &Config) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let start = number("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        let listen = &config.listen;
        let all = listen.addresses.iter().chain(&listen.redirect.addresses);
        Self {
            identity: (effective(&status, "Uid:"), effective(&status, "Gid:")),
            first_port: match has_capability(&status, NET_BIND_SERVICE) {
                true => 0,
                false => start.map_or(UNPRIVILEGED_FROM, |start| {
                    u16::try_from(start).unwrap_or(u16::MAX)
                }),
            },
            inotify: (
                number("/proc/sys/fs/inotify/max_user_instances"),
                number("/proc/sys/fs/inotify/max_user_watches"),
            ),
            has_ipv6: fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| !text.is_empty()),
            unbindable: all.filter_map(unbindable).collect(),
            listening: net::listening(),
            own_address: net::own_address(),
            unreached: unreached(&config.upstream),
            connections: limits::connections().get(),
        }
    }
}

/// Tries the address with a port of the kernel's choice: the port itself may be in use by the very
/// process that is being looked at.
fn unbindable(address: &SocketAddr) -> Option<(SocketAddr, String)> {
    let mut any_port = *address;
    any_port.set_port(0);
    let error = TcpListener::bind(any_port).err()?;
    Some((*address, error.to_string()))
}

fn unreached(section: &crate::config::Upstream) -> Option<ConnectError> {
    let address = section.target.address.clone();
    let connector = Connector::new(address, section.connect_timeout, section.keepalive_interval);
    runtime::on_this_thread(async { Ok(connector.connect().await.err()) })
        .ok()
        .flatten()
}

/// The second of the four numbers behind `name` in `/proc/self/status`.
fn effective(status: &str, name: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let second = line.and_then(|line| line.split_whitespace().nth(1));
    second.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn has_capability(status: &str, number: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> number & 1 == 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Surroundings in which nothing is wrong.
    pub(in crate::check) fn clean() -> Surroundings {
        Surroundings {
            identity: (65532, 65532),
            first_port: 0,
            inotify: (Some(128), Some(65536)),
            has_ipv6: true,
            unbindable: Vec::new(),
            listening: vec![([127, 0, 0, 1], 8080).into()],
            own_address: Some([10, 1, 2, 3].into()),
            unreached: None,
            connections: 10_000,
        }
    }

    #[test]
    fn rights_are_read_from_the_status_of_the_process() {
        let status = "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapEff:\t0000000000000400\n";
        assert_eq!(
            (effective(status, "Uid:"), effective(status, "Gid:")),
            (2, 6)
        );
        assert!(has_capability(status, NET_BIND_SERVICE) && !has_capability(status, 9));
    }
}
