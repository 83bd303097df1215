//! `/ws`: a WebSocket (RFC 6455) that sends back every text and binary message.
//!
//! hyper does the upgrade and tungstenite the frames, over two buffers in memory; this file moves
//! the bytes between those and the connection. Pings are answered and a close is confirmed by
//! tungstenite itself. A peer that sends and does not read is not read from either.

use std::io::{self, Read, Write};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::answer::{self, Answer};

/// A message is held whole before it goes back.
const LONGEST_MESSAGE: usize = 16 << 20;

/// Asked of the connection at once.
const READ_SIZE: usize = 16 << 10;

/// 101 and an echo in its own task; 426 for a plain GET, 400 without a key.
pub(super) fn answer(mut request: Request<Incoming>) -> Answer {
    if !asks_for_websocket(request.headers()) {
        let line = "this is a WebSocket: open it with `new WebSocket(...)` or websocat, \
                    with Upgrade: websocket and Sec-WebSocket-Version: 13";
        let mut answer = answer::text(StatusCode::UPGRADE_REQUIRED, line);
        upgrade_to_websocket(answer.headers_mut());
        answer.headers_mut().insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        return answer;
    }
    let accept = request
        .headers()
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let Some(accept) = accept else {
        let line = "Sec-WebSocket-Key is missing: give 16 random bytes in base64";
        return answer::text(StatusCode::BAD_REQUEST, line);
    };
    super::spawn(session(hyper::upgrade::on(&mut request)));
    let mut answer = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    upgrade_to_websocket(answer.headers_mut());
    answer
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

fn upgrade_to_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket")
        && lists(headers, header::SEC_WEBSOCKET_VERSION, "13")
}

/// Whether `word` is an element of any line of `name`.
fn lists(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let lines = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|element| element.trim().eq_ignore_ascii_case(word))
}

async fn session(upgrade: OnUpgrade) {
    if let Ok(upgraded) = upgrade.await {
        // A peer that vanishes is the end of its session and of nothing else.
        let _ = echo(TokioIo::new(upgraded)).await;
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut wire = Wire::default();
    loop {
        let step = step(&mut context, &mut wire);
        stream.write_all(&wire.outgoing).await?;
        wire.outgoing.clear();
        if step == Step::Over {
            return stream.shutdown().await;
        }
        wire.incoming.reserve(READ_SIZE);
        wire.ended = stream.read_buf(&mut wire.incoming).await? == 0;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    WantsBytes,
    Over,
}

/// Answers all that has arrived; what goes back stands in `wire`.
fn step(context: &mut WebSocketContext, wire: &mut Wire) -> Step {
    loop {
        let done = match context.read(wire) {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => context.write(wire, message),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match done.and_then(|()| context.flush(wire)) {
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Step::WantsBytes;
            }
            Err(_) => return Step::Over,
        }
    }
}

/// What tungstenite reads from and writes to: never blocks, only runs dry.
#[derive(Debug, Default)]
struct Wire {
    incoming: BytesMut,
    outgoing: Vec<u8>,
    ended: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = buffer.len().min(self.incoming.len());
        if size == 0 && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (Some(to), Some(from)) = (buffer.get_mut(..size), self.incoming.get(..size)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        self.incoming.advance(size);
        Ok(size)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrade_words_are_found_in_any_line_and_case() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(header::CONNECTION, HeaderValue::from_static("x, UPGRADE"));
        headers.append(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(!asks_for_websocket(&headers), "the version is missing");
        headers.append(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        assert!(asks_for_websocket(&headers));
    }

    #[test]
    fn half_a_frame_wants_more_bytes() {
        let mut context = WebSocketContext::new(Role::Server, None);
        let mut wire = Wire::default();
        wire.incoming.extend_from_slice(&[0x81, 0x82, 1, 2]);
        assert_eq!(step(&mut context, &mut wire), Step::WantsBytes);
        wire.incoming.extend_from_slice(&[3, 4, b'h' ^ 1, b'i' ^ 2]);
        assert_eq!(step(&mut context, &mut wire), Step::WantsBytes);
        assert_eq!(wire.outgoing, [0x81, 2, b'h', b'i']);
    }

    #[test]
    fn end_without_close_is_over() {
        let mut context = WebSocketContext::new(Role::Server, None);
        let mut wire = Wire {
            ended: true,
            ..Wire::default()
        };
        assert_eq!(step(&mut context, &mut wire), Step::Over);
    }
}
