//! One HTTP/2 connection from a client: many requests in, each answer out as it comes (RFC 9113).
//!
//! It is polled by one task: frames are read, streams that have something to do have a turn, and what
//! came of it is written at once. Nothing is spawned and nothing moves between tasks; a stream is woken
//! by itself. Invariant: nothing of a request goes further before its head was found whole and sound.
//!
//! Written for this use instead of taken from hyper and h2, which run a task for each stream and hand
//! every frame through a queue, a third of what a small request cost; which say PROTOCOL_ERROR where the
//! RFC has a word of its own; and which needed guards before them against what costs a client nothing.

mod budget;
mod data;
mod head;
mod leaving;
mod receive;
mod requests;
mod sender;
mod settings;
mod stream;
mod tunnel;
mod turns;
mod upload;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker, ready};

use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::body::Incoming;
use super::connection::Context;
use super::downstream::Downstream;
use super::http::Handling;
use super::serve::{self, Failure};
use crate::hpack::{self, Decoder};
use crate::http2::block::Begun;
use crate::http2::frame::Kind;
pub(super) use crate::http2::frame::Reason;
use crate::http2::intake::At;
use crate::http2::keepalive::{self, Due, Keepalive};
use crate::http2::ready::Ready;
use crate::http2::sending::Sender;
use crate::http2::streams::Streams;
use crate::http2::window::{self, ReceiveWindow};
use crate::message::{Read, Request};
use budget::Budget;
use head::Known;
use leaving::Leaving;
use settings::Settings;
use stream::{By, Exchange, Past};
pub(super) use tunnel::Tunnel;
pub(super) use upload::Incoming as Body;

/// Receive window of one stream.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Receive window of a connection: what a client can make us hold by itself.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is gathered of an upload: what its client may send without another word of ours is more.
const GATHERED: usize = STREAM_WINDOW as usize * 7 / 16;
/// While so much of what we say waits to be written, nothing more is read.
const MOST_UNSAID: usize = 64 * 1024;
/// Read at once.
const READ: usize = 16 * 1024;
/// Read before the streams have their turns.
const READ_A_TURN: usize = 256 * 1024;

/// One HTTP/2 connection; `F` answers one request.
pub(super) struct Connection<F> {
    context: Arc<Context>,
    stream: Box<Downstream>,
    handle: fn(Arc<Context>, Request<Incoming>) -> F,
    /// What was read and belongs to no frame yet.
    read: Read,
    at: At,
    /// A header block that has not ended yet.
    begun: Option<Begun>,
    decoder: Decoder,
    known: Known,
    budget: Budget,
    streams: Streams<Exchange<F>>,
    past: Past,
    ready: Arc<Ready>,
    /// What `ready` wakes.
    task: Option<Waker>,
    /// The highest stream that the client has opened.
    newest: u32,
    settings: Settings,
    /// For all streams together.
    window: ReceiveWindow,
    sender: Sender,
    keepalive: Keepalive,
    leaving: Leaving,
    phase: Phase,
    is_at_rest: bool,
}

/// What came of reading.
#[derive(Debug, Clone, Copy)]
enum Input {
    /// There is nothing more now.
    Waits,
    /// There may be more at once.
    HasMore,
    /// There may be more when what we say is written.
    HeldBack,
    /// There will be no more.
    Over,
}

/// How far a connection has come.
#[derive(Debug)]
enum Phase {
    Serving,
    /// Nothing more is read; what is to be said is said.
    Closing(Option<Failure>),
    Over,
}

impl<F: Handling> Connection<F> {
    /// One with at most `most` streams at once.
    pub(super) fn new(
        context: Arc<Context>,
        stream: Box<Downstream>,
        handle: fn(Arc<Context>, Request<Incoming>) -> F,
        most: u32,
    ) -> Self {
        let policy = Arc::clone(&context.worker.policy);
        let ready = Arc::new(Ready::default());
        let mut window = ReceiveWindow::new(window::INITIAL);
        let mut sender = Sender::default();
        let settings = Settings::new(most, policy.http.max_header_size);
        sender.output.frame(Kind::Settings, 0, 0, &settings.told());
        let by = window.widen(CONNECTION_WINDOW);
        sender.output.window_update(0, by);
        Self {
            context,
            stream,
            handle,
            read: Read::default(),
            at: At::Preface(0),
            begun: None,
            decoder: Decoder::new(hpack::DEFAULT_SIZE),
            known: Known::default(),
            budget: Budget::new(),
            streams: Streams::new(Arc::clone(&ready)),
            past: Past::default(),
            ready,
            task: None,
            newest: 0,
            settings,
            window,
            sender,
            keepalive: Keepalive::new(policy.listen.keepalive_interval),
            leaving: Leaving::Not,
            phase: Phase::Serving,
            is_at_rest: false,
        }
    }

    /// Serves until nothing more can be done at once.
    fn poll_serving(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if !(self.task.as_ref()).is_some_and(|task| task.will_wake(cx.waker())) {
            self.ready.attach(cx.waker().clone());
            self.task = Some(cx.waker().clone());
        }
        loop {
            let input = self.poll_input(cx);
            if let Input::Over = input {
                return Poll::Ready(());
            }
            self.give_turns();
            self.grant();
            if self.is_done() {
                self.close();
                return Poll::Ready(());
            }
            let is_unsaid = match self.poll_output(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => {
                    self.end(Some(Failure::Stream(error)));
                    return Poll::Ready(());
                }
                Poll::Pending => true,
            };
            let goes_on = match input {
                Input::Waits | Input::Over => false,
                Input::HasMore => true,
                Input::HeldBack => !is_unsaid,
            };
            if !goes_on && !self.may_give_turns() {
                return Poll::Pending;
            }
        }
    }

    /// Reads what has come.
    fn poll_input(&mut self, cx: &mut TaskContext<'_>) -> Input {
        let mut sum = 0;
        while sum < READ_A_TURN {
            if self.sender.output.unwritten() >= MOST_UNSAID {
                return Input::HeldBack;
            }
            if self.is_at_rest {
                if self.stream.poll_readable(cx).is_pending() {
                    return Input::Waits;
                }
                self.is_at_rest = false;
            }
            self.expect();
            let stream = Pin::new(&mut *self.stream);
            match self.read.poll_more(stream, cx, READ) {
                Poll::Pending => return Input::Waits,
                Poll::Ready(Ok(n)) if n > 0 => sum += n,
                Poll::Ready(last) => {
                    self.gone(last.err());
                    return Input::Over;
                }
            }
            self.keepalive.heard();
            let mut read = std::mem::take(&mut self.read);
            let received = self.receive(&mut read);
            self.read = read;
            if let Err(reason) = received {
                self.fail(reason);
                return Input::Over;
            }
        }
        Input::HasMore
    }

    /// Tells the stream what is known to come of an upload that has the connection for itself.
    fn expect(&mut self) {
        let only = self.streams.only();
        match only.and_then(|stream| stream.request.left) {
            None | Some(0) => self.stream.expect(0, 0),
            Some(left) => {
                let most = self.context.worker.upstream.piece().min(GATHERED);
                self.stream.expect(left, most);
            }
        }
    }

    /// Grants anew what was taken of uploads.
    fn grant(&mut self) {
        let taken = self.ready.take_taken();
        if taken > 0 {
            self.grant_taken(taken);
        }
    }

    /// `n` bytes of all that came were taken, or thrown away.
    fn grant_taken(&mut self, n: usize) {
        if let Some(by) = self.window.taken(n) {
            self.sender.output.window_update(0, by);
        }
    }

    fn poll_output(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let before = self.sender.output.unwritten();
        let polled = self.sender.output.poll_write(&mut *self.stream, cx);
        self.budget
            .wrote(before.saturating_sub(self.sender.output.unwritten()));
        polled
    }

    /// The client has gone, or sends no more.
    fn gone(&mut self, error: Option<io::Error>) {
        let is_between = matches!(self.at, At::Frame(None) | At::Preface(0));
        let is_busy = !self.streams.is_empty() || !is_between || !self.read.is_empty();
        let failure = match (error, is_busy) {
            (Some(error), true) => Some(Failure::Stream(error)),
            (None, true) => Some(Failure::early()),
            // However it went: nothing was asked.
            (_, false) => None,
        };
        self.end(failure);
    }

    /// Ends the connection for what the client did.
    fn fail(&mut self, reason: Reason) {
        self.sender.output.go_away(self.last(), reason);
        self.end(Some(Failure::Http2(reason)));
    }

    /// Ends the connection, and whatever is at work on it.
    fn end(&mut self, failure: Option<Failure>) {
        self.streams.close_all();
        self.phase = Phase::Closing(failure);
    }

    /// Resets a stream, and ends whatever is at work on it.
    fn reset(&mut self, id: u32, reason: Reason) {
        self.sender.output.reset(id, reason);
        self.streams.close(id);
        self.past.add(id, By::Us);
    }

    fn poll_close(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        // Failing to tell a client that has left is no event.
        if let Ok(()) = ready!(self.poll_output(cx)) {
            let _ = ready!(Pin::new(&mut *self.stream).poll_shutdown(cx));
        }
        Poll::Ready(())
    }

    fn poll_keepalive(&mut self, cx: &mut TaskContext<'_>) {
        while let Poll::Ready(due) = self.keepalive.poll(cx) {
            match due {
                Due::Question => {
                    let question = &keepalive::QUESTION;
                    self.sender.output.frame(Kind::Ping, 0, 0, question);
                }
                Due::End => {
                    self.end(Some(Failure::Stream(io::ErrorKind::TimedOut.into())));
                    return;
                }
            }
        }
    }
}

impl<F: Handling> serve::Connection for Connection<F> {
    // GOAWAY comes in two steps (RFC 9113 section 6.8).
    const LOSES_NOTHING: bool = true;

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match &mut self.phase {
                Phase::Serving => {
                    self.poll_keepalive(cx);
                    if let Phase::Serving = self.phase {
                        ready!(self.poll_serving(cx));
                    }
                }
                Phase::Closing(failure) => {
                    let failure = failure.take();
                    let closed = self.poll_close(cx);
                    if closed.is_pending() {
                        self.phase = Phase::Closing(failure);
                        return Poll::Pending;
                    }
                    self.phase = Phase::Over;
                    return Poll::Ready(failure.map_or(Ok(()), Err));
                }
                Phase::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    fn graceful_shutdown(&mut self) {
        if let Phase::Serving = self.phase {
            self.ask_to_leave();
        }
    }

    fn cut(&mut self) {
        if let Phase::Serving = self.phase {
            for id in self.streams.close_all() {
                self.sender.output.reset(id, Reason::CANCEL);
            }
            self.close();
        }
    }

    fn end_stalled(&mut self, since: Instant) {
        for id in self.context.activity.stalled(since) {
            self.reset(id, Reason::CANCEL);
        }
    }

    fn may_rest(&self) -> bool {
        let is_idle = self.streams.is_empty() && self.read.is_empty() && self.begun.is_none();
        matches!(self.phase, Phase::Serving)
            && is_idle
            && self.sender.output.is_out()
            && !self.is_at_rest
    }

    fn rest(&mut self) {
        self.read.shrink(0);
        self.decoder.shrink();
        self.sender.shrink();
        self.streams.shrink();
        self.past.shrink();
        self.is_at_rest = true;
    }
}
