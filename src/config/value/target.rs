//! `--upstream`: the application as a URL, a Unix socket or a bare port.
//!
//! Only scheme and address are kept. A path, a query or credentials are refused, because the
//! proxy passes every request on as it came and would silently ignore them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use http::uri::PathAndQuery;

use super::address::is_digits;
use crate::config::{Address, Protocol, Target};

/// The longest path that fits a Unix socket address on Linux, its closing zero left out.
const LONGEST_UNIX_PATH: usize = 107;

/// Why a text does not name an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// Nothing at all.
    Empty,
    /// `https://`: the application would be asked for TLS again.
    Https,
    /// A scheme other than the known ones.
    Scheme(String),
    /// User name or password before the host.
    Credentials,
    /// A path, query or fragment behind the address.
    Path(String),
    /// No port where the scheme has no usual one.
    NoPort,
    /// Not a port from 1 to 65535.
    Port(String),
    /// Neither an address nor a host name.
    Host(String),
    /// An IPv6 address without brackets.
    Brackets,
    /// A Unix socket path that is relative or empty.
    RelativePath,
    /// A Unix socket path that the system cannot address.
    LongPath,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; write http://HOST:PORT, e.g. http://127.0.0.1:8080"),
            Self::Https => f.write_str(
                "the proxy speaks plain to the application and ends TLS itself; write http://HOST:PORT",
            ),
            Self::Scheme(scheme) => write!(
                f,
                "unknown scheme {scheme:?}; write http://, h2c:// (HTTP/2 and gRPC), tcp:// or unix:/PATH"
            ),
            Self::Credentials => f.write_str(
                "credentials are not sent to the application; leave out what stands before the @",
            ),
            Self::Path(path) => write!(
                f,
                "requests keep their own path; leave out {path:?} behind the address"
            ),
            Self::NoPort => f.write_str("has no port; write HOST:PORT, e.g. 127.0.0.1:8080"),
            Self::Port(port) => write!(f, "{port:?} is not a port; write a number from 1 to 65535"),
            Self::Host(host) => write!(
                f,
                "{host:?} is neither an address nor a host name; write HOST:PORT, e.g. 127.0.0.1:8080"
            ),
            Self::Brackets => {
                f.write_str("an IPv6 address stands in brackets; write [::1]:8080")
            }
            Self::RelativePath => {
                f.write_str("not an absolute path; write unix:/PATH, e.g. unix:/run/app.sock")
            }
            Self::LongPath => write!(
                f,
                "the path of a socket has at most {LONGEST_UNIX_PATH} bytes; choose a shorter one"
            ),
        }
    }
}

impl std::error::Error for TargetError {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.address, self.protocol) {
            (Address::Unix(_), _) => "unix:",
            (_, Protocol::Http1) => "http://",
            (_, Protocol::H2c) => "h2c://",
            (_, Protocol::Raw) => "tcp://",
        })?;
        self.address.fmt(f)
    }
}

/// Parses where the application listens and what it speaks.
pub fn target(text: &str) -> Result<Target, TargetError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return bare(text);
    };
    let (protocol, usual_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (Protocol::Http1, Some(80)),
        "h2c" => (Protocol::H2c, Some(80)),
        "tcp" => (Protocol::Raw, None),
        "https" => return Err(TargetError::Https),
        _ => return Err(TargetError::Scheme(scheme.to_owned())),
    };
    Ok(Target {
        protocol,
        address: address(rest, usual_port)?,
    })
}

/// A text that is no path to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathError;

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a path; write one that begins with a slash, e.g. /healthz, or off")
    }
}

impl std::error::Error for PathError {}

/// Parses `off`, or a path, with its query if it has one, to ask the application for.
pub fn path_or_off(text: &str) -> Result<Option<PathAndQuery>, PathError> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    if !text.starts_with('/') || text.contains('#') {
        return Err(PathError);
    }
    text.parse().map(Some).map_err(|_| PathError)
}

/// A bare port is looked for on both loopback addresses, as `localhost` is.
fn bare(text: &str) -> Result<Target, TargetError> {
    let digits = text.strip_prefix(':').unwrap_or(text);
    let address = if text.is_empty() {
        return Err(TargetError::Empty);
    } else if is_digits(digits) {
        Address::Name {
            host: "localhost".to_owned(),
            port: port(digits)?,
        }
    } else {
        address(text, None)?
    };
    Ok(Target {
        protocol: Protocol::Http1,
        address,
    })
}

fn unix(path: &str) -> Result<Target, TargetError> {
    // `unix:///run/app.sock` is the same thing to many other programs.
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => return Err(TargetError::RelativePath),
        None => path,
    };
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(TargetError::RelativePath);
    }
    if path.len() > LONGEST_UNIX_PATH {
        return Err(TargetError::LongPath);
    }
    Ok(Target {
        protocol: Protocol::Http1,
        address: Address::Unix(PathBuf::from(path)),
    })
}

fn address(text: &str, usual_port: Option<u16>) -> Result<Address, TargetError> {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    let (authority, path) = text.split_at(end);
    if authority.contains('@') {
        return Err(TargetError::Credentials);
    }
    if !path.is_empty() && path != "/" {
        return Err(TargetError::Path(path.to_owned()));
    }
    if authority.starts_with('[') {
        return bracketed(authority, usual_port);
    }
    let (host, port_text) = match authority.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => return Err(TargetError::Brackets),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let literal = host.parse::<Ipv4Addr>().ok();
    if literal.is_none() && !is_host_name(host) {
        return Err(TargetError::Host(host.to_owned()));
    }
    let port = port_or(port_text, usual_port)?;
    Ok(match literal {
        Some(ip) => Address::Ip(SocketAddr::from((ip, port))),
        None => Address::Name {
            host: host.to_ascii_lowercase(),
            port,
        },
    })
}

fn bracketed(authority: &str, usual_port: Option<u16>) -> Result<Address, TargetError> {
    let wrong = || TargetError::Host(authority.to_owned());
    let end = authority.find(']').ok_or_else(wrong)?;
    let (host, rest) = authority.split_at(end + 1);
    let port = match rest {
        "" => port_or(None, usual_port)?,
        _ => port(rest.strip_prefix(':').ok_or_else(wrong)?)?,
    };
    // The standard parser reads a scope (`%2`) only together with a port.
    format!("{host}:{port}")
        .parse::<SocketAddrV6>()
        .map(|address| Address::Ip(SocketAddr::V6(address)))
        .map_err(|_| wrong())
}

fn port_or(text: Option<&str>, usual: Option<u16>) -> Result<u16, TargetError> {
    match text {
        Some(text) => port(text),
        None => usual.ok_or(TargetError::NoPort),
    }
}

fn port(text: &str) -> Result<u16, TargetError> {
    match text.parse() {
        Ok(port) if port > 0 && is_digits(text) => Ok(port),
        _ => Err(TargetError::Port(text.to_owned())),
    }
}

/// Letters, digits, hyphens and underscores in labels of at most 63 (RFC 1123 section 2.1, and the
/// underscores that container networks use); a last label of digits could only be a broken address.
fn is_host_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
        && !labels.rsplit('.').next().is_some_and(is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        target(text).unwrap().to_string()
    }

    #[test]
    fn every_form_of_the_contract_is_read() {
        for (text, meaning) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("HTTP://Localhost:8080/", "http://localhost:8080"),
            ("http://app", "http://app:80"),
            ("http://[::1]", "http://[::1]:80"),
            ("h2c://127.0.0.1:50051", "h2c://127.0.0.1:50051"),
            ("h2c://app", "h2c://app:80"),
            ("tcp://127.0.0.1:5432", "tcp://127.0.0.1:5432"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
            ("8080", "http://localhost:8080"),
            (":8080", "http://localhost:8080"),
            ("app:8080", "http://app:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(shown(text), meaning, "{text:?}");
        }
    }

    #[test]
    fn literal_addresses_are_not_names() {
        let ip = |text| matches!(target(text).unwrap().address, Address::Ip(_));
        assert!(ip("http://127.0.0.1:1") && ip("[::1]:1") && ip("[fe80::1%2]:1"));
        assert!(!ip("localhost:1"));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (text, error) in [
            ("", TargetError::Empty),
            ("https://127.0.0.1:8443", TargetError::Https),
            ("ftp://app:21", TargetError::Scheme("ftp".to_owned())),
            ("http://me:secret@app:80", TargetError::Credentials),
            ("http://app:80/api", TargetError::Path("/api".to_owned())),
            ("http://app?x=1", TargetError::Path("?x=1".to_owned())),
            ("app", TargetError::NoPort),
            ("tcp://app", TargetError::NoPort),
            ("tcp://[::1]", TargetError::NoPort),
            ("0", TargetError::Port("0".to_owned())),
            ("70000", TargetError::Port("70000".to_owned())),
            ("http://app:", TargetError::Port(String::new())),
            ("http://app:+80", TargetError::Port("+80".to_owned())),
            ("http://:80", TargetError::Host(String::new())),
            ("300.0.0.1:80", TargetError::Host("300.0.0.1".to_owned())),
            ("a b:80", TargetError::Host("a b".to_owned())),
            ("[::1:80", TargetError::Host("[::1:80".to_owned())),
            ("::1:8080", TargetError::Brackets),
            ("unix:app.sock", TargetError::RelativePath),
            ("unix://app.sock", TargetError::RelativePath),
            ("unix:", TargetError::RelativePath),
        ] {
            assert_eq!(target(text), Err(error), "{text:?}");
        }
        let long = format!("unix:/{}", "a".repeat(107));
        assert_eq!(target(&long), Err(TargetError::LongPath));
    }

    #[test]
    fn a_health_path_begins_with_a_slash() {
        let path = |text| path_or_off(text).map(|path| path.map(|path| path.to_string()));
        assert_eq!(path("off"), Ok(None));
        assert_eq!(
            path("/health?deep=1"),
            Ok(Some("/health?deep=1".to_owned()))
        );
        for text in [
            "",
            "health",
            "http://app/health",
            "*",
            "/a b",
            "/a#b",
            "/\n",
        ] {
            assert_eq!(path(text), Err(PathError), "{text:?}");
        }
    }

    #[test]
    fn an_error_never_repeats_a_password() {
        let error = target("http://me:secret@app:80/x").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    fn addresses() -> impl Strategy<Value = Address> {
        let host = "[a-z]([a-z0-9_-]{0,10}[a-z0-9])?(\\.[a-z][a-z0-9]{0,5}){0,3}";
        prop_oneof![
            (any::<std::net::IpAddr>(), 1u16..)
                .prop_map(|(ip, port)| Address::Ip(SocketAddr::new(ip, port))),
            (host, 1u16..).prop_map(|(host, port)| Address::Name { host, port }),
        ]
    }

    proptest! {
        #[test]
        fn a_target_shown_is_read_back(
            address in addresses(),
            protocol in prop_oneof![Just(Protocol::Http1), Just(Protocol::H2c), Just(Protocol::Raw)],
        ) {
            let written = Target { protocol, address };
            prop_assert_eq!(target(&written.to_string()), Ok(written));
        }

        #[test]
        fn a_socket_shown_is_read_back(path in "/[a-zA-Z0-9 ._-]{1,40}(/[a-z]{1,10}){0,3}") {
            prop_assert_eq!(shown(&format!("unix:{path}")), format!("unix:{path}"));
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "(http://|unix:|tcp://|\\[|\\]|:|/|@|[0-9a-f.%]){0,12}") {
            let _ = (target(&text), target(&near));
        }
    }
}
