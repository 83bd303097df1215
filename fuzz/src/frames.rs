//! Frames of HTTP/2 that a description builds: plausible enough to come far, wrong in every way
//! that fields, streams and lengths can be.
//!
//! Field sections are literals of HPACK by hand, so that nothing corrects them on the way. Each
//! request carries a tag by which it is known at the application.

use std::fmt;

use arbitrary::{Arbitrary, Unstructured};

/// The field by which a request is known again.
pub const TAG: &str = "x-tag";

/// A request as the client made it.
pub struct Sent {
    pub tag: String,
    /// All fields of its head, pseudo-fields too, in their order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether its end was sent, and nothing took it back before.
    pub is_ended: bool,
    /// Whether its head came in more than one frame.
    pub is_cut: bool,
    stream: u32,
    is_open: bool,
}

#[derive(Debug, Arbitrary)]
enum Frame<'a> {
    Head {
        stream: u8,
        head: Head<'a>,
        end: bool,
        cut: Option<u8>,
        padding: Option<u8>,
        priority: bool,
    },
    Simple {
        method: u8,
        path: u8,
        length: Option<u8>,
    },
    Data {
        stream: u8,
        bytes: &'a [u8],
        end: bool,
        padding: Option<u8>,
    },
    Trailers {
        stream: u8,
        fields: Vec<Field<'a>>,
        end: bool,
    },
    Reset(u8, u8),
    Priority(u8, u8),
    Settings(Vec<(u8, u32)>),
    Window(u8, u32),
    Ping(bool),
    Goaway(u8),
    Continuation(u8, Vec<Field<'a>>, bool),
    Other(u8, u8, u8, &'a [u8]),
    Raw(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
struct Head<'a> {
    method: u8,
    path: Value<'a>,
    authority: Value<'a>,
    scheme: u8,
    /// Which pseudo-fields are missing, twice or late.
    odd: u8,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Arbitrary)]
struct Field<'a> {
    name: Value<'a>,
    value: Value<'a>,
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    Known(u8),
    Free(&'a [u8]),
}

const METHODS: [&str; 12] = [
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "G T", "GET\r\n",
    "",
];
const PATHS: [&str; 12] = [
    "/",
    "/a?b=c",
    "/switch",
    "*",
    "",
    "a",
    "/a b",
    "/\r\nX: y",
    "/%00",
    "http://b/",
    "/a#b",
    "/\u{e4}",
];
const AUTHORITIES: [&str; 12] = [
    "a.example",
    "a:443",
    "",
    "a b",
    "u@a",
    "a\r\nX: y",
    "[::1]:443",
    "a,b",
    "b",
    "a:99999",
    "/",
    "a\0b",
];
const SCHEMES: [&str; 4] = ["https", "http", "", "ht\r\ntp"];
const NAMES: [&str; 32] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "te",
    "cookie",
    "upgrade",
    "x-a",
    "keep-alive",
    "proxy-connection",
    "expect",
    "trailer",
    "x-forwarded-for",
    "x_forwarded_for",
    ":method",
    ":path",
    ":authority",
    ":status",
    ":protocol",
    ":scheme",
    "X-A",
    "x a",
    "x\r\ny",
    "",
    "x:",
    "forwarded",
    "authorization",
    "x-request-id",
    "x-real-ip",
    "http2-settings",
    "sec-websocket-key",
    "x\0",
];
const VALUES: [&str; 32] = [
    "",
    "0",
    "1",
    "5",
    "5, 5",
    "+5",
    "18446744073709551616",
    "05",
    "chunked",
    "gzip, chunked",
    "trailers",
    "close",
    "a=1",
    "websocket",
    "100-continue",
    "a",
    "a\r\nX-B: c",
    "a\nb",
    "a\rb",
    "a\0b",
    " a",
    "a ",
    "a\tb",
    "\u{e4}",
    "1.2.3.4",
    "a.example",
    "b",
    "x-a",
    "upgrade",
    "2",
    "a\u{7f}",
    "/",
];

impl<'a> Value<'a> {
    fn of(&self, known: &[&'static str]) -> &'a [u8] {
        match self {
            Self::Known(index) => known[usize::from(*index) % known.len()].as_bytes(),
            Self::Free(bytes) => &bytes[..bytes.len().min(300)],
        }
    }
}

/// The frames that `description` describes, and the requests in them; `None` where frames by hand
/// stand among them, which may say anything.
pub fn build(description: &[u8]) -> (Vec<u8>, Option<Vec<Sent>>) {
    let mut source = Unstructured::new(description);
    let mut builder = Builder::default();
    while !source.is_empty() && builder.frames < 60 && builder.bytes.len() < 60_000 {
        let Ok(frame) = Frame::arbitrary(&mut source) else {
            break;
        };
        builder.add(&frame);
        builder.frames += 1;
    }
    let sent = (!builder.is_by_hand).then_some(builder.sent);
    (builder.bytes, sent)
}

#[derive(Default)]
struct Builder {
    bytes: Vec<u8>,
    sent: Vec<Sent>,
    frames: usize,
    is_by_hand: bool,
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// Mostly one of eight streams that a client may open; sometimes none that it may.
fn stream(choice: u8) -> u32 {
    match choice {
        0..=239 => u32::from(choice % 8) * 2 + 1,
        other => u32::from(other - 240),
    }
}

impl Builder {
    fn add(&mut self, frame: &Frame<'_>) {
        match frame {
            Frame::Head {
                stream: id,
                head,
                end,
                cut,
                padding,
                priority,
            } => {
                let id = stream(*id);
                let fields = head.fields();
                let block = self.open(id, fields, *end);
                if let Some(sent) = self.sent.last_mut() {
                    sent.is_cut |= cut.is_some() && sent.stream == id;
                }
                self.head(id, &block, *end, *cut, *padding, *priority);
            }
            Frame::Simple {
                method,
                path,
                length,
            } => {
                let id = self.next_stream();
                let head = Head {
                    method: method % 6,
                    path: Value::Known(path % 3),
                    authority: Value::Known(0),
                    scheme: 0,
                    odd: 0,
                    fields: Vec::new(),
                };
                let mut fields = head.fields();
                let body = vec![b'x'; usize::from(length.unwrap_or(0))];
                if length.is_some() {
                    let length = body.len().to_string();
                    fields.push((b"content-length".to_vec(), length.into_bytes()));
                }
                let is_end = body.is_empty();
                let block = self.open(id, fields, is_end);
                self.head(id, &block, is_end, None, None, false);
                if !is_end {
                    self.data(id, &body, true, None);
                }
            }
            Frame::Data {
                stream: id,
                bytes,
                end,
                padding,
            } => {
                self.data(stream(*id), &bytes[..bytes.len().min(2000)], *end, *padding);
            }
            Frame::Trailers {
                stream: id,
                fields,
                end,
            } => {
                let id = stream(*id);
                if let Some(sent) = self.open_on(id) {
                    sent.is_ended |= *end;
                    sent.is_open = false;
                }
                let block: Vec<u8> = fields.iter().flat_map(Field::literal).collect();
                let end = if *end { END_STREAM } else { 0 };
                self.frame(1, END_HEADERS | end, id, &block);
            }
            Frame::Reset(id, code) => {
                let id = stream(*id);
                if let Some(sent) = self.open_on(id) {
                    sent.is_open = false;
                }
                self.frame(3, 0, id, &u32::from(*code).to_be_bytes());
            }
            Frame::Priority(id, on) => {
                let on = stream(*on).to_be_bytes();
                self.frame(2, 0, stream(*id), &[&on[..], &[16]].concat());
            }
            Frame::Settings(pairs) => {
                let pairs = pairs.iter().take(20).flat_map(|(name, value)| {
                    let name = u16::from(name % 10).to_be_bytes();
                    [&name[..], &value.to_be_bytes()].concat()
                });
                let pairs: Vec<u8> = pairs.collect();
                self.frame(4, 0, 0, &pairs);
            }
            Frame::Window(id, by) => {
                let id = if *id == 0 { 0 } else { stream(*id) };
                self.frame(8, 0, id, &by.to_be_bytes());
            }
            Frame::Ping(ack) => self.frame(6, u8::from(*ack), 0, b"fuzzfuzz"),
            Frame::Goaway(code) => self.frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, *code]),
            Frame::Continuation(id, fields, end) => {
                let block: Vec<u8> = fields.iter().flat_map(Field::literal).collect();
                let flags = if *end { END_HEADERS } else { 0 };
                self.frame(9, flags, stream(*id), &block);
            }
            Frame::Other(kind, flags, id, payload) => {
                self.is_by_hand = true;
                self.frame(
                    *kind,
                    *flags,
                    u32::from(*id),
                    &payload[..payload.len().min(200)],
                );
            }
            Frame::Raw(bytes) => {
                self.is_by_hand = true;
                self.bytes.extend_from_slice(&bytes[..bytes.len().min(200)]);
            }
        }
    }

    /// A request begins; returns its field section.
    fn open(&mut self, stream: u32, mut fields: Vec<(Vec<u8>, Vec<u8>)>, end: bool) -> Vec<u8> {
        // On a stream that has a request these are trailers, or an error.
        if let Some(sent) = self.open_on(stream) {
            sent.is_ended |= end;
            sent.is_open = false;
        }
        let tag = format!("{stream}-{}", self.frames);
        fields.push((TAG.into(), tag.clone().into_bytes()));
        let block = fields
            .iter()
            .flat_map(|(name, value)| literal(name, value))
            .collect();
        self.sent.push(Sent {
            tag,
            fields,
            body: Vec::new(),
            is_ended: end,
            stream,
            is_cut: false,
            is_open: !end,
        });
        block
    }

    fn open_on(&mut self, stream: u32) -> Option<&mut Sent> {
        let mut open = self.sent.iter_mut();
        open.find(|sent| sent.stream == stream && sent.is_open)
    }

    fn next_stream(&self) -> u32 {
        let last = self.sent.iter().map(|sent| sent.stream).max();
        last.map_or(1, |last| (last + 1) | 1)
    }

    fn head(
        &mut self,
        id: u32,
        block: &[u8],
        end: bool,
        cut: Option<u8>,
        padding: Option<u8>,
        priority: bool,
    ) {
        let cut = cut.map_or(block.len(), |at| usize::from(at) % (block.len() + 1));
        let (first, rest) = block.split_at(cut);
        let mut flags = if end { END_STREAM } else { 0 };
        if rest.is_empty() {
            flags |= END_HEADERS;
        }
        let mut payload = Vec::new();
        if let Some(padding) = padding {
            flags |= PADDED;
            payload.push(padding);
        }
        if priority {
            flags |= PRIORITY;
            payload.extend_from_slice(&[0, 0, 0, 0, 16]);
        }
        payload.extend_from_slice(first);
        payload.extend(vec![0; usize::from(padding.unwrap_or(0))]);
        self.frame(1, flags, id, &payload);
        if !rest.is_empty() {
            self.frame(9, END_HEADERS, id, rest);
        }
    }

    fn data(&mut self, id: u32, bytes: &[u8], end: bool, padding: Option<u8>) {
        if let Some(sent) = self.open_on(id) {
            sent.body.extend_from_slice(bytes);
            sent.is_ended |= end;
            sent.is_open &= !end;
        }
        let mut flags = if end { END_STREAM } else { 0 };
        let mut payload = Vec::new();
        if let Some(padding) = padding {
            flags |= PADDED;
            payload.push(padding);
        }
        payload.extend_from_slice(bytes);
        payload.extend(vec![0; usize::from(padding.unwrap_or(0))]);
        self.frame(0, flags, id, &payload);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.bytes.extend_from_slice(&length[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream.to_be_bytes());
        self.bytes.extend_from_slice(payload);
    }
}

impl Head<'_> {
    fn fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pick =
            |known: &[&'static str], index: u8| known[usize::from(index) % known.len()].as_bytes();
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":method", pick(&METHODS, self.method)),
            (b":scheme", pick(&SCHEMES, self.scheme)),
            (b":path", self.path.of(&PATHS)),
            (b":authority", self.authority.of(&AUTHORITIES)),
        ];
        let mut fields = Vec::new();
        let mut late = Vec::new();
        for (index, (name, value)) in pseudo.into_iter().enumerate() {
            let field = (name.to_vec(), value.to_vec());
            // Half of all heads have their pseudo-fields as they should be.
            match (self.odd >= 128, self.odd >> (2 * (index % 3)) & 3) {
                (true, 1) => {}
                (true, 2) => fields.extend([field.clone(), field]),
                (true, 3) => late.push(field),
                _ => fields.push(field),
            }
        }
        let others = self.fields.iter().take(40).map(|field| {
            (
                field.name.of(&NAMES).to_vec(),
                field.value.of(&VALUES).to_vec(),
            )
        });
        fields.extend(others);
        fields.extend(late);
        fields
    }
}

impl Field<'_> {
    fn literal(&self) -> Vec<u8> {
        literal(self.name.of(&NAMES), self.value.of(&VALUES))
    }
}

/// A literal without indexing and with a new name (RFC 7541 section 6.2.2), nothing in Huffman.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // An integer of a prefix of seven bits (RFC 7541 section 5.1).
        match text.len() {
            short @ ..127 => field.push(short as u8),
            long => {
                field.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    field.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                field.push(rest as u8);
            }
        }
        field.extend_from_slice(text);
    }
    field
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.stream)?;
        for (name, value) in &self.fields {
            write!(f, " | {}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        let body = self.body.escape_ascii().to_string();
        write!(f, " | body {body:?}, ended: {}", self.is_ended)
    }
}
