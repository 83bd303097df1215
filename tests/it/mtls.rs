//! Client certificates: who comes in, what the application hears, and what happens when the trust
//! changes while the proxy runs.

mod allowed;
mod faults;
mod headers;
mod live;
mod programs;
mod resumption;
mod rotation;
mod told;
mod trust;

use std::io;

use rustls::SupportedProtocolVersion;
use serde_json::Value;

use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::clients::Client;
use crate::support::h1::Response;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually};

/// TLS 1.2 alone.
static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
/// TLS 1.3 alone.
static TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A sidecar that asks clients for certificates, and whom it trusts.
struct Door {
    served: Served,
    /// The authority of the clients.
    clients: Ca,
    /// Where the sidecar reads whom it trusts: `ca.crt`, and what a test adds.
    trust: SecretDir,
}

impl Door {
    /// Nobody comes in without a certificate of `clients`.
    fn required(upstream: &str, arguments: &[&str]) -> Self {
        Self::of("required", upstream, arguments)
    }

    /// A client may come without one.
    fn optional(upstream: &str, arguments: &[&str]) -> Self {
        Self::of("optional", upstream, arguments)
    }

    fn of(mode: &str, upstream: &str, arguments: &[&str]) -> Self {
        let clients = Ca::named("clients");
        let trust = SecretDir::new(&[("ca.crt", clients.pem().as_bytes())]);
        Self::trusting(
            mode,
            clients,
            trust,
            &[&["--upstream", upstream], arguments].concat(),
        )
    }

    /// With a trust directory of its own; `arguments` name the upstream, and what else is read.
    fn trusting(mode: &str, clients: Ca, trust: SecretDir, arguments: &[&str]) -> Self {
        let bundle = path(&trust, "ca.crt");
        // At this level every handshake that fails is a line.
        let own = [
            "--client-auth",
            mode,
            "--client-ca-file",
            &bundle,
            "--log-level",
            "debug",
        ];
        let at = arguments
            .iter()
            .position(|word| *word == "--upstream")
            .unwrap();
        let rest = [&arguments[..at], &arguments[at + 2..], &own].concat();
        let served = Served::start(arguments[at + 1], &rest);
        Self {
            served,
            clients,
            trust,
        }
    }

    /// Nobody comes in without a certificate of this bundle, `clients` in it, that these lists
    /// cover; both are in the trust directory.
    fn with_lists([bundle, lists]: [&str; 2], clients: Ca, upstream: &str) -> Self {
        let trust = SecretDir::new(&[("ca.crt", bundle.as_bytes()), ("crl.pem", lists.as_bytes())]);
        let file = path(&trust, "crl.pem");
        let arguments = ["--upstream", upstream, "--client-crl-file", &file];
        Self::trusting("required", clients, trust, &arguments)
    }

    /// A client with this certificate.
    fn client(&self, pair: &Pair) -> Client {
        self.served.client().identity(pair)
    }

    /// A client with a good certificate.
    fn good(&self) -> Client {
        self.client(&self.clients.sign(Leaf::client(&["client"])))
    }

    /// What a whole HTTP/1.1 request of this client comes to.
    async fn ask(&self, client: &Client) -> io::Result<Response> {
        let mut wire = client.http1(self.served.address()).await?;
        wire.write(GET).await?;
        wire.response().await
    }

    /// The alert by which this client is refused.
    async fn refusal(&self, client: &Client) -> String {
        match self.ask(client).await {
            Ok(response) => panic!("let in: {response:?}"),
            Err(error) => error.to_string(),
        }
    }

    /// Blocks until the log has a failed handshake with this reason.
    fn failed_for(&self, reason: &str) {
        self.served.sidecar.wait_for_log(reason, |line| {
            line["message"] == "handshake failed" && line["reason"] == reason
        });
    }

    /// Blocks until the trust was reloaded for the `times`th time.
    fn reloaded(&self, times: usize) {
        self.said("client trust reloaded", times);
    }

    /// Blocks until the log has said this so often.
    fn said(&self, words: &str, times: usize) {
        self.counted(words, times, |line| line["message"] == words);
    }

    /// Blocks until so many lines of the log fit.
    fn counted(&self, what: &str, times: usize, fits: impl Fn(&Value) -> bool) {
        eventually(what, PATIENCE, || {
            let lines = self.served.sidecar.log_lines();
            lines.iter().filter(|line| fits(line)).count() >= times
        });
    }
}

/// A file of a mount, for a command line.
fn path(directory: &SecretDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}
