//! What an operator is told of the trust in clients: routes, page, `status` and metrics.

use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Door, path};
use crate::support::admin::{ask, json};
use crate::support::certs::{Ca, Leaf};
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::ADMIN;
use crate::support::wait::within;

/// Two authorities with a list each, the second list nearly over.
struct Scene {
    door: Door,
    old: Ca,
    _application: Hyper,
}

impl Scene {
    fn start(more: &[&str]) -> Self {
        let application = Hyper::saying("served");
        let (old, new) = (Ca::named("old"), Ca::named("new"));
        let lists = old.revocation_list(&[1, 2, 3]) + &new.revocation_list(&[]);
        let trust = SecretDir::new(&[
            ("ca.crt", (old.pem() + &new.pem()).as_bytes()),
            ("crl.pem", lists.as_bytes()),
        ]);
        let list = path(&trust, "crl.pem");
        let own = [
            "--upstream",
            application.upstream(),
            "--client-crl-file",
            &list,
        ];
        let arguments = [&own[..], &ADMIN, more].concat();
        let door = Door::trusting("required", new, trust, &arguments);
        Self {
            door,
            old,
            _application: application,
        }
    }

    async fn known(&self) -> Value {
        json(self.door.served.sidecar.admin(), "/certs").await["client_trust"].clone()
    }

    async fn sample(&self, start: &str) -> f64 {
        let text = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        let line = line.unwrap_or_else(|| panic!("no {start} in {text}"));
        line.trim().parse().unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let admin = self.door.served.sidecar.admin();
        ask(admin, &format!("GET {path}")).await.text()
    }
}

/// The authority of this name in a report.
fn named<'a>(known: &'a Value, name: &str) -> &'a Value {
    let each = known["authorities"].as_array().unwrap();
    let is_it = |one: &&Value| one["subject"] == format!("CN={name}");
    each.iter().find(is_it).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_are_counted_by_authority_until_the_old_one_has_none_any_more() {
    let scene = Scene::start(&[]);
    let door = &scene.door;
    let leaver = door.client(&scene.old.sign(Leaf::client(&["leaver"])));
    for _ in 0..3 {
        assert_eq!(door.ask(&leaver).await.unwrap().text(), "served");
    }
    for _ in 0..2 {
        assert_eq!(door.ask(&door.good()).await.unwrap().text(), "served");
    }
    let known = scene.known().await;
    assert_eq!(known["mode"], "required");
    let (old, new) = (named(&known, "old"), named(&known, "new"));
    assert_eq!(
        (&old["handshakes"], &new["handshakes"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        (&old["state"], &old["lacks_revocation_list"]),
        (&"valid".into(), &false.into())
    );
    assert_eq!(known["revocations"].as_array().unwrap().len(), 2);
    let of_old = |list: &&Value| list["issuer"] == "CN=old";
    let lists = known["revocations"].as_array().unwrap();
    assert_eq!(lists.iter().find(of_old).unwrap()["revoked"], 3);
    let sample = format!(
        "tls_sidecar_client_handshakes_total{{authority=\"{}\"}}",
        old["sha256"].as_str().unwrap()
    );
    assert_eq!(scene.sample(&sample).await, 3.0);
    let end = scene
        .sample("tls_sidecar_client_crl_next_update_timestamp_seconds")
        .await;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(end > now.as_secs_f64(), "{end}");
    let page = scene.get("/").await;
    for words in [
        "Client trust",
        "CN=old",
        "CN=new",
        "<p>3 handshakes",
        "3 revoked",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // Taken away: its clients are gone from the text, and the one connection that was open ends.
    let mut open = leaver.http1(door.served.address()).await.unwrap();
    open.write(super::GET).await.unwrap();
    assert_eq!(open.response().await.unwrap().text(), "served");
    let list = door.clients.revocation_list(&[]);
    let left = door.clients.pem();
    door.trust
        .swap(&[("ca.crt", left.as_bytes()), ("crl.pem", list.as_bytes())]);
    within("the end of the connection", open.assert_closed()).await;
    // What is told follows what is done.
    within("one authority alone", async {
        while scene.known().await["authorities"].as_array().unwrap().len() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ended = "tls_sidecar_client_connections_ended_total{reason=\"unknown_ca\"}";
    assert_eq!(scene.sample(ended).await, 1.0);
    let status = json(door.served.sidecar.admin(), "/status").await;
    assert_eq!(
        status["traffic"]["clients"]["connections_ended"]["unknown_ca"],
        1
    );
    assert!(!scene.get("/metrics").await.contains(&sample));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_no_good_and_clients_that_are_not_listed_are_seen_everywhere() {
    let scene = Scene::start(&["--client-allow", "cn:somebody-else"]);
    let door = &scene.door;
    assert_eq!(door.ask(&door.good()).await.unwrap().status, 403);
    assert_eq!(
        scene
            .sample("tls_sidecar_client_requests_refused_total")
            .await,
        1.0
    );
    assert_eq!(scene.sample("tls_sidecar_client_trust_failing").await, 0.0);
    door.trust.swap(&[("ca.crt", b"garbage")]);
    door.said("client trust not reloaded; the last good one stays", 1);
    let known = scene.known().await;
    let words = known["last_error"]["words"].as_str().unwrap();
    assert!(words.contains("ca.crt"), "{words}");
    assert_eq!(known["authorities"].as_array().unwrap().len(), 2);
    assert_eq!(known["allow"], serde_json::json!(["cn:somebody-else"]));
    assert_eq!(scene.sample("tls_sidecar_client_trust_failing").await, 1.0);
    let admin = door.served.sidecar.admin().to_string();
    let status = Command::new(env!("CARGO_BIN_EXE_tls-sidecar"))
        .args(["status", "--admin-address", &admin])
        .output()
        .unwrap();
    let table = String::from_utf8(status.stdout).unwrap();
    for words in [
        "CLIENT TRUST",
        "CN=old",
        "may come in: cn:somebody-else",
        "ERROR since",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_are_not_asked_there_is_no_trust_to_tell_of() {
    let application = Hyper::saying("hello");
    let served = crate::support::sidecar::Served::start(application.upstream(), &ADMIN);
    let admin = served.sidecar.admin();
    assert_eq!(json(admin, "/certs").await["client_trust"], Value::Null);
    let text = ask(admin, "GET /metrics").await.text();
    assert!(!text.contains("tls_sidecar_client_"), "{text}");
}

// TLS-09: of two authorities with one name each list speaks for its own alone.
#[tokio::test(flavor = "multi_thread")]
async fn two_authorities_of_one_name_have_a_list_each() {
    let application = Hyper::saying("served");
    let (first, second) = (Ca::named("same"), Ca::named("same"));
    let soon = SystemTime::now() + Duration::from_secs(3600);
    for swapped in [false, true] {
        let lists = [
            first.revocation_list_until(&[7], soon),
            second.revocation_list_until(&[8], soon),
        ];
        let lists = match swapped {
            false => lists.concat(),
            true => lists[1].clone() + &lists[0],
        };
        let both = first.pem() + &second.pem();
        let trust = SecretDir::new(&[("ca.crt", both.as_bytes()), ("crl.pem", lists.as_bytes())]);
        let list = path(&trust, "crl.pem");
        let arguments = [
            "--upstream",
            application.upstream(),
            "--client-crl-file",
            &list,
        ];
        let door = Door::trusting("required", Ca::named("other"), trust, &arguments);
        let comes = async |ca: &Ca, serial: u64| {
            let pair = ca.sign(Leaf::client(&["c"]).serial(serial));
            door.ask(&door.client(&pair)).await.is_ok()
        };
        assert!(!comes(&first, 7).await, "revoked by the first");
        assert!(!comes(&second, 8).await, "revoked by the second");
        let others = (comes(&first, 8).await, comes(&second, 7).await);
        println!("serials that the other one has revoked come in: {others:?}");
        assert_eq!(others, (true, true));
    }
}
