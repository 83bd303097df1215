//! Waiting for a condition, never for a time. The only sleeps of the test suite are in this file.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough that only a fault reaches it, on the slowest machine the tests run on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const STEP: Duration = Duration::from_millis(2);

/// Blocks until `condition` holds; panics with `what` when `deadline` passes first.
pub(crate) fn eventually(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(STEP);
    }
}

/// Like [`eventually`], but lets other tasks of the runtime run between two looks.
pub(crate) async fn eventually_async(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
) {
    let end = tokio::time::Instant::now() + deadline;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < end,
            "not within {deadline:?}: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}

/// The output of `future`; panics with `what` when [`PATIENCE`] runs out first.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}
