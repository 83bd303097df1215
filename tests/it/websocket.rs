//! Upgrades: WebSocket over HTTP/1.1 and over HTTP/2 (RFC 8441) to applications of either
//! protocol, other tokens, refusals, and the ends of a tunnel.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::application::Raw;
use crate::support::h2::extended_connect;
use crate::support::hyper_application::{Body, Hyper, answer};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const MIB: usize = 1024 * 1024;

/// What an application does with a wish for a WebSocket: says every message back, or refuses.
async fn application(mut request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/refused" {
        return answer(403, "not you");
    }
    let mut switched = answer(200, "");
    if request.method() != Method::CONNECT {
        let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
            return answer(200, "no WebSocket");
        };
        let accept = derive_accept_key(key.as_bytes());
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switched.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept.try_into().unwrap());
    }
    if request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) {
        let chosen = HeaderValue::from_static("second");
        switched
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    tokio::spawn(echo(hyper::upgrade::on(&mut request)));
    switched
}

async fn echo(upgrade: OnUpgrade) {
    let stream = TokioIo::new(upgrade.await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            // An error here is one of the next read, too.
            let _ = socket.send(message).await;
        }
    }
}

/// Everything a WebSocket is for, against [`echo`].
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    let large = Bytes::from((0..MIB).map(|n| n as u8).collect::<Vec<_>>());
    for message in [
        Message::text("hällo"),
        Message::binary(vec![0, 255]),
        Message::text(""),
        Message::binary(large),
    ] {
        socket.send(message.clone()).await.unwrap();
        let reply = within("a message", socket.next()).await;
        assert!(reply.unwrap().unwrap() == message, "another than was sent");
    }
    socket.send(Message::Ping("p".into())).await.unwrap();
    let reply = within("a pong", socket.next()).await;
    assert_eq!(reply.unwrap().unwrap(), Message::Pong("p".into()));

    let goodbye = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    socket.close(Some(goodbye.clone())).await.unwrap();
    let reply = within("a close frame", socket.next()).await;
    assert_eq!(reply.unwrap().unwrap(), Message::Close(Some(goodbye)));
    assert!(within("the end", socket.next()).await.is_none());
}

fn asking(path: &str) -> Request<()> {
    let mut request = format!("wss://localhost{path}")
        .into_client_request()
        .unwrap();
    let offered = HeaderValue::from_static("first, second");
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, offered);
    request
}

async fn over_http1(served: &Served) {
    let client = served.client().alpn(&["http/1.1"]);
    let stream = client.connect(served.address()).await.unwrap();
    let (socket, response) = client_async(asking("/chat"), stream).await.unwrap();
    assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "second");
    converse(socket).await;
    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["url.path"] == "/chat");
    assert_eq!(record["http.response.status_code"], 101);
    for direction in ["bytes_in", "bytes_out"] {
        assert!(record[direction].as_u64() > Some(MIB as u64), "{record}");
    }
}

async fn over_http2(served: &Served) {
    let mut http2 = served.client().tunnels(served.address()).await;
    let response = extended_connect(&mut http2, "/chat").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "second");
    assert!(!response.headers().contains_key(SEC_WEBSOCKET_ACCEPT));
    let upgraded: Upgraded = hyper::upgrade::on(response).await.unwrap();
    let stream = TokioIo::new(upgraded);
    converse(WebSocketStream::from_raw_socket(stream, Role::Client, None).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http1_reaches_an_http1_application() {
    let application = Hyper::http1(application);
    over_http1(&Served::start(application.upstream(), &[])).await;
    let asked = &application.asked()[0];
    assert_eq!(asked.headers["x-forwarded-proto"], "https");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http1_reaches_an_h2c_application() {
    let application = Hyper::h2c(application);
    over_http1(&Served::start(application.upstream(), &[])).await;
    let asked = &application.asked()[0];
    assert_eq!(asked.method, Method::CONNECT);
    assert_eq!(asked.uri.path(), "/chat");
    for name in ["connection", "upgrade", "sec-websocket-key"] {
        assert!(!asked.headers.contains_key(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http2_reaches_an_http1_application() {
    let application = Hyper::http1(application);
    over_http2(&Served::start(application.upstream(), &[])).await;
    let asked = &application.asked()[0];
    assert_eq!((&asked.method, asked.uri.path()), (&Method::GET, "/chat"));
    assert_eq!(asked.headers["upgrade"], "websocket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http2_reaches_an_h2c_application() {
    let application = Hyper::h2c(application);
    over_http2(&Served::start(application.upstream(), &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_connect_is_announced() {
    let application = Hyper::http1(application);
    let served = Served::start(application.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let is_announced = || h2.send.is_extended_connect_protocol_enabled();
    eventually_async("SETTINGS_ENABLE_CONNECT_PROTOCOL", PATIENCE, is_announced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    for application in [Hyper::http1(application), Hyper::h2c(application)] {
        let served = Served::start(application.upstream(), &[]);
        let client = served.client().alpn(&["http/1.1"]);
        let stream = client.connect(served.address()).await.unwrap();
        let error = client_async(asking("/refused"), stream).await.unwrap_err();
        let Error::Http(response) = error else {
            panic!("{error}");
        };
        assert_eq!(response.status(), 403);

        let mut http2 = served.client().tunnels(served.address()).await;
        let response = extended_connect(&mut http2, "/refused").await;
        assert_eq!(response.status(), 403);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "not you");
        // The connection is as good as before.
        assert_eq!(extended_connect(&mut http2, "/chat").await.status(), 200);
    }
}

const ASK: &str =
    "GET /t HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";
const GRANT: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\n";

// UP-15
#[tokio::test(flavor = "multi_thread")]
async fn the_application_may_end_its_half_of_a_tunnel_first() {
    let application = Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap().unwrap();
        conn.write(format!("{GRANT}welcome")).await.unwrap();
        conn.half_close().await.unwrap();
        conn.read_to_end().await.unwrap();
    });
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(ASK).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 101);
    let all = within("the end of its half", wire.read_to_end()).await;
    assert_eq!(all.unwrap(), b"welcome");
    wire.write("still here").await.unwrap();
    wire.shutdown().await.unwrap();
    eventually_async("the rest at the application", PATIENCE, || {
        application.received(0).ends_with("still here")
    })
    .await;
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_an_upgrade_that_is_not_granted_stay_http() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    // The next request is right behind the wish and must not become its bytes.
    let next = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n";
    wire.write(format!("{ASK}{next}")).await.unwrap();
    for _ in 0..2 {
        let response = wire.response().await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "no"));
    }
    let received = application.all_received().concat();
    assert!(received.contains("GET /next HTTP/1.1\r\n"), "{received}");
}

/// An application that grants any upgrade, with the first words of the new protocol right behind,
/// and then says back what it heard.
fn granting() -> Raw {
    Raw::tcp(|mut conn| async move {
        conn.read_head().await.unwrap().unwrap();
        conn.write(format!("{GRANT}welcome")).await.unwrap();
        // An error is a client that does not want what it was granted.
        if let Ok(said) = conn.read_to_end().await {
            conn.write([b"heard ", &said[..]].concat()).await.unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn another_token_than_websocket_passes_and_the_client_may_end_first() {
    let application = granting();
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(ASK).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.header("upgrade"), Some("chat/1"));
    assert_eq!(wire.read_exact(7).await.unwrap(), b"welcome");
    wire.write("anything").await.unwrap();
    wire.shutdown().await.unwrap();
    let rest = within("the end", wire.read_to_end()).await.unwrap();
    assert_eq!(rest, b"heard anything");
    let seen = application.received(0).to_lowercase();
    assert!(seen.contains("upgrade: chat/1\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_body_is_not_taken_for_the_protocol_that_was_switched_to() {
    let application = granting();
    let served = Served::start(application.upstream(), &[]);
    for (framing, part) in [
        ("Content-Length: 10", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
    ] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        let ask = ASK.replace("\r\n\r\n", &format!("\r\n{framing}\r\n\r\n{part}"));
        wire.write(ask).await.unwrap();
        let all = within("the end", wire.read_to_end()).await;
        // Neither a switch nor an end that says that all is well.
        assert!(all.is_err(), "{framing}: {all:?}");
    }
    assert!(!application.all_received().concat().contains("heard"));
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_unasked_or_to_another_protocol_is_502() {
    let application = granting();
    let served = Served::start(application.upstream(), &[]);
    let unasked = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for request in [unasked, &ASK.replace("chat/1", "chat/2")] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 502, "{request}");
    }
    let what = "the reason";
    let is_reason = |line: &Value| line["flag"] == "upstream_unasked_switch";
    served.sidecar.wait_for_log(what, is_reason);
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_h2c_is_stripped() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let received = application.received(0).to_lowercase();
    assert!(!received.contains("h2c"), "{received}");
    assert!(!received.contains("http2-settings"), "{received}");
    assert!(!received.contains("upgrade"), "{received}");
}

// TLS-16: the stream is not lost with the switch that was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_after_a_refused_upgrade_says_close_notify() {
    let application = Hyper::http1(application);
    let served = Served::start(application.upstream(), &["--idle-timeout", "300ms"]);
    for ask in [ASK, &ASK.replace(": Upgrade", ": Upgrade, close")] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(ask).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.text(), "no WebSocket");
        wire.assert_closed().await;
    }
}
