//! `tls-sidecar drain`: starts the drain of the running sidecar and waits until it is over.
//!
//! For `preStop`: the SIGTERM that follows finds a drain that runs, or nobody. It is told the end
//! before the sidecar ends: in a container, the end of process 1 would be its own. Invariant: asking
//! for a drain that runs already is no error.

use std::process::ExitCode;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{self, Addresses, AskError};
use super::complain;
use crate::runtime;

/// Between two looks at whether it is gone.
const STEP: Duration = Duration::from_millis(100);

/// What `tls-sidecar drain` was asked for.
#[derive(Debug)]
pub(super) struct DrainOptions {
    /// Whom to ask.
    pub(super) addresses: Addresses,
    /// How long to wait for its end.
    pub(super) wait: Duration,
}

/// Asks, and waits.
pub(super) fn run(options: &DrainOptions) -> ExitCode {
    match runtime::on_this_thread(async { Ok(drain(options).await) }) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(error);
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

async fn drain(options: &DrainOptions) -> Result<(), String> {
    let end = Instant::now() + options.wait;
    let addresses = &options.addresses;
    let answer = client::ask(addresses, Method::POST, "/drain").await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::ACCEPTED {
        return Err(format!("the drain was refused: {}", answer.body.trim_end()));
    }
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match stage(addresses).await {
            // Over, gone, or replaced by one that serves.
            Ok(None) => return Ok(()),
            Ok(Some(stage)) if left.is_zero() => {
                return Err(format!(
                    "not done after {:?}: {stage}; wait longer with --wait",
                    options.wait
                ));
            }
            Ok(Some(_)) => sleep(STEP.min(left)).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// How far the drain is; `None` when it is over.
async fn stage(addresses: &[std::net::SocketAddr]) -> Result<Option<String>, AskError> {
    let answer = match client::ask(addresses, Method::GET, "/status").await {
        Ok(answer) => answer,
        // Refused, or cut off in the middle: the process has ended.
        Err(AskError::Unreachable(..) | AskError::NoAnswer(..)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let status: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let stage = status["stage"].as_str().unwrap_or_default();
    Ok(stage.starts_with("draining").then(|| stage.to_owned()))
}
