//! What must hold of a request before anything of it is passed on.
//!
//! Ambiguity is refused, never repaired. The home of every shape check on a parsed request. What
//! parsing a head would hide is judged before, in [`super::http1`] and [`super::http2`], whose streams
//! are reset for what makes a request malformed (RFC 9113 section 8.1.1), but for what is here.

use http::uri::{Authority, PathAndQuery};
use http::{Method, Version};

use super::error::Refusal;
use super::headers::{ConnectionOptions, connection_options};
use super::http1::HeadFault;
use crate::fields::{Fields, Value, name};
use crate::message::Request;
use crate::syntax::{self, content_length};

/// Judges a parsed request head and returns the host it is for.
///
/// # Errors
/// What is wrong with it, as the client is told.
pub(super) fn request<B>(request: &Request<B>) -> Result<Option<String>, Refusal> {
    method_and_target(request)?;
    expectation(&request.fields)?;
    if request.version == Version::HTTP_2 {
        http2_fields(request)?;
    }
    if request.version < Version::HTTP_2 {
        let words = match connection_options(&request.fields) {
            ConnectionOptions::Fair => None,
            ConnectionOptions::Abusive => Some("the Connection header lists a header it must not"),
            ConnectionOptions::TooMany => Some("the Connection header lists more than 100 options"),
        };
        if let Some(words) = words {
            return Err(Refusal::BadRequest(words));
        }
    }
    host(request)
}

/// Holds a request to `--max-headers`; over HTTP/2 nobody before us counts fields.
///
/// # Errors
/// When there are more than `most`.
pub(super) fn number_of_fields<B>(request: &Request<B>, most: u16) -> Result<(), Refusal> {
    if request.fields.len() > usize::from(most) {
        return Err(Refusal::Head(HeadFault::TOO_MANY));
    }
    Ok(())
}

fn method_and_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let protocol = request.extensions.get::<crate::message::Protocol>();
    // What is no `Upgrade` would leave a bare CONNECT.
    let is_extended_connect = protocol.is_some_and(|name| is_protocol(name.as_str()));
    match request.method {
        Method::TRACE => return Err(Refusal::MethodNotAllowed),
        Method::CONNECT if !is_extended_connect => return Err(Refusal::MethodNotAllowed),
        _ => {}
    }
    match request.uri.path_and_query().map(PathAndQuery::as_str) {
        Some("*") if request.method == Method::OPTIONS => Ok(()),
        Some(path) if path.starts_with('/') && !is_empty(request) => Ok(()),
        // An absolute target without a path asks for the root (RFC 9112 section 3.2.2).
        _ if request.version < Version::HTTP_2 && request.uri.scheme().is_some() => Ok(()),
        _ => Err(Refusal::BadRequest("the request target is not a path")),
    }
}

/// Whether the path shows as `/` and is none: what is left of a `:path` that began with a `#`.
fn is_empty<B>(request: &Request<B>) -> bool {
    let path = request.uri.path_and_query();
    path.is_some_and(|path| path.as_str() == "/" && *path != PathAndQuery::from_static("/"))
}

/// `protocol` of RFC 9110 section 7.8: a name, and a version behind a slash.
fn is_protocol(name: &str) -> bool {
    name.split('/')
        .all(|token| !token.is_empty() && syntax::token_length(token.as_bytes()) == token.len())
}

/// What HTTP/1 could not carry as it is meant.
fn http2_fields<B>(request: &Request<B>) -> Result<(), Refusal> {
    // RFC 9113 section 8.2.1.
    let is_padded = |value: Value<'_>| {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        is_blank(value.first()) || is_blank(value.last())
    };
    if request.fields.iter().any(|field| is_padded(field.value)) {
        return Err(Refusal::BadRequest("white space around a header value"));
    }
    let mut method = request.method.as_str().bytes();
    if method.any(|b| b.is_ascii_lowercase()) {
        return Err(Refusal::BadRequest("the method is not in capitals"));
    }
    // RFC 3986 section 3.1.
    let scheme = request.uri.scheme_str();
    if scheme.is_some_and(|scheme| !scheme.starts_with(|c: char| c.is_ascii_alphabetic())) {
        return Err(Refusal::BadRequest(
            "the scheme does not begin with a letter",
        ));
    }
    // RFC 3986 section 3.3: the rest is written in percent signs.
    let target = request.uri.path_and_query().map(PathAndQuery::as_str);
    let mut target = target.unwrap_or_default().bytes();
    if !target.all(|b| b.is_ascii_graphic()) {
        return Err(Refusal::BadRequest("the path holds what is not ASCII"));
    }
    let mut lengths = request.fields.all(name::CONTENT_LENGTH);
    match (lengths.next().map(Value::as_bytes), lengths.next()) {
        (None, None) => Ok(()),
        (Some(digits), None)
            if !matches!(digits, [b'0', _, ..]) && content_length(digits).is_some() =>
        {
            Ok(())
        }
        _ => Err(Refusal::BadRequest(
            "Content-Length is not one decimal number",
        )),
    }
}

/// RFC 9110 section 10.1.1: the only expectation there is.
fn expectation(fields: &Fields) -> Result<(), Refusal> {
    let mut lines = fields.all(name::EXPECT);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => Err(Refusal::ExpectationFailed),
    }
}

/// The one host a request is for (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
fn host<B>(request: &Request<B>) -> Result<Option<String>, Refusal> {
    let mut lines = request.fields.all(name::HOST);
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::BadRequest("more than one Host header"));
    }
    let target = request.uri.authority();
    match (line, target) {
        (Some(line), target) => {
            // An empty Host is only right for a target without an authority, which no
            // request to a web application has.
            let Some(host) = host_text(&line) else {
                return Err(Refusal::BadRequest("the Host header is not a host"));
            };
            if target.is_some_and(|target| !same(target, host)) {
                return Err(Refusal::BadRequest(
                    "Host differs from the authority of the request",
                ));
            }
            Ok(Some(host.to_owned()))
        }
        // RFC 9112 section 3.2: an absolute target does not stand in for it.
        (None, Some(_)) if request.version == Version::HTTP_11 => {
            Err(Refusal::BadRequest("no Host header"))
        }
        (None, Some(target)) => match host_text(target.as_str().as_bytes()) {
            Some(host) => Ok(Some(host.to_owned())),
            None => Err(Refusal::BadRequest("the authority is not a host")),
        },
        (None, None) if request.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Refusal::BadRequest("no Host header")),
    }
}

fn same(target: &Authority, host: &str) -> bool {
    target.as_str().eq_ignore_ascii_case(host)
}

/// `host` as text, if it is `uri-host [":" port]` (RFC 3986 section 3.2), without user information.
fn host_text(host: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(host).ok()?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            ip.parse::<std::net::Ipv6Addr>().ok()?;
            (ip, port)
        }
        None => text.split_at_checked(syntax::host_name_length(host))?,
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit())
                && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
        None => port.is_empty(),
    };
    (!name.is_empty() && is_port).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Name;
    use proptest::prelude::*;

    fn get(uri: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        request.uri = uri.parse().unwrap();
        for host in hosts {
            let host = Value::new(host.as_bytes()).unwrap();
            request.fields.append(name::HOST, host);
        }
        request
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for good in [
            "a",
            "a.example",
            "a:8443",
            "192.0.2.1",
            "[::1]",
            "[::1]:443",
            "a_b.x",
            "a:",
        ] {
            assert!(request(&get("/", &[good])).is_ok(), "{good}");
        }
        for bad in [
            "", " ", "a b", "a/b", "u@a", "a,b", "a:x", "a:99999", "[::1", "[zz]", "a\\b", "a?b",
        ] {
            assert!(request(&get("/", &[bad])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn there_is_one_host_and_it_is_the_authority() {
        assert!(request(&get("/", &["a", "a"])).is_err());
        assert!(request(&get("/", &[])).is_err());
        assert!(request(&get("https://a/", &["a"])).is_ok());
        assert!(request(&get("https://a/", &["A"])).is_ok());
        assert!(request(&get("https://a/", &["b"])).is_err());
        assert!(request(&get("https://a/", &[])).is_err());
        for (uri, version, host) in [
            ("/", Version::HTTP_10, None),
            ("https://a/", Version::HTTP_10, Some("a")),
            ("https://a/", Version::HTTP_2, Some("a")),
        ] {
            let mut other = get(uri, &[]);
            other.version = version;
            let found = request(&other).unwrap();
            assert_eq!(found.as_deref(), host, "{version:?} {uri}");
        }
    }

    #[test]
    fn connect_and_trace_are_refused_and_only_options_may_ask_for_the_server() {
        for method in [Method::CONNECT, Method::TRACE] {
            let mut tunnel = get("/", &["a"]);
            tunnel.method = method;
            assert!(matches!(request(&tunnel), Err(Refusal::MethodNotAllowed)));
        }
        let mut star = get("*", &["a"]);
        assert!(request(&star).is_err());
        star.method = Method::OPTIONS;
        assert!(request(&star).is_ok());
    }

    // H2-10
    #[test]
    fn what_http1_could_not_carry_is_refused_from_http2() {
        let with = |method: &str, name: &'static str, values: &[&str]| {
            let mut asked = get("https://a/", &[]);
            asked.version = Version::HTTP_2;
            asked.method = method.parse().unwrap();
            for value in values {
                let value = Value::new(value.as_bytes()).unwrap();
                asked.fields.append(Name::from_static(name), value);
            }
            request(&asked).is_ok()
        };
        assert!(with("GET", "x", &["a b", ""]));
        for path in ["/\u{e4}", "/?\u{e4}", "#a", "?a"] {
            // As they come: each for itself.
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(http::uri::Scheme::HTTPS);
            parts.authority = Some(Authority::from_static("a"));
            parts.path_and_query = Some(path.parse().unwrap());
            let mut asked = get("/", &[]);
            asked.uri = http::Uri::from_parts(parts).unwrap();
            asked.version = Version::HTTP_2;
            assert!(request(&asked).is_err(), "{path}");
        }
        assert!(with("POST", "content-length", &["10"]));
        for (method, name, values) in [
            ("get", "x", &["a"][..]),
            ("GET", "x", &["a", " b"]),
            ("GET", "x", &["a\t"]),
            ("POST", "content-length", &["5", "5"]),
            ("POST", "content-length", &["05"]),
            ("POST", "content-length", &["5,5"]),
            ("POST", "content-length", &[""]),
            ("POST", "content-length", &["18446744073709551616"]),
        ] {
            assert!(!with(method, name, values), "{method} {name} {values:?}");
        }
    }

    // H2-10
    #[test]
    fn extended_connect_names_a_protocol() {
        for (name, good) in [
            ("websocket", true),
            ("connect-udp/1", true),
            ("", false),
            ("a\r\nb", false),
            ("\u{e4}", false),
        ] {
            let mut tunnel = get("https://a/", &[]);
            tunnel.method = Method::CONNECT;
            tunnel.version = Version::HTTP_2;
            let protocol = crate::message::Protocol::from(name);
            tunnel.extensions.insert(protocol);
            assert_eq!(request(&tunnel).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn an_unknown_expectation_fails() {
        let mut expecting = get("/", &["a"]);
        let known = Value::from_static("100-Continue");
        expecting.fields.set(name::EXPECT, known);
        assert!(request(&expecting).is_ok());
        let unknown = Value::from_static("200-ok");
        expecting.fields.set(name::EXPECT, unknown);
        assert!(matches!(
            request(&expecting),
            Err(Refusal::ExpectationFailed)
        ));
    }

    proptest! {
        #[test]
        fn no_host_bytes_panic(host in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = host_text(&host);
        }

        #[test]
        fn every_name_with_a_port_is_a_host(name in "[a-z0-9.-]{1,30}", port in any::<u16>()) {
            let host = format!("{name}:{port}");
            prop_assert!(host_text(host.as_bytes()).is_some());
        }
    }
}
