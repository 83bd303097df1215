//! Each route's answer, and each refusal.

use serde_json::Value;

use super::served;
use crate::support::admin::{ask, json, send, until};
use crate::support::certs::{Ca, Leaf};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{ADMIN, Sidecar};
use crate::support::wait::within;

const HOST: &str = "Host: admin\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_contract_answers() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    for (line, status, content_type) in [
        ("GET /", 200, "text/html; charset=utf-8"),
        ("GET /livez", 200, "text/plain; charset=utf-8"),
        ("GET /healthz", 200, "text/plain; charset=utf-8"),
        ("GET /readyz", 200, "text/plain; charset=utf-8"),
        ("GET /readyz?verbose", 200, "text/plain; charset=utf-8"),
        ("GET /startupz", 200, "text/plain; charset=utf-8"),
        (
            "GET /metrics",
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        ("GET /certs", 200, "application/json"),
        ("GET /config", 200, "application/json"),
        ("GET /status", 200, "application/json"),
        ("POST /reload", 202, "text/plain; charset=utf-8"),
        ("GET /nothing", 404, "text/plain; charset=utf-8"),
        ("GET //livez", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = ask(admin, line).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some(content_type), "{line}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{line}");
        assert!(!answer.body.is_empty(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_405_and_says_the_right_one() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    for (line, allow) in [
        ("POST /livez", "GET, HEAD"),
        ("DELETE /readyz", "GET, HEAD"),
        ("PUT /metrics", "GET, HEAD"),
        ("POST /", "GET, HEAD"),
        ("GET /reload", "POST"),
        ("HEAD /reload", "POST"),
        ("GET /drain", "POST"),
        ("PUT /drain", "POST"),
        ("GET /log-level", "PUT"),
        ("POST /log-level", "PUT"),
    ] {
        let mut text = format!("{line} HTTP/1.1\r\n{HOST}\r\n");
        if line.starts_with("HEAD") {
            // Only its head is looked at: the answer to HEAD has no body to wait for.
            text = text.replace("HEAD", "OPTIONS");
        }
        let answer = send(admin, &text).await;
        assert_eq!(answer.status, 405, "{line}");
        assert_eq!(answer.header("allow"), Some(allow), "{line}");
    }
    // Nothing was asked for by any of them.
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    assert_eq!(json(admin, "/status").await["stage"], "serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ambiguous_or_too_large_is_refused() {
    let (_application, served) = served(&[]);
    let admin = served.sidecar.admin();
    let long = "a".repeat(20 * 1024);
    let many = "X-A: b\r\n".repeat(100);
    for (what, request, status) in [
        ("no Host", "GET /livez HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "two Hosts",
            format!("GET /livez HTTP/1.1\r\n{HOST}{HOST}\r\n"),
            400,
        ),
        ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
        (
            "a long field",
            format!("GET /livez HTTP/1.1\r\n{HOST}X-Long: {long}\r\n\r\n"),
            431,
        ),
        (
            "many fields",
            format!("GET /livez HTTP/1.1\r\n{HOST}{many}\r\n"),
            431,
        ),
        (
            "a long body",
            format!("PUT /log-level HTTP/1.1\r\n{HOST}Content-Length: 20480\r\n\r\n{long}"),
            400,
        ),
        (
            "no level",
            format!("PUT /log-level HTTP/1.1\r\n{HOST}Content-Length: 4\r\n\r\nloud"),
            400,
        ),
    ] {
        let answer = send(admin, &request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certs_tells_names_validity_and_what_became_of_reloads() {
    let ca = Ca::new();
    let pair = ca.sign(Leaf::server(&["localhost", "a.example"]).serial(0xabcd));
    let secret = SecretDir::new(&pair.files());
    let upstream = ["--upstream", "127.0.0.1:9"];
    let own = ["--cert-dir", secret.as_str()];
    let sidecar = Sidecar::start(&[&ADMIN[..], &own, &upstream].concat());
    let admin = sidecar.admin();
    let certs = json(admin, "/certs").await;
    let first = &certs["certificates"][0];
    assert_eq!(
        first["names"],
        serde_json::json!(["localhost", "a.example"])
    );
    assert_eq!(first["serial"], "ABCD");
    assert_eq!(first["state"], "valid");
    assert!(first["issuer"].as_str().unwrap().contains("test root"));
    assert_eq!(first["sha256"].as_str().unwrap().len(), 64);
    assert!(first["not_after"].as_str().unwrap().ends_with('Z'));
    assert!(first["seconds_left"].as_u64().unwrap() > 0);
    assert!(first["loaded_at"].is_string());
    assert_eq!(first["last_error"], Value::Null);

    secret.swap(&[("tls.crt", b"garbage"), ("tls.key", b"garbage")]);
    sidecar.wait_for_log("the refused reload", |line| {
        line["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("certificate not reloaded"))
    });
    // What is told follows the line.
    let mut certs = json(admin, "/certs").await;
    within("the refusal in /certs", async {
        while certs["certificates"][0]["last_error"].is_null() {
            certs = json(admin, "/certs").await;
        }
    })
    .await;
    let error = &certs["certificates"][0]["last_error"];
    assert_eq!(error["reason"], "no_certificate", "{certs:#}");
    assert!(error["words"].as_str().unwrap().contains("tls.crt"));
    let last = &certs["reloads"][0];
    assert_eq!(
        (&last["result"], &last["reason"]),
        (&"kept".into(), &"no_certificate".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn config_tells_what_is_in_force_and_no_secret() {
    let (_application, served) = served(&[
        "--set-header",
        "x-token: do-not-tell",
        "--idle-timeout",
        "90s",
        "--workers",
        "2",
    ]);
    let config = json(served.sidecar.admin(), "/config").await;
    assert_eq!(config["idle-timeout"], "90s");
    assert_eq!(config["workers"], "2");
    assert_eq!(config["listen"][0], served.address().to_string());
    assert!(config["max-connections"].is_string());
    assert_eq!(config["set-header"][0], "x-token: (redacted)");
    assert!(!config.to_string().contains("do-not-tell"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_port_in_use_is_one_line_and_exit_1() {
    let secret = SecretDir::new(&Ca::new().leaf(&["localhost"]).files());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let own = ["--cert-dir", secret.as_str(), "--admin-listen", &address];
    let ended = Sidecar::run_to_end(&own);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let line = ended.stderr.trim_end();
    assert!(
        line.contains(&format!("--admin-listen {address}")),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
}
