//! Whether the application is away, since when, and when it is back.
//!
//! One [`Outage`] for all workers, judged from the start of the first attempt that failed. While it
//! is new, requests are held: a restart of the application costs nobody an error. Once it has
//! lasted longer than the connect timeout, requests fail at once. Only a probe in the background
//! tries meanwhile. Invariant: however many requests wait, one attempt at a time is on its way, and
//! when the application is back they go to it a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use crate::drain;
use crate::net::{ConnectError, Connector};

/// Between two probes while requests are held.
const SOON: Duration = Duration::from_millis(25);
/// Between two probes afterwards.
const LATER: Duration = Duration::from_millis(250);
/// Held requests that connect at the same time: an accept queue that is full holds back the rest.
const AT_ONCE: usize = 16;
/// An application that comes and goes is told about this often at most.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The state of the application, shared by all workers.
#[derive(Debug)]
pub struct Outage {
    patience: Duration,
    state: watch::Sender<State>,
    turns: Semaphore,
    is_probed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    away: Option<Away>,
    last_reached: Option<Instant>,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    why: ConnectError,
    is_told: bool,
}

/// What a failed attempt means.
#[derive(Debug)]
pub(super) enum Judgement {
    /// The application is away: wait for it.
    Away,
    /// Others reached it since the attempt began: it says nothing.
    Outdated(ConnectError),
}

impl Outage {
    /// No outage; each is waited for as long as `patience`.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            state: watch::Sender::new(State::default()),
            turns: Semaphore::new(AT_ONCE),
            is_probed: AtomicBool::new(false),
        }
    }

    /// Whether the application is away.
    pub fn is_on(&self) -> bool {
        self.state.borrow().away.is_some()
    }

    /// An attempt succeeded.
    pub(super) fn reached(&self) {
        self.state.send_if_modified(|state| {
            let now = Instant::now();
            state.last_reached = Some(now);
            let Some(away) = state.away.take() else {
                return false;
            };
            let lasted = now - away.since;
            match away.is_told {
                true => tracing::info!(?lasted, "application reached again"),
                false => tracing::debug!(?lasted, "application reached again"),
            }
            true
        });
    }

    /// An attempt that began at `begun` failed.
    pub(super) fn failed(&self, begun: Instant, why: ConnectError) -> Judgement {
        let mut judgement = Judgement::Away;
        self.state.send_if_modified(|state| {
            if let Some(away) = &mut state.away {
                away.since = away.since.min(begun);
                away.why = why;
            } else if state.last_reached.is_some_and(|last| last > begun) {
                judgement = Judgement::Outdated(why);
            } else {
                state.begin(begun, why, self.patience);
            }
            false
        });
        judgement
    }

    /// Waits until the application is back, at once when it is not away. One `deadline` is kept for
    /// all waits of a request: the end of the patience with the first outage that it met.
    ///
    /// # Errors
    /// Why the application is away, when patience with the outage is over.
    pub(super) async fn over(
        self: &Arc<Self>,
        deadline: &mut Option<Instant>,
        connector: &Connector,
    ) -> Result<(), ConnectError> {
        let mut state = self.state.subscribe();
        let until = match &state.borrow_and_update().away {
            None => return Ok(()),
            Some(away) => *deadline.get_or_insert(away.since + self.patience),
        };
        self.probe(connector);
        let back = state.wait_for(|state| state.away.is_none());
        if until > Instant::now() && tokio::time::timeout_at(until, back).await.is_ok() {
            return Ok(());
        }
        match &self.state.borrow().away {
            // Back in the very moment in which patience ended.
            None => Ok(()),
            Some(away) => Err(away.why.again()),
        }
    }

    /// Leave for a request that was held to connect.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.turns.acquire().await.ok()
    }

    /// Starts the probe where none runs.
    fn probe(self: &Arc<Self>, connector: &Connector) {
        if !self.is_probed.swap(true, Ordering::AcqRel) {
            let probing = Probing(Arc::clone(self));
            drain::in_background(probing.run(connector.clone()));
        }
    }
}

impl State {
    fn begin(&mut self, since: Instant, why: ConnectError, patience: Duration) {
        let is_told = self.told.is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
        if is_told {
            self.told = Some(Instant::now());
            tracing::warn!(
                error = %why, held_for = ?patience,
                "application not reached: requests are held, then answered 503 until it is back"
            );
        } else {
            tracing::debug!(error = %why, "application not reached");
        }
        self.away = Some(Away {
            since,
            why,
            is_told,
        });
    }
}

/// The one probe; another may start when it ends, also with its worker.
struct Probing(Arc<Outage>);

impl Probing {
    async fn run(self, connector: Connector) {
        while let Some(pause) = self.pause() {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            match connector.connect().await {
                Ok(_) => self.0.reached(),
                // A shortage of our own says nothing about the application.
                Err(ConnectError::Exhausted(_)) => {}
                Err(why) => {
                    self.0.failed(begun, why);
                }
            }
        }
    }

    /// How long to wait before the next attempt; `None` when the outage is over.
    fn pause(&self) -> Option<Duration> {
        let state = self.0.state.borrow();
        let away = state.away.as_ref()?;
        Some(match away.since.elapsed() < self.0.patience {
            true => SOON,
            false => LATER,
        })
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.is_probed.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;
    use std::path::Path;
    use tokio::net::UnixListener;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn refused() -> ConnectError {
        ConnectError::Refused(std::io::ErrorKind::ConnectionRefused.into())
    }

    fn connector(path: &Path) -> Connector {
        Connector::new(Address::Unix(path.to_path_buf()), PATIENCE, PATIENCE)
    }

    async fn wait(outage: &Arc<Outage>, connector: &Connector) -> Result<(), ConnectError> {
        outage.over(&mut None, connector).await
    }

    // UP-01
    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_for_from_its_start_and_then_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let connector = connector(&directory.path().join("nobody"));
        let outage = Arc::new(Outage::new(PATIENCE));
        assert!(wait(&outage, &connector).await.is_ok(), "no outage");
        let begun = Instant::now();
        outage.failed(begun, refused());
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(wait(&outage, &connector).await.is_err());
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
        assert!(wait(&outage, &connector).await.is_err());
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
    }

    // UP-01: an attempt that took all of the patience leaves none.
    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_timed_out_counts_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let connector = connector(&directory.path().join("nobody"));
        let outage = Arc::new(Outage::new(PATIENCE));
        let begun = Instant::now();
        tokio::time::sleep(PATIENCE).await;
        outage.failed(begun, ConnectError::Timeout);
        assert!(wait(&outage, &connector).await.is_err());
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
    }

    // UP-01, UP-16
    #[tokio::test(start_paused = true)]
    async fn the_probe_finds_the_application_back_without_any_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let connector = connector(&path);
        let outage = Arc::new(Outage::new(PATIENCE));
        outage.failed(Instant::now(), refused());
        assert!(wait(&outage, &connector).await.is_err());
        let back = Instant::now();
        let _listener = UnixListener::bind(&path).unwrap();
        let mut state = outage.state.subscribe();
        state.wait_for(|state| state.away.is_none()).await.unwrap();
        assert!(back.elapsed() <= LATER * 2, "{:?}", back.elapsed());
        assert!(!outage.is_on());
        tokio::time::sleep(LATER).await;
        assert!(!outage.is_probed.load(Ordering::Acquire), "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_began_before_a_success_is_no_outage() {
        let outage = Outage::new(PATIENCE);
        let begun = Instant::now();
        tokio::time::sleep(SOON).await;
        outage.reached();
        let judgement = outage.failed(begun, ConnectError::Timeout);
        assert!(matches!(judgement, Judgement::Outdated(_)));
        assert!(!outage.is_on());
    }

    // LIFE-05
    #[tokio::test(start_paused = true)]
    async fn an_application_that_comes_and_goes_is_told_about_now_and_then() {
        let outage = Outage::new(PATIENCE);
        let mut told = 0;
        for _ in 0..100 {
            outage.failed(Instant::now(), refused());
            told += u32::from(outage.state.borrow().away.as_ref().unwrap().is_told);
            tokio::time::sleep(LATER).await;
            outage.reached();
        }
        assert_eq!(told, 3, "in 25 s");
    }
}
