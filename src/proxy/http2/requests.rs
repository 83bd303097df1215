//! Header sections as they come, and the requests that begin with them (RFC 9113 sections 6.2, 6.10 and
//! 8.1).
//!
//! Invariant: every section is decoded, whatever becomes of its stream, because the next one builds on
//! it.

use std::sync::Arc;

use http::{Method, Version};

use super::head::{Section, Unsound};
use super::stream::{AnswerHalf, By, RequestHalf};
use super::{Connection, STREAM_WINDOW, upload};
use crate::fields::name;
use crate::http2::block::First;
use crate::http2::frame::{END_HEADERS, END_STREAM, Fault, Header, Reason};
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::message::{Protocol, Request};
use crate::proxy::body::Incoming;
use crate::proxy::http as handling;
use crate::proxy::http::Handling;
use crate::proxy::http1::HeadFault;

impl<F: Handling> Connection<F> {
    pub(super) fn headers(&mut self, header: Header, payload: &[u8]) -> Result<(), Fault> {
        let first = First::of(header, payload)?;
        if header.has(END_HEADERS) {
            return self.section(header, first.depends_on_itself, first.block);
        }
        self.begun = Some(first.begin(header));
        Ok(())
    }

    pub(super) fn continuation(&mut self, header: Header, payload: &[u8]) -> Result<(), Fault> {
        let Some(begun) = &mut self.begun else {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        };
        begun.append(payload, self.settings.most_header_bytes)?;
        if !header.has(END_HEADERS) {
            return Ok(());
        }
        match self.begun.take() {
            Some(begun) => self.section(begun.header, begun.depends_on_itself, &begun.block),
            None => Ok(()),
        }
    }

    /// A header section is whole.
    fn section(&mut self, header: Header, is_wrong: bool, block: &[u8]) -> Result<(), Fault> {
        let mut section = Section::new(self.settings.most_header_bytes, block.len());
        // Whatever becomes of the stream: the table has to be that of the client.
        let decoded = self.decoder.decode(block, |field| section.add(field));
        decoded.map_err(|_| Fault::Connection(Reason::COMPRESSION_ERROR))?;
        let id = header.stream;
        if id <= self.newest || id.is_multiple_of(2) {
            return self.second_section(header, section);
        }
        self.newest = id;
        if self.is_too_late(id) {
            self.past.add(id, By::Us);
            return self.budget.in_vain().map_err(Fault::Connection);
        }
        if is_wrong {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        if self.streams.len() >= self.settings.most_streams {
            self.reset(id, Reason::REFUSED_STREAM);
            return Ok(());
        }
        let length = section.length();
        match section.request(&mut self.known) {
            Ok(request) => self.open(header, request, length),
            Err(Unsound::Malformed) => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
            Err(Unsound::TooLarge) => {
                self.open_half(id, header.has(END_STREAM), None, false);
                let refused =
                    handling::refused(&self.context, HeadFault::TOO_LARGE, Version::HTTP_2);
                self.answer(id, refused);
                self.streams.claim_turn(id);
                Ok(())
            }
        }
    }

    /// A header section has come on a stream that had one.
    fn second_section(&mut self, header: Header, section: Section) -> Result<(), Fault> {
        let id = header.stream;
        let Some(stream) = self.streams.find(id) else {
            return match self.past.find(id) {
                Some(By::Us) => self.budget.in_vain().map_err(Fault::Connection),
                Some(By::Client) => Err(Fault::Connection(Reason::STREAM_CLOSED)),
                None => Err(Fault::Connection(Reason::PROTOCOL_ERROR)),
            };
        };
        if stream.request.is_over {
            return Err(Fault::Connection(Reason::STREAM_CLOSED));
        }
        // RFC 9113 section 8.1: trailers end the request, which has to be as long as it said.
        let is_whole = header.has(END_STREAM) && stream.request.left.is_none_or(|left| left == 0);
        match section.trailers() {
            Ok(trailers) if is_whole => {
                self.end_request(id, Some(trailers));
                Ok(())
            }
            _ => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
        }
    }

    /// Begins to answer `request`, whose body has a declared `length`.
    fn open(
        &mut self,
        header: Header,
        request: Request<()>,
        length: Option<u64>,
    ) -> Result<(), Fault> {
        let (id, is_over) = (header.stream, header.has(END_STREAM));
        if is_over && length.is_some_and(|length| length > 0) {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let is_tunnel = request.extensions.get::<Protocol>().is_some();
        let is_head = request.method == Method::HEAD;
        self.open_half(id, is_over, length, is_tunnel);
        let Some(stream) = self.streams.find(id) else {
            return Ok(());
        };
        stream.is_head = is_head;
        let mut body = upload::Incoming::default();
        if !is_over {
            let expects = request.fields.has(name::EXPECT);
            let (source, incoming) = upload::body(length, expects, &stream.wake);
            (stream.request.source, body) = (Some(source), incoming);
        }
        let request = request.map(|()| Incoming::Http2(body));
        let handling = (self.handle)(Arc::clone(&self.context), request);
        stream.handling.set(Some(handling));
        self.streams.claim_turn(id);
        Ok(())
    }

    fn open_half(&mut self, id: u32, is_over: bool, left: Option<u64>, is_tunnel: bool) {
        let half = RequestHalf {
            is_over,
            window: ReceiveWindow::new(STREAM_WINDOW),
            source: None,
            left,
            is_tunnel,
        };
        let window = SendWindow::new(self.settings.theirs.initial_window);
        self.streams.open(id, |exchange, _| {
            (exchange.request, exchange.answer) = (half, AnswerHalf::new(window));
        });
    }
}
