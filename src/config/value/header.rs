//! Header fields to set or remove, and the `Strict-Transport-Security` value.
//!
//! Fields that frame a message or belong to one connection are refused: setting or removing them
//! would break the protocol, not change a policy.

use std::fmt;

use http::{HeaderName, HeaderValue};

use super::duration::is_off;

/// Fields that frame a message or end at the next hop (RFC 9110 sections 7.6.1 and 8.6).
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Why a text is not the header field asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// No colon between name and value.
    NoColon,
    /// No value after the colon.
    NoValue,
    /// Characters that a field name cannot have.
    Name,
    /// Characters that a field value cannot have.
    Value,
    /// A field that frames a message or belongs to one connection.
    Reserved(HeaderName),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => {
                f.write_str("has no colon; write NAME: VALUE, e.g. X-Frame-Options: DENY")
            }
            Self::NoValue => f.write_str("has no value; use --remove-header to drop a field"),
            Self::Name => f.write_str(
                "not a field name; use letters, digits and hyphens, e.g. X-Frame-Options",
            ),
            Self::Value => f.write_str("not a field value; use visible ASCII characters"),
            Self::Reserved(name) => write!(
                f,
                "{name} belongs to the connection, not to the answer; leave it to the proxy"
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

/// Why a text is not a `Strict-Transport-Security` value (RFC 6797 section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HstsError {
    /// No `max-age` with a number of seconds.
    NoMaxAge,
    /// A directive that no browser knows.
    Unknown(String),
    /// A directive that stands twice.
    Twice(&'static str),
}

impl fmt::Display for HstsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMaxAge => {
                f.write_str("has no max-age in seconds; write e.g. max-age=31536000, or off")
            }
            Self::Unknown(directive) => write!(
                f,
                "unknown directive {directive:?}; write max-age=SECONDS, includeSubDomains, preload"
            ),
            Self::Twice(directive) => write!(f, "{directive} stands twice; keep one"),
        }
    }
}

impl std::error::Error for HstsError {}

/// Parses the name of a field that may be set or removed.
pub fn name(text: &str) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(text.trim().as_bytes()).map_err(|_| HeaderError::Name)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(HeaderError::Reserved(name));
    }
    Ok(name)
}

/// Parses `NAME: VALUE`.
pub fn field(text: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let (left, right) = text.split_once(':').ok_or(HeaderError::NoColon)?;
    let name = name(left)?;
    match right.trim_matches([' ', '\t']) {
        "" => Err(HeaderError::NoValue),
        value => match HeaderValue::from_str(value) {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(HeaderError::Value),
        },
    }
}

/// Parses a `Strict-Transport-Security` value, or `off`, which is `None`.
pub fn hsts(text: &str) -> Result<Option<HeaderValue>, HstsError> {
    if is_off(text) {
        return Ok(None);
    }
    let (mut max_age, mut subdomains, mut preload) = (None, false, false);
    for directive in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (key, value) = match directive.split_once('=') {
            Some((key, value)) => (
                key.trim_end().to_ascii_lowercase(),
                Some(value.trim_start()),
            ),
            None => (directive.to_ascii_lowercase(), None),
        };
        let again = match (key.as_str(), value) {
            ("max-age", value) => max_age
                .replace(seconds(value)?)
                .is_some()
                .then_some("max-age"),
            ("includesubdomains", None) => {
                std::mem::replace(&mut subdomains, true).then_some("includeSubDomains")
            }
            ("preload", None) => std::mem::replace(&mut preload, true).then_some("preload"),
            _ => return Err(HstsError::Unknown(directive.to_owned())),
        };
        if let Some(directive) = again {
            return Err(HstsError::Twice(directive));
        }
    }
    let max_age = max_age.ok_or(HstsError::NoMaxAge)?;
    let subdomains = if subdomains {
        "; includeSubDomains"
    } else {
        ""
    };
    let preload = if preload { "; preload" } else { "" };
    HeaderValue::from_str(&format!("max-age={max_age}{subdomains}{preload}"))
        .map(Some)
        .map_err(|_| HstsError::NoMaxAge)
}

fn seconds(value: Option<&str>) -> Result<u64, HstsError> {
    value
        .map(|value| value.trim_matches('"'))
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|value| value.parse().ok())
        .ok_or(HstsError::NoMaxAge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_is_split_at_the_first_colon() {
        let (name, value) = field("X-Where:  http://here ").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("x-where", &b"http://here"[..])
        );
        assert_eq!(field("X-Where"), Err(HeaderError::NoColon));
        assert_eq!(field("X-Where: "), Err(HeaderError::NoValue));
        assert_eq!(field("X Where: a"), Err(HeaderError::Name));
        assert_eq!(field(": a"), Err(HeaderError::Name));
        assert_eq!(field("a: b\r\nc: d"), Err(HeaderError::Value));
    }

    #[test]
    fn framing_and_hop_by_hop_fields_are_refused() {
        for text in [
            "Content-Length",
            "transfer-encoding",
            "Connection",
            "Upgrade",
            "TE",
        ] {
            assert!(
                matches!(name(text), Err(HeaderError::Reserved(_))),
                "{text:?}"
            );
            let field = field(&format!("{text}: 1"));
            assert!(matches!(field, Err(HeaderError::Reserved(_))), "{text:?}");
        }
    }

    #[test]
    fn hsts_is_checked_directive_by_directive() {
        let value = |text| hsts(text).unwrap().unwrap();
        assert_eq!(value("max-age=31536000"), "max-age=31536000");
        assert_eq!(
            value("MAX-AGE=\"1\" ;preload; includesubdomains;"),
            "max-age=1; includeSubDomains; preload"
        );
        assert_eq!(hsts("off"), Ok(None));
        for text in ["", "on", "31536000", "max-age", "max-age=1d", "preload"] {
            assert!(hsts(text).is_err(), "{text:?}");
        }
        assert_eq!(hsts("preload"), Err(HstsError::NoMaxAge));
        assert_eq!(
            hsts("max-age=1;max-age=2"),
            Err(HstsError::Twice("max-age"))
        );
        assert_eq!(
            hsts("max-age=1; includeSubDomain"),
            Err(HstsError::Unknown("includeSubDomain".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn a_field_shown_is_read_back(key in "x-[a-z0-9-]{0,20}", text in "[!-~]([ -~]{0,30}[!-~])?") {
            let (name, value) = field(&format!("{key}: {text}")).unwrap();
            prop_assert_eq!(name.as_str(), key);
            prop_assert_eq!(value.as_bytes(), text.as_bytes());
        }

        #[test]
        fn hsts_is_read_back_as_it_is_written(age in any::<u64>(), tail in "(; includeSubDomains)?(; preload)?") {
            let text = format!("max-age={age}{tail}");
            prop_assert_eq!(hsts(&text).unwrap().unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "(max-age|preload|=|;|[0-9]| |:){0,8}") {
            let _ = (name(&text), field(&text), hsts(&text), hsts(&near), field(&near));
        }
    }
}
