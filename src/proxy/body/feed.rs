//! A body on its way from whoever has it to whoever wants it: what a client uploads over HTTP/1, and what
//! a tunnel sends over HTTP/2.
//!
//! One piece at a time, and only when it is asked for: what is not taken at one end is not got rid of at
//! the other. Both ends may be in one task, and then nobody is woken, or in two. Invariant: a body that
//! ends early ends in a failure.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::RequestBodyFailure;

/// The end at which the body is read; by default of none.
#[derive(Default)]
pub(in crate::proxy) struct Feed(Option<Arc<Shared>>);

/// The end at which the body arrives.
#[derive(Debug)]
pub(in crate::proxy) struct Source(Arc<Shared>);

/// Who was given a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Reader {
    /// The task that gave it.
    Same,
    /// Another, which was woken.
    Other,
}

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    next: Option<Frame<Bytes>>,
    /// Bytes of a declared length that nobody was given yet.
    left: Option<u64>,
    end: End,
    is_wanted: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// What comes behind the next piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Over,
    Failed(RequestBodyFailure),
}

/// The two ends of a body of `length` bytes, if that is known.
pub(in crate::proxy) fn feed(length: Option<u64>) -> (Source, Feed) {
    let shared = Arc::new(Shared(Mutex::new(State {
        next: None,
        left: length,
        end: End::Open,
        is_wanted: false,
        reader: None,
        connection: None,
    })));
    (Source(Arc::clone(&shared)), Feed(Some(shared)))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // One connection's own, and all of it runs on one thread: never contended.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Whether a piece is wanted, which it never is again when nobody reads any more. If none is, the
    /// connection's task is woken when one is.
    pub(in crate::proxy) fn is_wanted(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.0.state();
        if !state.is_wanted {
            note(&mut state.connection, cx);
        }
        state.is_wanted
    }

    /// Gives the next piece, the last if nothing comes behind it.
    pub(in crate::proxy) fn give(
        &self,
        piece: Option<Frame<Bytes>>,
        is_last: bool,
        cx: &Context<'_>,
    ) -> Reader {
        let mut state = self.0.state();
        state.next = piece;
        if is_last {
            state.end = End::Over;
        }
        state.told(cx)
    }

    /// Nothing comes behind what was given.
    pub(in crate::proxy) fn end(&self, cx: &Context<'_>) -> Reader {
        let mut state = self.0.state();
        state.end = End::Over;
        state.told(cx)
    }

    /// The body has failed.
    pub(in crate::proxy) fn fail(&self, failure: RequestBodyFailure, cx: &Context<'_>) -> Reader {
        let mut state = self.0.state();
        state.end = End::Failed(failure);
        state.told(cx)
    }
}

impl State {
    fn told(&mut self, cx: &Context<'_>) -> Reader {
        self.is_wanted = false;
        match self.reader.take() {
            Some(reader) if !reader.will_wake(cx.waker()) => {
                reader.wake();
                Reader::Other
            }
            _ => Reader::Same,
        }
    }
}

impl Feed {
    /// Asks for the next piece.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>> {
        let Some(feed) = &self.0 else {
            return Poll::Ready(None);
        };
        let mut state = feed.state();
        if let Some(frame) = state.next.take() {
            if let (Some(left), Some(data)) = (&mut state.left, frame.data_ref()) {
                *left = left.saturating_sub(data.len() as u64);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        match state.end {
            End::Over => return Poll::Ready(None),
            End::Failed(failure) => return Poll::Ready(Some(Err(failure))),
            End::Open => {}
        }
        note(&mut state.reader, cx);
        if !mem::replace(&mut state.is_wanted, true)
            && let Some(connection) = state.connection.take()
            && !connection.will_wake(cx.waker())
        {
            connection.wake();
        }
        Poll::Pending
    }

    /// Whether nothing more comes.
    pub(in crate::proxy) fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|feed| {
            let state = feed.state();
            state.next.is_none() && state.end == End::Over
        })
    }

    /// How much more comes.
    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(feed) => (feed.state().left).map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(feed) = &self.0 {
            let mut state = feed.state();
            state.is_wanted = false;
            state.next = None;
        }
    }
}

fn note(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Task {
        fn woken(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    fn data(frame: Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>>) -> Bytes {
        match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pieces_are_given_when_they_are_wanted_and_the_length_shrinks() {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let (source, mut body) = feed(Some(5));
        assert!(!source.is_wanted(&mut cx));
        assert!(body.poll_frame(&mut cx).is_pending());
        assert!(source.is_wanted(&mut cx));
        assert_eq!(
            source.give(Some(Frame::data("abc".into())), false, &cx),
            Reader::Same
        );
        assert!(!source.is_wanted(&mut cx));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(data(body.poll_frame(&mut cx)), "abc");
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(body.poll_frame(&mut cx).is_pending());
        source.give(Some(Frame::data("de".into())), true, &cx);
        assert!(!body.is_end_stream());
        assert_eq!(data(body.poll_frame(&mut cx)), "de");
        assert!(body.is_end_stream());
        assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(None)));
        assert_eq!(task.woken(), 0, "one task needs no waking");
    }

    #[test]
    fn a_reader_in_another_task_is_woken_and_wakes() {
        let (ours, theirs) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let wakers = [
            Waker::from(Arc::clone(&ours)),
            Waker::from(Arc::clone(&theirs)),
        ];
        let [mut here, mut there] = wakers.each_ref().map(Context::from_waker);
        let (source, mut body) = feed(None);
        assert!(!source.is_wanted(&mut here));
        assert!(body.poll_frame(&mut there).is_pending());
        assert_eq!(ours.woken(), 1);
        assert!(source.is_wanted(&mut here));
        assert_eq!(
            source.give(Some(Frame::data("a".into())), false, &here),
            Reader::Other
        );
        assert_eq!(theirs.woken(), 1);
        assert_eq!(data(body.poll_frame(&mut there)), "a");
        assert!(!source.is_wanted(&mut here));
        assert!(body.poll_frame(&mut there).is_pending());
        drop(body);
        assert!(!source.is_wanted(&mut here), "nobody reads any more");
    }

    #[test]
    fn a_body_that_broke_off_fails_behind_what_had_come() {
        let mut cx = Context::from_waker(Waker::noop());
        let (source, mut body) = feed(None);
        source.give(Some(Frame::data("a".into())), false, &cx);
        source.fail(RequestBodyFailure::ClientGone, &cx);
        assert_eq!(data(body.poll_frame(&mut cx)), "a");
        assert!(matches!(
            body.poll_frame(&mut cx),
            Poll::Ready(Some(Err(RequestBodyFailure::ClientGone)))
        ));
    }
}
