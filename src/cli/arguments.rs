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
const ADMIN: &str = "The running sidecar";
const CHECK: &str = "Check";
const INJECT: &str = "Inject";

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

/// How findings are told; at the end of the help of `check`.
const CHECK_NOTES: &str = "\
Give it the flags, environment and file of `run`, in the place where `run` is to run. It changes \
nothing and may be used beside a running sidecar. A finding is one line, `SEVERITY: CODE: MESSAGE`, \
with the YAML that mends it below; a note is no fault.

Exit code: 0 when nothing is wrong, 1 when something is, wrong settings included, 2 after bad usage.";

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
    /// Load everything as run would, look around, and print what is wrong with the lines that mend it
    #[command(display_name = "tls-sidecar", after_help = CHECK_NOTES)]
    Check(Box<CheckArguments>),
    /// Try it: a sample application, a self-signed certificate and the proxy in front, with no other setting
    #[command(
        display_name = "tls-sidecar",
        after_help = NOTES,
        mut_arg("upstream", |arg| arg.hide(true)),
        mut_arg("cert_dir", |arg| arg.hide(true)),
        mut_arg("cert_file", |arg| arg.hide(true)),
        mut_arg("key_file", |arg| arg.hide(true)),
        mut_arg("client_ca_file", |arg| arg.hide(true)),
        mut_arg("listen", |arg| arg.help(DEMO_LISTEN)),
        mut_arg("admin_listen", |arg| arg.help(DEMO_ADMIN)),
    )]
    Demo(Box<DemoArguments>),
    /// Ask a running sidecar for its state: readiness, certificates, application, connections, last reloads
    #[command(display_name = "tls-sidecar", after_help = STATUS_NOTES)]
    Status(StatusArguments),
    /// Start the drain of a running sidecar and wait until it is done; for preStop, where no shell is
    #[command(display_name = "tls-sidecar", after_help = DRAIN_NOTES)]
    Drain(DrainArguments),
    /// One probe of a running sidecar as an exit code; for exec probes and HEALTHCHECK
    #[command(display_name = "tls-sidecar", after_help = HEALTHCHECK_NOTES)]
    Healthcheck(HealthcheckArguments),
    /// Put the sidecar into Kubernetes manifests, by default from standard input, and print them
    #[command(display_name = "tls-sidecar", after_help = INJECT_NOTES)]
    Inject(InjectArguments),
}

/// What annotations say; at the end of the help of `inject`.
const INJECT_NOTES: &str = "\
Every Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and Pod gets the sidecar, also in \
a List; every other document and every line that is there stays as it is. Doing it again changes \
nothing, or brings the sidecar up to date.

Annotations of the workload or of its Pod template, below tls-sidecar.dev/, all of them strings: \
inject (\"false\" leaves it out), secret, port (number or name), upstream (a URL), container (which \
is the application), image, listen, admin-listen, native (\"true\" or \"false\"), args (flags of run), \
cpu, cpu-limit, memory, memory-limit. They beat the flags.

Exit code: 0 when all was done, 1 when a workload cannot take it (then nothing is printed) or --check \
found something, 2 after bad usage.";

const STATUS_NOTES: &str = "\
Exit code: 0 when the sidecar answered, 1 when it did not, 2 after bad usage.";

const DRAIN_NOTES: &str = "\
The drain is that of SIGTERM: readiness fails, new work is still accepted for --drain-delay, work in \
flight has --drain-timeout, then the process ends. Asking again, or one SIGTERM while it runs, \
changes nothing.

Exit code: 0 when the drain is over or the sidecar has ended, 1 when it was not reached, refused, or was not done within \
--wait, 2 after bad usage.";

const HEALTHCHECK_NOTES: &str = "\
Exit code: 0 when the answer is 200, 1 when it is not or there is none, 2 after bad usage.";

const DEMO_LISTEN: &str = "Address to accept TLS on: ADDRESS:PORT, or a port for every address; \
    port 0 picks a free one; repeatable or separated by commas \
    [default: 127.0.0.1:8443, or a free port where that is taken]";

const DEMO_ADMIN: &str = "Address of probes, metrics, the status page and control: ADDRESS:PORT, or \
    a port for every address; port 0 picks a free one; or off \
    [default: 127.0.0.1:9901, or a free port where that is taken]";

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// File with settings, TOML or YAML by its extension (.toml, .yaml, .yml) [default: none]
    #[arg(long, value_name = "FILE", help_heading = CONFIGURATION, env = "TLS_SIDECAR_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Form of the findings: text or json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = CHECK, env = "TLS_SIDECAR_OUTPUT", hide_env_values = true)]
    pub(super) output: Option<String>,
    /// What the Pod has to end (terminationGracePeriodSeconds), against which the drain is held [default: 30s]
    #[arg(long, value_name = "DURATION", help_heading = CHECK, env = "TLS_SIDECAR_GRACE_PERIOD", hide_env_values = true)]
    pub(super) grace_period: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Replace the certificate by a new one at this interval, as a Secret is updated, e.g. 10s [default: off]
    #[arg(long, value_name = "DURATION", help_heading = DEMO, env = "TLS_SIDECAR_ROTATE_EVERY", hide_env_values = true)]
    pub(super) rotate_every: Option<String>,
    /// Ask clients for a certificate, and make one to try it with [default: off]
    #[arg(long, help_heading = DEMO, env = "TLS_SIDECAR_MTLS", hide_env_values = true)]
    pub(super) mtls: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// How the commands that ask a running sidecar find it.
#[derive(Debug, Args)]
pub(super) struct AdminArguments {
    /// Its admin port: ADDRESS:PORT, or a port [default: that of --admin-listen in the environment or the --config file, or else 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR", help_heading = ADMIN, env = "TLS_SIDECAR_ADMIN_ADDRESS", hide_env_values = true)]
    pub(super) admin_address: Option<String>,
    /// File that the sidecar has its settings from, to find --admin-listen in [default: none]
    #[arg(long, value_name = "FILE", help_heading = ADMIN, env = "TLS_SIDECAR_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Form of what is printed: table or json [default: table]
    #[arg(long, value_name = "FORM")]
    pub(super) output: Option<String>,
    #[command(flatten)]
    pub(super) admin: AdminArguments,
}

#[derive(Debug, Args)]
pub(super) struct DrainArguments {
    /// How long to wait for its end, e.g. 25s [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(super) wait: Option<String>,
    #[command(flatten)]
    pub(super) admin: AdminArguments,
}

#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    /// Ask whether it should get traffic (/readyz) instead of whether it lives (/livez) [default: off]
    #[arg(long)]
    pub(super) ready: bool,
    #[command(flatten)]
    pub(super) admin: AdminArguments,
}

#[derive(Debug, Args)]
pub(super) struct InjectArguments {
    /// File with manifests, YAML or JSON; a directory stands for its .yaml, .yml and .json files; repeatable; - is standard input [default: -]
    #[arg(long, short = 'f', value_name = "FILE", help_heading = INJECT)]
    pub(super) file: Vec<PathBuf>,
    /// Print what keeps workloads from taking the sidecar, and how to mend it, instead of manifests [default: off]
    #[arg(long, help_heading = INJECT, conflicts_with = "uninject")]
    pub(super) check: bool,
    /// Take the sidecar out again [default: off]
    #[arg(long, help_heading = INJECT)]
    pub(super) uninject: bool,
    /// Secret with the certificate; {name} in it stands for the name of the workload, e.g. {name}-tls [default: none, and each workload has to say]
    #[arg(long, value_name = "NAME", help_heading = INJECT, env = "TLS_SIDECAR_SECRET", hide_env_values = true)]
    pub(super) secret: Option<String>,
    /// Port of the application: a number, or the name of one of its ports [default: its port called http, web, h2c or grpc, or else its only one]
    #[arg(long, value_name = "PORT", help_heading = INJECT)]
    pub(super) port: Option<String>,
    /// Image of the sidecar [default: tls-sidecar of this version]
    #[arg(long, value_name = "IMAGE", help_heading = INJECT, env = "TLS_SIDECAR_IMAGE", hide_env_values = true)]
    pub(super) image: Option<String>,
    /// A container among the others instead of a native sidecar, for Kubernetes before 1.29 [default: off]
    #[arg(long, help_heading = INJECT, env = "TLS_SIDECAR_CLASSIC", hide_env_values = true)]
    pub(super) classic: bool,
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
        for command in [
            "run",
            "check",
            "demo",
            "status",
            "drain",
            "healthcheck",
            "inject",
        ] {
            let mut cli = Cli::command();
            cli.build();
            let name = command;
            let command = cli.find_subcommand(command).unwrap();
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                if id == "help" || id == "version" {
                    continue;
                }
                let help = arg.get_help().unwrap().to_string();
                assert!(help.contains("[default: "), "{name} {id}");
                // How one question is asked is no setting of the sidecar.
                // TLS_SIDECAR_PORT is what a Service called tls-sidecar gives to every Pod.
                let one_question = [
                    "output", "wait", "ready", "file", "check", "uninject", "port",
                ];
                let is_of_one_question = one_question.contains(&id);
                assert!(arg.get_env().is_some() || is_of_one_question, "{name} {id}");
            }
        }
    }
}
