//! The command line: from arguments, environment and file to a command that runs.
//!
//! The only room that prints and that ends in an exit code: 0 for success, 1 for a failure and 2
//! for bad usage or configuration. Every mistake is one line on stderr, and all of them come out
//! together.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the person at the terminal is what this room is for"
)]

mod arguments;
mod check;
mod client;
mod demo;
mod drain;
mod healthcheck;
mod inject;
mod load;
mod run;
mod status;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use clap::CommandFactory as _;

use crate::config::ConfigErrors;
use arguments::Cli;
use load::{Command, Load};

/// Bad usage or configuration.
const USAGE: u8 = 2;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let matches = Cli::command().try_get_matches_from(env::args_os());
    let variables = load::variables(env::vars_os());
    let read = |path: &Path| fs::read_to_string(path);
    let load = Load {
        variables: &variables,
        read: &read,
    };
    match matches {
        Err(error) if !error.use_stderr() => {
            // `--help` or `--version` into a closed pipe is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(arguments::one_line(&error));
            refuse(&load.unknown_variables())
        }
        Ok(matches) => match load.command(&matches) {
            Ok(Command::Run(config)) => run::run(*config),
            Ok(Command::Check(options)) => check::run(*options),
            Ok(Command::Demo(options)) => demo::run(*options),
            Ok(Command::Status(options)) => status::run(&options),
            Ok(Command::Drain(options)) => drain::run(&options),
            Ok(Command::Healthcheck(options)) => healthcheck::run(&options),
            Ok(Command::Inject(options)) => inject::run(&options),
            Err(errors) => refuse(&errors),
        },
    }
}

fn refuse(errors: &ConfigErrors) -> ExitCode {
    errors.iter().for_each(complain);
    ExitCode::from(USAGE)
}

fn complain(error: impl std::fmt::Display) {
    // Unlike `eprintln!`, a closed stderr does not turn the exit code into that of a panic.
    let _ = writeln!(io::stderr(), "tls-sidecar: {error}");
}
