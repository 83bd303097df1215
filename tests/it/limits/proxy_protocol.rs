//! The PROXY protocol on both sides.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{OK, good};
use crate::support::application::Raw;
use crate::support::h1::{Wire, header};
use crate::support::sidecar::Served;
use crate::support::wait::within;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 1111 443\r\n";
/// PROXY, TCP over IPv4: 192.0.2.7:1111 to 198.51.100.1:443.
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x04\x57\x01\xbb";
/// LOCAL: the proxy's own health check.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const SIGNATURE: &[u8] = V2.split_at(12).0;

const TRUSTED: [&str; 2] = ["--trusted-proxies", "127.0.0.0/8"];

/// What becomes of a client whose bytes begin with `header`.
async fn connect(served: &Served, header: &[u8]) -> (SocketAddr, std::io::Result<()>) {
    let mut socket = TcpStream::connect(served.address()).await.unwrap();
    let own = socket.local_addr().unwrap();
    socket.write_all(header).await.unwrap();
    let client = served.client().alpn(&["http/1.1"]);
    match client.handshake(socket).await {
        Ok(stream) => {
            good(&mut Wire::new(stream)).await;
            (own, Ok(()))
        }
        Err(error) => (own, Err(error)),
    }
}

fn start(mode: &str, trusted: &[&str]) -> (Raw, Served) {
    let application = Raw::answering(OK);
    let arguments = [&["--proxy-protocol-in", mode], trusted].concat();
    let served = Served::start(application.upstream(), &arguments);
    (application, served)
}

/// The client of the request that is recorded for `client`.
fn wait_for_client(served: &Served, client: &str) {
    let what = format!("a request of {client}");
    served.sidecar.wait_for_log(&what, |line| {
        line["message"] == "request" && line["client.address"] == client
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxys_header_names_the_client() {
    for mode in ["required", "optional"] {
        for head in [V1, V2] {
            let (application, served) = start(mode, &TRUSTED);
            connect(&served, head).await.1.unwrap();
            wait_for_client(&served, "192.0.2.7:1111");
            let head = application.received(0);
            assert_eq!(header(&head, "x-forwarded-for"), Some("192.0.2.7"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_is_told_of_the_client_and_not_of_the_proxy() {
    let (_application, served) = start("required", &TRUSTED);
    let in_clear = [V1, b"GET / HTTP/1.1\r\n\r\n"].concat();
    connect(&served, &in_clear).await.1.unwrap_err();
    served.sidecar.wait_for_log("the failure", |line| {
        line["reason"] == "plain_http" && line["client.address"] == "192.0.2.7:1111"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_of_the_proxy_itself_keeps_its_own_address() {
    for head in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let (_application, served) = start("required", &TRUSTED);
        let (own, outcome) = connect(&served, head).await;
        outcome.unwrap();
        wait_for_client(&served, &own.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_serves_a_trusted_peer_without_a_header() {
    let (_application, served) = start("optional", &TRUSTED);
    let (own, outcome) = connect(&served, b"").await;
    outcome.unwrap();
    wait_for_client(&served, &own.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_required_well_formed_and_of_a_trusted_peer() {
    let stranger = ["--trusted-proxies", "192.0.2.0/24"];
    let cases: [(&str, &[&str], &[u8], &str); 6] = [
        ("required", &stranger, V1, "proxy_header"),
        ("required", &stranger, b"", "proxy_header"),
        ("required", &TRUSTED, b"", "proxy_header"),
        (
            "required",
            &TRUSTED,
            b"PROXY TCP4 nonsense\r\n",
            "proxy_header",
        ),
        (
            "optional",
            &TRUSTED,
            b"\r\n\r\n\0\r\nQUIT\n\xff\xff\0\0",
            "proxy_header",
        ),
        // A stranger's header is not even looked at: to TLS it is a word in clear.
        ("optional", &stranger, V1, "plain_http"),
    ];
    for (mode, trusted, head, reason) in cases {
        let (application, served) = start(mode, trusted);
        let (own, outcome) = connect(&served, head).await;
        outcome.unwrap_err();
        let own = own.to_string();
        let line = served.sidecar.wait_for_log("the failed handshake", |line| {
            line["message"] == "handshake failed" && line["client.address"] == own
        });
        assert_eq!(line["reason"], reason, "{mode} {trusted:?}");
        assert_eq!(application.connections(), 0);
    }
}

// TLS-01
#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_does_not_end_is_cut_at_the_handshake_timeout() {
    let arguments = ["--handshake-timeout", "300ms"];
    let (_application, served) = start("required", &[&TRUSTED[..], &arguments].concat());
    let mut socket = TcpStream::connect(served.address()).await.unwrap();
    socket.write_all(&V1[..10]).await.unwrap();
    Wire::new(socket).assert_closed().await;
    served
        .sidecar
        .wait_for_log("the timeout", |line| line["reason"] == "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_told_each_client_in_version_1() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_until(b"\r\n").await.unwrap();
        // It ends when the sidecar does.
        let _ = conn.answer_all(OK).await;
    });
    let served = Served::start(application.upstream(), &["--proxy-protocol-out", "v1"]);
    for number in 0..2 {
        let stream = served.client().connect(served.address()).await.unwrap();
        let (ours, theirs) = ends(stream.get_ref().0);
        let mut wire = Wire::new(stream);
        good(&mut wire).await;
        good(&mut wire).await;
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {theirs}\r\nGET / ");
        // Each request has a connection of its own.
        assert_eq!(application.connections(), 2 * (number + 1));
        let received = application.received(2 * number + 1);
        assert!(received.starts_with(&line), "{received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_told_the_client_in_version_2() {
    let application = Raw::tcp(|mut conn| async move {
        let head = conn.read_until(b"GET ").await.unwrap();
        conn.write(
            [
                b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n",
                &head[..28],
                b"GET ",
            ]
            .concat(),
        )
        .await
        .unwrap();
    });
    let served = Served::start(application.upstream(), &["--proxy-protocol-out", "v2"]);
    let stream = served.client().connect(served.address()).await.unwrap();
    let (ours, theirs) = ends(stream.get_ref().0);
    let mut wire = Wire::new(stream);
    wire.write(super::GET).await.unwrap();
    let response = within("an answer", wire.response()).await.unwrap();
    let mut expected = SIGNATURE.to_vec();
    expected.extend(b"\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01");
    expected.extend(ours.to_be_bytes());
    expected.extend(theirs.to_be_bytes());
    expected.extend(b"GET ");
    assert_eq!(response.body, expected);
}

/// The ports of both ends.
fn ends(socket: &TcpStream) -> (u16, u16) {
    let port = |address: std::io::Result<SocketAddr>| address.unwrap().port();
    (port(socket.local_addr()), port(socket.peer_addr()))
}
