//! The way out, in stages, and the tasks that have to take it.
//!
//! A [`Drain`] is one worker's shard: its connections hold a [`Signal`] each and are counted by
//! the tracker they were spawned on. One shard per worker, because a single notification list
//! that thousands of connections stand in becomes the bottleneck of the very moment it is for.
//! Invariant: stages only go forward.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::watch;
use tokio::task::coop;
use tokio_util::task::TaskTracker;

/// How far the way out has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Serving.
    Running = 0,
    /// Still accepting; answers ask for the connection to be closed.
    Leaving = 1,
    /// Listeners are closed; idle connections end, work in flight goes on.
    Graceful = 2,
    /// Out of time: what is left is cut.
    Forced = 3,
    /// Nothing is left; the process ends.
    Over = 4,
}

impl Stage {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Running,
            1 => Self::Leaving,
            2 => Self::Graceful,
            3 => Self::Forced,
            _ => Self::Over,
        }
    }
}

/// One worker's shard of the drain.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    now: Arc<AtomicU8>,
    tasks: TaskTracker,
}

/// What a connection holds: wakes it when the stage changes.
pub struct Signal {
    changed: Pin<Box<dyn Future<Output = watch::Receiver<Stage>> + Send>>,
    now: Arc<AtomicU8>,
    /// The stage that was told last.
    told: Stage,
    /// Whether the task that waits for another is noted.
    is_noted: bool,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Running),
            now: Arc::new(AtomicU8::new(Stage::Running as u8)),
            tasks: TaskTracker::new(),
        }
    }
}

impl Drain {
    /// A signal for one more connection.
    pub fn signal(&self) -> Signal {
        let receiver = self.stage.subscribe();
        let told = *receiver.borrow();
        Signal {
            changed: wait(receiver),
            now: Arc::clone(&self.now),
            told,
            is_noted: false,
        }
    }

    /// The stage now: one relaxed load, for the path of a request.
    pub fn stage(&self) -> Stage {
        Stage::from_u8(self.now.load(Ordering::Relaxed))
    }

    /// Moves on to `stage`; going back is ignored.
    pub fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            let forward = stage > *current;
            if forward {
                *current = stage;
                self.now.store(stage as u8, Ordering::Relaxed);
            }
            forward
        });
    }

    /// Runs `connection` as a task that the drain waits for; a panic in it ends it alone and is
    /// told to `on_panic`.
    pub fn spawn<F>(&self, connection: F, on_panic: impl FnOnce() + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(Guarded {
            connection,
            guard: PanicGuard(Some(on_panic)),
        });
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// Returns when no connection is left.
    pub async fn empty(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pin_project! {
    /// A connection whose panic is told.
    ///
    /// No async block: it would hold the connection twice, as captured and as awaited, and a task
    /// is as large as that for as long as a client is connected.
    struct Guarded<F, R: FnOnce()> {
        #[pin]
        connection: F,
        // Dropped by the runtime when the poll has unwound into it, which then catches the rest.
        guard: PanicGuard<R>,
    }
}

impl<F: Future<Output = ()>, R: FnOnce()> Future for Guarded<F, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().connection.poll(cx)
    }
}

struct PanicGuard<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for PanicGuard<F> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(report) = self.0.take()
        {
            report();
        }
    }
}

impl Signal {
    /// The stage now: one relaxed load, for the path of a request.
    pub fn stage(&self) -> Stage {
        Stage::from_u8(self.now.load(Ordering::Relaxed))
    }

    /// Ready with the new stage each time it has changed; for one task, which is polled for everything
    /// that happens on a connection.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Stage> {
        if self.is_noted && self.stage() == self.told {
            return Poll::Pending;
        }
        // Who has used its turn up is not even noted, and is polled again.
        self.is_noted = coop::has_budget_remaining();
        let receiver = std::task::ready!(self.changed.as_mut().poll(cx));
        let stage = *receiver.borrow();
        (self.told, self.is_noted) = (stage, false);
        self.changed = wait(receiver);
        Poll::Ready(stage)
    }

    /// Waits until the drain is out of time.
    pub async fn forced(&mut self) {
        while self.stage() < Stage::Forced {
            std::future::poll_fn(|cx| self.poll_changed(cx)).await;
        }
    }
}

fn wait(
    mut receiver: watch::Receiver<Stage>,
) -> Pin<Box<dyn Future<Output = watch::Receiver<Stage>> + Send>> {
    Box::pin(async move {
        if receiver.changed().await.is_err() {
            // The worker is gone and takes its connections with it.
            std::future::pending::<()>().await;
        }
        receiver
    })
}

/// Starts a task that the drain does not wait for: a connection to the application, whose requests
/// are waited for by themselves.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place such tasks start"
)]
pub fn in_background(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[tokio::test]
    async fn a_panic_in_one_connection_is_reported_and_others_go_on() {
        let drain = Drain::default();
        let panics = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&panics);
        let (done, finished) = tokio::sync::oneshot::channel();
        drain.spawn(async { panic!("one connection") }, move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        drain.spawn(async move { done.send(7).unwrap() }, || {});
        assert_eq!(finished.await, Ok(7));
        drain.empty().await;
        assert_eq!(panics.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn stages_only_go_forward_and_wake_every_connection() {
        let drain = Drain::default();
        let (mut first, mut second) = (drain.signal(), drain.signal());
        drain.advance(Stage::Graceful);
        drain.advance(Stage::Leaving);
        for signal in [&mut first, &mut second] {
            let stage = std::future::poll_fn(|cx| signal.poll_changed(cx)).await;
            assert_eq!((stage, signal.stage()), (Stage::Graceful, Stage::Graceful));
        }
        drain.advance(Stage::Forced);
        first.forced().await;
    }
}
