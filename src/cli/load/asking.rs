//! Where the commands that ask a running sidecar find it.
//!
//! They run beside it, in its container, and so read what it was started with: the environment and
//! the settings file. Invariant: without a word about it they ask where `run` listens by default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Load;
use crate::cli::arguments::AdminArguments;
use crate::cli::client::Addresses;
use crate::config::value::address;
use crate::config::{ConfigErrors, Problem, defaults, file, prefixed};

const LISTEN: &str = "admin-listen";

impl Load<'_> {
    /// The addresses to ask, the likelier one first.
    pub(super) fn asked(&self, arguments: &AdminArguments) -> Result<Addresses, ConfigErrors> {
        let mut errors = self.unknown_variables();
        let found = match &arguments.admin_address {
            Some(text) => address::listen(text.trim())
                .map(Some)
                .map_err(|error| Problem::value("admin-address", text, error)),
            None => self.listened(arguments, &mut errors),
        };
        let found = match found {
            Ok(Some(address)) => Some(address),
            Ok(None) => {
                errors.push(Problem::other(
                    format!("--{LISTEN} \"off\""),
                    "the sidecar has no admin port to ask; give it one, e.g. 127.0.0.1:9901",
                ));
                None
            }
            Err(problem) => {
                errors.push(problem);
                None
            }
        };
        match found {
            Some(address) if errors.is_empty() => Ok(reachable(address)),
            _ => Err(errors),
        }
    }

    /// Where the sidecar was told to have its admin port; `None` for nowhere.
    fn listened(
        &self,
        arguments: &AdminArguments,
        errors: &mut ConfigErrors,
    ) -> Result<Option<SocketAddr>, Problem> {
        let name = prefixed(LISTEN);
        let variable = self.variables.iter().find(|(known, _)| *known == name);
        let text = match (variable, &arguments.config) {
            (Some((_, value)), _) => Some(value.clone()),
            (None, Some(path)) => {
                let text = (self.read)(path).map_err(|error| {
                    let complaint = format!("cannot be read: {error}; check the path and its mode");
                    Problem::other(format!("--config {path:?}"), complaint)
                })?;
                let contents = file::parse(path, &text);
                errors.append(contents.errors);
                contents.settings.admin_listen
            }
            (None, None) => None,
        };
        match text {
            None => Ok(Some(defaults::admin_listen())),
            Some(text) => address::listen_or_off(text.trim())
                .map_err(|error| Problem::value(LISTEN, &text, error)),
        }
    }
}

/// Every address is also the one of this machine to itself.
fn reachable(address: SocketAddr) -> Addresses {
    let at = |ip| SocketAddr::new(ip, address.port());
    let (v4, v6) = (
        at(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        at(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    );
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v4, v6],
        _ => vec![address],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::{Path, PathBuf};

    fn asked(
        address: Option<&str>,
        variable: Option<&str>,
        file: Option<&str>,
    ) -> Result<String, String> {
        let variables: Vec<_> = variable
            .map(|value| (prefixed(LISTEN), value.to_owned()))
            .into_iter()
            .collect();
        let read = |_: &Path| {
            file.map(str::to_owned)
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        let load = Load {
            variables: &variables,
            read: &read,
        };
        let arguments = AdminArguments {
            admin_address: address.map(str::to_owned),
            config: file.map(|_| PathBuf::from("a.yaml")),
        };
        let addresses = load
            .asked(&arguments)
            .map_err(|errors| errors.to_string())?;
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        Ok(addresses.join(" "))
    }

    #[test]
    fn the_address_is_the_one_that_was_given_or_follows_from_what_the_sidecar_was_given() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(asked(None, None, None), ok("127.0.0.1:9901 [::1]:9901"));
        assert_eq!(asked(None, Some("0.0.0.0:1"), None), ok("127.0.0.1:1"));
        assert_eq!(asked(None, Some("127.0.0.2:1"), None), ok("127.0.0.2:1"));
        let file = Some("admin-listen: 2\nidle-timeout: 1s");
        assert_eq!(asked(None, None, file), ok("127.0.0.1:2 [::1]:2"));
        assert_eq!(asked(None, Some("[::1]:3"), file), ok("[::1]:3"));
        assert_eq!(asked(Some("10.0.0.1:4"), Some("5"), file), ok("10.0.0.1:4"));
    }

    #[test]
    fn a_sidecar_without_an_admin_port_is_told_as_such() {
        let error = asked(None, Some("off"), None).unwrap_err();
        assert!(error.starts_with("--admin-listen \"off\": "), "{error}");
        let error = asked(Some("localhost"), None, None).unwrap_err();
        assert!(
            error.starts_with("--admin-address \"localhost\": "),
            "{error}"
        );
    }
}
