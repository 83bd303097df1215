//! From parsed arguments to a validated command.
//!
//! Flags and environment come merged from clap, the file is laid under them, and the result goes
//! through [`Config::resolve`]. Mistakes of every source are collected, each with its origin,
//! before any of them is shown.

mod asking;

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::arguments::{
    self, AdminArguments, CheckArguments, Cli, DemoArguments, DrainArguments, RunArguments,
    StatusArguments, Subcommands,
};
use super::check::{self, CheckOptions};
use super::client::Addresses;
use super::demo::{Clients, DemoOptions};
use super::drain::DrainOptions;
use super::healthcheck::HealthcheckOptions;
use super::inject::InjectOptions;
use super::status::{Output, StatusOptions};
use crate::config::value::{duration, word};
use crate::config::{
    Config, ConfigErrors, Problem, Settings, defaults, environment, file, prefixed,
};
use crate::readiness::Question;

/// What Kubernetes gives a Pod that says nothing.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

/// A command with everything it needs.
#[derive(Debug)]
pub(super) enum Command {
    /// `run`.
    Run(Box<Config>),
    /// `check`.
    Check(Box<CheckOptions>),
    /// `demo`.
    Demo(Box<DemoOptions>),
    /// `status`.
    Status(StatusOptions),
    /// `drain`.
    Drain(DrainOptions),
    /// `healthcheck`.
    Healthcheck(HealthcheckOptions),
    /// `inject`.
    Inject(InjectOptions),
}

/// The world around the arguments, given from outside so that tests need none.
pub(super) struct Load<'a> {
    /// The environment, name and value.
    pub(super) variables: &'a [(String, String)],
    /// Reads a text file.
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The environment as text; what is not Unicode is shown with replacement characters.
pub(super) fn variables(os: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text = |os: OsString| os.to_string_lossy().into_owned();
    os.map(|(name, value)| (text(name), text(value))).collect()
}

impl Load<'_> {
    /// The command that `matches` asks for, or every mistake in its settings.
    pub(super) fn command(&self, matches: &ArgMatches) -> Result<Command, ConfigErrors> {
        let cli = Cli::from_arg_matches(matches).map_err(|error| {
            let mut errors = ConfigErrors::default();
            errors.push(Problem::other("command line", arguments::one_line(&error)));
            errors
        })?;
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        match cli.command {
            None => self.run(cli.run, matches),
            Some(Subcommands::Run(arguments)) => self.run(*arguments, matches),
            Some(Subcommands::Check(arguments)) => self.check(*arguments, matches),
            Some(Subcommands::Demo(arguments)) => self.demo(*arguments, matches),
            Some(Subcommands::Status(arguments)) => self.status(&arguments),
            Some(Subcommands::Drain(arguments)) => self.drain(&arguments),
            Some(Subcommands::Healthcheck(arguments)) => {
                let addresses = self.asked(&arguments.admin)?;
                let question = arguments.ready.then_some(Question::Ready);
                Ok(Command::Healthcheck(HealthcheckOptions {
                    addresses,
                    question,
                }))
            }
            Some(Subcommands::Inject(arguments)) => match self.unknown_variables() {
                errors if errors.is_empty() => Ok(Command::Inject(arguments.into())),
                errors => Err(errors),
            },
        }
    }

    /// Variables that look like settings but are none.
    pub(super) fn unknown_variables(&self) -> ConfigErrors {
        let mut known = Vec::new();
        collect_variables(&Cli::command(), &mut known);
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        environment::unknown(variables, &known)
    }

    fn run(&self, arguments: RunArguments, matches: &ArgMatches) -> Result<Command, ConfigErrors> {
        let config = self.config(arguments, matches)?;
        Ok(Command::Run(Box::new(config)))
    }

    /// Wrong settings are what `check` is there to tell; only its own flags are its usage.
    fn check(
        &self,
        arguments: CheckArguments,
        matches: &ArgMatches,
    ) -> Result<Command, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let output = arguments.output.as_deref().map(|text| {
            let choices = [("text", check::Output::Text), ("json", check::Output::Json)];
            let output = word::one_of(text.trim(), &choices);
            output.map_err(|error| errors.push(Problem::value("output", text, error)))
        });
        let grace_period = arguments.grace_period.as_deref().map(|text| {
            let parsed = duration::positive(text.trim());
            parsed.map_err(|error| errors.push(Problem::value("grace-period", text, error)))
        });
        match (output.transpose(), grace_period.transpose()) {
            (Ok(output), Ok(grace_period)) => Ok(Command::Check(Box::new(CheckOptions {
                config: self.config(arguments.run, matches),
                output: output.unwrap_or(check::Output::Text),
                grace_period: grace_period.unwrap_or(GRACE_PERIOD),
            }))),
            _ => Err(errors),
        }
    }

    fn config(
        &self,
        arguments: RunArguments,
        matches: &ArgMatches,
    ) -> Result<Config, ConfigErrors> {
        let mut sources = self.sources(arguments);
        match Config::resolve(sources.settings) {
            Ok(config) if sources.errors.is_empty() => Ok(config),
            Ok(_) => Err(sources.errors),
            Err(wrong) => {
                sources
                    .errors
                    .append(with_origins(wrong, matches, &sources.file));
                Err(sources.errors)
            }
        }
    }

    fn demo(
        &self,
        arguments: DemoArguments,
        matches: &ArgMatches,
    ) -> Result<Command, ConfigErrors> {
        let mut sources = self.sources(arguments.run);
        let mut wrong = refuse_own(&sources.settings);
        let rotate_every = arguments.rotate_every.as_deref().map(duration::or_off);
        if let (Some(text), Some(Err(error))) = (&arguments.rotate_every, &rotate_every) {
            wrong.push(Problem::value("rotate-every", text, error));
        }
        // Only for its errors: the demo resolves again once it has added what is its own.
        let mut probe = sources.settings.clone();
        if arguments.mtls {
            probe.client_auth.get_or_insert("required".to_owned());
            probe.client_ca_file = vec!["the demo's own".to_owned()];
        }
        if let Err(others) = Config::resolve(probe) {
            wrong.append(others);
        }
        sources
            .errors
            .append(with_origins(wrong, matches, &sources.file));
        if !sources.errors.is_empty() {
            return Err(sources.errors);
        }
        Ok(Command::Demo(Box::new(DemoOptions {
            settings: sources.settings,
            rotate_every: rotate_every.and_then(Result::ok).flatten(),
            clients: if arguments.mtls {
                Clients::WithCertificate
            } else {
                Clients::Any
            },
        })))
    }

    fn status(&self, arguments: &StatusArguments) -> Result<Command, ConfigErrors> {
        let forms = [("table", Output::Table), ("json", Output::Json)];
        let output = arguments.output.as_deref();
        let output = output.map(|text| word::one_of(text, &forms).map_err(|e| (text, e)));
        let (addresses, output) = self.asked_with("output", &arguments.admin, output)?;
        Ok(Command::Status(StatusOptions {
            addresses,
            output: output.unwrap_or(Output::Table),
        }))
    }

    fn drain(&self, arguments: &DrainArguments) -> Result<Command, ConfigErrors> {
        let wait = arguments.wait.as_deref();
        let wait = wait.map(|text| duration::from_zero(text).map_err(|e| (text, e)));
        let (addresses, wait) = self.asked_with("wait", &arguments.admin, wait)?;
        Ok(Command::Drain(DrainOptions {
            addresses,
            wait: wait.unwrap_or(defaults::DRAIN_WAIT),
        }))
    }

    /// Where to ask, with the value of the command's own flag; the mistakes in both together.
    fn asked_with<T, E: Display>(
        &self,
        flag: &'static str,
        arguments: &AdminArguments,
        value: Option<Result<T, (&str, E)>>,
    ) -> Result<(Addresses, Option<T>), ConfigErrors> {
        match (self.asked(arguments), value.transpose()) {
            (Ok(addresses), Ok(value)) => Ok((addresses, value)),
            (Err(errors), Ok(_)) => Err(errors),
            (asked, Err((text, error))) => {
                let mut errors = asked.err().unwrap_or_default();
                errors.push(Problem::value(flag, text, error));
                Err(errors)
            }
        }
    }

    /// Flags and environment over the file, and what is wrong with file and environment.
    fn sources(&self, arguments: RunArguments) -> Sources {
        let mut errors = self.unknown_variables();
        let Some(path) = arguments.config else {
            return Sources {
                settings: arguments.settings,
                errors,
                file: None,
            };
        };
        let mut settings = arguments.settings;
        match (self.read)(&path) {
            Ok(text) => {
                let contents = file::parse(&path, &text);
                settings = settings.over(contents.settings);
                errors.append(contents.errors);
            }
            Err(error) => {
                let complaint = format!("cannot be read: {error}; check the path and its mode");
                errors.push(Problem::other(format!("--config {path:?}"), complaint));
            }
        }
        Sources {
            settings,
            errors,
            file: Some(path.display().to_string()),
        }
    }
}

struct Sources {
    settings: Settings,
    errors: ConfigErrors,
    file: Option<String>,
}

/// The demo brings an application and certificates of its own.
fn refuse_own(settings: &Settings) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    let own = [
        ("upstream", settings.upstream.as_ref()),
        ("cert-dir", settings.cert_dir.first()),
        ("cert-file", settings.cert_file.as_ref()),
        ("key-file", settings.key_file.as_ref()),
        ("client-ca-file", settings.client_ca_file.first()),
    ];
    for (flag, value) in own {
        if let Some(value) = value {
            let complaint =
                "demo brings its own application and certificate; leave it out, or use run";
            errors.push(Problem::value(flag, value, complaint));
        }
    }
    errors
}

/// A value from the command line needs no origin: its flag is the origin.
fn with_origins(errors: ConfigErrors, matches: &ArgMatches, file: &Option<String>) -> ConfigErrors {
    errors.with_origins(|flag| {
        let id = flag.replace('-', "_");
        // Asking for an argument that this command does not have would panic.
        let source = match matches.try_contains_id(&id) {
            Ok(_) => matches.value_source(&id),
            Err(_) => None,
        };
        match source {
            Some(ValueSource::EnvVariable) => Some(prefixed(flag)),
            Some(_) => None,
            None => file.clone(),
        }
    })
}

fn collect_variables(command: &clap::Command, names: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    names.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        collect_variables(command, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable that every test process has, since none may set one.
    const PRESENT: &str = "CARGO_PKG_NAME";

    fn load(
        line: &[&str],
        variables: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Command, ConfigErrors> {
        let line = std::iter::once("tls-sidecar").chain(line.iter().copied());
        let matches = Cli::command().try_get_matches_from(line).unwrap();
        load_matches(&matches, variables, file)
    }

    fn load_matches(
        matches: &ArgMatches,
        variables: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Command, ConfigErrors> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(own).collect();
        let read = |_: &Path| {
            file.map(str::to_owned)
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        Load {
            variables: &variables,
            read: &read,
        }
        .command(matches)
    }

    fn config(line: &[&str], file: Option<&str>) -> Config {
        match load(line, &[], file).unwrap() {
            Command::Run(config) => *config,
            _ => unreachable!(),
        }
    }

    #[test]
    fn run_is_the_default_command() {
        for line in [
            &["--upstream", "app:1"][..],
            &["run", "--upstream", "app:1"],
        ] {
            assert_eq!(
                config(line, None).upstream.target.to_string(),
                "http://app:1"
            );
        }
    }

    #[test]
    fn flag_beats_environment_beats_file() {
        let file = Some("cert-dir: [/file]\nidle-timeout: 3s\nsend-timeout: 3s");
        let directories = |line: &[&str]| {
            let command = Cli::command().mut_arg("cert_dir", |arg| arg.env(PRESENT));
            let line = ["tls-sidecar", "--config=a.yaml"]
                .into_iter()
                .chain(line.iter().copied());
            match load_matches(&command.get_matches_from(line), &[], file).unwrap() {
                Command::Run(config) => config.tls.certificates,
                _ => unreachable!(),
            }
        };
        let only = |path: &str| crate::config::CertificateSource::Directories(vec![path.into()]);
        assert_eq!(directories(&["--cert-dir=/flag"]), only("/flag"));
        assert_eq!(directories(&[]), only(&std::env::var(PRESENT).unwrap()));

        let config = config(&["--config=a.yaml", "--idle-timeout=1s"], file);
        assert_eq!(config.tls.certificates, only("/file"));
        assert_eq!(config.http.idle_timeout, Duration::from_secs(1));
        assert_eq!(config.http.send_timeout, Duration::from_secs(3));
    }

    #[test]
    fn errors_of_every_source_come_out_together_with_their_origin() {
        let command = Cli::command().mut_arg("workers", |arg| arg.env(PRESENT));
        let line = ["tls-sidecar", "--config=a.toml", "--idle-timeout=10x"];
        let errors = load_matches(
            &command.get_matches_from(line),
            &[("TLS_SIDECAR_IDEL_TIMEOUT", "1s")],
            Some("upstraem = 1\nsend-timeout = 5"),
        )
        .unwrap_err();
        let value = std::env::var(PRESENT).unwrap();
        assert_eq!(
            errors.to_string().lines().collect::<Vec<_>>(),
            [
                "TLS_SIDECAR_IDEL_TIMEOUT: not a setting; did you mean TLS_SIDECAR_IDLE_TIMEOUT?",
                "a.toml: key \"upstraem\": not a setting; did you mean \"upstream\"?",
                &format!(
                    "--workers {value:?} (from TLS_SIDECAR_WORKERS): not a count; write a whole \
                     number of at least 1"
                ),
                "--send-timeout \"5\" (from a.toml): not a duration; write a number with ms, s, m \
                 or h, e.g. 75s",
                "--idle-timeout \"10x\": not a duration; write a number with ms, s, m or h, e.g. 75s",
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_does_not_hide_other_mistakes() {
        let errors = load(&["--config=gone.toml", "--workers=0"], &[], None).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            lines[0].starts_with("--config \"gone.toml\": "),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("--workers \"0\""), "{lines:?}");
    }

    #[test]
    fn the_demo_keeps_the_settings_that_may_vary() {
        let line = ["demo", "--rotate-every=10s", "--hsts=max-age=1"];
        let Ok(Command::Demo(options)) = load(&line, &[], None) else {
            panic!("not the demo");
        };
        assert_eq!(options.clients, Clients::Any);
        assert_eq!(options.rotate_every, Some(Duration::from_secs(10)));
        assert!(options.settings.listen.is_empty());
        assert_eq!(options.settings.hsts.as_deref(), Some("max-age=1"));
    }

    #[test]
    fn the_demo_refuses_what_it_brings_itself() {
        let line = [
            "demo",
            "--upstream=1",
            "--cert-dir=/d",
            "--rotate-every=soon",
            "--workers=0",
        ];
        let errors = load(&line, &[], None).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for (line, flag) in lines
            .iter()
            .zip(["upstream", "cert-dir", "rotate-every", "workers"])
        {
            assert!(line.starts_with(&format!("--{flag} ")), "{lines:?}");
        }
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn the_variables_of_every_command_are_known() {
        let variables = [
            ("TLS_SIDECAR_ROTATE_EVERY", "1s"),
            ("TLS_SIDECAR_CONFIG", "a.toml"),
            ("TLS_SIDECAR_UPSTREAM", "1"),
            ("TLS_SIDECAR_PORT", "tcp://10.0.0.1:443"),
        ];
        assert!(load(&[], &variables, None).is_ok());
    }
}
