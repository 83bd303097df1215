//! The listener in clear: clients are sent to https, and nothing else happens there.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::support::application::{Conn, Raw};
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h1::{Response, Wire, header};
use crate::support::ports;
use crate::support::programs::curl;
use crate::support::requests::{get, post};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Served, Sidecar, Signal};
use crate::support::wait::{PATIENCE, eventually, eventually_async, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CLEAR: [&str; 2] = ["--redirect-listen", "127.0.0.1:0"];
const ACME: [&str; 2] = ["--redirect-except", "/.well-known/acme-challenge/"];

fn with(application: &Raw, arguments: &[&str]) -> Served {
    Served::start(application.upstream(), &[&CLEAR, arguments].concat())
}

/// Where `sidecar` answers in clear.
fn clear(sidecar: &Sidecar) -> SocketAddr {
    let line = sidecar.wait_for_log("the redirect listener", |line| {
        line["message"] == "sending clients in clear to https"
    });
    line["address"].as_str().unwrap().parse().unwrap()
}

async fn connect(sidecar: &Sidecar) -> Wire<TcpStream> {
    Wire::new(TcpStream::connect(clear(sidecar)).await.unwrap())
}

/// The one answer that a connection in clear gets.
async fn only_answer(served: &Served, request: impl AsRef<[u8]>) -> Response {
    let mut wire = connect(&served.sidecar).await;
    wire.write(request).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.header("connection"), Some("close"));
    wire.assert_closed().await;
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_in_clear_is_sent_to_https_and_none_reaches_the_application() {
    let application = Raw::answering(OK);
    let hsts = ["--hsts", "max-age=31536000"];
    let served = with(&application, &[&hsts[..], &ACME].concat());
    for (request, location) in [
        (get("/"), "https://localhost/"),
        (get("/a//b?c=%20"), "https://localhost/a//b?c=%20"),
        (get("//evil.example/"), "https://localhost//evil.example/"),
        (post("/form", "secret"), "https://localhost/form"),
        (
            "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n".to_owned(),
            "https://a.example/",
        ),
        (
            "GET /x HTTP/1.0\r\nHost: [::1]:80\r\n\r\n".to_owned(),
            "https://[::1]/x",
        ),
        (
            "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "https://a/x",
        ),
        // To whoever resolves its dots this is not below the prefix.
        (
            get("/.well-known/acme-challenge/../../admin"),
            "https://localhost/.well-known/acme-challenge/../../admin",
        ),
        (
            get("/.well-known/acme-challenge/%2e%2e/%2e%2e/admin"),
            "https://localhost/.well-known/acme-challenge/%2e%2e/%2e%2e/admin",
        ),
    ] {
        let response = only_answer(&served, &request).await;
        assert_eq!(response.status, 308, "{request}");
        assert_eq!(response.header("location"), Some(location));
        // RFC 6797 section 7.2.
        assert_eq!(response.header("strict-transport-security"), None);
        assert!(response.text().starts_with("308 "), "{}", response.text());
    }
    assert_eq!(application.connections(), 0);
    let of_record = |line: &serde_json::Value| line["url.path"] == "/form";
    let record = served.sidecar.wait_for_log("the record", of_record);
    assert_eq!(record["http.response.status_code"], 308);
    assert!(record.get("tls.protocol.version").is_none(), "{record}");
    assert!(record.get("tls.resumed").is_none(), "{record}");
}

// H1-01, H1-02, H1-04, H1-07, H1-08, H1-09, H1-10: as on the port with TLS.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_behind_tls_is_refused_in_clear() {
    let application = Raw::answering(OK);
    let served = with(&application, &ACME);
    let path = "/.well-known/acme-challenge/token";
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n");
    for (request, status) in [
        (format!("GET {path} HTTP/1.1\r\n\r\n"), 400),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400),
        (
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(), 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (
            format!("{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{head}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
            400,
        ),
        (
            format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (format!("GET {path} HTTP/1.1\r\nHost : a\r\n\r\n"), 400),
        (format!("GET {path} HTTP/1.1\nHost: a\n\n"), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n".to_owned(),
            400,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned(),
            405,
        ),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 405),
    ] {
        let response = only_answer(&served, &request).await;
        assert_eq!(response.status, status, "{request}\n{}", response.head);
        assert_eq!(response.header("location"), None);
    }
    for garbage in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut wire = connect(&served.sidecar).await;
        wire.write(garbage).await.unwrap();
        wire.shutdown().await.unwrap();
        let answer = within("the end", wire.read_to_end()).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 3"), "{garbage:?}");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{garbage:?}");
    }
    assert_eq!(application.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_gets_a_redirect_without_content() {
    let application = Raw::answering(OK);
    let served = with(&application, &[]);
    let mut wire = connect(&served.sidecar).await;
    wire.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let all = within("the end", wire.read_to_end()).await.unwrap();
    let all = String::from_utf8(all).unwrap();
    assert_eq!(header(&all, "location"), Some("https://a/"));
    assert!(all.ends_with("\r\n\r\n"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_waited_for_and_not_read_without_end() {
    let application = Raw::answering(OK);
    let served = with(&application, &[]);
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n";
    let mut wire = connect(&served.sidecar).await;
    wire.write(head).await.unwrap();
    let response = wire.response_head().await.unwrap();
    assert_eq!(response.status, 308, "no 100 before it");
    let mut written = 0;
    let block = vec![b'a'; 64 * 1024];
    let writing = async {
        while wire.write(&block).await.is_ok() {
            written += block.len();
        }
    };
    within("the end of its patience", writing).await;
    // What a second and the buffers of the kernel take.
    assert!(written < 64 << 20, "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excepted_path_reaches_the_application_once_and_as_what_it_is() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\
                  Strict-Transport-Security: max-age=1\r\n\r\ntoken";
    let application = Raw::answering(answer);
    let served = with(
        &application,
        &[&ACME[..], &["--hsts", "max-age=1", "--forwarded", "on"]].concat(),
    );
    let request = "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a.example\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
    let second = get("/.well-known/acme-challenge/second");
    let response = only_answer(&served, format!("{request}{second}")).await;
    assert_eq!((response.status, response.text().as_str()), (200, "token"));
    assert_eq!(response.header("strict-transport-security"), None);
    let received = application.all_received().concat();
    assert_eq!(received.matches("GET /").count(), 1, "{received}");
    assert_eq!(header(&received, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&received, "x-forwarded-for"), Some("127.0.0.1"));
    let port = clear(&served.sidecar).port().to_string();
    assert_eq!(header(&received, "x-forwarded-port"), Some(port.as_str()));
    assert_eq!(header(&received, "host"), Some("a.example"));
    assert_eq!(header(&received, "upgrade"), None);
    let forwarded = header(&received, "forwarded").unwrap();
    assert!(forwarded.contains("proto=http;"), "{forwarded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_or_too_little_is_ended() {
    let application = Raw::answering(OK);
    let limits = [
        "--handshake-timeout",
        "200ms",
        "--request-header-timeout",
        "200ms",
    ];
    let served = with(&application, &limits);
    connect(&served.sidecar).await.assert_closed().await;
    let mut slow = connect(&served.sidecar).await;
    slow.write("GET / HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(slow.response().await.unwrap().status, 408);
    slow.assert_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_the_limits_is_refused_in_clear_too() {
    let application = Raw::answering(OK);
    let served = with(&application, &["--max-header-size", "2KiB"]);
    let large = "a".repeat(4096);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n");
    assert_eq!(only_answer(&served, request).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_clear_have_a_bound_of_their_own() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let application = Raw::answering(OK);
    let few = ["sh", "-c", "ulimit -n 1024; exec \"$0\" \"$@\""];
    let own = [
        "--cert-dir",
        secret.as_str(),
        "--upstream",
        application.upstream(),
    ];
    let Some(sidecar) = Sidecar::start_under(&few, &[&own[..], &CLEAR].concat()) else {
        return;
    };
    // An eighth of the connections that 1024 descriptors allow.
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(connect(&sidecar).await);
    }
    let mut last = connect(&sidecar).await;
    last.write(get("/")).await.unwrap();
    let mut tls = Client::new(&ca).http1(sidecar.address()).await.unwrap();
    tls.write(get("/")).await.unwrap();
    assert_eq!(tls.response().await.unwrap().status, 200);
    let open = sidecar.open_sockets();
    assert!(open < 60 + 20, "{open}");
    drop(silent);
    assert_eq!(last.response().await.unwrap().status, 308);
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn the_drain_closes_the_redirect_listener_after_its_delay() {
    let application = Raw::tcp(|mut conn: Conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    let served = with(&application, &["--drain-delay", "500ms"]);
    let address = clear(&served.sidecar);
    served.sidecar.signal(Signal::TERM);
    let is_said = |line: &serde_json::Value| line["message"] == "draining: still accepting";
    served.sidecar.wait_for_log("the drain", is_said);
    assert_eq!(only_answer(&served, get("/")).await.status, 308);
    eventually("the redirect listener closed", PATIENCE, || {
        std::net::TcpStream::connect(address).is_err()
    });
    assert_eq!(served.sidecar.wait_exit().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_follows_to_the_port_of_the_tls_listener() {
    let application = Raw::answering(OK);
    let tls = ports::unused();
    let (listen, port) = (tls.to_string(), tls.port().to_string());
    let served = with(
        &application,
        &["--listen", &listen, "--redirect-port", &port],
    );
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), served.ca.pem()).unwrap();
    let url = format!("http://localhost:{}/x", clear(&served.sidecar).port());
    let file = authority.path().to_str().unwrap();
    let Some(output) = curl(&["--ipv4", "--location", "--cacert", file, &url]) else {
        return;
    };
    assert_eq!(output.stdout, b"ok", "{output:?}");
    eventually_async("the request", PATIENCE, || {
        application.all_received().concat().contains("GET /x ")
    })
    .await;
}
