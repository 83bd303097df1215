//! Parsed heads: the check of host and target, and what becomes of headers on their way.
//!
//! The input is text in the shape of a head; what is no header to the `http` crate is left out.

use std::net::SocketAddr;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use tls_sidecar::config::{Config, Settings};
use tls_sidecar::fields::{Fields, name};
use tls_sidecar::message::Request;
use tls_sidecar::proxy::{Policy, fuzzing};

use crate::proxy::CLIENT;
use crate::report::{Finding, report};
use crate::{forwarded, strict};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let settings = Settings {
        hsts: Some("max-age=1".to_owned()),
        forwarded: Some("on".to_owned()),
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        set_header: vec!["x-set: ours".to_owned()],
        remove_header: vec!["x-removed".to_owned()],
        ..Settings::default()
    };
    let config = Config::resolve(settings).unwrap();
    Policy {
        listen: config.listen,
        http: config.http,
        headers: config.headers,
        protocol: config.upstream.target.protocol,
        proxy_protocol_out: config.upstream.proxy_protocol,
    }
});

/// `METHOD TARGET VERSION` and lines of `Name: value`.
fn head(input: &[u8]) -> Option<Request<()>> {
    let mut lines = input.split(|&b| b == b'\n');
    let mut words = lines.next()?.split(|&b| b == b' ');
    let mut request = Request::new(());
    request.method = Method::from_bytes(words.next()?).ok()?;
    request.uri = Uri::try_from(words.next()?).ok()?;
    request.version = match words.next()? {
        b"1.0" => Version::HTTP_10,
        b"2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    request.fields = fields(lines);
    Some(request)
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Fields {
    let mut fields = Fields::default();
    for line in lines.take(200) {
        // What is no field is left out.
        let _ = fields.append_line(line);
    }
    fields
}

/// The same as a map, for whoever compares and tells what it found.
fn map(fields: &Fields) -> HeaderMap {
    HeaderMap::try_from(fields).unwrap()
}

/// Holds the check of host and target.
pub fn hold_authority(input: &[u8]) {
    let Some(request) = head(input) else { return };
    let seen = || format!("{request:?} {:?}", map(&request.fields));
    let hosts: Vec<_> = request.fields.all(name::HOST).collect();
    let authority = request.uri.authority().map(|a| a.as_str().as_bytes());
    let wrong = match fuzzing::check(&request) {
        Err(_) => None,
        Ok(None)
            if hosts.is_empty() && authority.is_none() && request.version == Version::HTTP_10 =>
        {
            None
        }
        Ok(None) => Some("no host where one is needed"),
        Ok(Some(host)) if !strict::is_host(host.as_bytes()) => Some("a host that is none"),
        Ok(Some(_)) if hosts.len() > 1 => Some("more than one Host"),
        Ok(Some(host)) if hosts.first().is_some_and(|line| *line != host.as_str()) => {
            Some("another Host")
        }
        Ok(Some(host)) if authority.is_some_and(|a| !a.eq_ignore_ascii_case(host.as_bytes())) => {
            Some("Host differs from the authority")
        }
        Ok(Some(_)) if matches!(request.method, Method::CONNECT | Method::TRACE) => {
            Some("the method")
        }
        Ok(Some(_)) if !is_path(&request) => Some("the target is no path"),
        Ok(Some(_))
            if lists_what_it_must_not(&request.fields) && request.version < Version::HTTP_2 =>
        {
            Some("Connection lists what it must not")
        }
        Ok(Some(_)) => None,
    };
    let result = wrong.map_or(Ok(()), |wrong| {
        Err(Finding::new(format!("passed: {wrong}"), seen()))
    });
    report(input, result);
}

fn is_path(request: &Request<()>) -> bool {
    match request.uri.path() {
        "*" => request.method == Method::OPTIONS,
        path => path.starts_with('/'),
    }
}

fn lists_what_it_must_not(fields: &Fields) -> bool {
    fields
        .all(name::CONNECTION)
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .any(|option| strict::is_unlistable(&strict::trim(option).to_ascii_lowercase()))
}

/// Holds what becomes of headers, both ways: a stranger's, a trusted proxy's and an answer's.
pub fn hold_rewriting(input: &[u8]) {
    let fields = fields(input.split(|&b| b == b'\n'));
    report(input, strangers(&fields));
    report(input, trusted_proxys(&fields));
    report(input, answers(&fields));
}

fn strangers(fields: &Fields) -> Result<(), Finding> {
    let abusive = fuzzing::is_abusive(fields);
    if lists_what_it_must_not(fields) && !abusive {
        return Err(Finding::new(
            "Connection lists what it must not",
            format!("{:?}", map(fields)),
        ));
    }
    if abusive {
        return Ok(());
    }
    let host = HeaderValue::from_static("app.example");
    let mut rewritten = fields.clone();
    fuzzing::to_upstream(&mut rewritten, CLIENT.into(), Some("app.example"), &POLICY);
    let mut rewritten = map(&rewritten);
    rewritten.insert("host", host);
    let (from, to) = (request(&map(fields)), request(&rewritten));
    let forwarded: Vec<_> = to.all(b"forwarded").collect();
    if forwarded != [&b"for=198.51.100.7;proto=https;host=\"app.example\""[..]] {
        return Err(Finding::new("Forwarded is not ours", format!("{to:?}")));
    }
    forwarded::hold(&to)?;
    forwarded::same_fields(&from, &to).map_err(|what| Finding::new("fields differ", what))
}

fn trusted_proxys(fields: &Fields) -> Result<(), Finding> {
    let proxy = SocketAddr::from(([10, 0, 0, 1], 1));
    let mut rewritten = fields.clone();
    fuzzing::to_upstream(&mut rewritten, proxy, None, &POLICY);
    let rewritten = map(&rewritten);
    let chain: Vec<_> = rewritten.get_all("x-forwarded-for").iter().collect();
    let [chain] = chain.as_slice() else {
        return Err(Finding::new(
            "not one X-Forwarded-For",
            format!("{rewritten:?}"),
        ));
    };
    if !chain.as_bytes().ends_with(b"10.0.0.1") {
        return Err(Finding::new(
            "the chain does not end with the peer",
            format!("{chain:?}"),
        ));
    }
    let look_alike = rewritten
        .keys()
        .find(|name| name.as_str().contains('_') && forwarded::is_claim(name.as_str().as_bytes()));
    match look_alike {
        Some(name) => Err(Finding::new("a look-alike", name.as_str())),
        None => Ok(()),
    }
}

fn answers(fields: &Fields) -> Result<(), Finding> {
    let mut rewritten = fields.clone();
    fuzzing::to_downstream(&mut rewritten, &POLICY);
    let once = map(&rewritten);
    let left = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "x-removed",
    ];
    if let Some(name) = left.into_iter().find(|name| once.contains_key(*name)) {
        return Err(Finding::new(
            format!("downstream: {name}"),
            format!("{once:?}"),
        ));
    }
    if once.get_all("x-set").iter().ne(["ours"]) || !once.contains_key("strict-transport-security")
    {
        return Err(Finding::new(
            "downstream: the operator's headers",
            format!("{once:?}"),
        ));
    }
    fuzzing::to_downstream(&mut rewritten, &POLICY);
    match once == map(&rewritten) {
        true => Ok(()),
        false => Err(Finding::new(
            "downstream: not the same twice",
            format!("{once:?}"),
        )),
    }
}

fn request(headers: &HeaderMap) -> strict::Request {
    let lines = headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()));
    strict::Request {
        method: b"GET".to_vec(),
        target: b"/".to_vec(),
        minor: 1,
        headers: lines.collect(),
        body: Vec::new(),
        trailers: Vec::new(),
    }
}
