//! The files that say who is trusted: found in every form, followed, and never the way in when
//! they are no good.

use std::fs;
use std::time::{Duration, SystemTime};

use tls_sidecar::app::{self, Bound, Handle, Signals};
use tls_sidecar::config::{Config, Settings};
use tls_sidecar::reload::TrustStatus;
use tls_sidecar::tls::{ClientFault, Reason};

use super::{Door, GET, path};
use crate::support::certs::{Ca, Leaf};
use crate::support::clients::Client;
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Served, Sidecar};
use crate::support::wait::{PATIENCE, eventually, within};

// CERT-13
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_no_good_keeps_the_last_good_one_and_never_opens_the_door() {
    let application = Hyper::saying("served");
    let door = Door::required(application.upstream(), &[]);
    let leaf = Ca::named("x").leaf(&["x"]);
    let half = door.clients.pem();
    let half = &half.as_bytes()[..half.len() / 2];
    let bad: [&[u8]; 5] = [
        b"",
        b"garbage",
        half,
        leaf.key_pem.as_bytes(),
        leaf.cert_pem.as_bytes(),
    ];
    for (at, contents) in bad.into_iter().enumerate() {
        door.trust.swap(&[("ca.crt", contents)]);
        door.said("client trust not reloaded; the last good one stays", at + 1);
        let refusal = door.refusal(&door.served.client()).await;
        assert!(refusal.contains("CertificateRequired"), "{at}: {refusal}");
        assert_eq!(
            door.ask(&door.good()).await.unwrap().text(),
            "served",
            "{at}"
        );
        // Back, because the same complaint is made once.
        door.trust
            .swap(&[("ca.crt", door.clients.pem().as_bytes())]);
        door.said(
            "client trust: the files hold what is in service again",
            at + 1,
        );
    }
    // Gone, with everything beside it.
    door.trust.swap(&[]);
    door.said("client trust not reloaded; the last good one stays", 6);
    assert!(door.ask(&door.served.client()).await.is_err());
    assert_eq!(door.ask(&door.good()).await.unwrap().text(), "served");
    let other = Ca::named("other");
    door.trust.swap(&[("ca.crt", other.pem().as_bytes())]);
    door.reloaded(1);
    let pair = other.sign(Leaf::client(&["client"]));
    assert_eq!(
        door.ask(&door.client(&pair)).await.unwrap().text(),
        "served"
    );
    assert!(door.ask(&door.good()).await.is_err());
}

// CERT-13
#[test]
fn without_a_good_bundle_there_is_no_start() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(file("empty"), "").unwrap();
    fs::write(file("garbage"), "garbage").unwrap();
    fs::write(file("good"), ca.pem()).unwrap();
    fs::create_dir(file("nothing")).unwrap();
    for (bundle, list, words) in [
        ("missing", None, "--client-ca-file"),
        ("empty", None, "is empty"),
        ("garbage", None, "holds no certificate"),
        ("nothing", None, "no authority in"),
        ("good", Some("missing"), "--client-crl-file"),
        ("good", Some("garbage"), "holds no revocation list"),
        ("good", Some("nothing"), "no revocation list in"),
    ] {
        let (bundle, list) = (file(bundle), list.map(file));
        let mut arguments = vec!["--cert-dir", secret.as_str(), "--client-auth", "required"];
        arguments.extend(["--client-ca-file", &bundle]);
        arguments.extend(list.iter().flat_map(|list| ["--client-crl-file", list]));
        let ended = Sidecar::run_to_end(&arguments);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_several_authorities_in_pem_and_der_is_a_bundle() {
    let application = Hyper::saying("served");
    let (pem, der) = (Ca::named("in pem"), Ca::named("in der"));
    let server = Ca::new().leaf(&["localhost"]);
    let trust = SecretDir::new(&[
        ("ca.crt", pem.pem().as_bytes()),
        ("other.der", &der.der()),
        // What else a Secret of cert-manager holds.
        ("tls.crt", server.cert_pem.as_bytes()),
        ("tls.key", server.key_pem.as_bytes()),
        ("README", b"not a certificate"),
    ]);
    let served = Served::start(
        application.upstream(),
        &[
            "--client-auth",
            "required",
            "--client-ca-file",
            trust.as_str(),
        ],
    );
    let come = async |ca: &Ca| {
        let client = served.client().identity(&ca.sign(Leaf::client(&["c"])));
        let mut wire = client.http1(served.address()).await?;
        wire.write(GET).await?;
        wire.response().await.map(|response| response.status)
    };
    assert_eq!(come(&pem).await.unwrap(), 200);
    assert_eq!(come(&der).await.unwrap(), 200);
    let added = Ca::named("added");
    assert!(come(&added).await.is_err());
    trust.swap(&[
        ("1.pem", pem.pem().as_bytes()),
        ("2.pem", added.pem().as_bytes()),
    ]);
    within("the added authority", async {
        while come(&added).await.is_err() {}
    })
    .await;
    assert!(come(&der).await.is_err());
}

// Events name whole paths, whatever the settings say.
#[test]
fn a_relative_path_is_watched_as_well() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let trust = SecretDir::new(&[("ca.crt", ca.pem().as_bytes())]);
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = |path: &str| format!("{up}{}", path.trim_start_matches('/'));
    let (certificates, bundle) = (relative(secret.as_str()), relative(&path(&trust, "ca.crt")));
    let arguments = ["--client-auth", "required", "--client-ca-file", &bundle];
    let sidecar = Sidecar::start(&[&["--cert-dir", &certificates], &arguments[..]].concat());
    // Found by polling it would take half a minute, which is more than anybody waits here.
    trust.swap(&[("ca.crt", Ca::new().pem().as_bytes())]);
    let said = |words: &'static str| move |line: &serde_json::Value| line["message"] == words;
    sidecar.wait_for_log("the trust", said("client trust reloaded"));
    secret.swap(&ca.leaf(&["localhost"]).files());
    sidecar.wait_for_log("the certificate", said("certificate reloaded"));
}

/// A file that is written in place may be seen half written: half a bundle is a whole smaller one.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_written_in_place_counts_when_it_has_settled() {
    let application = Hyper::saying("served");
    let (one, other) = (Ca::named("one"), Ca::named("other"));
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    fs::write(&bundle, one.pem() + &other.pem()).unwrap();
    let file = bundle.to_str().unwrap();
    let arguments = ["--client-auth", "required", "--client-ca-file", file];
    let served = Served::start(application.upstream(), &arguments);
    let client = served.client().identity(&other.sign(Leaf::client(&["c"])));
    let mut h2 = client.h2(served.address()).await.unwrap();
    // The first half, and a moment later all of it, with one more.
    fs::write(&bundle, one.pem()).unwrap();
    let ask = h2.get("/").await.unwrap();
    assert_eq!(crate::support::h2::whole(ask).await.unwrap().status, 200);
    fs::write(&bundle, one.pem() + &other.pem() + &Ca::new().pem()).unwrap();
    served.sidecar.wait_for_log("the reload", |line| {
        line["message"] == "client trust reloaded" && line["authorities"] == 3
    });
    let ask = h2.get("/").await.unwrap();
    assert_eq!(crate::support::h2::whole(ask).await.unwrap().status, 200);
    let lines = served.sidecar.log_lines();
    let half = |line: &serde_json::Value| line["authorities"] == 1;
    assert!(!lines.iter().any(half), "half a bundle was in service");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_ten_thousand_is_kept_to_and_an_expired_one_does_not_replace_a_good_one() {
    let application = Hyper::saying("served");
    let clients = Ca::named("clients");
    let serials: Vec<u64> = (1000..11_000).collect();
    let list = clients.revocation_list(&serials);
    let authority = clients.pem();
    let door = Door::with_lists([&authority, &list], clients, application.upstream());
    for serial in [1000, 5555, 10_999] {
        let pair = door.clients.sign(Leaf::client(&["c"]).serial(serial));
        let refusal = door.refusal(&door.client(&pair)).await;
        assert!(
            refusal.contains("CertificateRevoked"),
            "{serial}: {refusal}"
        );
    }
    for serial in [999, 11_000] {
        let pair = door.clients.sign(Leaf::client(&["c"]).serial(serial));
        assert_eq!(
            door.ask(&door.client(&pair)).await.unwrap().status,
            200,
            "{serial}"
        );
    }
    let ended = SystemTime::now() - Duration::from_secs(60);
    let over = door.clients.revocation_list_until(&[], ended);
    let forged = Ca::named("clients").revocation_list(&[]);
    for (at, list) in [over, forged].into_iter().enumerate() {
        let files = [
            ("ca.crt", authority.as_bytes()),
            ("crl.pem", list.as_bytes()),
        ];
        door.trust.swap(&files);
        door.said("client trust not reloaded; the last good one stays", at + 1);
    }
    let pair = door.clients.sign(Leaf::client(&["c"]).serial(5555));
    assert!(door.ask(&door.client(&pair)).await.is_err());
}

// A list that ends while it is in service turns away whom it covered, also those who are here.
#[tokio::test(flavor = "multi_thread")]
async fn when_a_list_ends_its_clients_are_refused_until_there_is_a_new_one() {
    let application = Hyper::saying("served");
    let clients = Ca::named("clients");
    let end = SystemTime::now() + Duration::from_secs(4);
    let (authority, list) = (clients.pem(), clients.revocation_list_until(&[], end));
    let door = Door::with_lists([&authority, &list], clients, application.upstream());
    let h2 = door.good().h2(door.served.address()).await.unwrap();
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    assert!(door.ask(&door.good()).await.is_err());
    door.failed_for("crl_expired");
    let list = door.clients.revocation_list(&[]);
    let files = [
        ("ca.crt", authority.as_bytes()),
        ("crl.pem", list.as_bytes()),
    ];
    door.trust.swap(&files);
    door.reloaded(1);
    assert_eq!(door.ask(&door.good()).await.unwrap().status, 200);
}

/// A proxy in this process, until it is dropped.
struct Inside {
    handle: Handle,
    address: std::net::SocketAddr,
    _control: std::thread::JoinHandle<()>,
}

impl Inside {
    fn start(settings: Settings) -> Self {
        let bound: Bound = app::bind(Config::resolve(settings).unwrap()).unwrap();
        Self {
            handle: bound.handle(),
            address: bound.addresses[0],
            _control: std::thread::spawn(move || drop(bound.wait(Signals::Ignored))),
        }
    }

    fn trust(&self) -> TrustStatus {
        self.handle.certificates().trust.clone().unwrap()
    }

    /// Handshakes by the authority's subject.
    fn handshakes(&self) -> Vec<(String, u64)> {
        let trust = self.trust().in_service;
        let count = |authority: &tls_sidecar::tls::Authority| {
            let count = authority.handshakes();
            (authority.facts.subject.clone(), count)
        };
        let mut counts: Vec<_> = trust.authorities().iter().map(count).collect();
        counts.sort();
        counts
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.handle.drain();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_numbers_tell_which_authority_is_still_in_use_and_what_is_wrong() {
    let server = Ca::new();
    let secret = SecretDir::new(&server.leaf(&["localhost"]).files());
    let (old, new) = (Ca::named("a"), Ca::named("b"));
    let both = old.pem() + &new.pem();
    let trust = SecretDir::new(&[("ca.crt", both.as_bytes())]);
    let inside = Inside::start(Settings {
        listen: vec!["127.0.0.1:0".to_owned()],
        cert_dir: vec![secret.as_str().to_owned()],
        client_auth: Some("required".to_owned()),
        client_ca_file: vec![path(&trust, "ca.crt")],
        upstream: Some("127.0.0.1:1".to_owned()),
        admin_listen: Some("off".to_owned()),
        drain_delay: Some("0s".to_owned()),
        log_level: Some("error".to_owned()),
        ..Settings::default()
    });
    let client = |ca: &Ca| Client::new(&server).identity(&ca.sign(Leaf::client(&["c"])));
    let mut held = client(&old).h2(inside.address).await.unwrap();
    let _ = crate::support::h2::whole(held.get("/").await.unwrap()).await;
    for _ in 0..3 {
        let mut h2 = client(&new).h2(inside.address).await.unwrap();
        let _ = crate::support::h2::whole(h2.get("/").await.unwrap()).await;
    }
    assert_eq!(
        inside.handshakes(),
        [("CN=a".to_owned(), 1), ("CN=b".to_owned(), 3)]
    );
    assert!(
        client(&Ca::named("c"))
            .h2(inside.address)
            .await
            .unwrap()
            .closed()
            .await
            .is_err()
    );
    let unknown = |handle: &Handle| -> u64 {
        let failures = handle
            .metrics()
            .flat_map(|metrics| metrics.handshake_failures());
        failures
            .filter(|(reason, _)| *reason == "unknown_ca")
            .map(|(_, count)| count)
            .sum()
    };
    eventually("the failure counted", PATIENCE, || {
        unknown(&inside.handle) == 1
    });

    trust.swap(&[("ca.crt", b"")]);
    eventually("the problem in the status", PATIENCE, || {
        let problem = inside.trust().last_error;
        problem.is_some_and(|problem| problem.reason == Reason::Empty)
    });
    assert_eq!(inside.trust().in_service.authorities().len(), 2);

    trust.swap(&[("ca.crt", new.pem().as_bytes())]);
    held.closed().await.expect("GOAWAY with NO_ERROR");
    // What was counted of an authority stays counted.
    let in_use = [("CN=b".to_owned(), 3)];
    eventually("the rest in the status", PATIENCE, || {
        inside.handshakes() == in_use
    });
    assert_eq!(inside.trust().last_error, None);
    let ended: u64 = inside
        .handle
        .metrics()
        .flat_map(|metrics| metrics.clients.ended())
        .filter(|(reason, _)| *reason == ClientFault::UnknownCa.as_str())
        .map(|(_, count)| count)
        .sum();
    assert_eq!(ended, 1);
}
