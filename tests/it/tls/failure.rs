//! Handshakes that fail: what the client is told, and the reason in the log.

use std::io::Write;
use std::net::SocketAddr;

use serde_json::Value;

use super::hello::{BEHIND, connect, read_to_fin};
use super::{SClient, assert_all};
use crate::support::application::Raw;
use crate::support::certs::Ca;
use crate::support::clients::{Client, Sni};
use crate::support::sidecar::Served;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(super) fn start(arguments: &[&str]) -> (Raw, Served) {
    let application = Raw::answering(ANSWER);
    // Without it only the first failure of a kind is told at once.
    let every: &[&str] = match arguments.contains(&"--log-level") {
        true => &[],
        false => &["--log-level", "debug"],
    };
    let served = Served::start(application.upstream(), &[every, arguments].concat());
    (application, served)
}

/// The reason in the line about the failed handshake of `client`.
pub(super) fn reason_for(served: &Served, client: SocketAddr) -> String {
    let client = client.to_string();
    let line = served.sidecar.wait_for_log("the failed handshake", |line| {
        line["message"] == "handshake failed" && line["client.address"] == client
    });
    assert!(
        line["level"] == "INFO" || line["level"] == "DEBUG",
        "{line}"
    );
    line["reason"].as_str().unwrap().to_owned()
}

/// The reason in the one line about a failed handshake.
fn reason(served: &Served) -> String {
    let is_failure = |line: &Value| line["message"] == "handshake failed";
    let line = served
        .sidecar
        .wait_for_log("the failed handshake", is_failure);
    line["reason"].as_str().unwrap().to_owned()
}

/// A ClientHello of these versions (record, hello) that offers TLS_RSA_WITH_AES_128_CBC_SHA.
fn hello(record: [u8; 2], version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let length = u16::try_from(body.len()).unwrap();
    let mut message = vec![0x16, record[0], record[1]];
    message.extend(u16::to_be_bytes(length + 4));
    message.extend([1, 0]);
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}

// TLS-02
#[test]
fn plain_http_is_answered_400_in_clear_and_fin() {
    let (_application, served) = start(&[]);
    let mut socket = connect(&served);
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262144\r\n\r\n";
    socket.write_all(head).unwrap();
    socket.write_all(&BEHIND).unwrap();
    let answer = String::from_utf8(read_to_fin(&socket)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_all(&answer, &["Connection: close\r\n", "https://"]);
    let client = socket.local_addr().unwrap();
    drop(socket);
    assert_eq!(reason_for(&served, client), "plain_http");
}

// TLS-03, TLS-05
#[test]
fn an_old_version_gets_an_alert_and_fin_whatever_it_sends_behind() {
    let (_application, served) = start(&[]);
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut socket = connect(&served);
        let record = if version == [3, 0] { [3, 0] } else { [3, 1] };
        socket.write_all(&hello(record, version)).unwrap();
        socket.write_all(&BEHIND).unwrap();
        let answer = read_to_fin(&socket);
        assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
        // protocol_version, or handshake_failure as RFC 5246 appendix E.1 would have it.
        let fatal = &answer[answer.len() - 2..];
        assert!(fatal == [2, 70] || fatal == [2, 40], "{answer:?}");
        let client = socket.local_addr().unwrap();
        drop(socket);
        assert_eq!(
            reason_for(&served, client),
            "protocol_version",
            "{version:?}"
        );
    }
}

// TLS-03
#[test]
fn an_sslv2_hello_is_ended_with_fin() {
    let (_application, served) = start(&[]);
    let mut socket = connect(&served);
    // CLIENT-HELLO, version 0.2, one cipher of three bytes, a challenge of 16.
    let mut hello = vec![0x80, 0x1c, 1, 0, 2, 0, 3, 0, 0, 0, 16, 1, 0, 0x80];
    hello.extend([7; 16]);
    socket.write_all(&hello).unwrap();
    read_to_fin(&socket);
    let client = socket.local_addr().unwrap();
    drop(socket);
    let reason = reason_for(&served, client);
    assert!(
        ["malformed", "protocol_version"].contains(&reason.as_str()),
        "{reason}"
    );
}

#[test]
fn tls_min_version_1_3_refuses_1_2_with_an_alert() {
    let (_application, served) = start(&["--tls-min-version", "1.3"]);
    let client = SClient::of(&served);
    let Some(printed) = client.ask("/", &["-tls1_2"]) else {
        return;
    };
    assert_all(&printed, &["SSL alert number 70"]);
    assert_eq!(reason(&served), "protocol_version");
    let printed = client.ask("/", &["-tls1_3"]).unwrap();
    assert_all(&printed, &["200 OK"]);
}

// TLS-07
#[test]
fn only_unknown_application_protocols_get_alert_120() {
    let (_application, served) = start(&[]);
    let client = SClient::of(&served);
    let Some(printed) = client.ask("/", &["-alpn", "spdy/1,smtp"]) else {
        return;
    };
    assert_all(&printed, &["SSL alert number 120"]);
    assert_eq!(reason(&served), "no_shared_alpn");
}

#[test]
fn no_shared_cipher_gets_alert_40() {
    let (_application, served) = start(&[]);
    let client = SClient::of(&served);
    let arguments = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"];
    let Some(printed) = client.ask("/", &arguments) else {
        return;
    };
    assert_all(&printed, &["SSL alert number 40"]);
    assert_eq!(reason(&served), "no_shared_cipher");
}

#[test]
fn no_shared_group_gets_alert_40() {
    let (_application, served) = start(&[]);
    let client = SClient::of(&served);
    let Some(printed) = client.ask("/", &["-tls1_3", "-groups", "P-521"]) else {
        return;
    };
    assert_all(&printed, &["SSL alert number 40"]);
    assert_eq!(reason(&served), "no_shared_group");
}

// TLS-06
#[tokio::test(flavor = "multi_thread")]
async fn unknown_sni_refuse_refuses_a_name_no_certificate_has() {
    let (_application, served) = start(&["--unknown-sni", "refuse"]);
    let stranger = served.client().name("other.example");
    let error = stranger.connect(served.address()).await.unwrap_err();
    assert!(
        error.to_string().contains("received fatal alert"),
        "{error}"
    );
    assert_eq!(reason(&served), "unknown_sni");
    for client in [served.client(), served.client().sni(Sni::Left)] {
        client.connect(served.address()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_distrusts_the_certificate_is_known_by_its_alert() {
    for versions in [super::TLS12, super::TLS13] {
        let (_application, served) = start(&[]);
        let client = Client::new(&Ca::named("somebody else")).versions(versions);
        client.connect(served.address()).await.unwrap_err();
        assert_eq!(reason(&served), "alert_unknown_ca");
    }
}

// TLS-01
#[test]
fn an_unfinished_hello_is_ended_at_the_handshake_timeout() {
    let (_application, served) = start(&["--handshake-timeout", "300ms"]);
    let whole = hello([3, 1], [3, 3]);
    for begun in [&whole[..0], &whole[..1], &whole[..whole.len() / 2]] {
        let mut socket = connect(&served);
        socket.write_all(begun).unwrap();
        assert_eq!(read_to_fin(&socket), b"");
        let client = socket.local_addr().unwrap();
        assert_eq!(
            reason_for(&served, client),
            "timeout",
            "{} bytes",
            begun.len()
        );
    }
}

#[test]
fn a_probe_that_closes_before_its_hello_is_debug_only() {
    let (_application, served) = start(&["--log-level", "debug"]);
    let socket = connect(&served);
    let client = socket.local_addr().unwrap().to_string();
    drop(socket);
    let line = served.sidecar.wait_for_log("the probe", |line| {
        line["client.address"] == client && line["reason"] == "closed_before_hello"
    });
    assert_eq!(line["level"], "DEBUG");
    let about_it: Vec<_> = served.sidecar.log_lines();
    let about_it = about_it.iter().filter(|l| l["client.address"] == client);
    assert_eq!(about_it.count(), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_hello_is_closed() {
    let (_application, served) = start(&[]);
    let mut socket = connect(&served);
    socket.write_all(&hello([3, 1], [3, 3])[..20]).unwrap();
    let client = socket.local_addr().unwrap();
    drop(socket);
    assert_eq!(reason_for(&served, client), "closed");
}
