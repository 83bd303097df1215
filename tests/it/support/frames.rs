//! HTTP/2 frame by frame (RFC 9113 section 4.1), for what no library would send.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::h1::Wire;
use super::sidecar::Served;
use super::wait::within;

/// Frame types.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Flags of HEADERS and DATA.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
/// Error codes.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let code = &self.payload[self.payload.len().min(8) - 4..];
        u32::from_be_bytes(code[..4].try_into().unwrap())
    }
}

/// A connection that says whatever a test writes.
#[derive(Debug)]
pub(crate) struct Frames {
    wire: Wire<TlsStream<TcpStream>>,
}

impl Frames {
    /// Connects and sends the preface with empty SETTINGS.
    pub(crate) async fn connect(served: &Served) -> Self {
        let mut frames = Self::silent(served).await;
        let preface = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[]),
        ];
        frames.write(&preface.concat()).await.unwrap();
        frames
    }

    /// Connects and sends nothing.
    pub(crate) async fn silent(served: &Served) -> Self {
        let client = served.client().alpn(&["h2"]);
        Self {
            wire: client.http1(served.address()).await.unwrap(),
        }
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write(bytes).await
    }

    /// The next frame; `None` at a clean end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        let reading = async {
            let Some(header) = self.wire.read_exact_or_end(9).await? else {
                return Ok(None);
            };
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let stream = u32::from_be_bytes(header[5..9].try_into().unwrap()) & 0x7fff_ffff;
            Ok(Some(Frame {
                kind: header[3],
                flags: header[4],
                stream,
                payload: self.wire.read_exact(length as usize).await?,
            }))
        };
        within("an HTTP/2 frame", reading).await
    }

    /// The next frame that `wanted` takes; others are passed over.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let next = self.next().await.unwrap();
            let next = next.expect("the connection ended before the frame that was waited for");
            if wanted(&next) {
                return next;
            }
        }
    }

    /// All frames to the end of the connection, which is a clean one.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await.unwrap() {
            frames.push(frame);
        }
        frames
    }

    /// Both halves, for writing and reading at once.
    pub(crate) fn into_stream(self) -> TlsStream<TcpStream> {
        self.wire.into_stream()
    }
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of literals without indexing (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value.as_bytes()] {
            string(&mut block, text);
        }
    }
    block
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
pub(crate) fn string(block: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        short @ ..127 => block.push(short as u8),
        mut rest => {
            block.push(127);
            rest -= 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 0x80);
                rest /= 128;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text);
}

/// The pseudo-header fields of a request for `path`, and `more`.
pub(crate) fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    fields.extend_from_slice(more);
    block(&fields)
}

/// A whole GET for `/` on `stream`.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &request("GET", "/", &[]),
    )
}

/// The beginning of a POST for `/` on `stream`.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("POST", "/", &[]))
}
