//! `tls-sidecar healthcheck`: one probe as an exit code, for images without a shell.

use std::process::ExitCode;

use http::{Method, StatusCode};

use super::client::{self, Addresses};
use super::complain;
use crate::readiness::Question;
use crate::runtime;

/// What `tls-sidecar healthcheck` was asked for.
#[derive(Debug)]
pub(super) struct HealthcheckOptions {
    /// Whom to ask.
    pub(super) addresses: Addresses,
    /// Whether it should get traffic, or only whether it lives.
    pub(super) question: Option<Question>,
}

/// Asks once.
pub(super) fn run(options: &HealthcheckOptions) -> ExitCode {
    let path = match options.question {
        Some(Question::Ready) => "/readyz",
        Some(Question::Started) => "/startupz",
        None => "/livez",
    };
    let asked = runtime::on_this_thread(async {
        Ok(client::ask(&options.addresses, Method::GET, path).await)
    });
    match asked {
        Ok(Ok(answer)) if answer.status == StatusCode::OK => {
            println!("{}", answer.body.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Ok(answer)) => {
            complain(answer.body.trim_end().replace('\n', " "));
            ExitCode::FAILURE
        }
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
