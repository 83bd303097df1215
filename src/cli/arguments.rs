//! What clap reads: commands and flags.
//!
//! `run` is the default command, so its flags stand at the top as well. Values stay raw text; what
//! they mean is decided in `config`, together with those of the environment and the file.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;

const CONFIGURATION: &str = "Configuration";
const DEMO: &str = "Demo";

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (revision {}, TLS provider rustls/aws-lc-rs)",
        env!("CARGO_PKG_VERSION"),
        option_env!("TLS_SIDECAR_REVISION").unwrap_or("unknown"),
    )
});

/// How settings are written; at the end of each help.
const NOTES: &str = "\
Every setting is also an environment variable, shown as [env: ...], and a key of the --config file \
with the name of its flag; a flag beats the environment, the environment beats the file. \
Durations are a number with ms, s, m or h (250ms, 10s, 5m, 1h). Sizes are bytes or a number with \
KiB, MiB, GiB, kB, MB or GB (64KiB, 1MiB).

Exit code: 0 after a clean stop, 1 after a failure or a drain that had to be cut short, 2 after \
bad usage or configuration.";

/// A TLS sidecar: ends TLS beside an application and passes plain HTTP to it
#[derive(Debug, Parser)]
#[command(
    name = "tls-sidecar",
    version = VERSION.as_str(),
    after_help = NOTES,
    args_conflicts_with_subcommands = true,
    propagate_version = true,
    max_term_width = 120
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Subcommands>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Run the proxy; the default
    #[command(display_name = "tls-sidecar", after_help = NOTES)]
    Run(Box<RunArguments>),
    /// Try it: a sample application, a self-signed certificate and the proxy in front, with no other setting
    #[command(
        display_name = "tls-sidecar",
        after_help = NOTES,
        mut_arg("upstream", |arg| arg.hide(true)),
        mut_arg("cert_dir", |arg| arg.hide(true)),
        mut_arg("cert_file", |arg| arg.hide(true)),
        mut_arg("key_file", |arg| arg.hide(true)),
        mut_arg("listen", |arg| arg.help(DEMO_LISTEN)),
    )]
    Demo(Box<DemoArguments>),
}

const DEMO_LISTEN: &str = "Address to accept TLS on: ADDRESS:PORT, or a port for every address; \
    port 0 picks a free one; repeatable or separated by commas \
    [default: 127.0.0.1:8443, or a free port where that is taken]";

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// File with settings, TOML or YAML by its extension (.toml, .yaml, .yml) [default: none]
    #[arg(long, value_name = "FILE", help_heading = CONFIGURATION, env = "TLS_SIDECAR_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Replace the certificate by a new one at this interval, as a Secret is updated, e.g. 10s [default: off]
    #[arg(long, value_name = "DURATION", help_heading = DEMO, env = "TLS_SIDECAR_ROTATE_EVERY", hide_env_values = true)]
    pub(super) rotate_every: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// clap's complaint with its tips, on one line.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut parts: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        parts.push(line.strip_prefix("tip: ").unwrap_or(line));
    }
    if parts.iter().any(|part| part.starts_with("the subcommand ")) {
        parts.push("write the command before its flags");
    }
    parts.push("see --help");
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn complaint(line: &[&str]) -> String {
        one_line(&Cli::command().try_get_matches_from(line).unwrap_err())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_are_one_line_with_a_suggestion() {
        assert_eq!(
            complaint(&["tls-sidecar", "--upstraem", "8080"]),
            "unexpected argument '--upstraem' found; a similar argument exists: '--upstream'; see --help"
        );
        for line in [
            &["tls-sidecar", "rnu"][..],
            &["tls-sidecar", "--idle-timeout"],
        ] {
            let complaint = complaint(line);
            assert!(
                !complaint.contains('\n') && complaint.ends_with("; see --help"),
                "{complaint}"
            );
        }
    }

    #[test]
    fn version_names_revision_and_provider() {
        let version = complaint(&["tls-sidecar", "--version"]);
        let start = format!("tls-sidecar {} (revision ", env!("CARGO_PKG_VERSION"));
        assert!(version.starts_with(&start), "{version}");
        assert!(
            version.contains(", TLS provider rustls/aws-lc-rs)"),
            "{version}"
        );
    }

    #[test]
    fn help_names_every_default_and_environment_name() {
        for command in ["run", "demo"] {
            let mut cli = Cli::command();
            cli.build();
            let command = cli.find_subcommand(command).unwrap();
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                if id == "help" || id == "version" {
                    continue;
                }
                let help = arg.get_help().unwrap().to_string();
                assert!(help.contains("[default: "), "{id}");
                assert!(arg.get_env().is_some(), "{id}");
            }
        }
    }
}
