//! Hop-by-hop headers (RFC 9110 section 7.6.1): what every `Connection` line lists, and the fixed
//! list of those that older peers send without listing them.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::forwarded::is_claim_spelled;
use crate::message::is_option;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Hop-by-hop whether listed or not.
const FIXED: [HeaderName; 8] = [
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HTTP2_SETTINGS,
];

/// What a client must not make us remove by listing it in `Connection`.
const UNLISTABLE: [&str; 5] = [
    "host",
    "content-length",
    "transfer-encoding",
    "cookie",
    "authorization",
];

/// What the `Connection` lines of a message ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum ConnectionOptions {
    /// Nothing that must not be listed.
    Fair,
    /// A header that another hop relies on is listed: removing it would be an attack.
    Abusive,
}

/// Judges the `Connection` lines of a request.
pub(in crate::proxy) fn connection_options(headers: &HeaderMap) -> ConnectionOptions {
    if !headers.contains_key(header::CONNECTION) {
        return ConnectionOptions::Fair;
    }
    let abusive = listed(headers).any(|name| {
        let name = name.to_ascii_lowercase();
        UNLISTABLE.contains(&name.as_str()) || is_claim_spelled(&name)
    });
    // Which names a line lists that is not text, nobody can say.
    let is_text = |line: &HeaderValue| line.to_str().is_ok();
    if abusive || !headers.get_all(header::CONNECTION).iter().all(is_text) {
        ConnectionOptions::Abusive
    } else {
        ConnectionOptions::Fair
    }
}

/// What a message has once that was removed which belongs to one hop alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::proxy) struct Left {
    /// `TE: trailers`, and no other TE.
    pub(in crate::proxy) takes_trailers: bool,
    /// `Cookie`.
    pub(in crate::proxy) has_cookies: bool,
}

/// Removes what belongs to one hop alone.
///
/// `TE: trailers` is put back: it says that the client takes trailers, and so do we.
pub(in crate::proxy) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Left {
    let mut left = Left::default();
    // One pass over the names spares a look-up for each of the fixed list: most messages have
    // none of them, or `Connection` alone.
    let (mut has_connection, mut has_fixed) = (false, false);
    for name in headers.keys() {
        match name.as_str() {
            "connection" => has_connection = true,
            "cookie" => left.has_cookies = true,
            name => has_fixed |= is_fixed(name),
        }
    }
    if has_connection {
        let names: Vec<HeaderName> = listed(headers)
            .filter(|name| !is_plain_option(name))
            .filter_map(|name| name.parse().ok())
            .filter(|name| *name != header::TE)
            .collect();
        for name in names {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    if has_fixed {
        left.takes_trailers = takes_trailers(headers);
        for name in &FIXED {
            headers.remove(name);
        }
        if left.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
    left
}

/// Options of `Connection` that name no header of their own, or one of the fixed list.
fn is_plain_option(option: &str) -> bool {
    option.eq_ignore_ascii_case("keep-alive") || option.eq_ignore_ascii_case("close")
}

fn is_fixed(name: &str) -> bool {
    matches!(
        name,
        "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Every option of every `Connection` line.
fn listed(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        // What is no text names no header, and must not hide those beside it.
        .filter_map(|option| std::str::from_utf8(option).ok())
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .any(|line| is_option(line.as_bytes(), "trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    // H1-12
    #[test]
    fn an_option_that_is_no_text_does_not_hide_those_beside_it() {
        let line = |bytes| HeaderValue::from_bytes(bytes).unwrap();
        let mut map = headers(&[("x-secret", "1"), ("x-kept", "2")]);
        map.insert(header::CONNECTION, line(b"\xe4, x-secret"));
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["x-kept"]);
        map.insert(header::CONNECTION, line(b"\xe4, host"));
        assert_eq!(connection_options(&map), ConnectionOptions::Abusive);
    }

    #[test]
    fn second_connection_header_line_is_hop_by_hop() {
        let mut map = headers(&[
            ("connection", "close"),
            ("connection", "x-secret , X-Other"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-kept", "3"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["x-kept"]);
    }

    #[test]
    fn the_fixed_list_goes_also_when_nothing_lists_it() {
        let mut map = headers(&[
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("te", "gzip"),
            ("proxy-authorization", "Basic eA=="),
            ("trailer", "x-sum"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["trailer"]);
    }

    #[test]
    fn te_trailers_is_kept_whatever_stands_beside_it() {
        let mut map = headers(&[("te", "gzip;q=0.5, Trailers"), ("connection", "TE")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(
            map.get(header::TE),
            Some(&HeaderValue::from_static("trailers"))
        );
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn listing_what_another_hop_relies_on_is_abuse() {
        for listed in [
            "Host",
            "content-length",
            "COOKIE",
            "close, X-Forwarded-For",
            "Client-Cert",
        ] {
            let map = headers(&[("connection", "keep-alive"), ("connection", listed)]);
            assert_eq!(
                connection_options(&map),
                ConnectionOptions::Abusive,
                "{listed}"
            );
        }
        for fair in ["close", "keep-alive, x-mine", "Upgrade", "TE", ""] {
            let map = headers(&[("connection", fair)]);
            assert_eq!(connection_options(&map), ConnectionOptions::Fair, "{fair}");
        }
    }

    #[test]
    fn both_spellings_of_the_fixed_list_agree() {
        assert!(FIXED.iter().all(|name| is_fixed(name.as_str())));
    }

    proptest! {
        #[test]
        fn nothing_listed_survives(
            listed in proptest::collection::vec("[a-z]{1,8}", 0..5),
            kept in "z-[a-z]{1,8}",
        ) {
            let mut map = HeaderMap::new();
            for name in &listed {
                map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"));
                map.append(header::CONNECTION, name.parse().unwrap());
            }
            map.append(kept.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1"));
            strip_hop_by_hop(&mut map);
            prop_assert_eq!(names(&map), [kept.as_str()]);
        }
    }
}
