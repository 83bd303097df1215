//! Who the client is, told to the application: `X-Forwarded-*` and RFC 7239 `Forwarded`.
//!
//! A stranger's copies are removed, in every spelling an application may read them in (CGI turns
//! `-` and `_` into one); a trusted proxy's are continued. Values that are the same for every
//! request of a connection are made once for it.

use std::net::SocketAddr;

use http::header::HeaderValue;

use super::identity::Identity;
use crate::fields::{Fields, Name, Value, name};
use crate::message::encode_field;
use crate::tls::Client;

/// What a connection says of its client.
#[derive(Debug)]
pub(in crate::proxy) struct Forwarding {
    words: Words,
    proto: Value<'static>,
    /// The element of `Forwarded`, when it is wanted.
    element: Option<String>,
    trust: Trust,
    /// What its certificate says, where certificates are asked for.
    identity: Option<Identity>,
}

/// Who the client is and where it came in.
#[derive(Debug)]
enum Words {
    Fields {
        client: HeaderValue,
        port: HeaderValue,
    },
    /// With the protocol, as lines of a head for HTTP/1.1: the same for every request, and a request
    /// need not look them up, keep them and encode them one by one.
    Lines(Vec<u8>),
}

/// Whether the peer's own forwarding headers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Trust {
    /// They are continued.
    Proxy,
    /// They are removed.
    Stranger,
}

impl Forwarding {
    /// What to say of `client`, who reached `server` and showed the `certificate`.
    pub(in crate::proxy) fn new(
        client: SocketAddr,
        server: SocketAddr,
        trust: Trust,
        certificate: Option<&Client>,
        policy: &crate::config::Headers,
    ) -> Self {
        let ip = client.ip().to_canonical();
        let element = policy.forwarded.then(|| match ip.is_ipv6() {
            // RFC 7239 section 6: an IPv6 address is quoted and in brackets.
            true => format!("for=\"[{ip}]\";proto=https"),
            false => format!("for={ip};proto=https"),
        });
        Self {
            words: Words::Fields {
                client: value(&ip.to_string()),
                port: HeaderValue::from(server.port()),
            },
            proto: Value::from_static("https"),
            element,
            trust,
            identity: policy
                .identity
                .map(|which| Identity::of(certificate, which)),
        }
    }
}

/// What of a peer's claims is believed.
#[derive(Debug, Clone, Copy)]
struct Speaker {
    trust: Trust,
    /// Certificates are looked at here, and nobody else's word on them counts.
    is_identity_ours: bool,
}

impl Forwarding {
    fn speaker(&self) -> Speaker {
        Speaker {
            trust: self.trust,
            is_identity_ours: self.identity.is_some(),
        }
    }

    /// The same of a client who came in clear.
    pub(in crate::proxy) fn in_clear(self) -> Self {
        Self {
            proto: Value::from_static("http"),
            element: self.element.map(|e| e.replace("proto=https", "proto=http")),
            ..self
        }
    }

    /// The same for an application that speaks HTTP/1.1: in [`Self::lines`] where nothing that a client
    /// says is continued, else in fields as before.
    pub(in crate::proxy) fn in_lines(self) -> Self {
        let (Trust::Stranger, Words::Fields { client, port }) = (self.trust, &self.words) else {
            return self;
        };
        let mut lines = Vec::new();
        for (name, value) in [
            (name::X_FORWARDED_FOR, client.into()),
            (name::X_FORWARDED_PROTO, self.proto),
            (name::X_FORWARDED_PORT, port.into()),
        ] {
            encode_field(name, value, &mut lines);
        }
        lines.shrink_to_fit();
        Self {
            words: Words::Lines(lines),
            ..self
        }
    }

    /// What is told in lines of the head, for a request to `host`; nothing of what is in fields.
    pub(in crate::proxy) fn lines<'a>(&'a self, host: Option<&'a str>) -> [&'a [u8]; 4] {
        match (&self.words, host) {
            (Words::Fields { .. }, _) => [b""; 4],
            (Words::Lines(lines), None) => [lines, b"", b"", b""],
            (Words::Lines(lines), Some(host)) => {
                [lines, b"x-forwarded-host: ", host.as_bytes(), b"\r\n"]
            }
        }
    }
}

impl Trust {
    /// Whether `peer` is one of the trusted proxies.
    pub(in crate::proxy) fn of(peer: SocketAddr, trusted: &[ipnet::IpNet]) -> Self {
        let ip = peer.ip().to_canonical();
        if trusted.iter().any(|net| net.contains(&ip)) {
            Self::Proxy
        } else {
            Self::Stranger
        }
    }
}

/// Sets the forwarding headers of a request for `host`, but for what is told in lines.
pub(in crate::proxy) fn set_forwarded(
    fields: &mut Fields,
    forwarding: &Forwarding,
    host: Option<&str>,
) {
    let speaker = forwarding.speaker();
    remove_claims(fields, speaker);
    if let Words::Fields { client, port } = &forwarding.words {
        extend_list(fields, name::X_FORWARDED_FOR, client.as_bytes());
        let host = host.and_then(|host| Value::new(host.as_bytes()));
        for (name, value) in [
            (name::X_FORWARDED_HOST, host),
            (name::X_FORWARDED_PROTO, Some(forwarding.proto)),
            (name::X_FORWARDED_PORT, Some(port.into())),
        ] {
            if let Some(value) = value
                && !fields.has(name)
            {
                fields.append(name, value);
            }
        }
    }
    if let Some(element) = &forwarding.element {
        match host {
            Some(host) => {
                let element = format!("{element};host=\"{host}\"");
                extend_list(fields, name::FORWARDED, element.as_bytes());
            }
            None => extend_list(fields, name::FORWARDED, element.as_bytes()),
        }
    }
    if let Some(identity) = &forwarding.identity {
        identity.set(fields);
    }
}

/// Makes one list of all lines of `name`, and puts `last` behind it.
fn extend_list(fields: &mut Fields, name: Name<'_>, last: &[u8]) {
    let mut list = Vec::new();
    for line in fields.all(name) {
        list.extend_from_slice(&line);
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(last);
    let list = Value::new(&list).unwrap_or(Value::from_static("unknown"));
    fields.set(name, list);
}

/// Where a body ends; the names have no `_`.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Removes what a client may not say about itself.
fn remove_claims(fields: &mut Fields, speaker: Speaker) {
    // One pass over the names; removing is the rare case.
    if fields.iter().any(|field| is_claim(field.name, speaker)) {
        fields.retain(|field| !is_claim(field.name, speaker));
    }
}

/// Whether `name` speaks of the client's address, protocol or certificate.
///
/// A look-alike with `_` is removed also from a trusted proxy, which spells it with `-`; so is one
/// of the framing headers, which an application behind CGI's naming could not tell from them.
fn is_claim(name: Name<'_>, speaker: Speaker) -> bool {
    let name = name.as_bytes();
    if !matches!(name.first(), Some(b'x' | b'f' | b'c' | b's' | b't')) {
        return false;
    }
    // Names are ASCII.
    let Ok(name) = str::from_utf8(name) else {
        return true;
    };
    if name.contains('_') {
        let hyphenated = name.replace('_', "-");
        return FRAMING.contains(&hyphenated.as_str()) || is_claim_spelled(&hyphenated);
    }
    match speaker.trust {
        Trust::Stranger => is_claim_spelled(name),
        Trust::Proxy => speaker.is_identity_ours && is_identity_spelled(name),
    }
}

/// Whether `name`, spelled with hyphens, speaks of the client's address, protocol or certificate.
pub(super) fn is_claim_spelled(name: &str) -> bool {
    const NAMES: [&str; 5] = [
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
    ];
    NAMES.contains(&name) || name.starts_with("x-forwarded-") || is_identity_spelled(name)
}

/// Whether `name`, spelled with hyphens, speaks of the client's certificate: RFC 9440's headers,
/// Envoy's, and what other proxies and clouds call theirs.
fn is_identity_spelled(name: &str) -> bool {
    const PREFIXES: [&str; 13] = [
        "client-cert",
        "x-forwarded-client-cert",
        "x-forwarded-tls-client-",
        "x-client-cert",
        "x-client-dn",
        "x-client-verify",
        "x-ssl-client",
        "x-ssl-cert",
        "x-tls-client",
        "ssl-client",
        "x-amzn-mtls-",
        "x-arr-clientcert",
        "cf-client-cert",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn value(text: &str) -> HeaderValue {
    // An address in text is always a header value.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Headers;
    use crate::fields::fixtures::fields;

    fn forwarded(trust: Trust, policy: &Headers, lines: &[(&str, &str)]) -> Fields {
        let mut headers = fields(lines);
        let client = "[::ffff:192.0.2.7]:999".parse().unwrap();
        let server = ([10, 0, 0, 1], 8443).into();
        let forwarding = Forwarding::new(client, server, trust, None, policy);
        set_forwarded(&mut headers, &forwarding, Some("app.example"));
        headers
    }

    #[test]
    fn a_strangers_claims_are_replaced_in_every_spelling() {
        let headers = forwarded(
            Trust::Stranger,
            &Headers::default(),
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x_forwarded_for", "1.2.3.4"),
                ("x-forwarded-client-cert", "By=x"),
                ("forwarded", "for=1.2.3.4"),
                ("x-real-ip", "1.2.3.4"),
                ("ssl-client-verify", "SUCCESS"),
                ("ssl_client_verify", "SUCCESS"),
                ("client-cert", ":AAAA:"),
                ("x-mine", "kept"),
            ],
        );
        assert_eq!(headers.len(), 5, "{headers:?}");
        for (name, value) in [
            (name::X_FORWARDED_FOR, "192.0.2.7"),
            (name::X_FORWARDED_PROTO, "https"),
            (name::X_FORWARDED_HOST, "app.example"),
            (name::X_FORWARDED_PORT, "8443"),
        ] {
            assert_eq!(headers.only(name).unwrap(), value);
        }
    }

    #[test]
    fn lines_say_what_fields_say() {
        let host = "app.example";
        let (client, server) = (([192, 0, 2, 7], 999).into(), ([10, 0, 0, 1], 8443).into());
        let policy = Headers::default();
        let of = |trust| Forwarding::new(client, server, trust, None, &policy);
        for in_clear in [false, true] {
            for host in [None, Some(host)] {
                let forwarding = || match in_clear {
                    true => of(Trust::Stranger).in_clear(),
                    false => of(Trust::Stranger),
                };
                let mut told = Fields::default();
                set_forwarded(&mut told, &forwarding(), host);
                let mut encoded = Vec::new();
                for name in [
                    name::X_FORWARDED_FOR,
                    name::X_FORWARDED_PROTO,
                    name::X_FORWARDED_PORT,
                    name::X_FORWARDED_HOST,
                ] {
                    if let Some(value) = told.get(name) {
                        encode_field(name, value, &mut encoded);
                    }
                }
                let lines = forwarding().in_lines();
                let mut claims = fields(&[("x-forwarded-for", "1.2.3.4")]);
                set_forwarded(&mut claims, &lines, host);
                assert!(claims.is_empty());
                assert_eq!(lines.lines(host).concat(), encoded);
                assert!(forwarding().lines(host).concat().is_empty());
            }
        }
        let continued = of(Trust::Proxy).in_lines();
        assert!(continued.lines(Some(host)).concat().is_empty());
    }

    #[test]
    fn a_trusted_proxys_headers_are_continued_and_look_alikes_still_go() {
        let headers = forwarded(
            Trust::Proxy,
            &Headers::default(),
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "5.6.7.8"),
                ("x-forwarded-proto", "http"),
                ("x_forwarded_for", "6.6.6.6"),
            ],
        );
        let chain = headers.only(name::X_FORWARDED_FOR).unwrap();
        assert_eq!(chain, "1.2.3.4, 5.6.7.8, 192.0.2.7");
        assert_eq!(headers.only(name::X_FORWARDED_PROTO).unwrap(), "http");
        assert!(!headers.has(Name::from_static("x_forwarded_for")));
    }

    #[test]
    fn forwarded_is_written_when_asked_for() {
        let policy = Headers {
            forwarded: true,
            ..Headers::default()
        };
        let headers = forwarded(Trust::Proxy, &policy, &[("forwarded", "for=1.2.3.4")]);
        assert_eq!(
            headers.only(name::FORWARDED).unwrap(),
            "for=1.2.3.4, for=192.0.2.7;proto=https;host=\"app.example\""
        );
    }

    #[test]
    fn trust_is_by_network_and_sees_through_mapped_addresses() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let of = |peer: &str| Trust::of(peer.parse().unwrap(), &trusted);
        assert_eq!(of("10.1.2.3:1"), Trust::Proxy);
        assert_eq!(of("[::ffff:10.1.2.3]:1"), Trust::Proxy);
        assert_eq!(of("11.1.2.3:1"), Trust::Stranger);
    }
}
