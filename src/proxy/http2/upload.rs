//! The body of a request, from the connection it comes on to whoever sends it on.
//!
//! What has come waits here, at most a window of it, until it is asked for; what is taken is granted
//! anew. Whoever takes it may be the connection's own task or another. Invariant: a body that ends
//! early ends in a failure.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::http2::pieces::Pieces;
use crate::http2::ready::{Ready, StreamWake};
use crate::proxy::body::RequestBodyFailure;

/// So much is taken of one stream, or of all together, before the connection is woken to grant it anew:
/// a client that has used its windows up is never left waiting.
const MUCH: usize = STREAM_WINDOW as usize / 2;
const MUCH_OF_ALL: usize = CONNECTION_WINDOW as usize / 4;

/// The end at which the body is read; by default of none.
#[derive(Default)]
pub(in crate::proxy) struct Incoming(Option<Arc<Shared>>);

/// The end at which the body arrives.
pub(super) struct Source(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    stream: Waker,
    ready: Arc<Ready>,
}

#[derive(Debug)]
struct State {
    pieces: Pieces,
    trailers: Option<HeaderMap>,
    /// Bytes of a declared length that nobody was given yet.
    left: Option<u64>,
    end: End,
    /// Bytes that were taken since this was last asked for.
    taken: usize,
    /// The client waits for word before it sends the body.
    expects_continue: bool,
    wants_continue: bool,
    is_given_up: bool,
    reader: Option<Waker>,
}

/// What comes behind the pieces that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Over,
    Failed(RequestBodyFailure),
}

/// The two ends of a body of `length` bytes, if that is known, on the stream that is woken by `wake`.
pub(super) fn body(
    length: Option<u64>,
    expects_continue: bool,
    wake: &Arc<StreamWake>,
) -> (Source, Incoming) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            pieces: Pieces::default(),
            trailers: None,
            left: length,
            end: End::Open,
            taken: 0,
            expects_continue,
            wants_continue: false,
            is_given_up: false,
            reader: None,
        }),
        stream: Waker::from(Arc::clone(wake)),
        ready: Arc::clone(wake.ready()),
    });
    (Source(Arc::clone(&shared)), Incoming(Some(shared)))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // One connection's own, and all of it runs on one thread: never contended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// A piece has come; `false` when nobody will ever take it.
    pub(super) fn push(&self, piece: Bytes) -> bool {
        let mut state = self.0.state();
        if state.is_given_up {
            return false;
        }
        state.pieces.push(piece);
        state.tell();
        true
    }

    /// All of it has come, perhaps with trailers.
    pub(super) fn end(&self, trailers: Option<HeaderMap>) {
        let mut state = self.0.state();
        state.trailers = trailers;
        state.end = End::Over;
        state.tell();
    }

    /// How many bytes were taken since this was last asked.
    pub(super) fn take_taken(&self) -> usize {
        std::mem::take(&mut self.0.state().taken)
    }

    /// Whether the client has to be told, now and once, that its body is wanted.
    pub(super) fn take_wants_continue(&self) -> bool {
        std::mem::take(&mut self.0.state().wants_continue)
    }

    /// Whether nobody will ever take more of it.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.state().is_given_up
    }
}

impl State {
    fn tell(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.end == End::Open {
            state.end = End::Failed(RequestBodyFailure::ClientGone);
            state.tell();
        }
    }
}

impl Incoming {
    /// Asks for the next piece.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>> {
        let Some(shared) = &self.0 else {
            return Poll::Ready(None);
        };
        let mut state = shared.state();
        if let Some(piece) = state.pieces.pop() {
            let n = piece.len();
            state.taken += n;
            if let Some(left) = &mut state.left {
                *left = left.saturating_sub(n as u64);
            }
            let is_much = state.taken >= MUCH;
            drop(state);
            if shared.ready.add_taken(n) >= MUCH_OF_ALL || is_much {
                shared.stream.wake_by_ref();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(trailers) = state.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match state.end {
            End::Over => return Poll::Ready(None),
            End::Failed(failure) => return Poll::Ready(Some(Err(failure))),
            End::Open => {}
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if std::mem::take(&mut state.expects_continue) {
            state.wants_continue = true;
            drop(state);
            shared.stream.wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether nothing more comes.
    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| {
            let state = shared.state();
            state.pieces.is_empty() && state.trailers.is_none() && state.end == End::Over
        })
    }

    /// How much more comes.
    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(shared) => {
                (shared.state().left).map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }

    /// How many bytes have come and were not taken.
    pub(in crate::proxy) fn unread(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |shared| shared.state().pieces.len())
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming")
            .field(&self.0.as_ref().map(|shared| shared.state().end))
            .finish()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.state();
        let unread = std::mem::take(&mut state.pieces).len();
        state.is_given_up = true;
        drop(state);
        shared.ready.add_taken(unread);
        // There may be nothing left but to tell the client to stop.
        shared.stream.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_ends(length: Option<u64>) -> (Source, Incoming, Arc<Ready>) {
        let ready = Arc::new(Ready::default());
        let (source, incoming) = body(length, false, &StreamWake::new(&ready));
        (source, incoming, ready)
    }

    fn data(frame: Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>>) -> Bytes {
        match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_come_is_taken_piece_by_piece_and_the_length_shrinks() {
        let mut cx = Context::from_waker(Waker::noop());
        let (source, mut incoming, ready) = two_ends(Some(5));
        assert!(incoming.poll_frame(&mut cx).is_pending());
        assert!(source.push("abc".into()) && source.push("de".into()));
        source.end(None);
        assert_eq!(incoming.size_hint().exact(), Some(5));
        assert_eq!(data(incoming.poll_frame(&mut cx)), "abc");
        assert_eq!(incoming.size_hint().exact(), Some(2));
        assert!(!incoming.is_end_stream());
        assert_eq!(data(incoming.poll_frame(&mut cx)), "de");
        assert!(incoming.is_end_stream());
        assert!(matches!(incoming.poll_frame(&mut cx), Poll::Ready(None)));
        assert_eq!(source.take_taken(), 5);
        assert_eq!((ready.take_taken(), ready.take_taken()), (5, 0));
    }

    #[test]
    fn a_body_that_broke_off_fails_behind_what_had_come() {
        let mut cx = Context::from_waker(Waker::noop());
        let (source, mut incoming, _) = two_ends(None);
        source.push("a".into());
        drop(source);
        assert_eq!(data(incoming.poll_frame(&mut cx)), "a");
        assert!(matches!(
            incoming.poll_frame(&mut cx),
            Poll::Ready(Some(Err(RequestBodyFailure::ClientGone)))
        ));
    }

    #[test]
    fn what_nobody_takes_any_more_is_granted_anew() {
        let (source, incoming, ready) = two_ends(None);
        source.push("abc".into());
        assert_eq!(incoming.unread(), 3);
        drop(incoming);
        assert!(source.is_given_up() && !source.push("d".into()));
        assert_eq!(ready.take_taken(), 3);
    }
}
