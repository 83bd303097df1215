//! What the application hears of the client's certificate, and from nobody but the sidecar.

use std::io::Write;

use super::{Door, GET};
use crate::support::application::Raw;
use crate::support::certs::Leaf;
use crate::support::h1::{header, headers};
use crate::support::hyper_application::Hyper;
use crate::support::programs::openssl;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ALL: [&str; 2] = [
    "--client-cert-headers",
    "client-cert,client-cert-chain,xfcc",
];

/// `:` and base64 of what stands in a PEM text, one for each certificate.
fn byte_sequences(pem: &str) -> Vec<String> {
    let bodies = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let texts = bodies.map(|body| body.split("-----END").next().unwrap());
    texts
        .map(|text| format!(":{}:", text.split_whitespace().collect::<String>()))
        .collect()
}

// TLS-11
#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_told_as_rfc_9440_and_envoy_say_it() {
    let application = Raw::answering(ANSWER);
    let door = Door::required(application.upstream(), &ALL);
    let server = Leaf::server(&["localhost"]).uri("spiffe://cluster/sa/sidecar");
    door.served
        .secret
        .swap(&door.served.ca.sign(server).files());
    door.said("certificate reloaded", 1);
    let leaf = Leaf::client(&["client", "b.example"])
        .organisation("Acme, \"Inc\"")
        .uri("spiffe://cluster/ns/a?x=1;By=root");
    let pair = door.clients.intermediate("between").sign(leaf);
    assert_eq!(door.ask(&door.client(&pair)).await.unwrap().status, 200);
    let asked = application.received(0);
    let chain = byte_sequences(&pair.cert_pem);
    assert_eq!(header(&asked, "client-cert"), Some(chain[0].as_str()));
    assert_eq!(header(&asked, "client-cert-chain"), Some(chain[1].as_str()));
    let forwarded = header(&asked, "x-forwarded-client-cert").unwrap();
    let (by, rest) = forwarded.split_once(";Hash=").unwrap();
    let (hash, rest) = rest.split_once(';').unwrap();
    assert_eq!(by, "By=spiffe://cluster/sa/sidecar");
    assert_eq!(
        rest,
        "Subject=\"O=Acme\\, \\\"Inc\\\",CN=client\";\
         URI=\"spiffe://cluster/ns/a?x=1;By=root\";DNS=client;DNS=b.example"
    );
    let Some(fingerprint) = fingerprint(&pair.cert_pem) else {
        return;
    };
    assert_eq!(hash, fingerprint);
}

/// SHA-256 of the first certificate as openssl prints it, in Envoy's form; `None` without openssl.
fn fingerprint(pem: &str) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let output = openssl(
        &["x509", "-in", path, "-noout", "-fingerprint", "-sha256"],
        b"",
    )?;
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, hex) = text.trim().split_once('=').unwrap();
    Some(hex.replace(':', "").to_ascii_lowercase())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaf_alone_is_told_by_default_and_nothing_when_it_is_off() {
    let application = Raw::answering(ANSWER);
    let door = Door::required(application.upstream(), &[]);
    let pair = door
        .clients
        .intermediate("between")
        .sign(Leaf::client(&["c"]));
    door.ask(&door.client(&pair)).await.unwrap();
    let asked = application.received(0);
    assert!(header(&asked, "client-cert").is_some(), "{asked}");
    for name in ["client-cert-chain", "x-forwarded-client-cert"] {
        assert_eq!(header(&asked, name), None, "{asked}");
    }
    let silent = Raw::answering(ANSWER);
    let door = Door::required(silent.upstream(), &["--client-cert-headers", "off"]);
    door.ask(&door.good()).await.unwrap();
    assert!(
        !silent
            .received(0)
            .to_ascii_lowercase()
            .contains("client-cert")
    );
}

/// Names in which an application may look for the client's certificate.
const FORGED: [&str; 20] = [
    "Client-Cert",
    "CLIENT-CERT-CHAIN",
    "client_cert",
    "Client_Cert-Chain",
    "X-Forwarded-Client-Cert",
    "x_forwarded_client_cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "X_SSL_Client_S_DN",
    "X-SSL-Cert",
    "X-Client-Cert",
    "X-Client-Cert-Present",
    "X_Client_Cert",
    "X-Client-Verify",
    "ssl-client-verify",
    "ssl-client-subject-dn",
    "SSL_CLIENT_CERT",
    "X-Amzn-Mtls-Clientcert-Subject",
    "Cf-Client-Cert-Der-Base64",
];

fn forged() -> String {
    FORGED.map(|name| format!("{name}: CN=root\r\n")).concat()
}

// TLS-11: also where the peer is a trusted proxy, because certificates are looked at here.
#[tokio::test(flavor = "multi_thread")]
async fn forged_identities_are_removed_in_every_spelling() {
    let application = Raw::answering(ANSWER);
    let trusted = [&ALL[..], &["--trusted-proxies", "127.0.0.0/8"]].concat();
    let door = Door::optional(application.upstream(), &trusted);
    let request = GET.replace("\r\n\r\n", &format!("\r\n{}\r\n", forged()));
    for (at, client) in [door.served.client(), door.good()].iter().enumerate() {
        let mut wire = client.http1(door.served.address()).await.unwrap();
        wire.write(&request).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
        drop(wire);
        let asked = application.all_received().concat();
        assert!(!asked.contains("CN=root"), "{asked}");
        let told = headers(&asked, "client-cert").count();
        assert_eq!(told, at, "only of a client that has shown one: {asked}");
    }
}

// TLS-11
#[tokio::test(flavor = "multi_thread")]
async fn forged_identities_are_removed_over_http2_and_in_trailers() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            conn.read_body(&head).await.unwrap();
            conn.write(ANSWER).await.unwrap();
        }
    });
    let door = Door::required(application.upstream(), &ALL);
    let h2 = door.good().h2(door.served.address()).await.unwrap();
    let mut request = http::Request::post("https://localhost/");
    for name in FORGED {
        request = request.header(name.to_ascii_lowercase(), "CN=root");
    }
    let request = request
        .header("trailer", "client-cert, x-kept")
        .body(())
        .unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let (answer, mut body) = ready.send_request(request, false).unwrap();
    body.send_data("x".into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in FORGED {
        let name: http::HeaderName = name.to_ascii_lowercase().parse().unwrap();
        trailers.insert(name, "CN=root".parse().unwrap());
    }
    trailers.insert("x-kept", "kept".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let asked = application.all_received().concat();
    assert!(!asked.contains("CN=root"), "{asked}");
    assert!(asked.contains("x-kept: kept"), "{asked}");
    assert_eq!(headers(&asked, "client-cert").count(), 1, "{asked}");
}

// Without client authentication a trusted proxy's word on certificates counts, as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_tells_of_certificates_where_the_sidecar_asks_for_none() {
    let application = Hyper::saying("served");
    let trusted = ["--trusted-proxies", "127.0.0.0/8"];
    let served = crate::support::sidecar::Served::start(application.upstream(), &trusted);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let line = "\r\nX-Forwarded-Client-Cert: Hash=abc\r\n\r\n";
    wire.write(GET.replace("\r\n\r\n", line)).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    assert_eq!(
        application.asked()[0].headers["x-forwarded-client-cert"],
        "Hash=abc"
    );
}
