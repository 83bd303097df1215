//! Clients with a good certificate that may or may not come in, by name.

use super::{Door, GET, path};
use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;
use crate::support::wait::{PATIENCE, eventually_async, within};

fn web(door: &Door) -> Pair {
    let leaf = Leaf::client(&["web"]).uri("spiffe://cluster/ns/shop/sa/web");
    door.clients.sign(leaf)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_client_is_answered_403_with_the_reason_and_a_listed_one_is_served() {
    let application = Hyper::saying("served");
    let allow = [
        "--client-allow",
        "uri:spiffe://cluster/ns/shop/*,dns:*.batch.example",
    ];
    let door = Door::required(application.upstream(), &allow);
    let answer = door.ask(&door.good()).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(
        answer.text().contains("this client is not allowed"),
        "{}",
        answer.text()
    );
    let record = door.served.sidecar.wait_for_log("the record", |line| {
        line["http.response.status_code"] == 403
    });
    assert_eq!(record["flag"], "client_not_allowed");
    assert_eq!(record["tls.client.subject"], "CN=client");
    assert_eq!(
        record["tls.client.hash.sha256"].as_str().map(str::len),
        Some(64)
    );

    let mut h2 = door.good().h2(door.served.address()).await.unwrap();
    let refused = whole(h2.get("/").await.unwrap()).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(
        application.asked().is_empty(),
        "nothing of them reaches the application"
    );

    for pair in [
        web(&door),
        door.clients.sign(Leaf::client(&["a.batch.example"])),
    ] {
        assert_eq!(
            door.ask(&door.client(&pair)).await.unwrap().text(),
            "served"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_grpc_client_gets_permission_denied() {
    let application = Hyper::saying("served");
    let door = Door::required(application.upstream(), &["--client-allow", "cn:nobody"]);
    let mut wire = door.good().http1(door.served.address()).await.unwrap();
    let request = "POST /a.B/C HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\n\
                   Content-Length: 0\r\n\r\n";
    wire.write(request).await.unwrap();
    let answer = wire.response_head().await.unwrap();
    assert_eq!(
        (answer.status, answer.header("grpc-status")),
        (200, Some("7"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_client_of_raw_bytes_is_closed() {
    let application = Raw::tcp(|mut conn| async move {
        let said = conn.read_until(b"\n").await.unwrap();
        conn.write(said).await.unwrap();
    });
    let upstream = format!("tcp://{}", application.address());
    let door = Door::required(
        &upstream,
        &["--client-allow", "uri:spiffe://cluster/ns/shop/*"],
    );
    let mut wire = door.good().http1(door.served.address()).await.unwrap();
    wire.assert_closed().await;
    door.failed_for("not_allowed");
    assert_eq!(application.connections(), 0);
    let listed = door.client(&web(&door));
    let mut wire = listed.http1(door.served.address()).await.unwrap();
    wire.write("hello\n").await.unwrap();
    let echo = within("an echo", wire.read_until(b"\n")).await.unwrap();
    assert_eq!(echo, b"hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_patterns_is_followed_and_an_empty_one_changes_nothing() {
    let application = Hyper::saying("served");
    let list = SecretDir::new(&[("clients", b"# the shop\nuri:spiffe://cluster/ns/shop/*\n")]);
    let file = path(&list, "clients");
    let door = Door::required(application.upstream(), &["--client-allow-file", &file]);
    let (web, other) = (door.client(&web(&door)), door.good());
    assert_eq!(door.ask(&web).await.unwrap().status, 200);
    assert_eq!(door.ask(&other).await.unwrap().status, 403);

    list.swap(&[("clients", b"# nobody\n")]);
    door.said("client trust not reloaded; the last good one stays", 1);
    list.swap(&[("clients", b"dns:client\nspiffe://no-kind\n")]);
    door.said("client trust not reloaded; the last good one stays", 2);
    assert_eq!(door.ask(&web).await.unwrap().status, 200);
    assert_eq!(door.ask(&other).await.unwrap().status, 403);

    // A connection that was refused before is served when its client is listed.
    let mut waiting = other.h2(door.served.address()).await.unwrap();
    assert_eq!(
        whole(waiting.get("/").await.unwrap()).await.unwrap().status,
        403
    );
    list.swap(&[("clients", b"cn:client\n")]);
    door.reloaded(1);
    assert_eq!(door.ask(&other).await.unwrap().status, 200);
    assert_eq!(door.ask(&web).await.unwrap().status, 403);
    let mut statuses = Vec::new();
    within("the refused connection served", async {
        while statuses.last() != Some(&200) {
            statuses.push(whole(waiting.get("/").await.unwrap()).await.unwrap().status);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lets_in_whoever_holds_it() {
    let application = Hyper::saying("served");
    let clients = Ca::named("clients");
    let pair = clients.sign(Leaf::client(&["client"]));
    let key = rcgen::KeyPair::from_pem(&pair.key_pem).unwrap();
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        &rcgen::PublicKeyData::subject_public_key_info(&key),
    );
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let allow = format!("spki:sha256:{hex}");
    let trust = SecretDir::new(&[("ca.crt", clients.pem().as_bytes())]);
    let arguments = [
        "--upstream",
        application.upstream(),
        "--client-allow",
        &allow,
    ];
    let door = Door::trusting("required", clients, trust, &arguments);
    assert_eq!(door.ask(&door.client(&pair)).await.unwrap().status, 200);
    assert_eq!(door.ask(&door.good()).await.unwrap().status, 403);
}

// The contract: a connection opened for one name is not used for another whose rules may differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_another_certificate_is_misdirected_and_an_unknown_one_is_not() {
    let application = Hyper::saying("served");
    let door = Door::required(application.upstream(), &[]);
    let (own, other) = (
        door.served.ca.leaf(&["localhost"]),
        door.served.ca.leaf(&["other.example"]),
    );
    let files = [
        ("tls.crt", own.cert_pem.as_bytes()),
        ("tls.key", own.key_pem.as_bytes()),
        ("other.crt", other.cert_pem.as_bytes()),
        ("other.key", other.key_pem.as_bytes()),
    ];
    door.served.secret.swap(&files);
    door.counted("the other certificate", 1, |line| {
        let file = line["file"].as_str().unwrap_or_default();
        file.ends_with("other.crt")
    });
    let good = door.good();
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:443", 200),
        ("unknown.example", 200),
        ("other.example", 421),
        ("Other.Example:8443", 421),
    ] {
        let mut wire = good.http1(door.served.address()).await.unwrap();
        wire.write(GET.replace("localhost", host)).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, status, "{host}");
    }
}

#[test]
fn settings_that_would_leave_the_door_open_are_refused() {
    for (arguments, words) in [
        (&["--client-auth", "required"][..], "--client-ca-file"),
        (&["--client-auth", "maybe"], "off, optional or required"),
        (&["--client-ca-file", "/x"], "--client-auth required"),
        (&["--client-crl-file", "/x"], "--client-auth required"),
        (&["--client-allow", "cn:a"], "--client-auth required"),
        (
            &[
                "--client-auth",
                "required",
                "--client-ca-file",
                "/x",
                "--client-allow",
                "admin",
            ],
            "uri:spiffe://",
        ),
    ] {
        let ended = Sidecar::run_to_end(arguments);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_lets_in_without_a_certificate_and_never_with_a_bad_one() {
    let application = Hyper::saying("served");
    let door = Door::optional(application.upstream(), &[]);
    assert_eq!(
        door.ask(&door.served.client()).await.unwrap().text(),
        "served"
    );
    assert_eq!(door.ask(&door.good()).await.unwrap().text(), "served");
    let stranger = Ca::named("strangers").sign(Leaf::client(&["client"]));
    let refusal = door.refusal(&door.client(&stranger)).await;
    // Its authority is not among those that the server names, so the client may show none.
    let is_out = refusal.contains("UnknownCA");
    assert!(is_out, "{refusal}");
    eventually_async("the failure", PATIENCE, || {
        let lines = door.served.sidecar.log_lines();
        lines.iter().any(|line| line["reason"] == "unknown_ca")
    })
    .await;
}
