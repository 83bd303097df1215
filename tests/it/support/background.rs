//! A thread with a runtime of its own, so that what runs there answers while a test blocks; and a
//! [`Gate`] with which a test holds it at a chosen point.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

/// Runs one future on its own thread; stops it, and every task it started, when dropped.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts `future` on a new thread with a current-thread runtime.
    pub(crate) fn start(name: &str, future: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = future => {}
                    }
                });
            })
            .unwrap();
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there, and what it broke fails the test here.
            let _ = thread.join();
        }
    }
}

/// Holds whoever waits at it until a test opens it.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    open: Arc<watch::Sender<bool>>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Gate {
    /// A gate that holds.
    pub(crate) fn closed() -> Self {
        Self {
            open: Arc::new(watch::Sender::new(false)),
            waiting: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Returns once the gate is open.
    pub(crate) async fn pass(&self) {
        let mut open = self.open.subscribe();
        let _counted = Waiting::at(self);
        // The sender lives as long as `self`.
        open.wait_for(|open| *open).await.unwrap();
    }

    /// Lets everyone pass, now and later.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// How many are held now.
    pub(crate) fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }
}

/// Counts one who waits, also when cancelled.
struct Waiting(Arc<watch::Sender<usize>>);

impl Waiting {
    fn at(gate: &Gate) -> Self {
        gate.waiting.send_modify(|waiting| *waiting += 1);
        Self(Arc::clone(&gate.waiting))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
