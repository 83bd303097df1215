//! What the task of a connection and all who have a stream on it share: streams, windows, and what waits to
//! be written.
//!
//! A request is written here by whoever has it, and an answer is taken from here by whoever awaits it; the
//! task alone reads and writes the socket. Invariant: whoever waits for something on a stream is woken
//! when it ends, however it ends.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use tokio::sync::Notify;

use super::failure::{Ended, Failure};
use super::head;
use super::stream::{Exchange, Upload};
use crate::fields::name;
use crate::http2::frame::{END_STREAM, Kind, PREFACE, Reason};
use crate::http2::ready::Ready;
use crate::http2::sending::{SendHalf, Sender, Sent};
use crate::http2::settings::{self, Settings};
use crate::http2::streams::{Stream, Streams};
use crate::http2::window::{self, ReceiveWindow, SendWindow};
use crate::limits::Windows;
use crate::message::{Protocol, Request};
use crate::syntax::Limits;
use crate::upstream::{BoxError, RequestBody};

/// The last stream there can be.
const LAST: u32 = (1 << 31) - 1;

/// What the task of a connection and all who have a stream on it share.
#[derive(Debug)]
pub(super) struct Core<B> {
    pub(super) streams: Streams<Exchange<B>>,
    pub(super) sender: Sender,
    /// What the application may send on all streams together.
    pub(super) window: ReceiveWindow,
    pub(super) theirs: Settings,
    /// Streams that the application allows, once it has said so.
    most: Option<usize>,
    /// Whether it takes requests for another protocol.
    pub(super) takes_protocols: bool,
    /// Woken when it has said what it allows, and when the connection ends.
    pub(super) told: Arc<Notify>,
    pub(super) limits: Limits,
    /// The next stream.
    next: u32,
    /// Streams that the application counts as open.
    active: usize,
    windows: Windows,
    ready: Arc<Ready>,
    task: Option<Waker>,
    /// Told of each stream that is free, and of what else may help those who wait for one.
    freed: Arc<Notify>,
    /// No stream is opened any more.
    is_leaving: bool,
    /// Why the application leaves.
    going: Option<Reason>,
    ended: Option<Ended>,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// There is no stream for it here.
    NoRoom,
    /// It asks for another protocol, which the application does not take (RFC 8441 section 3).
    NoProtocols,
}

impl<B: RequestBody> Core<B> {
    /// One that lets the application send as much ahead as `windows` say.
    pub(super) fn new(windows: Windows, limits: Limits, freed: Arc<Notify>) -> Self {
        let ready = Arc::new(Ready::default());
        let mut sender = Sender::default();
        let mut window = ReceiveWindow::new(window::INITIAL);
        let ours = settings::payload(&[
            (settings::ENABLE_PUSH, 0),
            (settings::INITIAL_WINDOW_SIZE, windows.stream),
            (settings::MAX_HEADER_LIST_SIZE, limits.size),
        ]);
        sender.output.raw(PREFACE);
        sender.output.frame(Kind::Settings, 0, 0, &ours);
        let by = window.widen(windows.connection);
        if by > 0 {
            sender.output.window_update(0, by);
        }
        Self {
            streams: Streams::new(Arc::clone(&ready)),
            sender,
            window,
            theirs: Settings::default(),
            most: None,
            takes_protocols: false,
            told: Arc::default(),
            limits,
            next: 1,
            active: 0,
            windows,
            ready,
            task: None,
            freed,
            is_leaving: false,
            going: None,
            ended: None,
        }
    }

    /// Whether a further request can be sent now.
    pub(super) fn has_room(&self) -> bool {
        !self.is_closed() && self.most.is_some_and(|most| self.active < most)
    }

    /// The application has said what it allows: `most` streams, if it has said that.
    pub(super) fn allow(&mut self, most: Option<u32>) {
        let before = self.most;
        self.most = match most {
            Some(most) => Some(most as usize),
            None => before.or(Some(usize::MAX)),
        };
        if self.most != before {
            self.told.notify_one();
            self.freed.notify_waiters();
        }
    }

    /// Whether the application has said what it allows.
    pub(super) fn is_told(&self) -> bool {
        self.most.is_some()
    }

    /// Whether it allows no stream at all: it wants to be left alone (RFC 9113 section 6.5.2).
    pub(super) fn is_unwanted(&self) -> bool {
        self.most == Some(0)
    }

    /// Whether no request can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_leaving || self.ended.is_some()
    }

    /// Why it ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Whether no stream is open.
    pub(super) fn is_idle(&self) -> bool {
        self.active == 0
    }

    /// Whether `id` is one of a stream that was opened.
    pub(super) fn is_known(&self, id: u32) -> bool {
        id < self.next && !id.is_multiple_of(2)
    }

    /// Has `task` woken when there is something to do.
    pub(super) fn attach(&mut self, task: &Waker) {
        if !(self.task.as_ref()).is_some_and(|known| known.will_wake(task)) {
            self.ready.attach(task.clone());
            self.task = Some(task.clone());
        }
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Opens a stream for `request`, of which the body is taken, and gives its identifier.
    ///
    /// # Errors
    /// When it is not taken; nothing of it was then.
    pub(super) fn ask(&mut self, request: &mut Request<B>) -> Result<u32, NotTaken> {
        if !self.has_room() {
            return Err(NotTaken::NoRoom);
        }
        let is_tunnel = request.extensions.get::<Protocol>().is_some();
        if is_tunnel && !self.takes_protocols {
            return Err(NotTaken::NoProtocols);
        }
        let id = self.next;
        self.next += 2;
        self.is_leaving |= self.next > LAST;
        self.active += 1;
        let body = std::mem::take(&mut request.body);
        let has_body = is_tunnel || !body.is_end_stream();
        if let Some(length) = body.size_hint().exact()
            && (length > 0 || head::tells_no_body(&request.method))
            && !request.fields.has(name::CONTENT_LENGTH)
        {
            request.fields.append_number(name::CONTENT_LENGTH, length);
        }
        let place = self.sender.output.place();
        let end = if has_body { 0 } else { END_STREAM };
        let encode = |encoder: &mut _, block: &mut _| head::encode(request, encoder, block);
        self.sender.section(id, end, encode);
        let on_continue = match has_body {
            true => request.extensions.remove(),
            false => None,
        };
        let mut half = SendHalf::new(SendWindow::new(self.theirs.initial_window));
        half.is_over = !has_body;
        half.body = has_body.then(|| match is_tunnel {
            true => Upload::Raw,
            false => Upload::Body(body, false),
        });
        let (window, is_head) = (self.windows.stream, request.method == Method::HEAD);
        self.streams.open(id, |exchange, _| {
            exchange.request = half;
            exchange.answer.window = ReceiveWindow::new(window);
            exchange.on_continue = on_continue;
            exchange.place = place;
            exchange.is_head = is_head;
            exchange.is_whole = !has_body;
            exchange.is_held = true;
        });
        if has_body {
            self.streams.claim_turn(id);
        }
        self.wake();
        Ok(id)
    }

    /// Takes what there is of the answer's body on stream `id`, and has it granted anew.
    pub(super) fn poll_frame(
        &mut self,
        id: u32,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(stream) = self.streams.find(id) else {
            return Poll::Ready(None);
        };
        let polled = stream.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(piece) = frame.data_ref()
        {
            let n = piece.len();
            let by = stream.answer.window.taken(n);
            if let Some(by) = by.filter(|_| stream.answer.is_open()) {
                self.sender.output.window_update(id, by);
                self.wake();
            }
            self.grant(n);
        }
        polled
    }

    /// `n` bytes of all that came were taken, or thrown away.
    pub(super) fn grant(&mut self, n: usize) {
        if let Some(by) = self.window.taken(n) {
            self.sender.output.window_update(0, by);
            self.wake();
        }
    }

    /// Takes raw bytes to be sent on stream `id`; `None` when none are any more.
    pub(super) fn poll_raw(
        &mut self,
        id: u32,
        bytes: &[u8],
        cx: &Context<'_>,
    ) -> Poll<Option<usize>> {
        let Some(stream) = self.streams.find(id) else {
            return Poll::Ready(None);
        };
        let polled = stream.poll_raw(bytes, cx);
        if polled.is_ready() {
            self.streams.claim_turn(id);
            self.wake();
        }
        polled
    }

    /// No more raw bytes are sent on stream `id`.
    pub(super) fn end_raw(&mut self, id: u32) {
        if let Some(stream) = self.streams.find(id) {
            stream.request.is_last = true;
            self.streams.claim_turn(id);
            self.wake();
        }
    }

    /// Nobody wants what comes on stream `id` any more. An upload whose answer is whole goes on.
    pub(super) fn let_go(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else {
            return;
        };
        stream.is_held = false;
        let unread = std::mem::take(&mut stream.answer.pieces).len();
        // Neither raw bytes nor what nobody has asked for would ever come to an end.
        let has_end = !stream.is_raw() && stream.on_continue.is_none();
        let is_wanted = !stream.answer.is_open() && has_end;
        if stream.is_closed {
            self.streams.close(id);
        } else if !is_wanted {
            self.reset(id, Reason::CANCEL, Failure::Connection(Ended::Unneeded));
            self.wake();
        }
        self.grant(unread);
    }

    /// Gives back what memory a connection does not need that has no stream, or has it end where it is not
    /// needed itself.
    pub(super) fn sweep(&mut self, is_needed: bool) {
        match (self.is_idle(), is_needed) {
            (false, _) => {}
            (true, true) => self.shrink(),
            (true, false) => self.leave(),
        }
    }

    /// No stream is opened any more; the connection ends with the last of those that are.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
        self.wake();
    }

    /// The application takes no further streams, and none behind `last`.
    pub(super) fn goes_away(&mut self, last: u32, reason: Reason) {
        self.is_leaving = true;
        self.going = Some(reason);
        for id in self.open_streams() {
            if id > last {
                self.fail(id, Failure::Unprocessed);
            }
        }
        self.freed.notify_waiters();
    }

    /// Whether nothing more is to be done.
    pub(super) fn is_done(&self) -> bool {
        self.is_leaving && self.active == 0
    }

    /// The connection is over, and all that was to come with it.
    pub(super) fn end(&mut self, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        let ended = match (ended, self.going) {
            (Ended::Closed | Ended::Io(_), Some(reason)) if reason != Reason::NO_ERROR => {
                Ended::GoneAway(reason)
            }
            _ => ended,
        };
        self.ended = Some(ended);
        for id in self.open_streams() {
            self.fail(id, Failure::Connection(ended));
        }
        self.told.notify_one();
        self.freed.notify_waiters();
    }

    fn open_streams(&mut self) -> Vec<u32> {
        let open = self.streams.iter_mut().filter(|stream| !stream.is_closed);
        open.map(|stream| stream.id).collect()
    }

    /// Ends stream `id` for both sides.
    pub(super) fn reset(&mut self, id: u32, reason: Reason, failure: Failure) {
        self.sender.output.reset(id, reason);
        self.fail(id, failure);
    }

    /// Nothing more goes or comes on stream `id`.
    pub(super) fn fail(&mut self, id: u32, failure: Failure) {
        if let Some(stream) = self.streams.find(id) {
            let is_unsent = self.sender.output.is_unsent(stream.place);
            stream.fail(failure, is_unsent);
            self.close(id);
        }
    }

    /// Both sides have said all on stream `id`.
    pub(super) fn close(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else {
            return;
        };
        if !std::mem::replace(&mut stream.is_closed, true) {
            self.active -= 1;
            self.freed.notify_one();
        }
        if !stream.is_held {
            self.streams.close(id);
        }
    }

    /// Whether a stream waits for its turn and could use it.
    pub(super) fn may_give_turns(&mut self, most: usize) -> bool {
        self.streams.waiting() > 0 && self.sender.output.unwritten() < most
    }

    /// Gives every stream that has something to send its turn, while less than `most` bytes wait to be
    /// written.
    pub(super) fn give_turns(&mut self, most: usize) {
        for _ in 0..self.streams.waiting() {
            if let Some(id) = self.streams.next_turn() {
                self.give_turn(id, most);
            }
        }
    }

    fn give_turn(&mut self, id: u32, most: usize) {
        let Some(Stream {
            wake,
            waker,
            state: exchange,
            ..
        }) = self.streams.find(id)
        else {
            return;
        };
        wake.begin_turn();
        if !exchange.request.is_open() {
            return;
        }
        let mut cx = Context::from_waker(waker);
        let sent = (self.sender).go_ahead(id, &mut exchange.request, most, &mut cx);
        exchange.tell_writer();
        if exchange.has_begun() {
            exchange.kept = None;
        }
        match sent {
            Sent::Over => {
                (exchange.request.body, exchange.request.is_over) = (None, true);
                if exchange.is_done() {
                    self.close(id);
                }
            }
            Sent::HasMore => self.streams.claim_turn(id),
            Sent::Waits | Sent::Blocked => {}
            Sent::Failed(error) => self.reset(id, Reason::CANCEL, Failure::Request(error)),
        }
    }

    /// Gives back what memory is not in use.
    fn shrink(&mut self) {
        if self.streams.is_empty() && self.sender.output.is_out() {
            self.sender.shrink();
            self.streams.shrink();
        }
    }
}
