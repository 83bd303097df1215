//! What must hold of every head that reaches the application, whoever sent it.

use crate::proxy::CLIENT;
use crate::report::Finding;
use crate::strict::{self, Request};

/// Removed whether listed in `Connection` or not (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&[u8]; 5] = [
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"http2-settings",
];
/// Never in trailers: framing, routing and authentication (RFC 9110 section 6.5.1).
const NOT_IN_TRAILERS: [&[u8]; 9] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"te",
    b"trailer",
    b"authorization",
    b"cookie",
    b"upgrade",
];

/// Holds the head of `request`, which the application was sent.
pub fn hold(request: &Request) -> Result<(), Finding> {
    let wrong = |what: &str| {
        Err(Finding::new(
            format!("upstream: {what}"),
            format!("{request:?}"),
        ))
    };
    if request.minor != 1 {
        return wrong("not HTTP/1.1");
    }
    if !request.target.starts_with(b"/") && request.target != b"*" {
        return wrong("the target is no path");
    }
    if matches!(&request.method[..], b"CONNECT" | b"TRACE") {
        return wrong("a method that is never passed on");
    }
    if let Some((name, _)) = request
        .headers
        .iter()
        .find(|(name, _)| HOP_BY_HOP.contains(&&name[..]))
    {
        return wrong(&format!("hop-by-hop {}", name.escape_ascii()));
    }
    for option in request.all(b"connection") {
        if option != b"te" && option != b"upgrade" {
            return wrong("a Connection of the client's");
        }
    }
    if request.all(b"te").any(|value| value != b"trailers") {
        return wrong("a TE of the client's");
    }
    if request.headers.iter().any(|(name, _)| is_look_alike(name)) {
        return wrong("a look-alike of a header of ours");
    }
    let client = std::net::Ipv4Addr::from(CLIENT.0).to_string();
    let host = request.host().unwrap_or_default();
    let ours: [(&[u8], &[u8]); 4] = [
        (b"x-forwarded-for", client.as_bytes()),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-host", &host),
    ];
    for (name, expected) in ours {
        let values: Vec<_> = request.all(name).collect();
        // An HTTP/1.0 client may name no host.
        let is_absent_host =
            name == b"x-forwarded-host" && values.is_empty() && host == b"localhost";
        if values != [expected] && !is_absent_host {
            return wrong(&format!("{} is not ours", name.escape_ascii()));
        }
    }
    if request.all(b"x-request-id").count() != 1 {
        return wrong("not one x-request-id");
    }
    if request.all(b"cookie").count() > 1 {
        return wrong("more than one Cookie line");
    }
    for (name, _) in &request.trailers {
        if NOT_IN_TRAILERS.contains(&&name[..]) || is_claim(name) {
            return wrong(&format!("H1-06 trailer {}", name.escape_ascii()));
        }
    }
    Ok(())
}

/// Whether `name` would be read as a header of ours by an application that knows no `_`.
fn is_look_alike(name: &[u8]) -> bool {
    name.contains(&b'_') && is_claim(&dashed(name))
}

/// Names that say who the client is.
pub fn is_claim(name: &[u8]) -> bool {
    let name = dashed(name);
    const NAMES: [&[u8]; 5] = [
        b"forwarded",
        b"x-real-ip",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
    ];
    const PREFIXES: [&[u8]; 12] = [
        b"x-forwarded-",
        b"client-cert",
        b"x-client-cert",
        b"x-client-dn",
        b"x-client-verify",
        b"x-ssl-client",
        b"x-ssl-cert",
        b"x-tls-client",
        b"ssl-client",
        b"x-amzn-mtls-",
        b"x-arr-clientcert",
        b"cf-client-cert",
    ];
    NAMES.contains(&&name[..]) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn dashed(name: &[u8]) -> Vec<u8> {
    name.iter()
        .map(|&b| if b == b'_' { b'-' } else { b })
        .collect()
}

/// Whether the proxy removes, replaces or adds a header called `name`.
pub fn is_the_proxys(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [
        b"host",
        b"connection",
        b"te",
        b"upgrade",
        b"transfer-encoding",
        b"content-length",
        b"x-request-id",
        b"cookie",
        b"trailer",
    ];
    // A look-alike of framing is removed as one of a claim is.
    let dashed = dashed(name);
    let name = dashed.as_slice();
    NAMES.contains(&name) || HOP_BY_HOP.contains(&name) || is_claim(name)
}

/// Whether the fields of `to` are those of `from`, but for what the proxy does to them.
pub fn same_fields(from: &Request, to: &Request) -> Result<(), String> {
    let listed: Vec<Vec<u8>> = from
        .all(b"connection")
        .flat_map(|line| line.split(|&b| b == b','))
        .map(|option| strict::trim(option).to_ascii_lowercase())
        .filter(|option| option != b"close" && option != b"keep-alive")
        .collect();
    let own = |request: &Request| -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, _)| !is_the_proxys(name) && !listed.contains(name))
            .cloned()
            .collect();
        // Lines of one name keep their order, names need not.
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields
    };
    let (sent, got) = (own(from), own(to));
    if sent != got {
        let missing = sent.iter().find(|field| !got.contains(field));
        let added = got.iter().find(|field| !sent.contains(field));
        return Err(format!(
            "fields differ: missing {missing:?}, added {added:?}"
        ));
    }
    let leaked = to
        .headers
        .iter()
        .find(|(name, _)| listed.contains(name) && !is_the_proxys(name));
    match leaked {
        Some((name, _)) => Err(format!("listed in Connection: {}", name.escape_ascii())),
        None => Ok(()),
    }
}
