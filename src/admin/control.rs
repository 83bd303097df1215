//! What the admin port does rather than tells: reload, drain, another log level.
//!
//! Each asks the same place that a signal asks. Invariant: the answer to a drain is given when
//! readiness already fails.

use std::time::Duration;

use http::StatusCode;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::Admin;
use super::routes::{Answer, starting, text};
use crate::drain::Stage;
use crate::signal::Request;

/// The longest name of a level, with room for white space.
const LEVEL_BYTES: usize = 64;
/// The control thread only has to wake up.
const HEARD_AT_MOST: Duration = Duration::from_secs(2);

pub(super) fn reload(admin: &Admin) -> Answer {
    let Some(serving) = admin.serving.get() else {
        return starting();
    };
    if admin.stage() != Stage::Running {
        return text(
            StatusCode::CONFLICT,
            "draining: certificates are not read any more\n",
        );
    }
    serving.certificates.trigger.reload();
    text(
        StatusCode::ACCEPTED,
        "reading certificates; /certs says what came of it\n",
    )
}

/// Starts the drain, or finds it started: asking twice is asking once.
pub(super) async fn drain(admin: &Admin) -> Answer {
    if admin.serving.get().is_none() {
        return starting();
    }
    let mut stage = admin.stage.clone();
    if admin.stage() == Stage::Running {
        tracing::info!("drain asked for on the admin port");
        // Nobody receives when the proxy has ended by itself, and then there is nothing to drain.
        let _ = admin.requests.send(Request::Drain);
    }
    let begun = stage.wait_for(|stage| *stage != Stage::Running);
    match timeout(HEARD_AT_MOST, begun).await {
        Ok(_) => text(
            StatusCode::ACCEPTED,
            "draining; the process ends when done\n",
        ),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "asked for; it has not begun\n",
        ),
    }
}

pub(super) async fn log_level(admin: &Admin, body: Incoming) -> Answer {
    let Some(name) = short(body).await else {
        let words = "write the level as the body: error, warn, info, debug or trace\n";
        return text(StatusCode::BAD_REQUEST, words);
    };
    match admin.log.set_level(&name) {
        Ok(level) => {
            let level = level.as_str().to_ascii_lowercase();
            tracing::warn!(level, "log level changed");
            text(StatusCode::OK, format!("{level}\n"))
        }
        Err(error) => text(
            StatusCode::BAD_REQUEST,
            format!("log level {name:?}: {error}\n"),
        ),
    }
}

/// The body, if it is short, whole and text.
async fn short(mut body: Incoming) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
        match next.await {
            None => return String::from_utf8(bytes).ok(),
            Some(frame) => bytes.extend_from_slice(&frame.ok()?.into_data().ok()?),
        }
        if bytes.len() > LEVEL_BYTES {
            return None;
        }
    }
}
