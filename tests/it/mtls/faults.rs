//! Certificates that let nobody in: each with the alert, the reason and nothing at the application.

use super::{Door, TLS12, TLS13, path};
use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::hyper_application::Hyper;
use crate::support::programs::openssl;
use crate::support::secret_dir::SecretDir;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Both versions refuse `pair` with `alert` and `reason`, and nothing reaches the application.
async fn refused(door: &Door, application: &Raw, pair: &Pair, alert: &str, reason: &str) {
    for versions in [&TLS12, &TLS13] {
        let client = door.client(pair).versions(versions);
        let refusal = door.refusal(&client).await;
        assert!(refusal.contains(alert), "{reason}: {refusal}");
    }
    let is_it = |line: &serde_json::Value| {
        line["message"] == "handshake failed" && line["reason"] == reason
    };
    door.counted(reason, 2, is_it);
    assert_eq!(application.connections(), 0, "{reason}");
}

/// A good client comes in beside those that do not.
async fn good_comes_in(door: &Door) {
    assert_eq!(door.ask(&door.good()).await.unwrap().text(), "ok");
}

// TLS-09, TLS-10
#[tokio::test(flavor = "multi_thread")]
async fn required_without_a_certificate_is_refused_before_any_byte_reaches_the_application() {
    let application = Raw::answering(ANSWER);
    let door = Door::required(application.upstream(), &[]);
    // Over TLS 1.3 the request is on its way before its sender is judged.
    for versions in [&TLS12, &TLS13] {
        let client = door.served.client().versions(versions);
        let refusal = door.refusal(&client).await;
        assert!(refusal.contains("CertificateRequired"), "{refusal}");
        door.failed_for("no_certificate");
    }
    assert_eq!(application.connections(), 0);
    good_comes_in(&door).await;
}

// TLS-09, TLS-10
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_a_self_signed_and_a_forged_certificate_are_refused() {
    let application = Raw::answering(ANSWER);
    let door = Door::required(application.upstream(), &[]);
    let stranger = Ca::named("strangers").sign(Leaf::client(&["client"]));
    let own = Pair::self_signed(Leaf::client(&["client"]));
    // The name of the right authority and another key.
    let forged = Ca::named("clients").sign(Leaf::client(&["client"]));
    refused(&door, &application, &stranger, "UnknownCA", "unknown_ca").await;
    refused(&door, &application, &own, "UnknownCA", "unknown_ca").await;
    refused(
        &door,
        &application,
        &forged,
        "DecryptError",
        "bad_signature",
    )
    .await;
    good_comes_in(&door).await;
}

// TLS-09
#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_certificate_of_a_client_that_was_here_and_not_its_key_is_refused() {
    let application = Hyper::saying("ok");
    let door = Door::required(application.upstream(), &[]);
    let owner = door.clients.sign(Leaf::client(&["client"]));
    let thief = owner.without_its_key(&door.clients.sign(Leaf::client(&["thief"])));
    for versions in [&TLS12, &TLS13] {
        let ask = async |pair| door.ask(&door.client(pair).versions(versions)).await;
        assert_eq!(ask(&owner).await.unwrap().text(), "ok");
        let refusal = door.refusal(&door.client(&thief).versions(versions)).await;
        assert!(refusal.contains("DecryptError"), "{refusal}");
        assert_eq!(ask(&owner).await.unwrap().text(), "ok");
    }
    door.failed_for("bad_signature");
}

// TLS-09
#[tokio::test(flavor = "multi_thread")]
async fn expired_not_yet_valid_and_wrong_usage_are_refused_each_for_its_reason() {
    for (leaf, alert, reason) in [
        (
            Leaf::client(&["c"]).expired(),
            "CertificateExpired",
            "expired",
        ),
        (
            Leaf::client(&["c"]).not_yet_valid(),
            "CertificateExpired",
            "not_yet_valid",
        ),
        (
            Leaf::server(&["c"]),
            "UnsupportedCertificate",
            "wrong_usage",
        ),
    ] {
        let application = Raw::answering(ANSWER);
        let door = Door::required(application.upstream(), &[]);
        let pair = door.clients.sign(leaf);
        refused(&door, &application, &pair, alert, reason).await;
        good_comes_in(&door).await;
    }
}

// TLS-09
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_leaf_is_refused_and_its_sister_is_not() {
    let application = Raw::answering(ANSWER);
    let clients = Ca::named("clients");
    let list = clients.revocation_list(&[7]);
    let door = Door::with_lists([&clients.pem(), &list], clients, application.upstream());
    let revoked = door.clients.sign(Leaf::client(&["c"]).serial(7));
    refused(
        &door,
        &application,
        &revoked,
        "CertificateRevoked",
        "revoked",
    )
    .await;
}

// TLS-09
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_intermediate_is_refused_with_all_below_it() {
    let application = Raw::answering(ANSWER);
    let clients = Ca::named("clients");
    let (good, bad) = (
        clients.intermediate_with("good", 8),
        clients.intermediate_with("bad", 9),
    );
    // One in DER, and one in PEM for two authorities.
    let lists = good.revocation_list(&[]) + &bad.revocation_list(&[]);
    let trust = SecretDir::new(&[
        ("ca.crt", clients.pem().as_bytes()),
        ("root.crl", &clients.revocation_list_der(&[9])),
        ("below.pem", lists.as_bytes()),
    ]);
    let lists = [path(&trust, "root.crl"), path(&trust, "below.pem")].join(",");
    let arguments = [
        "--upstream",
        application.upstream(),
        "--client-crl-file",
        &lists,
    ];
    let door = Door::trusting("required", clients, trust, &arguments);
    let refusal = door
        .refusal(&door.client(&bad.sign(Leaf::client(&["c"]))))
        .await;
    assert!(refusal.contains("CertificateRevoked"), "{refusal}");
    door.failed_for("revoked");
    assert_eq!(application.connections(), 0);
    let chain = good.sign(Leaf::client(&["c"]));
    assert_eq!(door.ask(&door.client(&chain)).await.unwrap().text(), "ok");
}

// TLS-09: a list that is out of date says nothing, and who is not known to be good is not.
#[tokio::test(flavor = "multi_thread")]
async fn under_an_expired_list_or_without_one_clients_are_refused() {
    let application = Raw::answering(ANSWER);
    let (covered, bare) = (Ca::named("covered"), Ca::named("bare"));
    let ended = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let list = covered.revocation_list_until(&[], ended);
    let door = Door::with_lists(
        [&(covered.pem() + &bare.pem()), &list],
        covered,
        application.upstream(),
    );
    door.said(
        "no revocation list for this authority: its clients are refused",
        1,
    );
    let refusal = door.refusal(&door.good()).await;
    assert!(refusal.contains("UnknownCA"), "{refusal}");
    door.failed_for("crl_expired");
    let refusal = door
        .refusal(&door.client(&bare.sign(Leaf::client(&["c"]))))
        .await;
    assert!(refusal.contains("UnknownCA"), "{refusal}");
    door.failed_for("revocation_unknown");
    assert_eq!(application.connections(), 0);
}

// TLS-09: rustls takes an authority as it is; OpenSSL and Go do not.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_expired_certifies_nobody() {
    let application = Raw::answering(ANSWER);
    let (over, good) = (Ca::expired(), Ca::named("good"));
    let trust = SecretDir::new(&[("ca.crt", (over.pem() + &good.pem()).as_bytes())]);
    let arguments = ["--upstream", application.upstream()];
    let door = Door::trusting("required", good, trust, &arguments);
    door.said(
        "an authority in --client-ca-file has expired: its clients are refused",
        1,
    );
    let pair = over.sign(Leaf::client(&["c"]));
    refused(&door, &application, &pair, "CertificateExpired", "expired").await;
}

// TLS-09: of a chain as long as it is allowed everything is verified, of a longer one nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_with_intermediates_comes_in_and_one_of_ten_or_two_hundred_does_not() {
    let application = Raw::answering(ANSWER);
    let door = Door::required(application.upstream(), &[]);
    let below = |count: usize| {
        let first = door.clients.intermediate("1");
        (1..count).fold(first, |ca, n| ca.intermediate(&format!("{}", n + 1)))
    };
    for (count, reason) in [(9, "chain_too_long"), (199, "chain_too_long")] {
        let pair = below(count).sign(Leaf::client(&["c"]));
        let before = cpu_time(door.served.sidecar.id());
        let refusal = door.refusal(&door.client(&pair)).await;
        // 200 do not fit what rustls takes for a message.
        let is_told = refusal.contains("CertificateUnknown") || count == 199;
        assert!(is_told, "{refusal}");
        if count == 9 {
            door.failed_for(reason);
        }
        let cost = cpu_time(door.served.sidecar.id()) - before;
        assert!(cost < 50_000_000, "{count} intermediates: {cost} ns");
        assert_eq!(application.connections(), 0);
    }
    let pair = below(5).sign(Leaf::client(&["c"]));
    assert_eq!(door.ask(&door.client(&pair)).await.unwrap().text(), "ok");
}

/// Nanoseconds on a CPU so far.
fn cpu_time(id: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let times = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    times.sum()
}

// TLS-09
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_version_1_and_one_with_a_zero_in_its_name_do_no_harm() {
    let application = Raw::answering(ANSWER);
    let allow = ["--client-allow", "dns:a.example"];
    let door = Door::required(application.upstream(), &allow);
    let hidden = door
        .clients
        .sign(Leaf::client(&["a.example\0.evil.example"]));
    let answer = door.ask(&door.client(&hidden)).await.unwrap();
    assert_eq!(answer.status, 403, "a name ends where it ends");
    if version_1(&door).is_some() {
        door.failed_for("bad_certificate");
    }
    assert_eq!(application.connections(), 0);
}

/// `openssl s_client` with a certificate of version 1 by the clients' authority; `None` without it.
fn version_1(door: &Door) -> Option<()> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("ca.pem"), door.clients.pem()).unwrap();
    std::fs::write(file("ca.key"), door.clients.key_pem()).unwrap();
    let make = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a.example";
    let sign = "x509 -req -set_serial 5 -days 1";
    let make = format!("{make} -keyout {} -out {}", file("key"), file("csr"));
    let sign = format!(
        "{sign} -in {} -CA {} -CAkey {} -out {}",
        file("csr"),
        file("ca.pem"),
        file("ca.key"),
        file("leaf")
    );
    let address = door.served.address();
    let ask = format!(
        "s_client -connect {address} -cert {} -key {}",
        file("leaf"),
        file("key")
    );
    for command in [make, sign, ask] {
        let words: Vec<_> = command.split(' ').collect();
        openssl(&words, b"")?;
    }
    Some(())
}
