//! Findings about the application: whether it is there, and who else reaches it.

use std::net::SocketAddr;

use super::{Finding, Surroundings};
use crate::config::Upstream;
use crate::net::beyond_loopback;

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: only-tls
spec:
  podSelector: {}  # the labels of the Pod
  policyTypes: [Ingress]
  ingress:
  - ports:
    - port: 443  # what --listen has";

/// What is wrong with the application of `section`.
pub(super) fn findings(section: &Upstream, around: &Surroundings) -> Vec<Finding> {
    let target = &section.target;
    let mut found = Vec::new();
    if let Some(why) = &around.unreached {
        let message = format!(
            "--upstream {target}: {why}; start the application, or say where it listens; requests \
             get 503 until it does"
        );
        found.push(Finding::warning("application_not_reached", message));
    }
    for socket in beyond_loopback(&target.address, &around.listening) {
        let port = socket.port();
        let message = format!(
            "the application listens on {socket}: reachable in clear at {}, past TLS and every \
             check; have it listen on 127.0.0.1:{port} alone, or keep others away from it",
            reachable_at(socket, around),
        );
        found.push(Finding::warning("application_exposed", message).mended_by(POLICY));
    }
    found
}

fn reachable_at(socket: SocketAddr, around: &Surroundings) -> String {
    let port = socket.port();
    match (socket.ip().is_unspecified(), around.own_address) {
        (false, _) => socket.to_string(),
        (true, Some(own)) => SocketAddr::new(own, port).to_string(),
        (true, None) => format!("PodIP:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::surroundings::tests::clean;
    use crate::config::{Config, Settings};
    use crate::net::ConnectError;

    fn found(around: &Surroundings) -> Vec<Finding> {
        let config = Config::resolve(Settings::default()).unwrap();
        findings(&config.upstream, around)
    }

    #[test]
    fn an_application_on_loopback_alone_is_as_it_should_be() {
        assert_eq!(found(&clean()), []);
    }

    #[test]
    fn an_application_that_is_not_reached_is_named_with_the_reason() {
        let refused = ConnectError::Refused(std::io::ErrorKind::ConnectionRefused.into());
        let around = Surroundings {
            unreached: Some(refused),
            ..clean()
        };
        let found = found(&around);
        assert_eq!(found[0].code, "application_not_reached");
        let message = &found[0].message;
        assert!(message.starts_with("--upstream http://127.0.0.1:8080: connection refused"));
    }

    #[test]
    fn an_application_on_every_address_is_reachable_at_that_of_the_pod() {
        let mut around = Surroundings {
            listening: vec!["[::]:8080".parse().unwrap()],
            ..clean()
        };
        let message = found(&around)[0].message.clone();
        assert!(
            message.contains("reachable in clear at 10.1.2.3:8080"),
            "{message}"
        );
        around.own_address = None;
        assert!(found(&around)[0].message.contains("at PodIP:8080"));
        around.listening = vec!["10.9.9.9:8080".parse().unwrap()];
        let found = found(&around);
        assert!(found[0].message.contains("at 10.9.9.9:8080"));
        assert_eq!(found[0].code, "application_exposed");
        assert!(found[0].yaml.as_ref().unwrap().contains("NetworkPolicy"));
    }
}
