//! HTTP/2 frames written by hand: an application that speaks HTTP/2 badly, byte for byte.
//!
//! It knows enough to see where a request begins (HEADERS) and nothing of what is in it.

use std::io;

use super::application::Conn;

/// END_STREAM of DATA and HEADERS; ACK of SETTINGS and PING.
pub(crate) const END: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PREFACE_END: &[u8] = b"SM\r\n\r\n";

/// Frame types.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// SETTINGS identifiers.
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// What it is.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// Its stream; 0 for the connection.
    pub(crate) stream: u32,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SETTINGS with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in values {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// HEADERS with these fields, none of them from a table; `flags` may hold [`END`].
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // RFC 7541 section 6.2.2: a literal with a new name, not indexed.
        block.push(0);
        for text in [name, value] {
            hpack_length(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// RFC 7541 section 5.1, with a prefix of seven bits and no Huffman coding.
fn hpack_length(length: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).unwrap());
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// DATA; `flags` may hold [`END`].
pub(crate) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

/// RST_STREAM with this code.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// GOAWAY that names `last` and this code.
pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

/// A whole good answer of two bytes.
pub(crate) fn ok(stream: u32) -> Vec<u8> {
    let fields = [(":status", "200"), ("content-length", "2")];
    [headers(stream, 0, &fields), data(stream, END, b"ok")].concat()
}

impl Conn {
    /// Reads the client's preface and sends these SETTINGS.
    pub(crate) async fn open_http2(&mut self, values: &[(u16, u32)]) -> io::Result<()> {
        self.read_until(PREFACE_END).await?;
        self.write(settings(values)).await
    }

    /// The next frame, whatever it is.
    pub(crate) async fn read_frame(&mut self) -> io::Result<Frame> {
        let head = self.read_exact(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.read_exact(length as usize).await?,
        })
    }

    /// The stream of the next request; SETTINGS and PING are answered, all else is passed over.
    pub(crate) async fn read_request(&mut self) -> io::Result<u32> {
        loop {
            let read = self.read_frame().await?;
            match read.kind {
                HEADERS => return Ok(read.stream),
                SETTINGS if read.flags & END == 0 => {
                    self.write(frame(SETTINGS, END, 0, b"")).await?;
                }
                PING if read.flags & END == 0 => {
                    self.write(frame(PING, END, 0, &read.payload)).await?;
                }
                _ => {}
            }
        }
    }
}
