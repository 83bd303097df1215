//! What the demo prints before it serves: where it is, what to try, how to rotate.
//!
//! Every line that begins with a command can be pasted into a shell as it stands. Nothing here
//! decides anything.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The text; displays without a last line feed.
#[derive(Debug)]
pub(super) struct Greeting<'a> {
    /// The proxy's first TLS listener.
    pub(super) address: SocketAddr,
    /// The admin port.
    pub(super) admin: Option<SocketAddr>,
    /// The application's address as the proxy was given it.
    pub(super) upstream: &'a str,
    /// The secret's directory.
    pub(super) directory: &'a Path,
    /// Of the first certificate.
    pub(super) serial: &'a str,
    /// Whether the application is the demo's own.
    pub(super) sample: bool,
    /// Interval of the rotation.
    pub(super) rotate_every: Option<Duration>,
    /// Where the client's certificate is, when one is asked for.
    pub(super) client: Option<&'a Path>,
}

impl Greeting<'_> {
    /// Host and port that the certificate and the listener both answer to.
    fn authority(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        match ip.is_loopback() || ip.is_unspecified() {
            true => format!("localhost:{port}"),
            false => match ip {
                IpAddr::V4(ip) => format!("{ip}:{port}"),
                IpAddr::V6(ip) => format!("[{ip}]:{port}"),
            },
        }
    }

    fn examples(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = self.authority();
        let authority = quoted(&self.directory.join("ca.crt"));
        let ca = match self.client {
            Some(client) => {
                let (certificate, key) = (client.join("client.crt"), client.join("client.key"));
                let (certificate, key) = (quoted(&certificate), quoted(&key));
                format!("{authority} --cert {certificate} --key {key}")
            }
            None => authority.clone(),
        };
        writeln!(
            out,
            "Try it (a browser works too, after a warning about the authority):"
        )?;
        writeln!(out, "  curl --cacert {ca} https://{site}/")?;
        if !self.sample {
            return Ok(());
        }
        writeln!(out, "  curl --cacert {ca} https://{site}/headers")?;
        writeln!(
            out,
            "  curl -N --cacert {ca} 'https://{site}/stream?chunks=10&interval=500ms'"
        )?;
        writeln!(
            out,
            "  head -c 100000000 /dev/zero | curl --cacert {ca} -T - https://{site}/upload"
        )?;
        if self.client.is_some() {
            return writeln!(
                out,
                "  curl --cacert {authority} https://{site}/   (refused: no client certificate)"
            );
        }
        writeln!(out, "  SSL_CERT_FILE={ca} websocat wss://{site}/ws")
    }

    fn rotation(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(every) = self.rotate_every {
            return writeln!(
                out,
                "Rotation: a new certificate every {every:?}; no connection is cut by it."
            );
        }
        let directory = quoted(self.directory);
        writeln!(
            out,
            "Rotate: start the demo with --rotate-every 10s, or by hand:"
        )?;
        writeln!(
            out,
            "  (cd {directory} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
             -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
             -keyout tls.key -out tls.crt) && kill -HUP {}",
            std::process::id()
        )?;
        writeln!(
            out,
            "  (from then on the certificate is its own authority: --cacert tls.crt)"
        )
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let application = match self.sample {
            true => "the sample application",
            false => "your application",
        };
        writeln!(out, "tls-sidecar demo: https://{}/", self.authority())?;
        writeln!(out)?;
        writeln!(out, "  TLS on       {}", self.address)?;
        writeln!(out, "  passes to    {} ({application})", self.upstream)?;
        if let Some(admin) = self.admin {
            writeln!(out, "  status page  http://{admin}/")?;
        }
        writeln!(out, "  certificate  {}", self.directory.display())?;
        writeln!(
            out,
            "               laid out like a Secret mount, removed at the end"
        )?;
        writeln!(out, "  serial       {}", self.serial)?;
        writeln!(out)?;
        self.examples(out)?;
        writeln!(out)?;
        self.rotation(out)?;
        writeln!(out)?;
        write!(out, "Ctrl-C drains and ends, a second one ends at once.")
    }
}

/// `path` as one word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(address: &str) -> Greeting<'static> {
        Greeting {
            admin: None,
            address: address.parse().unwrap(),
            upstream: "http://127.0.0.1:40113",
            directory: Path::new("/tmp/demo"),
            serial: "4A",
            sample: true,
            rotate_every: None,
            client: None,
        }
    }

    #[test]
    fn with_client_certificates_every_command_shows_one_but_the_one_that_is_refused() {
        let text = Greeting {
            client: Some(Path::new("/tmp/client")),
            ..greeting("127.0.0.1:8443")
        };
        let text = text.to_string();
        let shown = "curl --cacert /tmp/demo/ca.crt --cert /tmp/client/client.crt --key /tmp/client/client.key https://localhost:8443/\n";
        assert!(text.contains(shown), "{text}");
        assert!(
            text.contains("  curl --cacert /tmp/demo/ca.crt https://localhost:8443/   (refused")
        );
    }

    #[test]
    fn first_command_checks_the_certificate_by_name() {
        let text = greeting("127.0.0.1:8443").to_string();
        assert!(text.contains("\n  curl --cacert /tmp/demo/ca.crt https://localhost:8443/\n"));
        assert!(text.contains(&format!("kill -HUP {}", std::process::id())));
    }

    #[test]
    fn listener_on_every_address_is_reached_as_localhost() {
        assert_eq!(greeting("[::]:8443").authority(), "localhost:8443");
        assert_eq!(greeting("0.0.0.0:1").authority(), "localhost:1");
        assert_eq!(greeting("192.0.2.7:1").authority(), "192.0.2.7:1");
        assert_eq!(greeting("[2001:db8::7]:1").authority(), "[2001:db8::7]:1");
    }

    #[test]
    fn own_application_is_not_promised_the_sample_pages() {
        let own = Greeting {
            sample: false,
            ..greeting("127.0.0.1:8443")
        };
        assert!(!own.to_string().contains("/upload"));
    }

    #[test]
    fn odd_path_is_one_word_of_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/a-b_c.d")), "/tmp/a-b_c.d");
        assert_eq!(quoted(Path::new("/tmp/a b's")), r"'/tmp/a b'\''s'");
    }
}
