//! What the application sends, frame by frame (RFC 9113 sections 5.1 and 6).
//!
//! DATA is passed on as it arrives, everything else when the frame is whole. Invariant: every header
//! section is decoded, whatever becomes of its stream, because the next one builds on it.

use std::time::Instant;

use http::StatusCode;

use super::control;
use super::core::Core;
use super::failure::{Ended, Failure};
use super::head::Section;
use super::stream::{End, Exchange};
use crate::hpack::{self, Decoder};
use crate::http2::block::{Begun, First};
use crate::http2::frame::{
    ACK, END_HEADERS, END_STREAM, Fault, HEADER, HTTP1, Header, Kind, Reason,
};
use crate::http2::intake::{self, At, Data};
use crate::message::Read;
use crate::upstream::RequestBody;

/// Where a connection is in what the application sends.
#[derive(Debug)]
pub(super) struct Intake {
    at: At,
    /// A header block that has not ended yet.
    begun: Option<Begun>,
    decoder: Decoder,
    /// When what is looked at was read.
    now: Instant,
}

impl Intake {
    /// At the beginning.
    pub(super) fn new() -> Self {
        Self {
            at: At::Frame(None),
            begun: None,
            decoder: Decoder::new(hpack::DEFAULT_SIZE),
            now: Instant::now(),
        }
    }

    /// Takes what has been read, as far as it goes.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn receive<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        read: &mut Read,
    ) -> Result<(), Ended> {
        self.now = Instant::now();
        if !core.theirs.is_opened && read.starts_with(HTTP1) {
            return Err(Ended::Http1);
        }
        while !read.is_empty() {
            match self.at {
                // The preface is a client's.
                At::Preface(_) => self.at = At::Frame(None),
                At::Nothing(left) => {
                    let n = left.min(read.len());
                    read.skip(n);
                    self.at = At::nothing(left - n);
                }
                At::Data(data) => self.data(core, data, read),
                At::Frame(header) => {
                    let Some(header) = header.or_else(|| Header::read(read)) else {
                        return Ok(());
                    };
                    match self.frame(core, header, read) {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        Err(Fault::Connection(reason)) => return Err(Ended::Wrong(reason)),
                        Err(Fault::Stream(id, reason)) => {
                            core.reset(id, reason, Failure::Unsound("an answer that is not sound"));
                            self.pass_over(core, header, read);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes over a frame that ended its stream.
    fn pass_over<B: RequestBody>(&mut self, core: &mut Core<B>, header: Header, read: &mut Read) {
        read.skip(HEADER);
        self.at = At::nothing(header.length);
        if header.kind == Kind::Data {
            core.grant(header.length);
        }
    }

    /// Takes the frame that `read` begins with; whether it was there.
    fn frame<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        header: Header,
        read: &mut Read,
    ) -> Result<bool, Fault> {
        if self.at == At::Frame(None) {
            intake::admit(header, &mut core.theirs.is_opened, self.begun.as_ref())?;
            self.at = At::Frame(Some(header));
        }
        match header.kind {
            Kind::Data => return self.begin_data(core, header, read),
            Kind::Unknown => {
                read.skip(HEADER);
                self.at = At::nothing(header.length);
                return Ok(true);
            }
            _ => {}
        }
        let Some(payload) = read.get(HEADER..HEADER + header.length) else {
            return Ok(false);
        };
        match header.kind {
            Kind::Headers => self.headers(core, header, payload)?,
            Kind::Continuation => self.continuation(core, header, payload)?,
            Kind::RstStream => control::reset(core, header.stream, payload)?,
            Kind::Settings => control::settings(core, header, payload)?,
            Kind::Ping if !header.has(ACK) => {
                core.sender.output.frame(Kind::Ping, ACK, 0, payload);
            }
            Kind::GoAway => control::go_away(core, payload),
            Kind::WindowUpdate => control::window_update(core, header.stream, payload)?,
            Kind::Data | Kind::Ping | Kind::Priority | Kind::PushPromise | Kind::Unknown => {}
        }
        read.skip(HEADER + header.length);
        self.at = At::Frame(None);
        Ok(true)
    }

    fn headers<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let first = First::of(header, payload)?;
        if header.has(END_HEADERS) {
            return self.section(core, header, first.block);
        }
        self.begun = Some(first.begin(header));
        Ok(())
    }

    fn continuation<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let Some(begun) = &mut self.begun else {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        };
        begun.append(payload, core.limits.size as usize)?;
        if !header.has(END_HEADERS) {
            return Ok(());
        }
        match self.begun.take() {
            Some(begun) => self.section(core, begun.header, &begun.block),
            None => Ok(()),
        }
    }

    /// A header section is whole.
    fn section<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        header: Header,
        block: &[u8],
    ) -> Result<(), Fault> {
        let mut section = Section::new(core.limits);
        let decoded = self.decoder.decode(block, |field| section.add(field));
        decoded.map_err(|_| Fault::Connection(Reason::COMPRESSION_ERROR))?;
        let id = header.stream;
        if !core.is_known(id) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        }
        let Some(stream) = core.streams.find(id) else {
            // Of a stream that we have ended.
            return Ok(());
        };
        if stream.is_closed {
            return Ok(());
        }
        if !stream.answer.is_open() {
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED));
        }
        let taken = match stream.answer.is_begun {
            false => begin(stream, section, header.has(END_STREAM), self.now),
            true => trailers(stream, section, header.has(END_STREAM)),
        };
        match taken {
            Ok(()) => {
                stream.tell_reader();
                if stream.is_done() {
                    core.close(id);
                }
            }
            Err(Failure::TooLarge) => core.reset(id, Reason::CANCEL, Failure::TooLarge),
            Err(failure) => core.reset(id, Reason::PROTOCOL_ERROR, failure),
        }
        Ok(())
    }

    fn begin_data<B: RequestBody>(
        &mut self,
        core: &mut Core<B>,
        header: Header,
        read: &mut Read,
    ) -> Result<bool, Fault> {
        let Some((data, before)) = Data::open(header, read)? else {
            return Ok(false);
        };
        core.window
            .arrived(header.length)
            .map_err(Fault::Connection)?;
        let id = header.stream;
        if !core.is_known(id) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        }
        let Some(stream) = core.streams.find(id).filter(|stream| !stream.is_closed) else {
            self.pass_over(core, header, read);
            return Ok(true);
        };
        let is_head = stream.is_head;
        let answer = &mut stream.answer;
        if !answer.is_open() {
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED));
        }
        let wrong = Fault::Stream(id, Reason::PROTOCOL_ERROR);
        if !answer.is_begun || is_head && data.left > 0 {
            return Err(wrong);
        }
        let arrived = answer.window.arrived(header.length);
        arrived.map_err(|reason| Fault::Stream(id, reason))?;
        if let Some(left) = &mut answer.left {
            // RFC 9113 section 8.1.1: as long as it was said to be.
            let rest = left.checked_sub(data.left as u64);
            let rest = rest.filter(|rest| *rest == 0 || !data.is_end);
            if rest.is_none() {
                return Err(wrong);
            }
        }
        read.skip(before);
        let overhead = header.length - data.left;
        if overhead > 0 {
            if let Some(by) = answer.window.taken(overhead) {
                core.sender.output.window_update(id, by);
            }
            core.grant(overhead);
        }
        self.at = At::Data(data);
        if data.left == 0 {
            self.end_data(core, data);
        }
        Ok(true)
    }

    /// Takes what has come of a DATA frame.
    fn data<B: RequestBody>(&mut self, core: &mut Core<B>, data: Data, read: &mut Read) {
        let n = data.left.min(read.len());
        let piece = read.take(n);
        let stream = core.streams.find(data.stream);
        match stream.filter(|stream| stream.is_held && stream.answer.is_open()) {
            Some(stream) => {
                if let Some(left) = &mut stream.answer.left {
                    *left = left.saturating_sub(n as u64);
                }
                stream.answer.pieces.push(piece);
                stream.tell_reader();
            }
            None => core.grant(n),
        }
        let data = Data {
            left: data.left - n,
            ..data
        };
        self.at = At::Data(data);
        if data.left == 0 {
            self.end_data(core, data);
        }
    }

    fn end_data<B: RequestBody>(&mut self, core: &mut Core<B>, data: Data) {
        self.at = At::nothing(data.padding);
        if !data.is_end {
            return;
        }
        if let Some(stream) = core.streams.find(data.stream)
            && stream.answer.is_open()
        {
            stream.answer.end = End::Over;
            stream.tell_reader();
            if stream.is_done() {
                core.close(data.stream);
            }
        }
    }
}

/// A section has come on a stream whose answer has not begun: an interim answer, or the head.
fn begin<B>(
    stream: &mut Exchange<B>,
    section: Section,
    is_end: bool,
    now: Instant,
) -> Result<(), Failure> {
    let length = section.length();
    let response = section.response()?;
    if response.status.is_informational() {
        if is_end {
            return Err(Failure::Unsound("an interim answer that is the last"));
        }
        if response.status == StatusCode::CONTINUE
            && let Some(on_continue) = stream.on_continue.take()
        {
            on_continue.tell();
        }
        return Ok(());
    }
    // What it says is of another answer (RFC 9110 section 8.6).
    let is_of_another = stream.is_head || response.status == StatusCode::NOT_MODIFIED;
    let is_tunnel = stream.is_raw() && response.status.is_success();
    let length = match is_of_another || is_tunnel {
        true => None,
        false => length?,
    };
    if is_end && length.is_some_and(|length| length > 0) {
        return Err(Failure::Unsound(
            "an answer shorter than its Content-Length",
        ));
    }
    stream.answer.left = length;
    stream.answer.is_begun = true;
    stream.answer.head = Some((response, now));
    if is_end {
        stream.answer.end = End::Over;
    }
    Ok(())
}

/// A second section has come, which ends the answer (RFC 9113 section 8.1).
fn trailers<B>(stream: &mut Exchange<B>, section: Section, is_end: bool) -> Result<(), Failure> {
    if !is_end {
        return Err(Failure::Unsound("a second head"));
    }
    if stream.answer.left.is_some_and(|left| left > 0) {
        return Err(Failure::Unsound(
            "an answer shorter than its Content-Length",
        ));
    }
    let trailers = section.trailers()?;
    stream.answer.trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
    stream.answer.end = End::Over;
    Ok(())
}
