//! What stands in the log, what does not, and what happens when nobody takes it.

mod dead_readers;

use serde_json::Value;

use crate::support::h1::Wire;
use crate::support::hyper_application::Hyper;
use crate::support::requests::{get, post};
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::within;

async fn plain_http(served: &Served) {
    let stream = tokio::net::TcpStream::connect(served.address());
    let mut wire = Wire::new(stream.await.unwrap());
    wire.write(get("/")).await.unwrap();
    within("the answer in clear", wire.read_to_end())
        .await
        .unwrap();
}

// TLS-02, TLS-08: a storm of failed handshakes is no storm of lines.
#[tokio::test(flavor = "multi_thread")]
async fn failed_handshakes_of_a_network_are_one_line_and_a_count() {
    let application = Hyper::saying("ok");
    let served = Served::start(
        application.upstream(),
        &["--workers", "2", "--drain-delay", "0s"],
    );
    for _ in 0..20 {
        plain_http(&served).await;
    }
    // Nineteen are owed, and told when the minute is over or the process ends.
    served.sidecar.signal(Signal::TERM);
    let ended = served.sidecar.wait_exit();
    assert!(ended.status.success());
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said = |words: &str| -> Vec<&Value> {
        let lines = lines.iter().filter(|line| line["message"] == words);
        lines.collect()
    };
    let (first, rest) = (said("handshake failed"), said("handshakes failed"));
    assert_eq!((first.len(), rest.len()), (1, 1), "{}", ended.stdout);
    assert_eq!(first[0]["reason"], "plain_http");
    let client = first[0]["client.address"].as_str().unwrap();
    assert!(client.starts_with("127.0.0.1:"), "{client}");
    assert_eq!(rest[0]["count"], 19);
    assert_eq!(rest[0]["client.network"], "127.0.0.0/24");
    assert_eq!(rest[0]["reason"], "plain_http");
}

const SECRETS: [&str; 5] = [
    "tokenInQuery",
    "inCookie",
    "inAuthorization",
    "inBody",
    "inHeader",
];

async fn log_of_secrets(arguments: &[&str]) -> (String, Value) {
    let application = Hyper::saying("ok");
    let served = Served::start(
        application.upstream(),
        &[&["--drain-delay", "0s"], arguments].concat(),
    );
    let [query, cookie, authorization, body, header] = SECRETS;
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let lines = format!(
        "Host: localhost\r\nCookie: a={cookie}\r\nAuthorization: Bearer {authorization}\r\n\
         X-Own: {header}\r\n"
    );
    let request = post(&format!("/path?token={query}"), body);
    wire.write(request.replacen("Host: localhost\r\n", &lines, 1))
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let asked = h2.get(&format!("/path?token={query}")).await.unwrap();
    assert_eq!(asked.await.unwrap().status(), 200);
    drop((wire, h2));
    served.sidecar.signal(Signal::TERM);
    let ended = served.sidecar.wait_exit();
    let lines = ended.stdout.lines();
    let mut records = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let record = records.find(|line| line["message"] == "request").unwrap();
    (ended.stdout, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged() {
    for level in ["info", "debug"] {
        let (log, record) = log_of_secrets(&["--log-level", level]).await;
        assert_eq!(record["url.path"], "/path");
        assert!(record.get("url.query").is_none());
        for secret in SECRETS {
            assert!(!log.contains(secret), "{secret} at {level}:\n{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_is_logged_when_asked_for() {
    let (log, record) = log_of_secrets(&["--log-query", "on"]).await;
    assert_eq!(record["url.path"], "/path");
    assert_eq!(record["url.query"], "token=tokenInQuery");
    for secret in &SECRETS[1..] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}
