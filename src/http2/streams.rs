//! The streams of one connection that are open (RFC 9113 section 5.1), each with what its side knows of it.
//!
//! Invariant: what has the place of a stream that has ended knows nothing of that one.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::Waker;

use super::ready::{Ready, StreamWake};

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

    /// All of them, in the order in which they were opened.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.open.iter_mut().map(|stream| &mut **stream)
    }

    /// Gives back what memory is not in use.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        self.open.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl State for u32 {
        fn clear(&mut self) {
            *self = 0;
        }
    }

    #[test]
    fn a_stream_takes_the_place_of_one_that_has_ended_and_knows_nothing_of_it() {
        let mut streams: Streams<u32> = Streams::new(Arc::default());
        for id in [1, 5, 9] {
            streams.open(id, |state, _| *state = id);
        }
        // What came too late for one is not held against the other.
        assert!(streams.find(5).unwrap().wake.claim_turn());
        assert!(streams.close(5) && !streams.close(5) && !streams.close(3));
        assert!(streams.find(5).is_none());
        assert_eq!(streams.spare.len(), 1);
        streams.open(11, |state, _| assert_eq!(*state, 0));
        assert!(streams.spare.is_empty());
        assert!(streams.find(11).unwrap().wake.claim_turn());
        assert_eq!(streams.close_all(), [1, 9, 11]);
        assert!(streams.is_empty());
    }
}
