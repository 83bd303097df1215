//! Hop-by-hop headers (RFC 9110 section 7.6.1): what every `Connection` line lists, and the fixed
//! list of those that older peers send without listing them.

use super::forwarded::is_claim_spelled;
use crate::fields::{Fields, Name, NameSet, Value, name};
use crate::message::is_option;

/// Hop-by-hop whether listed or not.
const FIXED: NameSet<9> = NameSet::new([
    name::CONNECTION,
    name::KEEP_ALIVE,
    name::PROXY_CONNECTION,
    name::PROXY_AUTHENTICATE,
    name::PROXY_AUTHORIZATION,
    name::TE,
    name::TRANSFER_ENCODING,
    name::UPGRADE,
    name::HTTP2_SETTINGS,
]);

/// Options of all `Connection` lines together; nobody who means well lists a tenth of it.
const MOST_OPTIONS: usize = 100;

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
    /// More is listed than any message has: to look for all of it is work that somebody makes us do.
    TooMany,
}

/// Judges the `Connection` lines of a request.
pub(in crate::proxy) fn connection_options(fields: &Fields) -> ConnectionOptions {
    if listed(fields).nth(MOST_OPTIONS).is_some() {
        return ConnectionOptions::TooMany;
    }
    let abusive = listed(fields).any(|name| {
        let name = name.to_ascii_lowercase();
        UNLISTABLE.contains(&name.as_str()) || is_claim_spelled(&name)
    });
    // Which names a line lists that is not text, nobody can say.
    let is_text = |line: Value<'_>| line.as_str().is_some();
    if abusive || !fields.all(name::CONNECTION).all(is_text) {
        ConnectionOptions::Abusive
    } else {
        ConnectionOptions::Fair
    }
}

/// Removes what belongs to one hop alone. Whether `TE: trailers` is put back: it says that the client
/// takes trailers, and so do we.
pub(in crate::proxy) fn strip_hop_by_hop(fields: &mut Fields) -> bool {
    if !fields.has_any(&FIXED) {
        return false;
    }
    let names: Vec<String> = listed(fields).map(str::to_ascii_lowercase).collect();
    for listed in names.iter().filter_map(|name| Name::new(name.as_bytes())) {
        if listed != name::TE {
            fields.remove(listed);
        }
    }
    let takes_trailers = takes_trailers(fields);
    fields.remove_any(&FIXED);
    if takes_trailers {
        fields.append(name::TE, Value::from_static("trailers"));
    }
    takes_trailers
}

fn takes_trailers(fields: &Fields) -> bool {
    let mut lines = fields.all(name::TE);
    lines.any(|line| is_option(&line, "trailers"))
}

/// Every option of every `Connection` line that may name a header.
fn listed(fields: &Fields) -> impl Iterator<Item = &str> {
    fields
        .all(name::CONNECTION)
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        // What is no text names no header, and must not hide those beside it.
        .filter_map(|option| std::str::from_utf8(option).ok())
        .map(str::trim)
        .filter(|name| !name.is_empty() && !is_plain_option(name))
}

/// Options of `Connection` that name no header of their own, or one of the fixed list.
fn is_plain_option(option: &str) -> bool {
    option.eq_ignore_ascii_case("keep-alive") || option.eq_ignore_ascii_case("close")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fixtures::{fields as headers, names};
    use proptest::prelude::*;

    // H1-12
    #[test]
    fn an_option_that_is_no_text_does_not_hide_those_beside_it() {
        let mut map = headers(&[("x-secret", "1"), ("x-kept", "2")]);
        map.append(name::CONNECTION, Value::known(b"\xe4, x-secret"));
        strip_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["x-kept"]);
        map.append(name::CONNECTION, Value::known(b"\xe4, host"));
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
        assert_eq!(map.only(name::TE).unwrap(), "trailers");
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
        for (options, found) in [
            (MOST_OPTIONS, ConnectionOptions::Fair),
            (MOST_OPTIONS + 1, ConnectionOptions::TooMany),
        ] {
            let map = headers(&[("connection", &"x, ".repeat(options))]);
            assert_eq!(connection_options(&map), found, "{options}");
        }
        for fair in ["close", "keep-alive, x-mine", "Upgrade", "TE", ""] {
            let map = headers(&[("connection", fair)]);
            assert_eq!(connection_options(&map), ConnectionOptions::Fair, "{fair}");
        }
    }

    proptest! {
        #[test]
        fn nothing_listed_survives(
            listed in proptest::collection::vec("[a-z]{1,8}", 0..5),
            kept in "z-[a-z]{1,8}",
        ) {
            let named = listed.iter().flat_map(|name| {
                [(name.as_str(), "1"), ("connection", name.as_str())]
            });
            let lines: Vec<_> = named.chain([(kept.as_str(), "1")]).collect();
            let mut map = headers(&lines);
            strip_hop_by_hop(&mut map);
            prop_assert_eq!(names(&map), [kept.as_str()]);
        }
    }
}
