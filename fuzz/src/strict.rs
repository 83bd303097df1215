//! A second reader of HTTP/1 requests, strict and independent (RFC 9112).
//!
//! It shares no line with the proxy or with hyper and repairs nothing: where two readers could
//! disagree about a message, it refuses it and says why. Both sides of the proxy are read with it,
//! and what it makes of them must be the same.

use std::fmt;

/// One request as framed.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub minor: u8,
    /// Names in lower case, in their order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub enum Framed {
    /// A request and the bytes it takes.
    Whole(Request, usize),
    /// Nothing, or the beginning of something; with its head, where that is whole.
    Part(Option<Request>),
    /// No request may be made of it; with its head, where only the body is at fault.
    Refused(Why, Option<Request>),
}

/// Why something is refused, and the case of FAULTS that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why(pub &'static str);

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Where the body of a request ends.
enum Length {
    None,
    Bytes(u64),
    Chunked,
}

/// The end of a line and what follows it, or why there is none.
enum Line<'a> {
    Whole(&'a [u8], &'a [u8]),
    Part,
}

/// Reads the request at the beginning of `bytes`.
pub fn frame(bytes: &[u8]) -> Framed {
    let mut rest = bytes;
    // RFC 9112 section 2.2: empty lines before a request are ignored.
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    let (mut request, rest) = match head(rest) {
        Ok(Some(found)) => found,
        Ok(None) => return Framed::Part(None),
        Err(why) => return Framed::Refused(why, None),
    };
    let length = match judge(&request) {
        Ok(length) => length,
        Err(why) => return Framed::Refused(why, None),
    };
    match body(&length, rest) {
        Ok(Some((body, trailers, rest))) => {
            request.body = body;
            request.trailers = trailers;
            Framed::Whole(request, bytes.len() - rest.len())
        }
        Ok(None) => Framed::Part(Some(request)),
        Err(why) => Framed::Refused(why, Some(request)),
    }
}

fn line(bytes: &[u8]) -> Result<Line<'_>, Why> {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => return Err(Why("H1-08 bare LF")),
            b'\r' => {
                return match bytes.get(at + 1) {
                    Some(b'\n') => Ok(Line::Whole(&bytes[..at], &bytes[at + 2..])),
                    Some(_) => Err(Why("H1-07 bare CR")),
                    None => Ok(Line::Part),
                };
            }
            0 => return Err(Why("H1-07 NUL")),
            _ => {}
        }
    }
    Ok(Line::Part)
}

/// Request line and fields.
fn head(bytes: &[u8]) -> Result<Option<(Request, &[u8])>, Why> {
    let Line::Whole(first, rest) = line(bytes)? else {
        return Ok(None);
    };
    let mut words = first.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Why("H1-10 request line of other than three words"));
    };
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(Why("H1-10 version")),
    };
    if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
        return Err(Why("H1-10 method is no token"));
    }
    if method.iter().any(u8::is_ascii_lowercase) {
        return Err(Why("H1-10 method in lower case"));
    }
    if !is_target(method, target) {
        return Err(Why("H1-10 target"));
    }
    let Some((headers, rest)) = fields(rest)? else {
        return Ok(None);
    };
    let request = Request {
        method: method.to_vec(),
        target: target.to_vec(),
        minor,
        headers,
        body: Vec::new(),
        trailers: Vec::new(),
    };
    Ok(Some((request, rest)))
}

/// Field lines up to and with the empty one.
fn fields(mut rest: &[u8]) -> Result<Option<(Fields, &[u8])>, Why> {
    let mut fields = Vec::new();
    loop {
        let Line::Whole(text, after) = line(rest)? else {
            return Ok(None);
        };
        rest = after;
        if text.is_empty() {
            return Ok(Some((fields, rest)));
        }
        if matches!(text[0], b' ' | b'\t') {
            return Err(Why("H1-07 folded or indented field line"));
        }
        let Some(colon) = text.iter().position(|&b| b == b':') else {
            return Err(Why("H1-07 field line without colon"));
        };
        let (name, value) = (&text[..colon], trim(&text[colon + 1..]));
        if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
            return Err(Why("H1-07 field name is no token"));
        }
        if value.iter().any(|&b| b == 0x7f || (b < 0x20 && b != b'\t')) {
            return Err(Why("H1-07 control in a field value"));
        }
        fields.push((name.to_ascii_lowercase(), value.to_vec()));
    }
}

/// What must hold of a head, and where its body ends.
fn judge(request: &Request) -> Result<Length, Why> {
    host(request)?;
    for value in request.all(b"connection") {
        for option in value.split(|&b| b == b',') {
            if is_unlistable(&trim(option).to_ascii_lowercase()) {
                return Err(Why("H1-12 Connection lists what it must not"));
            }
        }
    }
    let codings: Vec<_> = request.all(b"transfer-encoding").collect();
    let lengths: Vec<_> = request.all(b"content-length").collect();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Length::None),
        ([_, ..], [_, ..]) => Err(Why("H1-01 Content-Length and Transfer-Encoding")),
        ([_, ..], []) if request.minor == 0 => Err(Why("H1-03 Transfer-Encoding on HTTP/1.0")),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
        ([_, ..], []) => Err(Why("H1-02 Transfer-Encoding is not one chunked")),
        ([], [digits]) => decimal(digits)
            .map(Length::Bytes)
            .ok_or(Why("H1-04 Content-Length is no number")),
        ([], _) => Err(Why("H1-04 Content-Length twice")),
    }
}

fn host(request: &Request) -> Result<(), Why> {
    let hosts: Vec<_> = request.all(b"host").collect();
    match hosts.as_slice() {
        [] if request.minor == 0 => {}
        [] => return Err(Why("H1-09 no Host")),
        [host] if is_host(host) => {}
        [_] => return Err(Why("H1-09 Host is no host")),
        _ => return Err(Why("H1-09 Host twice")),
    }
    if let (Some(authority), Some(host)) = (authority(&request.target), hosts.first())
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err(Why("H1-09 Host differs from the target"));
    }
    Ok(())
}

type Body<'a> = (Vec<u8>, Fields, &'a [u8]);

fn body<'a>(length: &Length, rest: &'a [u8]) -> Result<Option<Body<'a>>, Why> {
    match length {
        Length::None => Ok(Some((Vec::new(), Vec::new(), rest))),
        Length::Bytes(n) => {
            let Some((body, rest)) = usize::try_from(*n)
                .ok()
                .and_then(|n| rest.split_at_checked(n))
            else {
                return Ok(None);
            };
            Ok(Some((body.to_vec(), Vec::new(), rest)))
        }
        Length::Chunked => chunks(rest),
    }
}

fn chunks(mut rest: &[u8]) -> Result<Option<Body<'_>>, Why> {
    let mut body = Vec::new();
    loop {
        let Line::Whole(text, after) = line(rest).map_err(|_| Why("H1-05 chunk line end"))? else {
            return Ok(None);
        };
        let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&text[..digits])
            .ok()
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .ok_or(Why("H1-05 chunk size"))?;
        extension(&text[digits..])?;
        rest = after;
        if size == 0 {
            return Ok(fields(rest)?.map(|(trailers, rest)| (body, trailers, rest)));
        }
        let Some((data, after)) = usize::try_from(size)
            .ok()
            .and_then(|size| rest.split_at_checked(size))
        else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        rest = match after {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(Why("H1-05 no CRLF behind a chunk")),
        };
    }
}

/// RFC 9112 section 7.1.1: what stands behind the size begins with a semicolon.
fn extension(text: &[u8]) -> Result<(), Why> {
    let begins = match trim_start(text) {
        [] => text.is_empty(),
        [first, ..] => *first == b';',
    };
    if !begins {
        return Err(Why("H1-05 chunk size"));
    }
    if text.iter().any(|&b| b == 0x7f || (b < 0x20 && b != b'\t')) {
        return Err(Why("H1-06 control in a chunk extension"));
    }
    Ok(())
}

impl Request {
    /// The values of every line called `name`.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.headers.iter().filter(move |(one, _)| one == name);
        lines.map(|(_, value)| value.as_slice())
    }

    /// Whether a `Connection` line has `option`.
    pub fn has_option(&self, option: &[u8]) -> bool {
        self.all(b"connection").any(|line| {
            line.split(|&b| b == b',')
                .any(|one| trim(one).eq_ignore_ascii_case(option))
        })
    }

    /// Whether another request may follow on the connection (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        match self.minor {
            0 => self.has_option(b"keep-alive") && !self.has_option(b"close"),
            _ => !self.has_option(b"close"),
        }
    }

    /// The target as an application has to see it: without scheme and authority.
    pub fn path(&self) -> Vec<u8> {
        let Some(authority) = authority(&self.target) else {
            return self.target.clone();
        };
        let scheme = if self.target[..5].eq_ignore_ascii_case(b"http:") {
            7
        } else {
            8
        };
        match &self.target[scheme + authority.len()..] {
            // RFC 9112 section 3.2.4.
            [] if self.method == b"OPTIONS" => b"*".to_vec(),
            path @ ([] | [b'?', ..]) => [b"/", path].concat(),
            path => path.to_vec(),
        }
    }

    /// The host it is for, which HTTP/1.0 need not say.
    pub fn host(&self) -> Option<Vec<u8>> {
        let line = self.all(b"host").next();
        line.or_else(|| authority(&self.target)).map(<[u8]>::to_vec)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (self.method.escape_ascii(), self.target.escape_ascii());
        write!(f, "{method} {target} HTTP/1.{}", self.minor)?;
        for (name, value) in self.headers.iter().chain(&self.trailers) {
            write!(f, " | {}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        write!(f, " | body {:?}", self.body.escape_ascii().to_string())
    }
}

fn is_target(method: &[u8], target: &[u8]) -> bool {
    let visible = target.iter().all(|&b| b.is_ascii_graphic() && b != b'#');
    visible
        && match target {
            b"*" => method == b"OPTIONS",
            [b'/', ..] => true,
            _ if method == b"CONNECT" => is_host(target),
            _ => authority(target).is_some_and(is_host),
        }
}

/// The authority of a target in absolute form.
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    let rest = [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (begin, rest) = target.split_at_checked(scheme.len())?;
            begin.eq_ignore_ascii_case(scheme).then_some(rest)
        })?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?'));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// `uri-host [":" port]` (RFC 3986 section 3.2.2) with at least one byte of host, and a port that
/// a socket can have.
pub fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => match rest.iter().position(|&b| b == b']') {
            Some(end) => (&text[..end + 2], &rest[end + 1..]),
            None => return false,
        },
        _ => match text.iter().position(|&b| b == b':') {
            Some(colon) => text.split_at(colon),
            None => (text, &b""[..]),
        },
    };
    let host_is_good = match host {
        [b'[', inner @ .., b']'] => {
            !inner.is_empty()
                && inner
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        _ => {
            !host.is_empty()
                && host
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b))
        }
    };
    let port_is_good = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => decimal(digits).is_some_and(|port| port <= 65_535),
        _ => false,
    };
    host_is_good && port_is_good
}

/// Names that no client may have removed (H1-12).
pub fn is_unlistable(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"cookie",
        b"authorization",
        b"forwarded",
        b"x-real-ip",
    ];
    NAMES.contains(&name) || name.starts_with(b"x-forwarded-")
}

/// Digits alone, of a number that fits.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 9110 section 5.6.2.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without the optional white space around it: space and tab, nothing else.
pub fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|b| !matches!(b, b' ' | b'\t'));
    &text[..end.map_or(0, |end| end + 1)]
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t'));
    &text[start.unwrap_or(text.len())..]
}
