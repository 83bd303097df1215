//! The TLS side: versions, protocols, resumption, key exchange, the ends of a session, and the
//! certificate that is served.

mod early_data;
mod failure;
mod hello;
mod hostile;
mod names;

use std::fs;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::application::Raw;
use crate::support::certs::{Ca, Pair};
use crate::support::clients::{Client, Sni};
use crate::support::h1::Wire;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::programs::openssl;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async, within};

/// `openssl s_client` that trusts the sidecar's authority.
struct SClient {
    folder: TempDir,
    address: String,
}

impl SClient {
    fn of(served: &Served) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), served.ca.pem()).unwrap();
        Self {
            folder,
            address: served.address().to_string(),
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Asks for `path` over HTTP/1.1 and gives all that was printed; `None` without openssl.
    fn ask(&self, path: &str, arguments: &[&str]) -> Option<String> {
        let ca = self.file("ca.pem");
        let own = [
            "s_client",
            "-connect",
            &self.address,
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-ign_eof",
        ];
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let output = openssl(&[&own, arguments].concat(), request.as_bytes())?;
        let printed = [output.stdout, output.stderr].concat();
        Some(String::from_utf8_lossy(&printed).into_owned())
    }
}

/// The access record of the request for `path`.
fn record(served: &Served, path: &str) -> Value {
    let what = format!("the record of {path}");
    let wait = |line: &Value| line["url.path"] == path;
    served.sidecar.wait_for_log(&what, wait)
}

fn assert_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} in\n{text}");
    }
}

#[test]
fn tls_1_2_and_1_3_are_served_and_recorded() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = SClient::of(&served);
    let cases = [
        ("-tls1_2", "1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("-tls1_3", "1.3", "TLS13_AES_128_GCM_SHA256"),
    ];
    for (flag, version, cipher) in cases {
        let path = format!("/{version}");
        let Some(printed) = client.ask(&path, &[flag, "-servername", "localhost"]) else {
            return;
        };
        assert_all(
            &printed,
            &["Verify return code: 0 (ok)", "200 OK", "served"],
        );
        let record = record(&served, &path);
        assert_eq!(record["tls.protocol.version"], version);
        assert_eq!(record["tls.cipher"], cipher);
        assert_eq!(record["tls.server_name"], "localhost");
        assert_eq!(record["tls.resumed"], false);
    }
}

#[test]
fn aes_128_is_chosen_before_aes_256_and_chacha20_for_clients_that_like_it_best() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = SClient::of(&served);
    let (tls_1_3, tls_1_2) = ("-ciphersuites", "-cipher");
    let cases = [
        (
            tls_1_3,
            "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
            "TLS13_AES_128_GCM_SHA256",
        ),
        (
            tls_1_3,
            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
            "TLS13_CHACHA20_POLY1305_SHA256",
        ),
        (
            tls_1_3,
            "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
            "TLS13_AES_256_GCM_SHA384",
        ),
        (
            tls_1_2,
            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            tls_1_2,
            "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
    ];
    for (number, (option, offered, chosen)) in cases.into_iter().enumerate() {
        let version = match option {
            "-cipher" => "-tls1_2",
            _ => "-tls1_3",
        };
        let path = format!("/{number}");
        if client.ask(&path, &[version, option, offered]).is_none() {
            return;
        }
        assert_eq!(record(&served, &path)["tls.cipher"], chosen, "{offered}");
    }
}

// TLS-07
#[test]
fn alpn_takes_h2_then_http_1_1_then_1_0_and_none_means_http_1_1() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = SClient::of(&served);
    let cases = [
        (&["-alpn", "http/1.1,h2"][..], "ALPN protocol: h2"),
        (&["-alpn", "http/1.1"], "ALPN protocol: http/1.1"),
        (&["-alpn", "http/1.0,http/1.1"], "ALPN protocol: http/1.1"),
        (&["-alpn", "http/1.0"], "ALPN protocol: http/1.0"),
        (&["-alpn", "spdy/1,http/1.1"], "ALPN protocol: http/1.1"),
        (&[], "No ALPN negotiated"),
    ];
    for (arguments, chosen) in cases {
        let Some(printed) = client.ask("/", arguments) else {
            return;
        };
        assert_all(&printed, &[chosen]);
        let is_h2 = chosen.ends_with("h2");
        assert_ne!(printed.contains("HTTP/1.1 200 OK"), is_h2, "{printed}");
    }
}

#[test]
fn openssl_resumes_with_a_ticket_in_both_versions() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = SClient::of(&served);
    for (flag, version) in [("-tls1_2", "1.2"), ("-tls1_3", "1.3")] {
        let session = client.file(version);
        let first = format!("/{version}/first");
        if client.ask(&first, &[flag, "-sess_out", &session]).is_none() {
            return;
        }
        let second = format!("/{version}/second");
        let printed = client.ask(&second, &[flag, "-sess_in", &session]);
        assert_all(&printed.unwrap(), &["Reused, TLSv1.", "200 OK"]);
        assert_eq!(record(&served, &first)["tls.resumed"], false);
        assert_eq!(record(&served, &second)["tls.resumed"], true);
    }
}

// CERT-01: a rotation does not cost the clients their sessions.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_from_before_a_rotation_still_resumes() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = served.client().resuming();
    get(&client, &served, "/before").await;
    rotate(&served);
    get(&client, &served, "/after").await;
    assert_eq!(record(&served, "/before")["tls.resumed"], false);
    assert_eq!(record(&served, "/after")["tls.resumed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn x25519mlkem768_is_chosen_where_offered_and_x25519_served_alone() {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let cases: [(&[_], _); 3] = [
        (&[X25519MLKEM768, X25519, SECP256R1], "X25519MLKEM768"),
        (&[X25519, SECP256R1], "X25519"),
        (&[SECP256R1], "secp256r1"),
    ];
    for (offered, chosen) in cases {
        let stream = connect_with_groups(&served, offered.to_vec()).await;
        let (_, connection) = stream.get_ref();
        let group = connection.negotiated_key_exchange_group().unwrap();
        let name = format!("{:?}", group.name());
        assert_eq!(name.to_lowercase(), chosen.to_lowercase());
        let mut wire = Wire::new(stream);
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "served");
    }
}

async fn connect_with_groups(
    served: &Served,
    groups: Vec<&'static dyn SupportedKxGroup>,
) -> TlsStream<TcpStream> {
    let provider = CryptoProvider {
        kx_groups: groups,
        ..aws_lc_rs::default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(served.ca.roots())
        .with_no_client_auth();
    let socket = TcpStream::connect(served.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let handshake = connector.connect("localhost".try_into().unwrap(), socket);
    within("a TLS handshake", handshake).await.unwrap()
}

// TLS-06
#[test]
fn any_server_name_is_served_the_default_certificate() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = SClient::of(&served);
    for name in ["LOCALHOST", "localhost.", "127.0.0.1", "other.example"] {
        let Some(printed) = client.ask("/", &["-servername", name]) else {
            return;
        };
        assert_all(&printed, &["CN = localhost", "200 OK"]);
    }
    let printed = client.ask("/", &["-noservername"]).unwrap();
    assert_all(&printed, &["CN = localhost", "200 OK"]);
}

// TLS-06
#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_upper_case_is_recorded_in_lower_case_and_none_not_at_all() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--unknown-sni", "refuse"]);
    get(&served.client().name("LocalHost"), &served, "/upper").await;
    get(&served.client().sni(Sni::Left), &served, "/none").await;
    get(&served.client().name("127.0.0.1"), &served, "/ip").await;
    assert_eq!(record(&served, "/upper")["tls.server_name"], "localhost");
    assert_eq!(record(&served, "/none")["tls.server_name"], Value::Null);
    assert_eq!(record(&served, "/ip")["tls.server_name"], Value::Null);
}

// TLS-16, H1-05
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_the_middle_of_a_body_is_a_truncated_request() {
    let framings = [
        ("Content-Length: 10", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
    ];
    for (framing, begun) in framings {
        for versions in [TLS12, TLS13] {
            for end in [End::Fin, End::CloseNotify] {
                let application = Raw::tcp(|mut conn| async move {
                    // A reset is as good an end as a FIN: what counts is what came before it.
                    let _ = conn.read_to_end().await;
                });
                let served = Served::start(application.upstream(), &[]);
                let client = served.client().versions(versions);
                let mut stream = client.connect(served.address()).await.unwrap();
                let request =
                    format!("POST /cut HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{begun}");
                stream.write_all(request.as_bytes()).await.unwrap();
                eventually_async("the body at the application", PATIENCE, || {
                    let all = application.all_received();
                    all.len() == 1 && all[0].contains("hello")
                })
                .await;
                match end {
                    End::Fin => stream.get_mut().0.shutdown().await.unwrap(),
                    End::CloseNotify => stream.shutdown().await.unwrap(),
                }
                let record = record(&served, "/cut");
                assert_eq!(record["flag"], "client_gone", "{framing} {end:?}");
                let received = application.received(0);
                assert!(received.ends_with(begun), "{framing} {end:?}: {received}");
            }
        }
    }
}

/// How a client ends its half.
#[derive(Debug, Clone, Copy)]
enum End {
    /// FIN alone.
    Fin,
    /// close_notify and FIN.
    CloseNotify,
}

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

// TLS-16
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_request_closes_ends_with_close_notify() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    for versions in [TLS12, TLS13] {
        let client = served.client().versions(versions);
        let mut wire = client.http1(served.address()).await.unwrap();
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "served");
        wire.assert_closed().await;
    }
}

// TLS-16
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ends_with_close_notify() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--idle-timeout", "300ms"]);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    wire.assert_closed().await;
    let mut h2 = client.h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    h2.closed().await.expect("GOAWAY with NO_ERROR");
}

// TLS-16
#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_the_sidecars_own_making_has_close_notify() {
    let ends = [
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", 408),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    ];
    let application = Hyper::saying("served");
    let arguments = ["--request-header-timeout", "300ms", "--drain-delay", "0s"];
    let served = Served::start(application.upstream(), &arguments);
    for versions in [TLS12, TLS13] {
        let client = served.client().versions(versions);
        for (request, status) in ends {
            let mut wire = client.http1(served.address()).await.unwrap();
            wire.write(request).await.unwrap();
            let answer = wire.response().await.unwrap();
            assert_eq!(answer.status, status, "{request:?}");
            if status == 405 {
                wire.shutdown().await.unwrap();
            }
            wire.assert_closed().await;
        }
    }
    let mut idle = served.client().http1(served.address()).await.unwrap();
    idle.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(idle.response().await.unwrap().text(), "served");
    served.sidecar.signal(Signal::TERM);
    idle.assert_closed().await;
}

// CERT-01
#[tokio::test(flavor = "multi_thread")]
async fn sighup_serves_the_new_certificate_and_cuts_nothing() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let client = served.client();
    let mut open = client.http1(served.address()).await.unwrap();
    let new = rotate(&served);
    let stream = client.connect(served.address()).await.unwrap();
    let (_, connection) = stream.get_ref();
    assert_eq!(connection.peer_certificates().unwrap()[0], *new.leaf_der());

    open.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(open.response().await.unwrap().text(), "served");
}

// CERT-06, CERT-07
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pair_keeps_the_last_good_certificate() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let good = rotate(&served);
    let other = Ca::new().leaf(&["localhost"]);
    let broken: [[(&str, &[u8]); 2]; 3] = [
        [
            ("tls.crt", good.cert_pem.as_bytes()),
            ("tls.key", other.key_pem.as_bytes()),
        ],
        [("tls.crt", b""), ("tls.key", good.key_pem.as_bytes())],
        [("tls.crt", good.cert_pem.as_bytes()), ("tls.key", b"key")],
    ];
    for files in broken {
        served.secret.swap(&files);
        let before = kept(&served);
        served.sidecar.signal(Signal::HUP);
        eventually_async("a line about the refusal", PATIENCE, || {
            kept(&served) > before
        })
        .await;
        let stream = served.client().connect(served.address()).await.unwrap();
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.peer_certificates().unwrap()[0], *good.leaf_der());
    }
}

/// How often it has said that it keeps the last good certificate.
fn kept(served: &Served) -> usize {
    let is_about_it = |line: &&Value| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.contains("last good one stays"))
    };
    served
        .sidecar
        .log_lines()
        .iter()
        .filter(is_about_it)
        .count()
}

/// A new certificate in the mount, and served after a SIGHUP.
fn rotate(served: &Served) -> Pair {
    let new = served.ca.leaf(&["localhost", "127.0.0.1"]);
    served.secret.swap(&new.files());
    reload(served);
    new
}

/// Has the mount looked at, and waits until what is there is served.
fn reload(served: &Served) {
    served.sidecar.signal(Signal::HUP);
    let is_reload = |line: &Value| line["message"] == "certificate reloaded";
    served.sidecar.wait_for_log("the reload", is_reload);
}

/// One request on a connection of its own, which `client` opens.
async fn get(client: &Client, served: &Served, path: &str) {
    let mut wire = client.http1(served.address()).await.unwrap();
    wire.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "served");
}
