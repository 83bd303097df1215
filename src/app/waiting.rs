//! The first certificate: there, or waited for as long as the operator allows.
//!
//! A Secret that is optional may arrive after the Pod. Invariant: whoever stops the process while
//! it waits is heard, also where it is process 1, which has no default for signals.

use std::io;
use std::time::{Duration, Instant};

use super::BindError;
use crate::config::Config;
use crate::reload::{Certificates, OpenError, Reloader};
use crate::tls::Offer;
use crate::{runtime, signal};

/// Between two looks.
const STEP: Duration = Duration::from_millis(100);

fn open_once(config: &Config) -> Result<(Reloader, Certificates), OpenError> {
    let offer = Offer::to_reach(config.upstream.target.protocol);
    Reloader::open(&config.tls, offer, config.reload)
}

/// Whether it may come to be there: whatever is mounted from a Secret.
fn is_awaited(error: &OpenError) -> bool {
    match error {
        OpenError::Certificate(_) | OpenError::Tickets(_) | OpenError::Trust(_) => true,
        OpenError::Tls(_) => false,
    }
}

/// Loads what there is to serve.
pub(super) fn open(config: &Config) -> Result<(Reloader, Certificates), BindError> {
    let first = open_once(config);
    match (first, config.reload.wait_for_certificate) {
        (Err(error), Some(limit)) if is_awaited(&error) => {
            tracing::warn!(%error, ?limit, "no certificate yet; waiting for it");
            runtime::on_this_thread(async { Ok(wait(config, limit).await) })?
        }
        (opened, _) => opened.map_err(BindError::Certificate),
    }
}

async fn wait(config: &Config, limit: Duration) -> Result<(Reloader, Certificates), BindError> {
    let end = Instant::now() + limit;
    let mut signals = signal::Signals::install()?;
    loop {
        tokio::select! {
            request = signals.next() => if request != signal::Request::Reload {
                let words = "stopped while waiting for a certificate";
                return Err(io::Error::new(io::ErrorKind::Interrupted, words).into());
            },
            () = tokio::time::sleep(STEP) => {}
        }
        match open_once(config) {
            Err(error) if is_awaited(&error) && Instant::now() < end => {}
            opened => return opened.map_err(BindError::Certificate),
        }
    }
}
