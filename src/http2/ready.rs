//! Which streams have something to do: a waker for each, and the queue they put themselves in.
//!
//! All streams of a connection run in its one task, and a stream is looked at only when something that
//! it waits for has happened. Invariant: a stream is in the queue at most once.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The streams of one connection that have something to do.
#[derive(Debug, Default)]
pub struct Ready {
    queue: Mutex<Queue>,
    /// Whether there is something in it, for those who need not look.
    has_streams: AtomicBool,
    /// Bytes of bodies that were taken, or will never be, since this was last asked for.
    taken: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    streams: Vec<u32>,
    connection: Option<Waker>,
}

/// What wakes one stream, and then another that takes its place.
#[derive(Debug)]
pub struct StreamWake {
    stream: AtomicU32,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    /// Has `connection` woken when a stream has something to do.
    pub fn attach(&self, connection: Waker) {
        self.queue().connection = Some(connection);
    }

    /// Puts the streams that have something to do behind `turns`.
    pub fn take(&self, turns: &mut VecDeque<u32>) {
        if self.has_streams.load(Acquire) {
            let mut queue = self.queue();
            turns.extend(queue.streams.iter().copied());
            queue.streams.clear();
            self.has_streams.store(false, Relaxed);
        }
    }

    /// `n` bytes of bodies were taken, or will never be.
    pub fn add_taken(&self, n: usize) -> usize {
        self.taken.fetch_add(n, Relaxed) + n
    }

    /// How many were since this was last asked.
    pub fn take_taken(&self) -> usize {
        match self.taken.load(Relaxed) {
            0 => 0,
            _ => self.taken.swap(0, Relaxed),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // One connection's own, and all of it runs on one thread: never contended.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamWake {
    /// A waker for a stream of the connection with this queue.
    pub fn new(ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self {
            stream: AtomicU32::new(0),
            is_queued: AtomicBool::new(false),
            ready: Arc::clone(ready),
        })
    }

    /// From now on it is `stream` that is woken, whatever became of the one before.
    pub fn is_for(&self, stream: u32) {
        self.stream.store(stream, Relaxed);
        self.begin_turn();
    }

    /// The stream is to have a turn; `false` when it has one coming.
    pub fn claim_turn(&self) -> bool {
        !self.is_queued.load(Relaxed) && !self.is_queued.swap(true, Relaxed)
    }

    /// The stream has its turn: what happens from now on puts it into the queue again.
    pub fn begin_turn(&self) {
        self.is_queued.store(false, Relaxed);
    }

    /// The queue it puts its stream in.
    pub fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }
}

impl Wake for StreamWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.claim_turn() {
            return;
        }
        let mut queue = self.ready.queue();
        queue.streams.push(self.stream.load(Relaxed));
        self.ready.has_streams.store(true, Release);
        if let Some(connection) = &queue.connection {
            connection.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_woken_twice_has_one_turn() {
        let ready = Arc::new(Ready::default());
        let wake = StreamWake::new(&ready);
        wake.is_for(7);
        let waker = Waker::from(Arc::clone(&wake));
        let mut streams = VecDeque::new();
        waker.wake_by_ref();
        waker.wake_by_ref();
        ready.take(&mut streams);
        assert_eq!(streams, [7]);
        wake.begin_turn();
        waker.wake_by_ref();
        ready.take(&mut streams);
        assert_eq!(streams, [7, 7]);
    }
}
