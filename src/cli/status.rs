//! `tls-sidecar status`: the state of the running sidecar, as a table or as JSON.
//!
//! The JSON is that of `/status`, as it came. Invariant: text that came from files and peers cannot
//! steer the terminal that it is shown on.

mod table;

use std::process::ExitCode;

use http::{Method, StatusCode};

use super::client::{self, Addresses};
use super::complain;
use crate::runtime;

/// What `tls-sidecar status` was asked for.
#[derive(Debug)]
pub(super) struct StatusOptions {
    /// Whom to ask.
    pub(super) addresses: Addresses,
    /// How to show it.
    pub(super) output: Output,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

/// Asks and shows.
pub(super) fn run(options: &StatusOptions) -> ExitCode {
    let asked = runtime::on_this_thread(async {
        Ok(client::ask(&options.addresses, Method::GET, "/status").await)
    });
    let answer = match asked {
        Ok(Ok(answer)) if answer.status == StatusCode::OK => answer,
        Ok(Ok(answer)) => {
            complain(format!("{}: {}", answer.status, answer.body.trim_end()));
            return ExitCode::FAILURE;
        }
        Ok(Err(error)) => {
            complain(error);
            return ExitCode::FAILURE;
        }
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    match (options.output, serde_json::from_str(&answer.body)) {
        (Output::Json, Ok(_)) => print!("{}", answer.body),
        (Output::Table, Ok(status)) => print!("{}", table::Table(&status)),
        (_, Err(error)) => {
            complain(format!("what answered is no sidecar: {error}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
