//! Whether others reach the application in clear, past the sidecar: looked at now and then.
//!
//! The kernel's table of sockets is long on a busy host, so it is read when the application was
//! newly reached and twice a minute, on the admin port's thread.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Admin;
use crate::net;

/// Between two looks at whether it is time for one.
const STEP: Duration = Duration::from_secs(1);
/// Between two readings of the table.
const PERIOD: Duration = Duration::from_secs(30);

/// Sockets beyond loopback on which the application listens, as last seen.
#[derive(Debug, Default)]
pub(super) struct Exposure(Mutex<Vec<SocketAddr>>);

impl Exposure {
    pub(super) fn sockets(&self) -> Vec<SocketAddr> {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.clone()
    }

    fn saw(&self, now: Vec<SocketAddr>) {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *sockets {
            return;
        }
        match now.first() {
            Some(socket) => tracing::warn!(
                %socket,
                "the application can be reached in clear, past TLS: have it listen on loopback alone"
            ),
            None => tracing::info!("the application listens on loopback alone again"),
        }
        *sockets = now;
    }
}

/// Looks for ever.
pub(super) async fn keep(admin: &Admin) {
    let mut last: Option<(Instant, _)> = None;
    loop {
        let reached = admin.application.seen().since;
        let is_due = last.is_none_or(|(at, then)| at.elapsed() >= PERIOD || then != reached);
        if is_due {
            admin.exposure.saw(net::exposure(&admin.upstream.address));
            last = Some((Instant::now(), reached));
        }
        sleep(STEP).await;
    }
}
