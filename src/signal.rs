//! Signals: SIGTERM, SIGINT and SIGQUIT drain, the second of them ends at once; SIGHUP and
//! SIGUSR1 reload.
//!
//! The kubelet sends SIGTERM, a terminal SIGINT, nginx images declare SIGQUIT. SIGPIPE is ignored
//! by the language's runtime.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Leave in order.
    Drain,
    /// Leave now.
    End,
    /// Look at the certificates.
    Reload,
}

/// The signals of the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user: Signal,
    is_draining: bool,
}

impl Signals {
    /// Takes over the signals of the process; needs a runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            is_draining: false,
        })
    }

    /// What the next signal asks for.
    pub async fn next(&mut self) -> Request {
        let request = tokio::select! {
            _ = self.terminate.recv() => Request::Drain,
            _ = self.interrupt.recv() => Request::Drain,
            _ = self.quit.recv() => Request::Drain,
            _ = self.hangup.recv() => Request::Reload,
            _ = self.user.recv() => Request::Reload,
        };
        match request {
            Request::Drain if self.is_draining => Request::End,
            Request::Drain => {
                self.is_draining = true;
                Request::Drain
            }
            other => other,
        }
    }
}

/// Ends the process without another word to anybody: the second signal.
#[allow(
    clippy::disallowed_methods,
    reason = "signal.rs and cli alone end the process"
)]
pub fn end_at_once() -> ! {
    std::process::exit(1)
}
