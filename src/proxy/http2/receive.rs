//! What a client sends, frame by frame (RFC 9113 sections 3.4, 5.1 and 6).
//!
//! DATA is passed on as it arrives, everything else when the frame is whole. Each frame is paid for
//! before it is looked at. Invariant: nothing of a frame that may not come now is looked at.

use super::stream::By;
use super::{Connection, leaving};
use crate::http2::block;
use crate::http2::frame::{self, ACK, Fault, HEADER, Header, Kind, PREFACE, Reason};
use crate::http2::intake::{self, At};
use crate::http2::settings::Change;
use crate::message::Read;
use crate::proxy::http::Handling;

impl<F: Handling> Connection<F> {
    /// Takes what has been read, as far as it goes.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn receive(&mut self, read: &mut Read) -> Result<(), Reason> {
        while !read.is_empty() {
            match self.at {
                At::Preface(seen) => self.preface(seen, read)?,
                At::Nothing(left) => {
                    let n = left.min(read.len());
                    read.skip(n);
                    self.at = At::nothing(left - n);
                }
                At::Data(data) => self.data(data, read),
                At::Frame(header) => {
                    let Some(header) = header.or_else(|| Header::read(read)) else {
                        return Ok(());
                    };
                    match self.frame(header, read) {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        Err(Fault::Connection(reason)) => return Err(reason),
                        Err(Fault::Stream(id, reason)) => {
                            self.reset(id, reason);
                            self.budget.reset()?;
                            if header.kind == Kind::Data {
                                self.throw_away(header.length, read);
                            } else {
                                self.passed(header, read);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn preface(&mut self, seen: usize, read: &mut Read) -> Result<(), Reason> {
        let rest = &PREFACE[seen..];
        let n = rest.len().min(read.len());
        if rest[..n] != read[..n] {
            return Err(Reason::PROTOCOL_ERROR);
        }
        read.skip(n);
        self.at = match rest.len() - n {
            0 => At::Frame(None),
            _ => At::Preface(seen + n),
        };
        Ok(())
    }

    /// Takes the frame that `read` begins with; whether it was there.
    fn frame(&mut self, header: Header, read: &mut Read) -> Result<bool, Fault> {
        if self.at == At::Frame(None) {
            self.admit(header)?;
            self.at = At::Frame(Some(header));
        }
        match header.kind {
            Kind::Data => return self.begin_data(header, read),
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
            Kind::Headers => self.headers(header, payload)?,
            Kind::Continuation => self.continuation(header, payload)?,
            Kind::Priority if block::depends(header.stream, payload) => {
                return Err(Fault::Stream(header.stream, Reason::PROTOCOL_ERROR));
            }
            Kind::RstStream => self.reset_by_client(header.stream)?,
            Kind::Settings => self.settings(header, payload)?,
            Kind::Ping => self.ping(header, payload),
            Kind::GoAway => self.leaves(),
            Kind::WindowUpdate => self.window_update(header.stream, payload)?,
            Kind::Data | Kind::Priority | Kind::PushPromise | Kind::Unknown => {}
        }
        self.passed(header, read);
        Ok(true)
    }

    /// The frame with `header` was dealt with.
    fn passed(&mut self, header: Header, read: &mut Read) {
        read.skip(HEADER + header.length);
        self.at = At::Frame(None);
    }

    /// Whether a frame with `header` may come now.
    fn admit(&mut self, header: Header) -> Result<(), Fault> {
        let is_opened = &mut self.settings.theirs.is_opened;
        intake::admit(header, is_opened, self.begun.as_ref())?;
        self.budget.frame(header).map_err(Fault::Connection)
    }

    fn reset_by_client(&mut self, id: u32) -> Result<(), Fault> {
        if id > self.newest || id.is_multiple_of(2) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        }
        if self.streams.close(id) {
            self.past.add(id, By::Client);
        }
        Ok(())
    }

    fn settings(&mut self, header: Header, payload: &[u8]) -> Result<(), Fault> {
        if header.has(ACK) {
            return Ok(());
        }
        let (streams, encoder) = (&mut self.streams, &mut self.sender.encoder);
        let taken = self.settings.theirs.take(payload, |change| {
            match change {
                Change::Table(size) => encoder.limit(size),
                Change::Window(by) => streams.change_windows(by)?,
                // A client is sent no requests.
                Change::Streams(_) | Change::ConnectProtocol(_) => {}
            }
            Ok(())
        });
        taken.map_err(Fault::Connection)?;
        self.sender.output.frame(Kind::Settings, ACK, 0, &[]);
        Ok(())
    }

    fn ping(&mut self, header: Header, payload: &[u8]) {
        if !header.has(ACK) {
            self.sender.output.frame(Kind::Ping, ACK, 0, payload);
        } else if payload == leaving::QUESTION {
            self.knows_to_leave();
        }
    }

    fn window_update(&mut self, id: u32, payload: &[u8]) -> Result<(), Fault> {
        let by = payload.first_chunk().map_or(0, |by| frame::identifier(*by));
        if id == 0 {
            if by == 0 {
                return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
            }
            let widened = self.sender.window.change(i64::from(by));
            widened.map_err(Fault::Connection)?;
            self.streams.widened();
            return Ok(());
        }
        if id > self.newest || id.is_multiple_of(2) {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        }
        if let Some(stream) = self.streams.find(id) {
            if by == 0 {
                return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
            }
            let widened = stream.answer.window.change(i64::from(by));
            widened.map_err(|reason| Fault::Stream(id, reason))?;
            self.streams.claim_turn(id);
        }
        Ok(())
    }
}
