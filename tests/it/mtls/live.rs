//! Connections that are open when their client stops being good.

use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Door, GET, path};
use crate::limits::rest::crowd;
use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf};
use crate::support::h2::{extended_connect, whole};
use crate::support::hyper_application::{Body, Hyper, answer};
use crate::support::secret_dir::SecretDir;
use crate::support::wait::within;

/// How soon after the swap of a mount a connection has to be over.
const SOON: Duration = Duration::from_secs(5);

/// A door with two authorities, of which a test takes the first away.
struct Two {
    door: Door,
    leaving: Ca,
}

impl Two {
    fn start(upstream: &str, arguments: &[&str]) -> Self {
        let (leaving, staying) = (Ca::named("leaving"), Ca::named("staying"));
        let both = leaving.pem() + &staying.pem();
        let trust = SecretDir::new(&[("ca.crt", both.as_bytes())]);
        let arguments = [&["--upstream", upstream], arguments].concat();
        let door = Door::trusting("required", staying, trust, &arguments);
        Self { door, leaving }
    }

    fn leaver(&self) -> crate::support::clients::Client {
        self.door
            .client(&self.leaving.sign(Leaf::client(&["leaver"])))
    }

    fn remove(&self) {
        let rest = self.door.clients.pem();
        self.door.trust.swap(&[("ca.crt", rest.as_bytes())]);
    }

    /// The WebSocket at `/chat` ended with its connection, and for that.
    fn cut_the_tunnel(&self) {
        self.ended_for("unknown_ca");
        let sidecar = &self.door.served.sidecar;
        let record = sidecar.wait_for_log("the record", |line| line["url.path"] == "/chat");
        assert_eq!(record["flag"], "client_not_allowed", "{record}");
    }

    fn ended_for(&self, reason: &str) {
        self.door.counted("the end of a connection", 1, |line| {
            line["message"] == "a client's certificate is no longer good: its connection ends"
                && line["reason"] == reason
        });
    }
}

/// Echoes what is said after a switch; answers everything else.
async fn application(mut request: Request<Incoming>) -> Response<Body> {
    if !request.headers().contains_key("upgrade") {
        return answer(200, "served");
    }
    let key = request.headers()["sec-websocket-key"].clone();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let mut switched = answer(101, "");
    let headers = switched.headers_mut();
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-accept", accept.parse().unwrap());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = upgrade.await.unwrap();
        let mut stream = TokioIo::new(upgraded);
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    switched
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http1_connection_ends_when_its_authority_is_removed_and_others_go_on() {
    let application = Hyper::http1(application);
    let two = Two::start(application.upstream(), &[]);
    let address = two.door.served.address();
    let (mut leaver, mut stayer) = (
        two.leaver().http1(address).await.unwrap(),
        two.door.good().http1(address).await.unwrap(),
    );
    for wire in [&mut leaver, &mut stayer] {
        wire.write(GET).await.unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "served");
    }
    let begun = Instant::now();
    two.remove();
    leaver.assert_closed().await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    two.ended_for("unknown_ca");
    stayer.write(GET).await.unwrap();
    assert_eq!(stayer.response().await.unwrap().text(), "served");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_at_rest_end_when_their_authority_is_removed() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let two = Two::start(application.upstream(), &[]);
    let open = crowd(&two.door.served, &two.leaver()).await;
    let begun = Instant::now();
    two.remove();
    for mut wire in open {
        wire.assert_closed().await;
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_ends_with_a_goaway_when_its_authority_is_removed() {
    let application = Hyper::http1(application);
    let two = Two::start(application.upstream(), &[]);
    let address = two.door.served.address();
    let mut leaver = two.leaver().h2(address).await.unwrap();
    let mut stayer = two.door.good().h2(address).await.unwrap();
    for h2 in [&mut leaver, &mut stayer] {
        let answered = whole(h2.get("/").await.unwrap()).await.unwrap();
        assert_eq!(answered.status, 200);
    }
    let begun = Instant::now();
    two.remove();
    leaver.closed().await.expect("GOAWAY with NO_ERROR");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let answered = whole(stayer.get("/").await.unwrap()).await.unwrap();
    assert_eq!(answered.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_when_its_authority_is_removed() {
    let application = Hyper::http1(application);
    let two = Two::start(application.upstream(), &[]);
    let client = two.leaver().alpn(&["http/1.1"]);
    let stream = client.connect(two.door.served.address()).await.unwrap();
    let request = "wss://localhost/chat".into_client_request().unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let begun = Instant::now();
    two.remove();
    let ended = within("the end of the WebSocket", socket.next()).await;
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    two.cut_the_tunnel();
}

// RFC 8441: a stream among others.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http2_ends_when_its_authority_is_removed() {
    let application = Hyper::http1(application);
    let two = Two::start(application.upstream(), &[]);
    let mut http2 = two.leaver().tunnels(two.door.served.address()).await;
    let response = extended_connect(&mut http2, "/chat").await;
    assert_eq!(response.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    let read = tunnel.read_exact(&mut echo);
    within("the echo", read).await.unwrap();
    assert_eq!(&echo, b"hello");
    let begun = Instant::now();
    two.remove();
    let ended = within("the end of the tunnel", tunnel.read(&mut echo)).await;
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    two.cut_the_tunnel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_session_ends_when_its_authority_is_removed() {
    let application = Raw::tcp(|mut conn| async move {
        conn.write("hello\n").await.unwrap();
        conn.read_to_end().await.unwrap();
    });
    let two = Two::start(&format!("tcp://{}", application.address()), &[]);
    let mut wire = two.leaver().http1(two.door.served.address()).await.unwrap();
    within("a greeting", wire.read_until(b"\n")).await.unwrap();
    two.remove();
    wire.assert_closed().await;
}

/// An application whose answer begins at once and is complete when a file is there.
fn slow() -> (Raw, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let application = Raw::tcp(move |mut conn| {
        let file = file.clone();
        async move {
            while let Ok(Some(_)) = conn.read_head().await {
                conn.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
                    .await
                    .unwrap();
                while !file.exists() {
                    tokio::task::yield_now().await;
                }
                if conn.write("cd").await.is_err() {
                    break;
                }
            }
        }
    });
    (application, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_cut_at_once_without_a_grace() {
    let (application, _folder) = slow();
    let two = Two::start(application.upstream(), &[]);
    let mut wire = two.leaver().http1(two.door.served.address()).await.unwrap();
    wire.write(GET).await.unwrap();
    within("half of the answer", wire.read_until(b"ab"))
        .await
        .unwrap();
    let begun = Instant::now();
    two.remove();
    let rest = within("the end", wire.read_to_end()).await;
    assert!(
        rest.is_err() || rest.unwrap().is_empty(),
        "no more of the answer"
    );
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_grace_what_is_in_flight_is_finished_and_nothing_new_begins() {
    let (application, folder) = slow();
    let two = Two::start(application.upstream(), &["--revoked-grace", "60s"]);
    let address = two.door.served.address();
    let mut wire = two.leaver().http1(address).await.unwrap();
    wire.write(GET).await.unwrap();
    within("half of the answer", wire.read_until(b"ab"))
        .await
        .unwrap();
    let mut h2 = two.leaver().h2(address).await.unwrap();
    let answer = within("a head", h2.get("/").await.unwrap()).await.unwrap();
    two.remove();
    two.door
        .counted("both connections", 2, |line| line["reason"] == "unknown_ca");
    std::fs::write(folder.path().join("go"), "").unwrap();
    let rest = within("the rest", wire.read_exact(2)).await.unwrap();
    assert_eq!(rest, b"cd");
    wire.assert_closed().await;
    let mut body = answer.into_body();
    let mut read = Vec::new();
    while let Some(data) = within("data", body.data()).await {
        let data = data.unwrap();
        let _ = body.flow_control().release_capacity(data.len());
        read.extend_from_slice(&data);
    }
    assert_eq!(read, b"abcd");
    h2.closed().await.expect("GOAWAY with NO_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_grace_is_over_what_is_in_flight_is_cut() {
    let (application, _folder) = slow();
    let two = Two::start(application.upstream(), &["--revoked-grace", "300ms"]);
    let mut h2 = two.leaver().h2(two.door.served.address()).await.unwrap();
    let answer = within("a head", h2.get("/").await.unwrap()).await.unwrap();
    two.remove();
    let mut body = answer.into_body();
    let begun = Instant::now();
    let cut = within("the cut", async {
        while let Some(data) = body.data().await {
            data?;
        }
        Ok::<_, h2::Error>(())
    })
    .await;
    assert!(cut.is_err(), "an answer that was cut is no whole one");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

// TLS-14, for a session that is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_certificate_expires() {
    let application = Hyper::http1(application);
    let door = Door::required(application.upstream(), &[]);
    let end = SystemTime::now() + Duration::from_secs(3);
    let leaf = Leaf::client(&["c"]).valid(SystemTime::now() - Duration::from_secs(60), end);
    let client = door.client(&door.clients.sign(leaf));
    let mut h2 = client.h2(door.served.address()).await.unwrap();
    let mut wire = client.http1(door.served.address()).await.unwrap();
    assert_eq!(whole(h2.get("/").await.unwrap()).await.unwrap().status, 200);
    wire.assert_closed().await;
    h2.closed().await.expect("GOAWAY with NO_ERROR");
    assert!(
        SystemTime::now() + Duration::from_secs(1) > end,
        "not before its time"
    );
    door.counted("both connections", 2, |line| line["reason"] == "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_certificate_is_revoked_or_no_longer_listed() {
    let application = Hyper::http1(application);
    let clients = Ca::named("clients");
    let (authority, none) = (clients.pem(), clients.revocation_list(&[]));
    let trust = SecretDir::new(&[
        ("ca.crt", authority.as_bytes()),
        ("crl.pem", none.as_bytes()),
        ("allow", b"cn:one\ncn:other\n"),
    ]);
    let (list, allow) = (path(&trust, "crl.pem"), path(&trust, "allow"));
    let arguments = [
        "--upstream",
        application.upstream(),
        "--client-crl-file",
        &list,
        "--client-allow-file",
        &allow,
    ];
    let door = Door::trusting("required", clients, trust, &arguments);
    let address = door.served.address();
    let one = door.clients.sign(Leaf::client(&["one"]).serial(7));
    let other = door.clients.sign(Leaf::client(&["other"]).serial(8));
    let one = door.client(&one).h2(address).await.unwrap();
    let mut other = door.client(&other).http1(address).await.unwrap();
    let named = door.clients.revocation_list(&[7]);
    door.trust.swap(&[
        ("ca.crt", authority.as_bytes()),
        ("crl.pem", named.as_bytes()),
        ("allow", b"cn:one\ncn:other\n"),
    ]);
    one.closed().await.expect("GOAWAY with NO_ERROR");
    other.write(GET).await.unwrap();
    assert_eq!(other.response().await.unwrap().status, 200);
    door.trust.swap(&[
        ("ca.crt", authority.as_bytes()),
        ("crl.pem", named.as_bytes()),
        ("allow", b"cn:one\n"),
    ]);
    other.assert_closed().await;
    for reason in ["revoked", "not_allowed"] {
        door.counted(reason, 1, |line| line["reason"] == reason);
    }
}
