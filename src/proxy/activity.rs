//! What a connection is doing, as its timers need to know it.
//!
//! Written by the protocols, the stream and the requests, read by the serve loop: a few relaxed atomics
//! per request instead of a timer re-armed per request. All of them run on one thread; the
//! atomics are there because a task could move.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Http2Room;

/// Writes no longer than this move no data: HTTP/2's PING, SETTINGS and WINDOW_UPDATE.
const KEEPING_ALIVE: usize = 32;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicU32,
    begun: AtomicU32,
    uploads: AtomicU32,
    /// HTTP/2 alone: memory for uploads.
    room: Option<Arc<Http2Room>>,
    /// Bytes of uploads that have come and were not taken.
    unread: AtomicU64,
    has_unread: AtomicBool,
    /// Microseconds after `opened`, plus one: zero means no head is arriving.
    head_since: AtomicU64,
    is_refused: AtomicBool,
    idle_since: AtomicU64,
    waiting: Mutex<Held>,
    /// HTTP/2 alone: the stream whose turn it is.
    stream: AtomicU32,
    has_written: AtomicBool,
    cut: AtomicBool,
}

/// The pieces of answers that wait for their clients, one a stream at most.
#[derive(Debug, Default)]
struct Held {
    pieces: Vec<Piece>,
    last_key: u64,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    key: u64,
    since: Instant,
    /// HTTP/1 has none.
    stream: u32,
}

/// A request in flight; dropped when its answer is over.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

/// A request body still on its way; dropped when it has ended.
#[derive(Debug)]
pub(super) struct Upload {
    activity: Arc<Activity>,
    is_complete: bool,
}

/// A piece of an answer that its client has not taken yet.
#[derive(Debug)]
pub(super) struct Waiting {
    activity: Arc<Activity>,
    key: u64,
}

/// What the connection's timer has to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// A head is arriving since then.
    Head(Instant),
    /// Nothing is in flight since then.
    Idle(Instant),
    /// Data waits for the client, the oldest since then.
    Sending(Instant),
    /// A request is at work; nothing to watch here.
    Busy,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::with_room(None))
    }

    /// Of an HTTP/2 connection, whose uploads take of `room`.
    pub(super) fn http2(room: Arc<Http2Room>) -> Arc<Self> {
        Arc::new(Self::with_room(Some(room)))
    }

    fn with_room(room: Option<Arc<Http2Room>>) -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            uploads: AtomicU32::new(0),
            has_unread: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            is_refused: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            waiting: Mutex::default(),
            stream: AtomicU32::new(0),
            has_written: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            room,
            unread: AtomicU64::new(0),
        }
    }

    /// Some of a head has arrived, and nothing is in flight.
    pub(super) fn head_arrives(&self) {
        if self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now() + 1, Relaxed);
        }
    }

    /// `n` bytes were taken by the socket.
    pub(super) fn wrote(&self, n: usize) {
        if n > KEEPING_ALIVE {
            self.has_written.store(true, Relaxed);
        }
    }

    /// Whether bytes were taken by the socket since the last time this was asked.
    pub(super) fn take_written(&self) -> bool {
        let has_written = self.has_written.load(Relaxed);
        self.has_written.store(false, Relaxed);
        has_written
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        change(&self.requests, 1);
        change(&self.begun, 1);
        self.head_since.store(0, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// A request body begins.
    pub(super) fn upload(self: &Arc<Self>) -> Upload {
        change(&self.uploads, 1);
        Upload {
            activity: Arc::clone(self),
            is_complete: false,
        }
    }

    /// `n` bytes of uploads have arrived over HTTP/2.
    pub(super) fn arrived(&self, n: u64) {
        if let Some(room) = &self.room
            && n > 0
        {
            self.unread.store(self.unread.load(Relaxed) + n, Relaxed);
            room.arrived(n);
        }
    }

    /// The application was given `n` bytes of them, or nobody will be.
    fn taken(&self, n: u64) {
        if let Some(room) = &self.room {
            let unread = self.unread.load(Relaxed);
            let n = n.min(unread);
            if n > 0 {
                self.unread.store(unread - n, Relaxed);
                room.taken(n, self.key());
            }
        }
    }

    /// Whether the connection must not be read: it has unread bytes of uploads, and all have too many.
    /// Its task is woken when it may be.
    pub(super) fn is_held_up(&self, waker: &Waker) -> bool {
        self.room.as_ref().is_some_and(|room| {
            self.unread.load(Relaxed) > 0
                && self.uploads.load(Relaxed) > 0
                && room.holds_up(self.key(), waker)
        })
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// It is the turn of `stream`.
    pub(super) fn is_at(&self, stream: u32) {
        self.stream.store(stream, Relaxed);
    }

    /// A piece of an answer waits for its client from now on.
    pub(super) fn waiting(self: &Arc<Self>) -> Waiting {
        let mut held = self.held();
        held.last_key += 1;
        let key = held.last_key;
        held.pieces.push(Piece {
            key,
            since: Instant::now(),
            stream: self.stream.load(Relaxed),
        });
        drop(held);
        Waiting {
            activity: Arc::clone(self),
            key,
        }
    }

    /// Since when the piece that has waited longest does so.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.held().pieces.iter().map(|piece| piece.since).min()
    }

    /// The streams whose pieces have waited since `limit` or longer.
    pub(super) fn stalled(&self, limit: Instant) -> Vec<u32> {
        let held = self.held();
        let stalled = held.pieces.iter().filter(|piece| piece.since <= limit);
        stalled.map(|piece| piece.stream).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // One connection's own, and all of it runs on one thread: never contended.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is in flight whose own body is complete.
    pub(super) fn awaits_answer(&self) -> bool {
        self.requests.load(Relaxed) > 0 && self.uploads.load(Relaxed) == 0
    }

    /// Whether a request body was given up before its end: more of it may arrive.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread.load(Relaxed)
    }

    /// Whether a request has ever begun.
    pub(super) fn has_served(&self) -> bool {
        self.begun.load(Relaxed) > 0
    }

    /// The client was told off: what it still sends is no request.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Relaxed);
    }

    /// Whether the client was told off.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Relaxed)
    }

    /// From now on the socket reads as closed, and what is at work on the connection ends.
    pub(super) fn cut(&self) {
        self.cut.store(true, Relaxed);
    }

    /// Whether the connection has been cut.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    /// What the timer has to watch now.
    pub(super) fn watch(&self) -> Watch {
        if self.requests.load(Relaxed) > 0 {
            return match self.waiting_since() {
                Some(since) => Watch::Sending(since),
                None => Watch::Busy,
            };
        }
        match self.head_since.load(Relaxed) {
            0 => Watch::Idle(self.at(self.idle_since.load(Relaxed))),
            since => Watch::Head(self.at(since - 1)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn at(&self, micros: u64) -> Instant {
        self.opened + Duration::from_micros(micros)
    }
}

/// Adds `by`, in the one thread that does.
fn change(number: &AtomicU32, by: i32) {
    let changed = number.load(Relaxed).wrapping_add_signed(by);
    number.store(changed, Relaxed);
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.taken(u64::MAX);
        if let Some(room) = &self.room {
            room.forget(self.key());
        }
    }
}

impl Upload {
    /// The application was given `n` bytes of the body, or nobody will be.
    pub(super) fn taken(&self, n: u64) {
        self.activity.taken(n);
    }

    /// The body has ended as it should.
    pub(super) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl InFlight {
    /// What its connection is doing.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.requests.load(Relaxed) == 1 {
            self.0.idle_since.store(self.0.now(), Relaxed);
        }
        change(&self.0.requests, -1);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        change(&self.activity.uploads, -1);
        if !self.is_complete {
            self.activity.has_unread.store(true, Relaxed);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut held = self.activity.held();
        let place = held.pieces.iter().position(|piece| piece.key == self.key);
        if let Some(place) = place {
            held.pieces.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_header_clock_starts_with_the_first_byte_and_the_idle_clock_with_the_answers_end() {
        let activity = Activity::new();
        let opened = Instant::now();
        assert_eq!(activity.watch(), Watch::Idle(opened));
        tokio::time::advance(Duration::from_secs(5)).await;
        activity.head_arrives();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.head_arrives();
        assert_eq!(
            activity.watch(),
            Watch::Head(opened + Duration::from_secs(5))
        );
        let request = activity.begin();
        assert_eq!(activity.watch(), Watch::Busy);
        let waiting = activity.waiting();
        assert_eq!(
            activity.watch(),
            Watch::Sending(opened + Duration::from_secs(6))
        );
        drop((request, waiting));
        assert_eq!(
            activity.watch(),
            Watch::Idle(opened + Duration::from_secs(6))
        );
    }

    #[test]
    fn a_ping_is_no_data_that_the_client_takes() {
        let activity = Activity::new();
        activity.wrote(17);
        assert!(!activity.take_written());
        activity.wrote(1000);
        assert!(activity.take_written());
        assert!(!activity.take_written());
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_is_stalled_from_its_own_time_on_and_names_its_stream() {
        let activity = Activity::new();
        let _request = activity.begin();
        let opened = Instant::now();
        activity.is_at(7);
        let first = activity.waiting();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.is_at(9);
        let second = activity.waiting();
        assert_eq!(activity.watch(), Watch::Sending(opened));
        assert_eq!(activity.stalled(opened), [7]);
        drop(first);
        assert_eq!(
            activity.watch(),
            Watch::Sending(opened + Duration::from_secs(1))
        );
        assert!(activity.stalled(opened).is_empty());
        drop(second);
        assert_eq!(activity.watch(), Watch::Busy);
    }

    #[test]
    fn a_client_that_still_uploads_does_not_only_await_its_answer() {
        let activity = Activity::new();
        let _request = activity.begin();
        assert!(activity.awaits_answer());
        let upload = activity.upload();
        assert!(!activity.awaits_answer());
        drop(upload);
        assert!(activity.awaits_answer());
    }
}
