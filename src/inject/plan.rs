//! From what a workload says to the sidecar that it gets.
//!
//! Invariant: the settings that are written into a manifest went through the same function that
//! `run` reads them with, so that what is injected starts.

use clap::{Args as _, FromArgMatches as _};

use super::annotations::{Defaults, Mode, Said};
use super::application::{self, Container};
use super::record::OWN;
use super::sidecar::Sidecar;
use super::workload::{PREFIX, Workload};
use crate::check::Finding;
use crate::config::{Address, Config, Settings};

/// What one workload is to get.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) sidecar: Sidecar,
    /// What the settings of the sidecar mean.
    pub(super) config: Config,
    /// Every port that it listens on.
    pub(super) ports: Vec<u16>,
}

impl Plan {
    /// The plan for `workload`, or everything that keeps it from being made.
    pub(super) fn of(
        workload: &Workload<'_>,
        said: &Said<'_>,
        defaults: &Defaults,
        containers: &[Container<'_>],
    ) -> Result<Self, Vec<Finding>> {
        let mut wrong = Vec::new();
        let upstream = noted(
            application::upstream(workload, said, defaults, containers),
            &mut wrong,
        );
        let secret = noted(secret(workload, said, defaults), &mut wrong);
        let mode = noted(mode(workload, said, defaults), &mut wrong);
        let amount = |name, default, wrong: &mut Vec<Finding>| {
            noted(said.amount(workload, name, default), wrong).unwrap_or_default()
        };
        let requests = vec![
            ("cpu", amount("cpu", "50m", &mut wrong)),
            ("memory", amount("memory", "32Mi", &mut wrong)),
        ];
        let mut limits = vec![("memory", amount("memory-limit", "128Mi", &mut wrong))];
        let mut variables = vec![("TLS_SIDECAR_UPSTREAM", upstream.clone().unwrap_or_default())];
        for (name, variable) in [
            ("listen", "TLS_SIDECAR_LISTEN"),
            ("admin-listen", "TLS_SIDECAR_ADMIN_LISTEN"),
        ] {
            variables.extend(
                said.value(name)
                    .map(|(value, _)| (variable, value.to_owned())),
            );
        }
        match said.value("cpu-limit") {
            Some(_) => limits.insert(0, ("cpu", amount("cpu-limit", "2", &mut wrong))),
            // Without a limit it would be one worker for each CPU of the node.
            None => variables.push(("TLS_SIDECAR_WORKERS", "2".to_owned())),
        }
        let arguments = said
            .value("args")
            .map(|(text, _)| split(text))
            .unwrap_or_default();
        let config = match upstream {
            Some(_) => settings(&variables, &arguments),
            None => Err(Vec::new()),
        };
        let (config, admin) = match config.and_then(|config| admin(&config).map(|at| (config, at)))
        {
            Ok(both) => both,
            Err(words) => {
                let words = words.iter().map(|words| {
                    let words = format!("the sidecar would not start: {words}");
                    workload.error("setting", workload.line, &words)
                });
                wrong.extend(words);
                return Err(wrong);
            }
        };
        let (Some(secret), Some(mode), true) = (secret, mode, wrong.is_empty()) else {
            return Err(wrong);
        };
        let ports = ports(&config, admin);
        let image = said.value("image").map(|(image, _)| image.to_owned());
        let image = image.or_else(|| defaults.image.clone());
        let sidecar = Sidecar {
            mode,
            image: image.unwrap_or_else(|| format!("{OWN}:{}", env!("CARGO_PKG_VERSION"))),
            secret,
            arguments,
            variables,
            ports: named(&config, &ports, containers),
            admin_port: admin,
            wait: config.drain.whole_seconds(),
            requests,
            limits,
        };
        Ok(Self {
            sidecar,
            config,
            ports,
        })
    }

    /// The port of the application, where it has one on this host.
    pub(super) fn application_port(&self) -> Option<u16> {
        match &self.config.upstream.target.address {
            Address::Ip(address) if address.ip().is_loopback() => Some(address.port()),
            Address::Name { host, port } if host == "localhost" => Some(*port),
            _ => None,
        }
    }
}

fn noted<T>(result: Result<T, Finding>, wrong: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|finding| wrong.push(finding)).ok()
}

fn secret(
    workload: &Workload<'_>,
    said: &Said<'_>,
    defaults: &Defaults,
) -> Result<String, Finding> {
    let own = workload.name.rsplit('/').next().unwrap_or_default();
    let secret = match (said.value("secret"), &defaults.secret) {
        (Some((secret, _)), _) => secret.to_owned(),
        (None, Some(pattern)) => pattern.replace("{name}", own),
        (None, None) => {
            let words = format!(
                "no Secret: name the one with the certificate by --secret or the annotation \
                 {PREFIX}secret, e.g. {own}-tls"
            );
            return Err(workload.error("no_secret", workload.line, &words));
        }
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match !secret.is_empty() && secret.len() <= 253 && secret.chars().all(is_name) {
        true => Ok(secret),
        false => {
            let words = format!(
                "{secret:?} cannot be the name of a Secret; write lower-case letters, digits, \
                 dashes and dots"
            );
            Err(workload.error("no_secret", workload.line, &words))
        }
    }
}

fn mode(workload: &Workload<'_>, said: &Said<'_>, defaults: &Defaults) -> Result<Mode, Finding> {
    Ok(match said.switch(workload, "native")? {
        None => defaults.mode,
        Some(true) => Mode::Native,
        Some(false) => Mode::Classic,
    })
}

/// One argument a line, or between white space where there is one line alone.
fn split(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match text.contains('\n') {
        true => lines.map(str::to_owned).collect(),
        false => text.split_whitespace().map(str::to_owned).collect(),
    }
}

/// What variables and arguments mean together, or all that is wrong with them.
fn settings(variables: &[(&str, String)], arguments: &[String]) -> Result<Config, Vec<String>> {
    let variable = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.clone())
    };
    let written = Settings {
        upstream: variable("TLS_SIDECAR_UPSTREAM"),
        listen: variable("TLS_SIDECAR_LISTEN").into_iter().collect(),
        admin_listen: variable("TLS_SIDECAR_ADMIN_LISTEN"),
        ..Settings::default()
    };
    // The variables of whoever injects are not those of the sidecar.
    let command = Settings::augment_args(clap::Command::new(OWN).no_binary_name(true))
        .mut_args(|argument| argument.env(None::<&str>));
    let matches = command.try_get_matches_from(arguments);
    let given = matches.and_then(|matches| Settings::from_arg_matches(&matches));
    let given = given.map_err(|error| {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let words = first.strip_prefix("error: ").unwrap_or(first);
        vec![format!(
            "args: {words}; write flags of `run` that need no other volume"
        )]
    })?;
    let config = Config::resolve(given.over(written));
    config.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The port that the kubelet asks.
fn admin(config: &Config) -> Result<u16, Vec<String>> {
    match config.admin.listen {
        Some(address) if !address.ip().is_loopback() && address.port() != 0 => Ok(address.port()),
        _ => Err(vec![
            "--admin-listen: the probes of the Pod ask it from outside; give it a port on every \
             address, e.g. 9901"
                .to_owned(),
        ]),
    }
}

fn ports(config: &Config, admin: u16) -> Vec<u16> {
    let listen = config.listen.addresses.iter().map(|address| address.port());
    let redirect = config
        .listen
        .redirect
        .addresses
        .iter()
        .map(|address| address.port());
    let mut ports: Vec<u16> = Vec::new();
    for port in listen.chain([admin]).chain(redirect) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// The ports with names that no other container has.
fn named(
    config: &Config,
    ports: &[u16],
    containers: &[Container<'_>],
) -> Vec<(Option<&'static str>, u16)> {
    let taken = |name: &str| {
        let mut others = containers.iter().flat_map(|one| &one.ports);
        others.any(|port| port.name == Some(name))
    };
    let free = |names: [&'static str; 2]| names.into_iter().find(|name| !taken(name));
    let first = config
        .listen
        .addresses
        .first()
        .map(|address| address.port());
    let admin = config.admin.listen.map(|address| address.port());
    let name = |port: &u16| match Some(*port) {
        port if port == first => free(["https", OWN]),
        port if port == admin => free(["admin", "tls-admin"]),
        _ => None,
    };
    ports.iter().map(|port| (name(port), *port)).collect()
}
