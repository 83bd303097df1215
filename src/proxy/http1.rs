//! One HTTP/1 connection from a client: a request in, its answer out, and so on.
//!
//! It is polled by one task, which reads, asks the application, and writes; nothing is spawned and
//! nothing moves between tasks. While a request is at work the client is listened to, so that one
//! that leaves ends what it asked for. What a client sends behind its request stays where it is until
//! the answer is out. Invariant: no byte of a head that was not found whole and sound goes further.
//!
//! Written for this use instead of taken from hyper, whose server repairs much that must be refused,
//! so that every head had to be read twice, and which holds what a proxy has no use for.

mod answer;
mod body;
mod fault;
mod head;
mod upload;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use http::{Method, StatusCode, Version};
use tokio::io::AsyncWrite as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::body::{Feed, Incoming, Reader, ResponseBody, Source, feed};
use super::connection::Context;
use super::downstream::Downstream;
use super::http::{self as handling, Handling};
use super::serve::{self, Failure};
use crate::message::{Coding, Interrupted, Outgoing, Read, Request, Response};
use crate::net::Prefixed;
use crate::syntax::{Chunked, Limits, Step};
use answer::Asked;
pub(super) use body::{Incoming as Body, Promise};
pub(super) use fault::HeadFault;
use head::{BodyFraming, Head, Scan, Terms};
use upload::Upload;

/// Room for the first read of a request: most are read whole.
const FIRST_READ: usize = 8 * 1024;
/// What a client waits for before it sends a body (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's stream when it has left HTTP, and what had been read of it.
pub(super) type Switched = Prefixed<Box<Downstream>>;

/// One HTTP/1 connection; `F` answers one request.
pub(super) struct Connection<F> {
    context: Arc<Context>,
    stream: Box<Downstream>,
    handle: fn(Arc<Context>, Request<Incoming>) -> F,
    limits: Limits,
    /// What was read and belongs to no request yet.
    read: Read,
    head: Head,
    phase: Phase,
    /// Room for a request and its answer.
    work: Option<Box<Work<F>>>,
    /// The answer that begins next is the last.
    is_leaving: bool,
    is_at_rest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A head is awaited.
    Head,
    /// The answer to a request is awaited.
    Handling,
    /// An answer is written.
    Answering,
    /// Nothing more is said.
    Closing,
    /// The stream is for a tunnel.
    Switched,
}

/// A request at work.
struct Work<F> {
    handling: Pin<Box<Option<F>>>,
    asked: Asked,
    upload: Upload,
    source: Option<Source>,
    /// Where a tunnel waits for the stream.
    tunnel: Option<oneshot::Sender<Switched>>,
    /// The client waits for word before it sends the body.
    expects_continue: bool,
    interim: Option<Outgoing<ResponseBody>>,
    answer: Option<Outgoing<ResponseBody>>,
}

impl<F: Handling> Connection<F> {
    pub(super) fn new(
        context: Arc<Context>,
        stream: Box<Downstream>,
        handle: fn(Arc<Context>, Request<Incoming>) -> F,
    ) -> Self {
        let http = &context.worker.policy.http;
        let limits = Limits {
            size: http.max_header_size,
            fields: http.max_headers,
        };
        Self {
            context,
            stream,
            handle,
            limits,
            read: Read::default(),
            head: Head::default(),
            phase: Phase::Head,
            work: None,
            is_leaving: false,
            is_at_rest: false,
        }
    }

    /// The stream, for its last words; `None` when a tunnel has it now.
    pub(super) fn into_stream(self) -> Option<Box<Downstream>> {
        let tunnel = self.work.and_then(|work| work.tunnel);
        if self.phase != Phase::Switched {
            return Some(self.stream);
        }
        if let Some(tunnel) = tunnel {
            // A tunnel that is over already needs no stream.
            let _ = tunnel.send(Prefixed::new(self.read.into_rest(), self.stream));
        }
        None
    }

    /// Awaits a head, and hands on its request.
    fn poll_head(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if !self.read.is_empty() {
                match self.head.scan(&self.read, self.limits) {
                    Scan::Complete(length, terms) => {
                        if let Err(fault) = self.begin(length, terms) {
                            self.refuse(fault);
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Scan::Refused(fault) => {
                        self.refuse(fault);
                        return Poll::Ready(Ok(()));
                    }
                    Scan::Incomplete => self.context.activity.head_arrives(),
                }
            }
            if self.is_at_rest && !self.is_leaving {
                ready!(self.stream.poll_readable(cx));
                self.is_at_rest = false;
            }
            match self.poll_read(cx, FIRST_READ) {
                Poll::Ready(Ok(n)) if n > 0 => continue,
                // However it goes: it was not asked anything.
                Poll::Ready(_) if self.read.is_empty() => self.phase = Phase::Closing,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Stream(error))),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(Failure::early())),
                Poll::Pending if self.is_leaving && self.read.is_empty() => {
                    self.phase = Phase::Closing;
                }
                Poll::Pending => return Poll::Pending,
            }
            return Poll::Ready(Ok(()));
        }
    }

    /// Begins the request whose head are the first `length` bytes that were read.
    fn begin(&mut self, length: usize, terms: Terms) -> Result<(), HeadFault> {
        let request = self.head.take(&self.read[..length])?;
        self.read.skip(length);
        let (declared, upload) = match terms.body {
            BodyFraming::Length(0) => (None, Upload::Over),
            BodyFraming::Length(length) => (Some(length), Upload::length(length)),
            BodyFraming::Chunked => {
                // What is known to be unsound before anything was passed on takes its head with it.
                if let Step::Unsound(_) = Chunked::new(self.limits).step(&self.read) {
                    return Err(HeadFault::UNSOUND_CHUNKS);
                }
                (None, Upload::chunked(self.limits))
            }
        };
        let is_head = request.method == Method::HEAD;
        let (source, body) = match upload {
            Upload::Over => (None, Feed::default()),
            _ => {
                let (source, body) = feed(declared);
                (Some(source), body)
            }
        };
        let (tunnel, promise) = terms.has_upgrade.then(oneshot::channel).unzip();
        let body = Body::new(body, promise);
        let handling = (self.handle)(
            Arc::clone(&self.context),
            request.map(|()| Incoming::Http1(body)),
        );
        let expects_continue = terms.expects_continue && self.read.is_empty();
        let work = self.work.get_or_insert_with(Box::default);
        work.handling.set(Some(handling));
        work.asked = Asked::of(terms, is_head);
        work.upload = upload;
        work.source = source;
        work.tunnel = tunnel;
        work.expects_continue = expects_continue;
        self.phase = Phase::Handling;
        Ok(())
    }

    /// Answers a head that is refused, and with it all that follows.
    fn refuse(&mut self, fault: HeadFault) {
        let response = handling::refused(&self.context, fault, Version::HTTP_11);
        let work = self.work.get_or_insert_with(Box::default);
        work.asked = Asked::REFUSED;
        work.upload = Upload::Failed;
        self.answer(response);
    }

    /// Awaits the answer; meanwhile the body of the request is read for whoever sends it on.
    fn poll_handling(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let Some(work) = &mut self.work else {
                return self.lost();
            };
            let Some(handling) = work.handling.as_mut().as_pin_mut() else {
                return self.lost();
            };
            match handling.poll(cx) {
                Poll::Ready(Ok(response)) => {
                    work.handling.set(None);
                    if is_switch(&response) && !matches!(work.upload, Upload::Over) {
                        // What is left of the body would be taken for the other protocol.
                        let early = "the application left HTTP before the request was whole";
                        return Poll::Ready(Err(Failure::Answer(early.into())));
                    }
                    self.answer(response);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Failure::Answer(error.into())));
                }
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(failure)) = self.poll_interim(cx) {
                return Poll::Ready(Err(failure));
            }
            ready!(self.poll_upload(cx))?;
        }
    }

    /// There is nothing at work where something should be.
    fn lost(&mut self) -> Poll<Result<(), Failure>> {
        self.phase = Phase::Closing;
        Poll::Ready(Ok(()))
    }

    /// Begins to answer.
    fn answer(&mut self, response: Response<ResponseBody>) {
        let Some(work) = &mut self.work else { return };
        if !is_switch(&response) {
            work.tunnel = None;
        }
        work.asked.persists &= !self.is_leaving && !matches!(work.upload, Upload::Failed);
        work.expects_continue = false;
        let (answer, persists) = answer::encode(response, work.asked);
        work.answer = Some(answer);
        work.asked.persists = persists;
        self.phase = Phase::Answering;
    }

    /// Writes the answer; meanwhile the request's body goes on.
    fn poll_answer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        loop {
            ready!(self.poll_interim(cx))?;
            let Some(answer) = self.work.as_mut().and_then(|work| work.answer.as_mut()) else {
                return self.lost();
            };
            match answer.poll_write(&mut *self.stream, 0, cx) {
                Poll::Ready(Ok(())) => {
                    self.finish();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why.into())),
                Poll::Pending => {}
            }
            ready!(self.poll_upload(cx))?;
        }
    }

    /// Writes the word that the client waits for, if one is due.
    fn poll_interim(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        if let Some(work) = &mut self.work
            && let Some(interim) = &mut work.interim
        {
            ready!(interim.poll_write(&mut *self.stream, 0, cx))?;
            work.interim = None;
        }
        Poll::Ready(Ok(()))
    }

    /// The answer is out: another request may follow, or nothing, or something else than HTTP.
    fn finish(&mut self) {
        let Some(work) = &mut self.work else { return };
        let is_read = work.upload.is_over_within(&mut self.read);
        let persists = work.asked.persists && is_read;
        let is_switch = work.tunnel.is_some();
        work.source = None;
        // With it ends the request's record.
        work.answer = None;
        self.phase = match persists {
            _ if is_switch => Phase::Switched,
            true => Phase::Head,
            false => Phase::Closing,
        };
    }

    /// Reads of the request's body what is wanted. Ready when this task was given some of it, else
    /// whoever was is woken.
    fn poll_upload(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let Some(work) = &mut self.work else {
                return Poll::Pending;
            };
            let Some(source) = &work.source else {
                return match work.upload {
                    Upload::Over => self.poll_gone(cx),
                    _ => Poll::Pending,
                };
            };
            if !source.is_wanted(cx) {
                return Poll::Pending;
            }
            if std::mem::take(&mut work.expects_continue) {
                work.interim = Some(Outgoing::new(CONTINUE.into(), None, Coding::Length(0)));
                if let Poll::Ready(Err(failure)) = self.poll_interim(cx) {
                    return Poll::Ready(Err(failure));
                }
                continue;
            }
            let most = self.context.worker.upstream.piece();
            let piece = work
                .upload
                .poll_piece(&mut self.read, &mut self.stream, most, cx);
            let reader = match ready!(piece) {
                Ok((piece, is_last)) => {
                    let reader = source.give(piece, is_last, cx);
                    if is_last {
                        (work.upload, work.source) = (Upload::Over, None);
                        // The answer may be long in coming.
                        self.read.shrink(FIRST_READ);
                    }
                    reader
                }
                Err(failure) => {
                    let reader = source.fail(failure, cx);
                    (work.upload, work.source) = (Upload::Failed, None);
                    reader
                }
            };
            if reader == Reader::Same {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Listens for a client that leaves before its answer is out.
    fn poll_gone(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        if !self.read.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_read(cx, FIRST_READ)) {
            Ok(0) => Poll::Ready(Err(Failure::early())),
            // The beginning of the next request.
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(Err(Failure::Stream(error))),
        }
    }

    fn poll_read(&mut self, cx: &mut TaskContext<'_>, most: usize) -> Poll<io::Result<usize>> {
        self.read.poll_more(Pin::new(&mut *self.stream), cx, most)
    }
}

impl<F: Handling> serve::Connection for Connection<F> {
    // An idle connection is simply closed, and a request may be on its way on it.
    const LOSES_NOTHING: bool = false;

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        while !self.context.activity.is_cut() {
            match self.phase {
                Phase::Head => ready!(self.poll_head(cx))?,
                Phase::Handling => ready!(self.poll_handling(cx))?,
                Phase::Answering => ready!(self.poll_answer(cx))?,
                Phase::Closing => {
                    // Failing to tell a client that has left is no event.
                    let _ = ready!(Pin::new(&mut *self.stream).poll_shutdown(cx));
                    break;
                }
                Phase::Switched => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn graceful_shutdown(&mut self) {
        self.is_leaving = true;
    }

    fn cut(&mut self) {
        self.context.activity.cut();
    }

    // Whoever takes nothing of the one answer is found by the socket's own clock.
    fn end_stalled(&mut self, _: Instant) {}

    fn may_rest(&self) -> bool {
        self.phase == Phase::Head && self.read.is_empty() && !self.is_at_rest
    }

    fn rest(&mut self) {
        self.work = None;
        self.read.shrink(0);
        self.is_at_rest = true;
    }
}

impl<F> Default for Work<F> {
    fn default() -> Self {
        Self {
            handling: Box::pin(None),
            asked: Asked::REFUSED,
            upload: Upload::Over,
            source: None,
            tunnel: None,
            expects_continue: false,
            interim: None,
            answer: None,
        }
    }
}

/// Whether `response` grants a switch; nothing else has this status.
fn is_switch<B>(response: &Response<B>) -> bool {
    response.status == StatusCode::SWITCHING_PROTOCOLS
}

impl<E: Into<crate::upstream::BoxError>> From<Interrupted<E>> for Failure {
    fn from(why: Interrupted<E>) -> Self {
        match why {
            Interrupted::Body(error) => Self::Answer(error.into()),
            Interrupted::WrongLength => {
                Self::Answer("the body is not as long as Content-Length says".into())
            }
            Interrupted::Stream(error) => Self::Stream(error),
        }
    }
}
