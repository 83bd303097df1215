//! Each class once as the world does it: `openssl s_client` and `curl --cert`.

use std::fs;
use std::process::Output;

use tempfile::TempDir;

use super::Door;
use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::hyper_application::Hyper;
use crate::support::programs::{curl, openssl};

/// A client's files, as programs want them.
struct Files(TempDir);

impl Files {
    fn of(pair: &Pair, door: &Door) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("cert", &pair.cert_pem);
        write("key", &pair.key_pem);
        write("ca", &door.served.ca.pem());
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn curl(&self, door: &Door) -> Option<Output> {
        let url = format!("https://localhost:{}/", door.served.address().port());
        let (ca, cert, key) = (self.path("ca"), self.path("cert"), self.path("key"));
        curl(&[
            "--ipv4", "--cacert", &ca, "--cert", &cert, "--key", &key, &url,
        ])
    }

    fn openssl(&self, door: &Door, version: &str) -> Option<String> {
        let address = door.served.address().to_string();
        let (ca, cert, key) = (self.path("ca"), self.path("cert"), self.path("key"));
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-CAfile",
            &ca,
            "-servername",
            "localhost",
            "-cert",
            &cert,
            "-cert_chain",
            &cert,
            "-key",
            &key,
            "-ign_eof",
            version,
        ];
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let output = openssl(&arguments, request)?;
        let both = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&both).into_owned())
    }
}

/// Both programs are told `words` by the alert, over both versions.
fn told(door: &Door, pair: &Pair, reason: &str, words: &str) {
    let files = Files::of(pair, door);
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(printed) = files.openssl(door, version) else {
            return;
        };
        assert!(printed.contains(words), "{reason} {version}: {printed}");
        assert!(!printed.contains("200 OK"), "{reason} {version}: {printed}");
    }
    door.failed_for(reason);
    let Some(output) = files.curl(door) else {
        return;
    };
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
}

/// Both programs are served.
fn served(door: &Door, pair: &Pair) {
    let files = Files::of(pair, door);
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(printed) = files.openssl(door, version) else {
            return;
        };
        assert!(printed.contains("200 OK"), "{version}: {printed}");
    }
    let Some(output) = files.curl(door) else {
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "served",
        "{output:?}"
    );
}

// TLS-09
#[test]
fn openssl_and_curl_hear_why_a_certificate_lets_nobody_in() {
    let application = Hyper::saying("served");
    let clients = Ca::named("clients");
    let between = clients.intermediate_with("between", 3);
    let list = clients.revocation_list(&[7]) + &between.revocation_list(&[]);
    let door = Door::with_lists([&clients.pem(), &list], clients, application.upstream());
    let leaf = || Leaf::client(&["client"]);
    served(&door, &door.clients.sign(leaf()));
    served(&door, &between.sign(leaf()));
    for (pair, reason, words) in [
        (Ca::named("x").sign(leaf()), "unknown_ca", "unknown ca"),
        (Pair::self_signed(leaf()), "unknown_ca", "unknown ca"),
        (
            door.clients.sign(leaf().expired()),
            "expired",
            "certificate expired",
        ),
        (
            door.clients.sign(leaf().not_yet_valid()),
            "not_yet_valid",
            "certificate expired",
        ),
        (
            door.clients.sign(Leaf::server(&["c"])),
            "wrong_usage",
            "unsupported certificate",
        ),
        (
            door.clients.sign(leaf().serial(7)),
            "revoked",
            "certificate revoked",
        ),
    ] {
        told(&door, &pair, reason, words);
    }
}

#[test]
fn curl_without_a_certificate_is_not_served_and_an_unlisted_one_reads_why() {
    let application = Hyper::saying("served");
    let door = Door::required(application.upstream(), &["--client-allow", "cn:nobody"]);
    let pair = door.clients.sign(Leaf::client(&["client"]));
    let files = Files::of(&pair, &door);
    let Some(output) = files.curl(&door) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("403 ") && text.contains("not allowed"),
        "{output:?}"
    );
    let url = format!("https://localhost:{}/", door.served.address().port());
    let output = curl(&["--ipv4", "--cacert", &files.path("ca"), &url]).unwrap();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    door.failed_for("no_certificate");
}

// TLS-09
#[test]
fn openssl_and_curl_are_refused_below_a_revoked_authority_and_under_an_expired_list() {
    let application = Hyper::saying("served");
    let clients = Ca::named("clients");
    let revoked = clients.intermediate_with("revoked", 9);
    let late = clients.intermediate_with("late", 3);
    let over = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let lists = [
        clients.revocation_list(&[9]),
        revoked.revocation_list(&[]),
        late.revocation_list_until(&[], over),
    ];
    let door = Door::with_lists(
        [&clients.pem(), &lists.concat()],
        clients,
        application.upstream(),
    );
    served(&door, &door.clients.sign(Leaf::client(&["client"])));
    let below = |ca: &Ca| ca.sign(Leaf::client(&["client"]));
    told(&door, &below(&revoked), "revoked", "certificate revoked");
    told(&door, &below(&late), "crl_expired", "unknown ca");
}

#[test]
fn without_a_certificate_openssl_is_refused_where_one_is_required_and_served_where_it_is_optional()
{
    let application = Hyper::saying("served");
    let required = Door::required(application.upstream(), &[]);
    let optional = Door::optional(application.upstream(), &[]);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let ask = |door: &Door, version: &str| {
        let address = door.served.address().to_string();
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-ign_eof",
            version,
        ];
        let output = openssl(&arguments, request)?;
        let both = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&both).into_owned())
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(printed) = ask(&required, version) else {
            return;
        };
        let is_refused = printed.contains("alert certificate required");
        assert!(
            is_refused && !printed.contains("200 OK"),
            "{version}: {printed}"
        );
        let printed = ask(&optional, version).unwrap();
        assert!(printed.contains("200 OK"), "{version}: {printed}");
    }
    required.failed_for("no_certificate");
    // One that is shown has to be good, also where none would do.
    let stranger = Ca::named("x").sign(Leaf::client(&["client"]));
    told(&optional, &stranger, "unknown_ca", "unknown ca");
    served(&optional, &optional.clients.sign(Leaf::client(&["client"])));
}
