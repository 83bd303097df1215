//! `--rotate-every`: the secret is swapped at an interval, as an issuer would renew it.
//!
//! Owns the secret from the start of the proxy to its end. The thread waits on a channel that
//! never carries a value: its end is the signal to stop, so that the demo does not wait out an
//! interval. A rotation that fails is said and tried again at the next interval.

use std::convert::Infallible;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;

use super::secret::Secret;
use crate::app::Handle;

/// The secret in use and what rotates it; both end when dropped.
pub(super) struct Rotation {
    /// `None` when nothing rotates.
    thread: Option<(mpsc::Sender<Infallible>, JoinHandle<()>)>,
    /// `None` when the thread has it.
    _secret: Option<Secret>,
}

impl Rotation {
    /// Keeps `secret`, and with an interval rotates it and has the proxy reload.
    pub(super) fn start(
        mut secret: Secret,
        handle: Handle,
        every: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let Some(every) = every else {
            return Ok(Self {
                thread: None,
                _secret: Some(secret),
            });
        };
        let (stop, stopped) = mpsc::channel::<Infallible>();
        let rotate = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                turn(&mut secret, &handle);
            }
        };
        let thread = thread::Builder::new()
            .name("demo-rotation".to_owned())
            .spawn(rotate)
            .context("no thread for --rotate-every")?;
        Ok(Self {
            thread: Some((stop, thread)),
            _secret: None,
        })
    }
}

fn turn(secret: &mut Secret, handle: &Handle) {
    match secret.rotate() {
        Ok(()) => {
            handle.reload();
            println!(
                "demo: rotated; the new certificate has serial {}",
                secret.serial()
            );
        }
        Err(error) => eprintln!("demo: the certificate did not rotate: {error:#}"),
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
