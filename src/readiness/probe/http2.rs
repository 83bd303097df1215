//! One question over HTTP/2 with prior knowledge, on a connection of its own (RFC 9113 section 3.3).
//!
//! Nothing but the status of the answer is of interest. Invariant: nothing is kept beyond what a head of
//! the default size takes.

use std::pin::Pin;

use http::StatusCode;

use super::{ProbeError, USER_AGENT, no_answer};
use crate::fields::{self, Name, Value};
use crate::hpack::{self, Asked, Decoder, Field, Pseudo};
use crate::http2::block::{Begun, First};
use crate::http2::frame::{
    ACK, END_HEADERS, END_STREAM, Fault, HEADER, HTTP1, Header, Kind, PREFACE,
};
use crate::http2::sending::Sender;
use crate::http2::{intake, settings};
use crate::message::Read;
use crate::net::Stream;

/// Read at once.
const READ: usize = 4 * 1024;
/// Bytes of a header section.
const MOST_HEADER_BYTES: usize = 64 * 1024;
/// The one stream.
const STREAM: u32 = 1;

/// A question and what has come of it.
struct Question {
    stream: Stream,
    sender: Sender,
    read: Read,
    is_opened: bool,
    /// A header block that has not ended yet.
    begun: Option<Begun>,
    decoder: Decoder,
}

/// The status with which `path` of `authority` is answered.
///
/// # Errors
/// Why no answer comes.
pub(super) async fn ask(
    stream: Stream,
    authority: &str,
    path: &str,
) -> Result<StatusCode, ProbeError> {
    let mut question = Question {
        stream,
        sender: Sender::default(),
        read: Read::default(),
        is_opened: false,
        begun: None,
        decoder: Decoder::new(hpack::DEFAULT_SIZE),
    };
    question.put(authority, path);
    loop {
        question.flush().await?;
        if let Some(status) = question.frame().await? {
            return Ok(status);
        }
    }
}

impl Question {
    fn put(&mut self, authority: &str, path: &str) {
        let asked = Asked {
            method: "GET",
            protocol: None,
            authority,
            path,
        };
        let output = &mut self.sender.output;
        output.raw(PREFACE);
        let ours = settings::payload(&[(settings::ENABLE_PUSH, 0)]);
        output.frame(Kind::Settings, 0, 0, &ours);
        self.sender.section(STREAM, END_STREAM, |encoder, block| {
            encoder.request(&asked, block);
            let value = Value::from_static(USER_AGENT);
            encoder.field(
                fields::Field::new(Name::from_static("user-agent"), value),
                block,
            );
        });
    }

    async fn flush(&mut self) -> Result<(), ProbeError> {
        let (output, stream) = (&mut self.sender.output, &mut self.stream);
        std::future::poll_fn(|cx| output.poll_write(stream, cx))
            .await
            .map_err(no_answer)
    }

    async fn more(&mut self) -> Result<(), ProbeError> {
        let (read, stream) = (&mut self.read, &mut self.stream);
        let n = std::future::poll_fn(|cx| read.poll_more(Pin::new(&mut *stream), cx, READ)).await;
        match n.map_err(no_answer)? {
            0 => Err(no_answer("closed without an answer")),
            _ if !self.is_opened && self.read.starts_with(HTTP1) => {
                Err(no_answer("HTTP/1 instead of HTTP/2"))
            }
            _ => Ok(()),
        }
    }

    /// Takes the next frame; the status, if that was in it.
    async fn frame(&mut self) -> Result<Option<StatusCode>, ProbeError> {
        let header = loop {
            match Header::read(&self.read) {
                Some(header) => break header,
                None => self.more().await?,
            }
        };
        let unsound = |fault| match fault {
            Fault::Connection(reason) | Fault::Stream(_, reason) => {
                no_answer(format_args!("not sound HTTP/2, {reason}"))
            }
        };
        intake::admit(header, &mut self.is_opened, self.begun.as_ref()).map_err(unsound)?;
        let whole = HEADER + header.length;
        while self.read.len() < whole {
            self.more().await?;
        }
        let payload = &self.read[HEADER..whole];
        let output = &mut self.sender.output;
        let mut block = None;
        match header.kind {
            Kind::Settings if !header.has(ACK) => output.frame(Kind::Settings, ACK, 0, &[]),
            Kind::Ping if !header.has(ACK) => output.frame(Kind::Ping, ACK, 0, payload),
            Kind::RstStream => return Err(no_answer("the stream was reset")),
            Kind::Headers => {
                let first = First::of(header, payload).map_err(unsound)?;
                block = Some(first.begin(header));
            }
            Kind::Continuation => {
                block = self.begun.take();
                if let Some(begun) = &mut block {
                    begun.append(payload, MOST_HEADER_BYTES).map_err(unsound)?;
                }
            }
            // Of a GOAWAY the end of the connection tells whether it was for this stream.
            _ => {}
        }
        self.read.skip(whole);
        match block {
            Some(begun) if header.has(END_HEADERS) => self.status(&begun.block),
            begun => {
                self.begun = begun;
                Ok(None)
            }
        }
    }

    /// The status of a header section, unless it is that of an interim answer.
    fn status(&mut self, block: &[u8]) -> Result<Option<StatusCode>, ProbeError> {
        let mut status = None;
        let decoded = self.decoder.decode(block, |field| {
            if let Field::Pseudo(Pseudo::Status, value) = field {
                status = StatusCode::from_bytes(&value).ok();
            }
        });
        decoded.map_err(no_answer)?;
        let status = status.ok_or_else(|| no_answer("an answer without a status"))?;
        Ok(Some(status).filter(|status| !status.is_informational()))
    }
}
