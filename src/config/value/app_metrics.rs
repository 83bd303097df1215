//! `--app-metrics`: where the application tells its own numbers.
//!
//! Loopback alone: the admin port passes the page on to whoever asks, and must not become a way
//! into the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use crate::config::AppMetrics;

/// Why a text names no page of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppMetricsError {
    /// Not a URL of the form wanted.
    Form,
    /// Not loopback.
    Elsewhere,
}

impl fmt::Display for AppMetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not a page; write http://127.0.0.1:PORT/PATH, or off",
            Self::Elsewhere => {
                "only the application beside the proxy is asked; write 127.0.0.1, [::1] or localhost"
            }
        })
    }
}

impl std::error::Error for AppMetricsError {}

impl fmt::Display for AppMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = String::from_utf8_lossy(self.authority.as_bytes());
        write!(f, "http://{authority}{}", self.path)
    }
}

/// Parses a page on loopback, or `off`.
pub fn or_off(text: &str) -> Result<Option<AppMetrics>, AppMetricsError> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let uri: Uri = text.parse().map_err(|_| AppMetricsError::Form)?;
    let authority = uri.authority().ok_or(AppMetricsError::Form)?;
    if uri.scheme() != Some(&Scheme::HTTP) || authority.as_str().contains('@') {
        return Err(AppMetricsError::Form);
    }
    let port = match authority.port_u16() {
        Some(port) if port > 0 => port,
        // `127.0.0.1:x` has no port that is a number, and is no host without one either.
        None if authority.as_str() == authority.host() => 80,
        _ => return Err(AppMetricsError::Form),
    };
    let ips = loopback(authority.host()).ok_or(AppMetricsError::Elsewhere)?;
    let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port));
    let path = uri.path_and_query().cloned();
    Ok(Some(AppMetrics {
        addresses: addresses.collect(),
        authority: HeaderValue::from_str(authority.as_str()).map_err(|_| AppMetricsError::Form)?,
        path: path.unwrap_or(PathAndQuery::from_static("/")),
    }))
}

fn loopback(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(host).parse().ok()?;
    ip.to_canonical().is_loopback().then(|| vec![ip])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_on_loopback_is_read() {
        let page = or_off("http://127.0.0.1:9100/metrics?a=b")
            .unwrap()
            .unwrap();
        assert_eq!(page.addresses, ["127.0.0.1:9100".parse().unwrap()]);
        assert_eq!(page.authority, "127.0.0.1:9100");
        assert_eq!(page.path, "/metrics?a=b");
        let page = or_off("http://localhost").unwrap().unwrap();
        assert_eq!(
            page.addresses,
            ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]
        );
        assert_eq!(page.path, "/");
        let page = or_off("http://[::1]:1/").unwrap().unwrap();
        assert_eq!(page.addresses, ["[::1]:1".parse().unwrap()]);
        assert_eq!(or_off("off"), Ok(None));
    }

    #[test]
    fn what_is_elsewhere_is_refused() {
        for text in [
            "http://10.0.0.1:9100/metrics",
            "http://[::]:1/",
            "http://0.0.0.0:1/",
            "http://metadata.internal/",
            "http://127.0.0.1.example:1/",
            "http://[::ffff:10.0.0.1]:1/",
        ] {
            assert_eq!(or_off(text), Err(AppMetricsError::Elsewhere), "{text}");
        }
        for text in [
            "",
            "127.0.0.1:9100",
            "https://127.0.0.1:9100/",
            "http://a@127.0.0.1:1/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:x/",
            "http://127.0.0.1:99999/",
            "/metrics",
        ] {
            assert_eq!(or_off(text), Err(AppMetricsError::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_leads_elsewhere(text in "(http://)?\\PC{0,30}") {
            if let Ok(Some(page)) = or_off(&text) {
                prop_assert!(page.addresses.iter().all(|a| a.ip().to_canonical().is_loopback()));
            }
        }
    }
}
