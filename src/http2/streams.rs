//! The streams of one connection that are open (RFC 9113 section 5.1), each with what its side knows of it,
//! and whose turn it is.
//!
//! Invariant: what has the place of a stream that has ended knows nothing of that one.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::Waker;

use super::frame::Reason;
use super::ready::{Ready, StreamWake};
use super::window::SendWindow;

/// One stream, and what is known of it.
#[derive(Debug)]
pub struct Stream<T> {
    /// Its identifier.
    pub id: u32,
    /// Whether it has a turn coming.
    pub wake: Arc<StreamWake>,
    /// What gives it one.
    pub waker: Waker,
    /// What is known of it.
    pub state: T,
}

/// What is known of a stream; the default is one of which nothing is.
pub trait State: Default {
    /// Forgets all, so that another stream can have the place.
    fn clear(&mut self);

    /// What the peer takes on it.
    fn window(&mut self) -> &mut SendWindow;

    /// Whether something waits for a wider window.
    fn is_blocked(&self) -> bool;
}

/// The streams of a connection that are open.
#[derive(Debug)]
#[allow(
    clippy::vec_box,
    reason = "where one ends those behind it are moved, and each is some hundred bytes"
)]
pub struct Streams<T> {
    /// By identifier: a new one is always the highest (RFC 9113 section 5.1.1).
    open: Vec<Box<Stream<T>>>,
    /// Places of streams that have ended.
    spare: Vec<Box<Stream<T>>>,
    ready: Arc<Ready>,
    /// Those whose turn it is.
    turns: VecDeque<u32>,
    /// A window is wider: every stream that waits for one has a turn.
    has_wider_window: bool,
}

impl<T> Deref for Stream<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for Stream<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

impl<T: State> Streams<T> {
    /// None yet, of the connection with this queue.
    pub fn new(ready: Arc<Ready>) -> Self {
        Self {
            open: Vec::new(),
            spare: Vec::new(),
            ready,
            turns: VecDeque::new(),
            has_wider_window: false,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The only one there is.
    pub fn only(&mut self) -> Option<&mut Stream<T>> {
        match &mut *self.open {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The one with this identifier.
    pub fn find(&mut self, id: u32) -> Option<&mut Stream<T>> {
        let place = self.place(id)?;
        self.open.get_mut(place).map(|stream| &mut **stream)
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    /// Opens `id`, which is higher than all before, for what `state` makes of a place where nothing is
    /// known.
    pub fn open(&mut self, id: u32, state: impl FnOnce(&mut T, &Arc<StreamWake>)) {
        let mut stream = self.spare.pop().unwrap_or_else(|| {
            let wake = StreamWake::new(&self.ready);
            Box::new(Stream {
                id,
                waker: Waker::from(Arc::clone(&wake)),
                wake,
                state: T::default(),
            })
        });
        stream.id = id;
        stream.wake.is_for(id);
        state(&mut stream.state, &stream.wake);
        self.open.push(stream);
    }

    /// Ends `id`, and with it what it was doing; whether it was open.
    pub fn close(&mut self, id: u32) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        let mut stream = self.open.remove(place);
        stream.state.clear();
        self.spare.push(stream);
        true
    }

    /// Ends all of them; their identifiers.
    pub fn close_all(&mut self) -> Vec<u32> {
        let closed = self.open.iter().map(|stream| stream.id).collect();
        self.open.clear();
        closed
    }

    /// Has stream `id` have a turn.
    pub fn claim_turn(&mut self, id: u32) {
        if let Some(stream) = self.find(id)
            && stream.wake.claim_turn()
        {
            self.turns.push_back(id);
        }
    }

    /// A window of all together is wider.
    pub fn widened(&mut self) {
        self.has_wider_window = true;
    }

    /// The windows of all are changed by a setting.
    ///
    /// # Errors
    /// When one would be larger than a window may be.
    pub fn change_windows(&mut self, by: i64) -> Result<(), Reason> {
        self.has_wider_window |= by > 0;
        self.iter_mut()
            .try_for_each(|stream| stream.window().change(by))
    }

    /// How many wait for their turn: those that were woken, or may send more.
    pub fn waiting(&mut self) -> usize {
        self.ready.take(&mut self.turns);
        if std::mem::take(&mut self.has_wider_window) {
            for stream in &mut self.open {
                if stream.is_blocked() && stream.wake.claim_turn() {
                    self.turns.push_back(stream.id);
                }
            }
        }
        self.turns.len()
    }

    /// The first of those that wait.
    pub fn next_turn(&mut self) -> Option<u32> {
        self.turns.pop_front()
    }

    /// All of them, in the order in which they were opened.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.open.iter_mut().map(|stream| &mut **stream)
    }

    /// Gives back what memory is not in use.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        self.open.shrink_to_fit();
        self.turns.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Known {
        of: u32,
        window: SendWindow,
    }

    impl State for Known {
        fn clear(&mut self) {
            *self = Self::default();
        }

        fn window(&mut self) -> &mut SendWindow {
            &mut self.window
        }

        fn is_blocked(&self) -> bool {
            self.window.allows(1) == 0
        }
    }

    #[test]
    fn a_stream_takes_the_place_of_one_that_has_ended_and_knows_nothing_of_it() {
        let mut streams: Streams<Known> = Streams::new(Arc::default());
        for id in [1, 5, 9] {
            streams.open(id, |state, _| state.of = id);
        }
        // What came too late for one is not held against the other.
        assert!(streams.find(5).unwrap().wake.claim_turn());
        assert!(streams.close(5) && !streams.close(5) && !streams.close(3));
        assert!(streams.find(5).is_none());
        assert_eq!(streams.spare.len(), 1);
        streams.open(11, |state, _| assert_eq!(state.of, 0));
        assert!(streams.spare.is_empty());
        assert!(streams.find(11).unwrap().wake.claim_turn());
        assert_eq!(streams.close_all(), [1, 9, 11]);
        assert!(streams.is_empty());
    }

    #[test]
    fn a_wider_window_is_a_turn_for_whoever_waits_for_it_and_no_second_one() {
        let mut streams: Streams<Known> = Streams::new(Arc::default());
        for (id, window) in [(1, 0), (3, 9), (5, 0)] {
            streams.open(id, |state, _| state.window = SendWindow::new(window));
        }
        streams.claim_turn(5);
        streams.widened();
        assert_eq!(streams.waiting(), 2);
        assert_eq!([5, 1].map(Some), [(); 2].map(|()| streams.next_turn()));
        for id in [1, 5] {
            streams.find(id).unwrap().wake.begin_turn();
        }
        assert_eq!(streams.change_windows(-9), Ok(()));
        assert_eq!(streams.waiting(), 0);
        // Each still below nothing, or at it.
        assert_eq!(streams.change_windows(9), Ok(()));
        assert_eq!(streams.waiting(), 2);
        let too_wide = streams.change_windows(i64::from(i32::MAX));
        assert_eq!(too_wide, Err(Reason::FLOW_CONTROL_ERROR));
    }
}
