//! Findings about the addresses to listen on.

use std::net::SocketAddr;

use super::{Finding, Surroundings};
use crate::config::Listen;

const SYSCTL: &str = "\
spec:
  securityContext:
    sysctls:
    - name: net.ipv4.ip_unprivileged_port_start
      value: \"0\"";

/// What is wrong with the addresses of `section`.
pub(super) fn findings(section: &Listen, around: &Surroundings) -> Vec<Finding> {
    let tls = section.addresses.iter().map(|address| ("listen", address));
    let clear = section.redirect.addresses.iter();
    let all = tls.chain(clear.map(|address| ("redirect-listen", address)));
    let mut found: Vec<_> = all
        .flat_map(|(flag, address)| address_findings(flag, *address, around))
        .collect();
    found.extend(connections(section, around));
    found
}

fn address_findings(flag: &str, address: SocketAddr, around: &Surroundings) -> Vec<Finding> {
    let mut found = Vec::new();
    let port = address.port();
    if port != 0 && port < around.first_port {
        let message = format!(
            "--{flag} {address}: ports below {} need CAP_NET_BIND_SERVICE, which uid {} does not \
             have here; set the sysctl of the Pod, or listen above, e.g. --{flag} {}",
            around.first_port,
            around.identity.0,
            SocketAddr::new(address.ip(), 8443),
        );
        found.push(Finding::error("privileged_port", message).mended_by(SYSCTL));
    }
    let is_any_v6 = address.is_ipv6() && address.ip().is_unspecified();
    let unbindable = around.unbindable.iter().find(|(own, _)| *own == address);
    match unbindable {
        Some((_, why)) if !is_any_v6 => {
            let message = format!(
                "--{flag} {address}: no socket can have this address: {why}; use 0.0.0.0:{port} or \
                 [::]:{port} for every address there is"
            );
            found.push(Finding::error("address_not_available", message));
        }
        _ if is_any_v6 && (unbindable.is_some() || !around.has_ipv6) => {
            let message = format!(
                "--{flag} {address}: there is no IPv6 here, so it takes IPv4 alone; in a cluster \
                 with IPv4 only that is as it should be"
            );
            found.push(Finding::note("ipv6_absent", message));
        }
        _ => {}
    }
    found
}

fn connections(section: &Listen, around: &Surroundings) -> Option<Finding> {
    let wanted = section.max_connections?.get();
    (wanted > around.connections).then(|| {
        Finding::warning(
            "too_few_descriptors",
            format!(
                "--max-connections {wanted}: the limit of open files allows {}; raise the limit \
                 (ulimit -n), or leave the flag out",
                around.connections
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;
    use crate::check::surroundings::tests::clean;
    use crate::config::{Config, Settings};

    fn listen(addresses: &[&str]) -> Listen {
        let listen = addresses.iter().map(|&text| text.to_owned()).collect();
        let settings = Settings {
            listen,
            redirect_listen: vec!["80".to_owned()],
            ..Settings::default()
        };
        Config::resolve(settings).unwrap().listen
    }

    #[test]
    fn nothing_is_wrong_where_ports_and_addresses_are_to_be_had() {
        assert_eq!(
            findings(&listen(&["[::]:443", "1.2.3.4:8443"]), &clean()),
            []
        );
    }

    #[test]
    fn a_port_without_the_right_to_it_is_an_error_with_the_sysctl() {
        let around = Surroundings {
            first_port: 1024,
            ..clean()
        };
        let found = findings(&listen(&["[::]:443", "8443", "0"]), &around);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0]
                .message
                .starts_with("--listen [::]:443: ports below 1024")
        );
        assert!(found[1].message.starts_with("--redirect-listen [::]:80: "));
        for finding in found {
            assert_eq!(finding.code, "privileged_port");
            assert_eq!(finding.severity, Severity::Error);
            assert!(finding.yaml.unwrap().contains("ip_unprivileged_port_start"));
        }
    }

    #[test]
    fn without_ipv6_every_address_is_a_note_and_one_of_it_an_error() {
        let around = Surroundings {
            has_ipv6: false,
            unbindable: vec![("[::1]:8443".parse().unwrap(), "no".to_owned())],
            ..clean()
        };
        let found = findings(&listen(&["[::]:443", "[::1]:8443", "0.0.0.0:1"]), &around);
        let codes: Vec<_> = found.iter().map(|f| (f.code, f.is_wrong())).collect();
        let expected = [
            ("ipv6_absent", false),
            ("address_not_available", true),
            // Of the redirect.
            ("ipv6_absent", false),
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn more_connections_than_descriptors_are_a_warning() {
        let mut section = listen(&["443"]);
        section.max_connections = std::num::NonZeroUsize::new(20_000);
        let found = findings(&section, &clean());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].code, "too_few_descriptors");
    }
}
