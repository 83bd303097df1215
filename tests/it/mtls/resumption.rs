//! A session made under other rules never resumes into these (the class of CVE-2025-23419).

use std::time::{Duration, SystemTime};

use rustls::HandshakeKind;

use super::{Door, GET, TLS12, TLS13, path};
use crate::support::certs::{Ca, Leaf};
use crate::support::clients::Client;
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async};

/// How a handshake went, with one request behind it, in which the tickets arrive.
async fn kind(client: &Client, served: &Served) -> std::io::Result<HandshakeKind> {
    let mut wire = client.http1(served.address()).await?;
    wire.write(GET).await?;
    let response = wire.response().await?;
    assert_eq!(response.status, 200);
    let (_, connection) = wire.stream().get_ref();
    Ok(connection.handshake_kind().unwrap())
}

/// The handshake of a client that comes for the first time, and of one that comes back.
async fn first_and_second(client: &Client, served: &Served) -> [HandshakeKind; 2] {
    let first = kind(client, served).await.unwrap();
    [first, kind(client, served).await.unwrap()]
}

const RESUMES: [HandshakeKind; 2] = [HandshakeKind::Full, HandshakeKind::Resumed];

// TLS-12
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_under_one_trust_and_not_after_its_authority_was_removed() {
    let application = Hyper::saying("served");
    for versions in [&TLS12, &TLS13] {
        let door = Door::required(application.upstream(), &[]);
        let client = door.good().versions(versions).resuming();
        assert_eq!(first_and_second(&client, &door.served).await, RESUMES);
        let other = Ca::named("other");
        door.trust.swap(&[("ca.crt", other.pem().as_bytes())]);
        door.reloaded(1);
        let refusal = kind(&client, &door.served).await.unwrap_err().to_string();
        assert!(refusal.contains("UnknownCA"), "{refusal}");
        door.failed_for("unknown_ca");
    }
}

// TLS-12: a trust that still has the authority asks for the certificate again.
#[tokio::test(flavor = "multi_thread")]
async fn after_any_change_of_trust_a_session_is_not_resumed_but_made_anew() {
    let application = Hyper::saying("served");
    for versions in [&TLS12, &TLS13] {
        let door = Door::required(application.upstream(), &[]);
        let client = door.good().versions(versions).resuming();
        assert_eq!(first_and_second(&client, &door.served).await, RESUMES);
        let both = door.clients.pem() + &Ca::named("other").pem();
        door.trust.swap(&[("ca.crt", both.as_bytes())]);
        door.reloaded(1);
        assert_eq!(first_and_second(&client, &door.served).await, RESUMES);
    }
}

/// Sidecars that differ in their rules alone and share everything else: certificate, application,
/// ticket secrets.
struct Siblings {
    application: Hyper,
    certificate: SecretDir,
    secrets: SecretDir,
    server: Ca,
    clients: Ca,
    trust: SecretDir,
}

impl Siblings {
    fn new() -> Self {
        let (server, clients) = (Ca::new(), Ca::named("clients"));
        Self {
            application: Hyper::saying("served"),
            certificate: SecretDir::new(&server.leaf(&["localhost", "b.example"]).files()),
            secrets: SecretDir::new(&[("secret", &[7; 48])]),
            trust: SecretDir::new(&[("ca.crt", clients.pem().as_bytes())]),
            server,
            clients,
        }
    }

    fn start(&self, mode: &str, bundle: &str) -> Served {
        let mut arguments = vec![
            "--cert-dir",
            self.certificate.as_str(),
            "--ticket-key-dir",
            self.secrets.as_str(),
            "--upstream",
            self.application.upstream(),
        ];
        if mode != "off" {
            arguments.extend(["--client-auth", mode, "--client-ca-file", bundle]);
        }
        let sidecar = crate::support::sidecar::Sidecar::start(&arguments);
        // Their own are not used.
        let (ca, secret) = (Ca::new(), SecretDir::new(&[("x", b"x")]));
        Served {
            sidecar,
            ca,
            secret,
        }
    }

    fn bundle(&self) -> String {
        path(&self.trust, "ca.crt")
    }

    fn client(&self) -> Client {
        let pair = self.clients.sign(Leaf::client(&["client"]));
        Client::new(&self.server).identity(&pair).resuming()
    }
}

// TLS-12, TLS-13: with secrets that every replica shares.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_read_by_every_replica_with_the_same_rules_and_by_no_other() {
    let siblings = Siblings::new();
    let bundle = siblings.bundle();
    let other = SecretDir::new(&[(
        "ca.crt",
        (siblings.clients.pem() + &Ca::new().pem()).as_bytes(),
    )]);
    let other = path(&other, "ca.crt");
    let (one, same) = (
        siblings.start("required", &bundle),
        siblings.start("required", &bundle),
    );
    let different = [
        siblings.start("off", ""),
        siblings.start("optional", &bundle),
        siblings.start("required", &other),
    ];
    for versions in [&TLS12, &TLS13] {
        let client = siblings.client().versions(versions);
        assert_eq!(kind(&client, &one).await.unwrap(), HandshakeKind::Full);
        assert_eq!(kind(&client, &same).await.unwrap(), HandshakeKind::Resumed);
        for (at, served) in different.iter().enumerate() {
            let client = siblings.client().versions(versions);
            // Into other rules, and out of them.
            assert_eq!(kind(&client, &one).await.unwrap(), HandshakeKind::Full);
            assert_eq!(
                kind(&client, served).await.unwrap(),
                HandshakeKind::Full,
                "{at}"
            );
            assert_eq!(
                kind(&client, &same).await.unwrap(),
                HandshakeKind::Full,
                "{at}"
            );
        }
    }
}

// TLS-13: the session of a client that was asked for nothing is worth nothing where one is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_certificate_never_stands_in_for_one() {
    let siblings = Siblings::new();
    let bundle = siblings.bundle();
    let (off, optional) = (
        siblings.start("off", ""),
        siblings.start("optional", &bundle),
    );
    let required = siblings.start("required", &bundle);
    for versions in [&TLS12, &TLS13] {
        for before in [&off, &optional] {
            let client = Client::new(&siblings.server).versions(versions).resuming();
            assert_eq!(first_and_second(&client, before).await, RESUMES);
            let refusal = kind(&client, &required).await.unwrap_err().to_string();
            assert!(refusal.contains("CertificateRequired"), "{refusal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_one_name_is_not_resumed_under_another() {
    let siblings = Siblings::new();
    let served = siblings.start("required", &siblings.bundle());
    for versions in [&TLS12, &TLS13] {
        let client = siblings.client().versions(versions);
        assert_eq!(first_and_second(&client, &served).await, RESUMES);
        let ticket = Ticket::of("localhost");
        // rustls' clients keep sessions by name themselves; openssl's offers what it is given.
        let Some(resumed) = ticket.offered_for("b.example", &siblings, &served) else {
            return;
        };
        assert!(!resumed);
    }
}

/// A session that openssl keeps in a file.
struct Ticket {
    name: &'static str,
    folder: tempfile::TempDir,
}

impl Ticket {
    fn of(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { name, folder }
    }

    /// Whether a session of its name is resumed when `other` is asked for; it is under its own.
    fn offered_for(&self, other: &str, siblings: &Siblings, served: &Served) -> Option<bool> {
        let pair = siblings.clients.sign(Leaf::client(&["client"]));
        let file = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(file("cert"), &pair.cert_pem).unwrap();
        std::fs::write(file("key"), &pair.key_pem).unwrap();
        let (address, session) = (served.address().to_string(), file("session"));
        let run = |name: &str, flag: &str| {
            let (certificate, key) = (file("cert"), file("key"));
            let arguments = [
                "s_client",
                "-connect",
                &address,
                "-ign_eof",
                "-servername",
                name,
                "-cert",
                &certificate,
                "-key",
                &key,
                flag,
                &session,
            ];
            let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let output = crate::support::programs::openssl(&arguments, request)?;
            Some(String::from_utf8_lossy(&output.stdout).contains("Reused, TLSv1."))
        };
        run(self.name, "-sess_out")?;
        assert_eq!(run(self.name, "-sess_in"), Some(true));
        run(other, "-sess_in")
    }
}

// TLS-14
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_resumed_after_its_certificate_has_expired() {
    let application = Hyper::saying("served");
    for versions in [&TLS12, &TLS13] {
        let door = Door::required(application.upstream(), &[]);
        // Certificates count whole seconds.
        let end = SystemTime::now() + Duration::from_secs(4);
        let leaf = Leaf::client(&["c"]).valid(SystemTime::now() - Duration::from_secs(60), end);
        let client = door
            .client(&door.clients.sign(leaf))
            .versions(versions)
            .resuming();
        assert_eq!(first_and_second(&client, &door.served).await, RESUMES);
        let is_over = || SystemTime::now() > end + Duration::from_secs(1);
        eventually_async("the certificate expired", PATIENCE, is_over).await;
        let refusal = kind(&client, &door.served).await.unwrap_err().to_string();
        // By a full handshake, which a client with a new certificate would have come through.
        assert!(refusal.contains("CertificateExpired"), "{refusal}");
        door.failed_for("expired");
    }
}

// TLS-14
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_resumed_after_its_certificate_was_revoked() {
    let application = Hyper::saying("served");
    for versions in [&TLS12, &TLS13] {
        let clients = Ca::named("clients");
        let (authority, none) = (clients.pem(), clients.revocation_list(&[]));
        let door = Door::with_lists([&authority, &none], clients, application.upstream());
        let pair = door.clients.sign(Leaf::client(&["c"]).serial(7));
        let client = door.client(&pair).versions(versions).resuming();
        assert_eq!(first_and_second(&client, &door.served).await, RESUMES);
        let named = door.clients.revocation_list(&[7]);
        let files = [
            ("ca.crt", authority.as_bytes()),
            ("crl.pem", named.as_bytes()),
        ];
        door.trust.swap(&files);
        door.reloaded(1);
        let refusal = kind(&client, &door.served).await.unwrap_err().to_string();
        assert!(refusal.contains("CertificateRevoked"), "{refusal}");
    }
}
