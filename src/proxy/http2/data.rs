//! The bodies of requests as they come (RFC 9113 sections 6.1 and 8.1.1).
//!
//! A piece is passed on as soon as it is here, before its frame is whole. Invariant: what is thrown away
//! is granted anew, so that no stream's end narrows the window of the others.

use http::HeaderMap;

use super::Connection;
use super::stream::{By, Exchange};
use crate::http2::frame::{END_STREAM, Fault, HEADER, Header, Reason};
use crate::http2::intake::{At, Data};
use crate::message::Read;
use crate::proxy::http::Handling;

impl<F: Handling> Connection<F> {
    pub(super) fn begin_data(&mut self, header: Header, read: &mut Read) -> Result<bool, Fault> {
        let Some((data, before)) = Data::open(header, read)? else {
            return Ok(false);
        };
        let left = data.left;
        self.window
            .arrived(header.length)
            .map_err(Fault::Connection)?;
        let id = header.stream;
        let Some(stream) = self.streams.find(id) else {
            if id > self.newest || id.is_multiple_of(2) {
                return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
            }
            if self.past.find(id) == Some(By::Us) {
                self.throw_away(header.length, read);
                return Ok(true);
            }
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED));
        };
        stream
            .accept(header, left)
            .map_err(|reason| Fault::Stream(id, reason))?;
        if left == 0 && !header.has(END_STREAM) {
            self.budget.empty_data().map_err(Fault::Connection)?;
        }
        read.skip(before);
        let overhead = header.length - left;
        if overhead > 0 {
            if let Some(by) = stream.request.window.taken(overhead) {
                self.sender.output.window_update(id, by);
            }
            self.grant_taken(overhead);
        }
        self.at = At::Data(data);
        if left == 0 {
            self.end_data(data);
        }
        Ok(true)
    }

    /// Passes over the payload of DATA that nobody is to have, whose header `read` begins with.
    pub(super) fn throw_away(&mut self, length: usize, read: &mut Read) {
        read.skip(HEADER);
        self.at = At::nothing(length);
        self.grant_taken(length);
    }

    /// Passes on what has come of a DATA frame.
    pub(super) fn data(&mut self, data: Data, read: &mut Read) {
        let n = data.left.min(read.len());
        let piece = read.take(n);
        let is_taken = match self.streams.find(data.stream) {
            Some(stream) => {
                let is_taken = (stream.request.source.as_ref()).is_some_and(|s| s.push(piece));
                if is_taken && !stream.request.is_tunnel {
                    self.context.activity.arrived(n as u64);
                }
                is_taken
            }
            None => false,
        };
        if !is_taken {
            self.grant_taken(n);
        }
        let left = data.left - n;
        self.at = At::Data(Data { left, ..data });
        if left == 0 {
            self.end_data(data);
        }
    }

    fn end_data(&mut self, data: Data) {
        self.at = At::nothing(data.padding);
        if data.is_end {
            self.end_request(data.stream, None);
        }
    }

    /// Nothing more comes on stream `id`.
    pub(super) fn end_request(&mut self, id: u32, trailers: Option<HeaderMap>) {
        if let Some(stream) = self.streams.find(id) {
            stream.request.is_over = true;
            if let Some(source) = &stream.request.source {
                source.end(trailers);
            }
            self.streams.claim_turn(id);
        }
    }
}

impl<F> Exchange<F> {
    /// Counts a DATA frame with `n` bytes of the request's body.
    fn accept(&mut self, header: Header, n: usize) -> Result<(), Reason> {
        let request = &mut self.request;
        if request.is_over {
            return Err(Reason::STREAM_CLOSED);
        }
        request.window.arrived(header.length)?;
        if let Some(left) = &mut request.left {
            let rest = left.checked_sub(n as u64);
            // RFC 9113 section 8.1.1: as long as it was said to be.
            let rest = rest.filter(|rest| *rest == 0 || !header.has(END_STREAM));
            *left = rest.ok_or(Reason::PROTOCOL_ERROR)?;
        }
        Ok(())
    }
}
