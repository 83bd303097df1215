//! Environment variables that look like settings but are none.
//!
//! clap reads the variables it knows; this finds the ones a person mistyped. Kubernetes puts
//! variables of its own beside them for every Service in the namespace, and one that is called
//! `tls-sidecar`, or begins with it, shares our prefix: those must never stop a Pod.

use super::nearest::nearest;
use super::problem::{ConfigErrors, Problem};
use super::settings::PREFIX;

/// Read while the program is built, and so still set where a build runs its own tests.
const BUILD: &str = "TLS_SIDECAR_REVISION";

/// The variables among `variables` (name and value) with our prefix that are not in `known`.
pub fn unknown<'a>(
    variables: impl Iterator<Item = (&'a str, &'a str)>,
    known: &[String],
) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if name == BUILD || known.iter().any(|one| one == name) || is_service(rest, value) {
            continue;
        }
        // The prefix is the same everywhere and would make every name look near.
        let names = known.iter().filter_map(|one| one.strip_prefix(PREFIX));
        errors.push(Problem::other(
            name,
            match nearest(rest, names) {
                Some(guess) => format!("not a setting; did you mean {PREFIX}{guess}?"),
                None => "not a setting; see --help for the names".to_owned(),
            },
        ));
    }
    errors
}

/// The shapes that Kubernetes gives the addresses of a Service, our prefix taken off.
fn is_service(rest: &str, value: &str) -> bool {
    let own = rest == "PORT" || rest.starts_with("PORT_");
    own || rest == "SERVICE_HOST"
        || rest == "SERVICE_PORT"
        || rest.starts_with("SERVICE_PORT_")
        || rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || (rest.ends_with("_PORT") && value.contains("://"))
        || is_numbered_port(rest)
}

/// `NAME_PORT_443_TCP`, also with `_PROTO`, `_PORT` or `_ADDR` behind it.
fn is_numbered_port(rest: &str) -> bool {
    rest.split_once("_PORT_").is_some_and(|(_, port)| {
        let mut parts = port.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        let protocol = matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"));
        number && protocol && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> String {
        let known = ["TLS_SIDECAR_IDLE_TIMEOUT", "TLS_SIDECAR_UPSTREAM"].map(String::from);
        unknown(variables.iter().copied(), &known).to_string()
    }

    #[test]
    fn unknown_variable_suggests_the_nearest_name() {
        assert_eq!(
            check(&[
                ("TLS_SIDECAR_IDEL_TIMEOUT", "1s"),
                ("TLS_SIDECAR_XYZZY", "")
            ]),
            "TLS_SIDECAR_IDEL_TIMEOUT: not a setting; did you mean TLS_SIDECAR_IDLE_TIMEOUT?\n\
             TLS_SIDECAR_XYZZY: not a setting; see --help for the names"
        );
        assert!(check(&[("TLS_SIDECAR_UPSTREAM_PORT", "8080")]).contains("TLS_SIDECAR_UPSTREAM?"));
    }

    #[test]
    fn settings_and_the_variables_of_others_pass() {
        assert_eq!(
            check(&[
                ("TLS_SIDECAR_UPSTREAM", "8080"),
                ("PATH", "/bin"),
                ("TLS", "")
            ]),
            ""
        );
        assert_eq!(check(&[("TLS_SIDECAR_REVISION", "abc")]), "");
    }

    #[test]
    fn what_kubernetes_injects_for_a_service_passes() {
        for name in ["", "DEMO_", "MY_APP_"] {
            for (shape, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_PORT", "443"),
                ("SERVICE_PORT_HTTPS", "443"),
                ("PORT", "tcp://10.0.0.1:443"),
                ("PORT_443_TCP", "tcp://10.0.0.1:443"),
                ("PORT_443_TCP_PROTO", "tcp"),
                ("PORT_443_TCP_PORT", "443"),
                ("PORT_443_TCP_ADDR", "10.0.0.1"),
            ] {
                let variable = format!("TLS_SIDECAR_{name}{shape}");
                assert_eq!(check(&[(&variable, value)]), "", "{variable}");
            }
        }
    }
}
