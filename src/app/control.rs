//! The control thread: signals and requests in, the clock of the drain out.
//!
//! Invariant: a drain begins once, whoever asks for it and however often; only a second signal
//! cuts it short.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use super::{Bound, Outcome, Summary};
use crate::config;
use crate::drain::Stage;
use crate::runtime::{self, Workers};
use crate::signal;

/// Who asked for a drain on the admin port looks how far it is every 100 ms, and is told its end
/// before the process's: beside process 1 of a container, nobody outlives it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Whether the process's signals steer this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// They do.
    Obeyed,
    /// Only its [`Handle`](super::Handle) does.
    Ignored,
}

impl Bound {
    /// Runs the control thread's work on the calling thread until the drain is over.
    ///
    /// # Errors
    /// When the system gives no runtime or no signal handler.
    pub fn wait(self, signals: Signals) -> io::Result<Outcome> {
        runtime::on_this_thread(async {
            let signals = match signals {
                Signals::Ignored => None,
                Signals::Obeyed => Some(signal::Signals::install()?),
            };
            Ok(self.control(signals).await)
        })
    }

    async fn control(mut self, mut signals: Option<signal::Signals>) -> Outcome {
        // Only now: who reads this line may send a signal at once, and it must not kill us.
        let Summary {
            upstream,
            workers,
            connections,
        } = &self.summary;
        for address in &self.addresses {
            tracing::info!(%address, %upstream, workers, connections, "listening");
        }
        for address in &self.redirects {
            tracing::info!(%address, "sending clients in clear to https");
        }
        let farewell = loop {
            let (request, farewell) = tokio::select! {
                request = next(&mut signals) => (request, Duration::ZERO),
                Some(request) = self.requests.recv() => (request, FAREWELL),
                ended = self.workers.next_end() => {
                    tracing::error!(?ended, "a worker ended by itself");
                    return Outcome::Failed;
                }
            };
            match request {
                signal::Request::Reload => self.handle.reload(),
                signal::Request::Drain => break farewell,
                signal::Request::End => signal::end_at_once(),
            }
        };
        let way_out = async {
            let outcome = drain(&mut self.workers, &self.stage, self.drain).await;
            self.stage.send_replace(Stage::Over);
            tokio::time::sleep(farewell).await;
            outcome
        };
        let outcome = tokio::select! {
            outcome = way_out => outcome,
            () = until_second(&mut signals) => signal::end_at_once(),
        };
        self.handle.tell_what_is_owed();
        outcome
    }
}

async fn next(signals: &mut Option<signal::Signals>) -> signal::Request {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// Returns at the second signal to leave; a reload during a drain does nothing.
async fn until_second(signals: &mut Option<signal::Signals>) {
    loop {
        match next(signals).await {
            signal::Request::End => return,
            // The first signal, when the drain was asked for otherwise: `preStop`, then SIGTERM.
            signal::Request::Drain => {
                tracing::info!("draining already: the next signal ends at once");
            }
            signal::Request::Reload => {}
        }
    }
}

/// Both stages of the way out.
async fn drain(
    workers: &mut Workers,
    stage: &watch::Sender<Stage>,
    section: config::Drain,
) -> Outcome {
    stage.send_replace(Stage::Leaving);
    // Behind it: what is changed upon the line is not loaded any more.
    tracing::info!(delay = ?section.delay, timeout = ?section.timeout, "draining: still accepting");
    tokio::time::sleep(section.delay).await;
    tracing::info!("draining: listeners close, work in flight goes on");
    stage.send_replace(Stage::Graceful);
    let forced = stage.clone();
    let mut cut = 0;
    let mut time = std::pin::pin!(tokio::time::sleep(section.timeout));
    let mut is_up = false;
    loop {
        tokio::select! {
            ended = workers.next_end() => match ended {
                Some(ended) => cut += ended.cut,
                None => break,
            },
            () = &mut time, if !is_up => {
                is_up = true;
                forced.send_replace(Stage::Forced);
            }
        }
    }
    match (workers.missing(), cut) {
        (0, 0) => {
            tracing::info!("drained: nothing was lost");
            Outcome::Clean
        }
        (0, cut) => {
            tracing::warn!(
                connections = cut,
                "drained: out of time, connections were cut"
            );
            Outcome::Cut(cut)
        }
        (missing, _) => {
            tracing::error!(workers = missing, "drained: a worker was lost");
            Outcome::Failed
        }
    }
}
