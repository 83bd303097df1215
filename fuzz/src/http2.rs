//! The oracle of HTTP/2: what reaches the HTTP/1 application is exactly framed, carries no byte
//! that a field could not, and is a request that the client made whole.
//!
//! An input that begins with an odd byte describes frames ([`crate::frames`]), and then it is known
//! what each request said; any other is the bytes behind the preface.

use tls_sidecar::tls::Alpn;

use crate::forwarded;
use crate::frames::{self, Sent};
use crate::proxy::{self, Client, Seen};
use crate::report::{Finding, report};
use crate::strict::{self, Request};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS without a setting.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Holds the proxy to the oracle for `input`.
pub fn hold(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let (bytes, sent) = match mode % 2 {
        1 => frames::build(rest),
        _ => (rest.to_vec(), None),
    };
    // The second bit: at once, or with the preface on its own.
    let begin = [PREFACE, SETTINGS].concat();
    let whole = [begin.as_slice(), &bytes].concat();
    let pieces = match mode & 2 {
        0 => vec![whole.as_slice()],
        _ => vec![begin.as_slice(), &bytes],
    };
    let outcome = proxy::converse(&Client {
        alpn: Alpn::H2,
        pieces,
        leaves: mode & 4 != 0,
    });
    for seen in &outcome.seen {
        let result = judge(seen, sent.as_deref());
        report(input, result);
    }
}

fn judge(seen: &Seen, sent: Option<&[Sent]>) -> Result<(), Finding> {
    let (request, is_whole) = match seen {
        Seen::Refused(why, bytes) => {
            let class = format!("upstream: {}", why.0);
            return Err(Finding::new(class, bytes.escape_ascii().to_string()));
        }
        Seen::Whole(request) => (request, true),
        Seen::Switched(request, _) | Seen::Part(Some(request), _) => (request, false),
        // The beginning of a head says nothing that could be compared.
        Seen::Part(None, _) => return Ok(()),
    };
    forwarded::hold(request)?;
    let Some(sent) = sent else { return Ok(()) };
    let wrong = |what: &str, sent: &dyn std::fmt::Debug| {
        let seen = format!("application: {request:?}\nclient: {sent:?}");
        Err(Finding::new(format!("passed: {what}"), seen))
    };
    let tags: Vec<&[u8]> = request.all(frames::TAG.as_bytes()).collect();
    let [tag] = tags.as_slice() else {
        return wrong("a request without its tag", &tags);
    };
    let Some(sent) = sent.iter().find(|sent| sent.tag.as_bytes() == *tag) else {
        return wrong("a request nobody made", &tags);
    };
    match difference(sent, request, is_whole) {
        Some(what) => wrong(what, sent),
        None => Ok(()),
    }
}

fn difference(sent: &Sent, seen: &Request, is_whole: bool) -> Option<&'static str> {
    let only = |name: &[u8]| {
        let mut values = sent.fields.iter().filter(|(one, _)| one == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value.as_slice()),
            (Some((_, value)), _) if sent.is_cut => Some(value.as_slice()),
            _ => None,
        }
    };
    let switches = only(b":protocol").is_some();
    let pseudo = sent
        .fields
        .iter()
        .skip_while(|(name, _)| name.starts_with(b":"));
    let is_late = pseudo.clone().any(|(name, _)| name.starts_with(b":"));
    let is_twice = [&b":method"[..], b":scheme", b":path", b":authority"]
        .iter()
        .any(|name| sent.fields.iter().filter(|(one, _)| one == name).count() > 1);
    // h2 forgets that a head is malformed when a frame of it ends inside of a field; what is wrong
    // is dropped all the same, and the first of two pseudo-fields counts.
    let is_judged = !sent.is_cut;
    if is_judged && (is_late || is_twice) {
        return Some("H2-10 a pseudo-field late or twice");
    }
    let mut names = sent.fields.iter().map(|(name, _)| name);
    if is_judged && names.any(|name| is_of_the_connection(name)) {
        return Some("H2-10 a field of the connection");
    }
    // Also a late `:protocol` is dropped of a head in pieces.
    let may_switch = switches && seen.method == b"GET";
    let may_stay = !switches || sent.is_cut;
    if !may_switch && !(may_stay && only(b":method")? == seen.method) {
        return Some("another method");
    }
    // The `http` crate drops a fragment before anything of ours can see it.
    let path = only(b":path").and_then(|path| path.split(|&byte| byte == b'#').next());
    if path != Some(&seen.target[..]) {
        return Some("another target");
    }
    let host = only(b":authority").or(only(b"host"));
    if host != seen.host().as_deref() {
        return Some("another host");
    }
    // Of a head that came in pieces h2 may have dropped what it found wrong.
    let may_be_dropped = |name: &[u8]| {
        let is_wrong = name.is_empty() || name.starts_with(b":") || name == b"te";
        sent.is_cut && (is_wrong || is_of_the_connection(name))
    };
    let is_padded =
        |(name, value): &(Vec<u8>, Vec<u8>)| strict::trim(value) != value && !may_be_dropped(name);
    if sent.fields.iter().any(is_padded) {
        return Some("H2-10 white space around a value");
    }
    let is_foreign = |field: &&(Vec<u8>, Vec<u8>)| {
        !forwarded::is_the_proxys(&field.0)
            && !field.0.starts_with(b"sec-websocket-")
            && !sent.fields.contains(field)
    };
    if seen.headers.iter().find(is_foreign).is_some() {
        return Some("a field nobody sent");
    }
    if is_whole && !switches {
        let declared = only(b"content-length").and_then(strict::decimal);
        // A body of the declared length is whole whether or not its end was said.
        if !sent.is_ended && declared != Some(sent.body.len() as u64) {
            return Some("a request that is not whole");
        }
        if sent.body != seen.body {
            return Some("another body");
        }
        let lengths = sent
            .fields
            .iter()
            .filter(|(name, _)| name == b"content-length");
        let length = sent.body.len().to_string();
        for (_, declared) in lengths {
            let digits = declared.iter().position(|&b| b != b'0');
            let digits = digits.map_or(&b"0"[..], |at| &declared[at..]);
            if digits != length.as_bytes() {
                return Some("H2-10 a body of another length");
            }
        }
    }
    None
}

/// RFC 9113 section 8.2.2.
fn is_of_the_connection(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.contains(&name)
}
