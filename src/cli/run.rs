//! `tls-sidecar run`: the proxy in the foreground.

use std::process::ExitCode;

use crate::app::{self, Bound, Outcome, Signals};
use crate::config::Config;

/// Runs the proxy that `config` describes until it has drained.
pub(crate) fn run(config: Config) -> ExitCode {
    match app::bind(config) {
        Ok(bound) => supervise(bound),
        Err(error) => fail(&error),
    }
}

/// Stays with a running proxy, obeying the process's signals.
pub(crate) fn supervise(bound: Bound) -> ExitCode {
    match bound.wait(Signals::Obeyed) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Cut(_) | Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("tls-sidecar: {error}");
    ExitCode::FAILURE
}
