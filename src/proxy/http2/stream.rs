//! One stream: a request that comes, and its answer that goes (RFC 9113 section 5.1).

use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::upload::Source;
use crate::http2::ready::{Ready, StreamWake};
use crate::http2::sending::SendHalf;
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::proxy::body::ResponseBody;

/// One stream.
pub(super) struct Stream<F> {
    pub(super) id: u32,
    pub(super) wake: Arc<StreamWake>,
    pub(super) waker: Waker,
    /// What makes the answer. Boxed once, for all requests that take this place.
    pub(super) handling: Pin<Box<Option<F>>>,
    pub(super) request: RequestHalf,
    pub(super) answer: AnswerHalf,
    /// The method was HEAD.
    pub(super) is_head: bool,
}

/// What comes from the client.
pub(super) struct RequestHalf {
    /// Nothing more comes.
    pub(super) is_over: bool,
    pub(super) window: ReceiveWindow,
    /// `None` where there is no body.
    pub(super) source: Option<Source>,
    /// Bytes of a declared length that have not come yet.
    pub(super) left: Option<u64>,
    /// Whether what comes is of another protocol than HTTP.
    pub(super) is_tunnel: bool,
}

/// What goes to the client.
pub(super) type AnswerHalf = SendHalf<ResponseBody>;

/// The streams of a connection that are open.
#[allow(
    clippy::vec_box,
    reason = "where one ends those behind it are moved, and each is some hundred bytes"
)]
pub(super) struct Streams<F> {
    /// By identifier: a new one is always the highest (RFC 9113 section 5.1.1).
    open: Vec<Box<Stream<F>>>,
    /// Places of streams that have ended.
    spare: Vec<Box<Stream<F>>>,
    ready: Arc<Ready>,
}

impl<F> Streams<F> {
    pub(super) fn new(ready: Arc<Ready>) -> Self {
        Self {
            open: Vec::new(),
            spare: Vec::new(),
            ready,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn find(&mut self, id: u32) -> Option<&mut Stream<F>> {
        let place = self.place(id)?;
        self.open.get_mut(place).map(|stream| &mut **stream)
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    /// Opens `id`, which is higher than all before.
    pub(super) fn open(&mut self, id: u32, request: RequestHalf, window: SendWindow) {
        let answer = AnswerHalf::new(window);
        let stream = match self.spare.pop() {
            Some(mut stream) => {
                (stream.id, stream.request, stream.answer) = (id, request, answer);
                stream.is_head = false;
                stream
            }
            None => {
                let wake = StreamWake::new(&self.ready);
                Box::new(Stream {
                    id,
                    waker: Waker::from(Arc::clone(&wake)),
                    wake,
                    handling: Box::pin(None),
                    request,
                    answer,
                    is_head: false,
                })
            }
        };
        stream.wake.is_for(id);
        self.open.push(stream);
    }

    /// Ends `id`, and with it what it was doing; whether it was open.
    pub(super) fn close(&mut self, id: u32) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        let mut stream = self.open.remove(place);
        stream.handling.set(None);
        stream.request.source = None;
        stream.answer.clear();
        self.spare.push(stream);
        true
    }

    /// Ends all of them; their identifiers.
    pub(super) fn close_all(&mut self) -> Vec<u32> {
        let closed = self.open.iter().map(|stream| stream.id).collect();
        self.open.clear();
        closed
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<F>> {
        self.open.iter_mut().map(|stream| &mut **stream)
    }

    /// Gives back what memory is not in use.
    pub(super) fn shrink(&mut self) {
        self.spare = Vec::new();
        self.open.shrink_to_fit();
    }
}

/// Identifiers of streams that have ended, as many as frames may still be on their way for.
#[derive(Debug, Default)]
pub(super) struct Past {
    ended: std::collections::VecDeque<(u32, By)>,
}

/// Who ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Its client, or both sides.
    Client,
    /// We, and the client may not know yet.
    Us,
}

impl Past {
    const MOST: usize = 128;

    pub(super) fn add(&mut self, id: u32, by: By) {
        if self.ended.len() == Self::MOST {
            self.ended.pop_front();
        }
        self.ended.push_back((id, by));
    }

    /// Who ended `id`, if that is known.
    pub(super) fn find(&self, id: u32) -> Option<By> {
        let found = self.ended.iter().rev().find(|(ended, _)| *ended == id);
        found.map(|(_, by)| *by)
    }

    /// Gives back what memory is not in use.
    pub(super) fn shrink(&mut self) {
        self.ended.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::window;

    fn half() -> RequestHalf {
        RequestHalf {
            is_over: true,
            window: ReceiveWindow::new(0),
            source: None,
            left: None,
            is_tunnel: false,
        }
    }

    #[test]
    fn a_stream_takes_the_place_of_one_that_has_ended() {
        let mut streams: Streams<()> = Streams::new(Arc::default());
        let window = SendWindow::new(window::INITIAL);
        for id in [1, 5, 9] {
            streams.open(id, half(), window);
        }
        // What came too late for one is not held against the other.
        assert!(streams.find(5).unwrap().wake.claim_turn());
        assert!(streams.close(5) && !streams.close(5) && !streams.close(3));
        assert!(streams.find(5).is_none());
        assert_eq!(streams.spare.len(), 1);
        streams.open(11, half(), window);
        assert!(streams.spare.is_empty());
        assert!(streams.find(11).unwrap().wake.claim_turn());
        assert_eq!(streams.close_all(), [1, 9, 11]);
        assert!(streams.is_empty());
    }

    #[test]
    fn who_ended_a_stream_is_known_for_a_while() {
        let mut past = Past::default();
        past.add(1, By::Us);
        past.add(3, By::Client);
        assert_eq!(
            (past.find(1), past.find(3)),
            (Some(By::Us), Some(By::Client))
        );
        for id in 0..Past::MOST as u32 {
            past.add(id * 2 + 5, By::Client);
        }
        assert_eq!(past.find(1), None);
    }
}
