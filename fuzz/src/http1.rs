//! The oracle of HTTP/1: the application was sent exactly the requests that the client framed, in
//! their order, up to the first that is refused; and of that one nothing arrived.

use tls_sidecar::tls::Alpn;

use crate::forwarded;
use crate::proxy::{self, Client, MARK, Outcome, SWITCH, Seen};
use crate::report::{Finding, report};
use crate::strict::{self, Framed, Request, Why};

/// What the strict reader makes of the client's bytes.
struct Sent {
    requests: Vec<Request>,
    end: End,
}

/// How the client's bytes end.
enum End {
    /// Nothing more, or nothing that counts: behind a request that closes, or a switch.
    Over(Vec<u8>),
    /// In the middle of a request; its head, where that is whole.
    Part(Option<Request>),
    /// In what is no request.
    Refused(Why, Option<Request>),
}

/// Holds the proxy to the oracle for `input`, the bytes of one connection.
pub fn hold(input: &[u8]) {
    let client = client(input);
    let outcome = proxy::converse(&client);
    let granted = b"HTTP/1.1 101 ";
    let switched = outcome.answers.windows(granted.len()).any(|w| w == granted);
    let sent = Sent::of(input, switched);
    let result = judge(&sent, &outcome, client.leaves);
    report(input, result);
}

/// The bytes decide how they are cut up, so that an input always does the same.
fn client(input: &[u8]) -> Client<'_> {
    let mut dice = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice % sides as u64) as usize
    };
    let leaves = roll(8) == 0;
    let pieces = match roll(4) {
        0 | 1 => vec![input],
        2 if input.len() <= 400 => input.chunks(1).collect(),
        _ => {
            let mut pieces = Vec::new();
            let mut rest = input;
            while !rest.is_empty() && pieces.len() < 16 {
                let (piece, after) = rest.split_at(1 + roll(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            pieces
        }
    };
    Client {
        alpn: Alpn::Http1,
        pieces,
        leaves,
    }
}

impl Sent {
    /// `switched` says that the application granted a switch: from there on bytes are bytes.
    fn of(mut bytes: &[u8], switched: bool) -> Self {
        let mut requests = Vec::new();
        let end = loop {
            match strict::frame(bytes) {
                Framed::Whole(request, length) => {
                    bytes = &bytes[length..];
                    let switches = switched && is_switch(&request);
                    let goes_on = request.keeps_alive() && !switches;
                    requests.push(request);
                    if !goes_on {
                        break End::Over(bytes.to_vec());
                    }
                }
                Framed::Part(head) => break End::Part(head),
                Framed::Refused(why, head) => break End::Refused(why, head),
            }
        };
        Self { requests, end }
    }
}

fn is_switch(request: &Request) -> bool {
    let protocol = request.all(b"upgrade").next();
    // What is no text, or a list, the application cannot have granted: its 101 says it whole, which
    // names nothing that was asked for.
    let may_be_granted = |name: &[u8]| {
        let is_one = name.is_ascii() && !name.contains(&b',');
        is_one && !name.to_ascii_lowercase().starts_with(b"h2c")
    };
    request.minor == 1
        && request.path().starts_with(SWITCH)
        && request.has_option(b"upgrade")
        && protocol.is_some_and(may_be_granted)
}

fn judge(sent: &Sent, outcome: &Outcome, leaves: bool) -> Result<(), Finding> {
    let mut left = sent.requests.iter();
    for seen in &outcome.seen {
        match seen {
            Seen::Refused(why, bytes) => {
                let class = format!("upstream: {}", why.0);
                return Err(Finding::new(class, bytes.escape_ascii().to_string()));
            }
            Seen::Whole(request) => {
                forwarded::hold(request)?;
                find(sent, &mut left, request)?;
            }
            Seen::Switched(request, bytes) => {
                forwarded::hold(request)?;
                find(sent, &mut left, request)?;
                let rest = match &sent.end {
                    End::Over(rest) => rest.as_slice(),
                    End::Part(_) | End::Refused(..) => b"",
                };
                if !rest.starts_with(bytes) {
                    let seen = bytes.escape_ascii().to_string();
                    return Err(Finding::new("H1-17 other bytes in the tunnel", seen));
                }
            }
            Seen::Part(Some(head), _) => part(sent, &mut left, head)?,
            Seen::Part(None, bytes) => {
                if left.as_slice().is_empty()
                    && matches!(sent.end, End::Over(_) | End::Refused(_, None))
                {
                    let seen = bytes.escape_ascii().to_string();
                    return Err(Finding::new("upstream: bytes of no request", seen));
                }
            }
        }
    }
    answers(sent, outcome, leaves)
}

/// Finds the client's request that `seen` is; those before it were refused.
fn find(
    sent: &Sent,
    left: &mut std::slice::Iter<'_, Request>,
    seen: &Request,
) -> Result<(), Finding> {
    let first = left.as_slice().first();
    if left.any(|request| difference(request, seen, Body::Whole).is_none()) {
        return Ok(());
    }
    let text = format!("application: {seen:?}\nclient: {first:?}");
    Err(match (first, &sent.end) {
        (Some(request), _) => {
            let difference = difference(request, seen, Body::Whole).unwrap_or_default();
            Finding::new(
                format!("changed: {}", kind(&difference)),
                format!("{difference}\n{text}"),
            )
        }
        (None, End::Refused(why, _)) => Finding::new(format!("passed: {}", why.0), text),
        (None, End::Part(_)) => Finding::new("passed: a request that is not whole", text),
        (None, End::Over(_)) => Finding::new("passed: more than was sent", text),
    })
}

/// A request that was broken off is one of the client's, or the one its bytes end in.
fn part(
    sent: &Sent,
    left: &mut std::slice::Iter<'_, Request>,
    head: &Request,
) -> Result<(), Finding> {
    let is_last = match &sent.end {
        End::Part(Some(last)) | End::Refused(_, Some(last)) => {
            difference(last, head, Body::Part).is_none()
        }
        _ => false,
    };
    let mut rest = left.clone();
    if rest.any(|request| difference(request, head, Body::Part).is_none()) {
        *left = rest;
        return Ok(());
    }
    if is_last {
        return Ok(());
    }
    let why = match &sent.end {
        End::Refused(why, _) => why.0,
        End::Part(_) | End::Over(_) => "nothing of the client's",
    };
    Err(Finding::new(format!("began: {why}"), format!("{head:?}")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Whole,
    Part,
}

/// What the application sees otherwise than the client said it.
fn difference(sent: &Request, seen: &Request, body: Body) -> Option<String> {
    if sent.method != seen.method {
        return Some("method".to_owned());
    }
    if sent.path() != seen.target {
        return Some("target".to_owned());
    }
    let host = sent.host().unwrap_or_else(|| b"localhost".to_vec());
    if seen.host() != Some(host) {
        return Some("host".to_owned());
    }
    if body == Body::Whole && sent.body != seen.body {
        return Some("body".to_owned());
    }
    if let Some(trailer) = seen
        .trailers
        .iter()
        .find(|field| !sent.trailers.contains(field))
    {
        return Some(format!("trailer: {trailer:?}"));
    }
    forwarded::same_fields(sent, seen).err()
}

fn kind(difference: &str) -> &str {
    difference.split(':').next().unwrap_or_default()
}

/// Every request that was answered by the application reached it, and what is refused was told so.
fn answers(sent: &Sent, outcome: &Outcome, leaves: bool) -> Result<(), Finding> {
    let show = || outcome.answers.escape_ascii().to_string();
    let mut rest = outcome.answers.as_slice();
    let (mut passed, mut count, mut closes) = (0, 0, false);
    while !rest.is_empty() {
        let request = sent.requests.get(count);
        let body = match request {
            Some(request) if request.method == b"HEAD" => HasBody::No,
            Some(_) => HasBody::Yes,
            // Of what is no request it is not known whether it was a HEAD.
            None => HasBody::Perhaps,
        };
        let Some((answer, after)) = Answer::read(rest, body) else {
            return Err(Finding::new("an answer that is none", show()));
        };
        rest = after;
        if answer.status == 100 {
            continue;
        }
        passed += usize::from(answer.is_applications);
        closes = answer.closes;
        if answer.status == 101 {
            return Ok(());
        }
        let is_good = answer.is_applications || answer.status >= 400;
        if !is_good {
            return Err(Finding::new(
                format!("an answer of {}", answer.status),
                show(),
            ));
        }
        if request.is_none() {
            let class = match &sent.end {
                End::Refused(why, _) if answer.is_applications => format!("answered: {}", why.0),
                End::Over(_) => "answered: nothing of the client's".to_owned(),
                _ if answer.is_applications => "answered: a request that is not whole".to_owned(),
                // Behind a refusal the connection closes.
                _ if rest.is_empty() => return Ok(()),
                _ => "more answers than requests".to_owned(),
            };
            return Err(Finding::new(class, show()));
        }
        count += 1;
    }
    let reached = outcome
        .seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Whole(_) | Seen::Switched(..)))
        .count();
    if passed > reached {
        return Err(Finding::new("an answer nobody gave", show()));
    }
    match &sent.end {
        End::Refused(why, None) if count == sent.requests.len() && !leaves && !closes => Err(
            Finding::new(format!("refused without a word: {}", why.0), show()),
        ),
        _ => Ok(()),
    }
}

/// An answer as the client reads it.
struct Answer {
    status: u16,
    is_applications: bool,
    closes: bool,
}

/// Whether the length that an answer declares is that of a body behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HasBody {
    Yes,
    No,
    Perhaps,
}

impl Answer {
    /// The answer at the beginning of `bytes`; its own have a length, and so has the application's.
    fn read(bytes: &[u8], body: HasBody) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, mut rest) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]);
        let mut lines = head.split("\r\n");
        let status: u16 = lines
            .next()?
            .strip_prefix("HTTP/1.1 ")
            .or(head.strip_prefix("HTTP/1.0 "))?
            .get(..3)?
            .parse()
            .ok()?;
        let (mut length, mut is_applications, mut closes) = (0, false, false);
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "connection" => closes = value.split(", ").any(|option| option == "close"),
                name => is_applications |= name == MARK,
            }
        }
        let is_bare = match body {
            HasBody::Yes => false,
            // Words to a HEAD harm nobody where nothing can follow them.
            HasBody::No => !(closes && rest.len() == length),
            HasBody::Perhaps => rest.is_empty(),
        };
        if status >= 200 && !is_bare {
            rest = rest.get(length..)?;
        }
        let answer = Self {
            status,
            is_applications,
            closes,
        };
        Some((answer, rest))
    }
}
