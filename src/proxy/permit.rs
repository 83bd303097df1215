//! What one connection takes up: of what may be open, and of its worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::OwnedSemaphorePermit;

/// How many connections one worker has, their tunnels among them.
#[derive(Debug, Clone, Default)]
pub struct Load(Arc<AtomicUsize>);

impl Load {
    /// How many.
    pub fn connections(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Leave to have one more connection; given back when the connection's last task ends.
#[derive(Debug)]
pub struct Permit {
    _open: OwnedSemaphorePermit,
    worker: Load,
}

impl Permit {
    /// Of what `open` allows, at a worker with `load`.
    pub fn new(open: OwnedSemaphorePermit, load: &Load) -> Self {
        load.0.fetch_add(1, Relaxed);
        Self {
            _open: open,
            worker: load.clone(),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.worker.0.fetch_sub(1, Relaxed);
    }
}
