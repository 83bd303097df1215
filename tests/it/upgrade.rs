//! Leaving HTTP through the sidecar: WebSocket with a real library over HTTP/1.1, RFC 8441 over
//! HTTP/2 with the `h2` crate, and every other switch with bytes written by hand.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use h2::ext::Protocol;
use http::{Method, Request};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::support::application::{Conn, Raw, bind_tcp};
use crate::support::background::Background;
use crate::support::sidecar::Served;
use crate::support::wait::within;

/// A WebSocket echo by tokio-tungstenite, in clear.
struct Echo {
    upstream: String,
    _background: Background,
}

impl Echo {
    fn start() -> Self {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap());
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let serving = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        };
        Self {
            upstream,
            _background: Background::start("echo", serving),
        }
    }
}

async fn echo(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Grants any upgrade with `answer`, then echoes bytes until the client has ended.
fn switching(answer: &'static str) -> Raw {
    Raw::tcp(move |mut conn: Conn| async move {
        if conn.read_head().await.is_ok_and(|head| head.is_some()) {
            conn.write(answer).await.unwrap();
            let bytes = conn.read_to_end().await.unwrap();
            conn.write(bytes).await.unwrap();
        }
        conn.close();
    })
}

const ASK: &str = "GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: custom/2\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn websocket_messages_of_every_kind_and_size_come_back() {
    let echo = Echo::start();
    let served = Served::start(&echo.upstream, &[]);
    let tls = served.client().connect(served.address()).await.unwrap();
    let opening = tokio_tungstenite::client_async("wss://localhost/chat", tls);
    let (mut socket, answer) = within("a WebSocket", opening).await.unwrap();
    assert_eq!(answer.status(), 101);
    let large = vec![7_u8; 1024 * 1024];
    for message in [
        Message::text("salut"),
        Message::binary(Bytes::from(large)),
        Message::text(""),
    ] {
        socket.send(message.clone()).await.unwrap();
        let echoed = within("an echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed, message);
    }
    socket.send(Message::Ping("p".into())).await.unwrap();
    let pong = within("a pong", socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("p".into()));
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the close", socket.next()).await {}
    // The application has closed; the tunnel ends when its client does too.
    drop(socket);
    let record = served.sidecar.wait_for_log("the session's record", |line| {
        line["url.path"] == "/chat" && line["http.response.status_code"] == 101
    });
    assert!(
        record["bytes_in"].as_u64().unwrap() > 1024 * 1024,
        "{record}"
    );
    assert!(
        record["bytes_out"].as_u64().unwrap() > 1024 * 1024,
        "{record}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_over_http2_is_bridged_to_an_http1_upgrade() {
    let echo = Echo::start();
    let served = Served::start(&echo.upstream, &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut send = within("a free stream", h2.send.clone().ready())
        .await
        .unwrap();
    within("the server's SETTINGS", async {
        while !send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("https://localhost/chat")
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    request
        .extensions_mut()
        .insert(Protocol::from_static("websocket"));
    let (answer, mut bytes) = send.send_request(request, false).unwrap();
    let answer = within("the answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    // RFC 6455 section 5.7: a masked text frame that says "Hello".
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    bytes.send_data(Bytes::from_static(hello), false).unwrap();
    let mut body = answer.into_body();
    let mut echoed = BytesMut::new();
    while echoed.len() < 7 {
        let data = within("an echo", body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        echoed.extend_from_slice(&data);
    }
    assert_eq!(&echoed[..], b"\x81\x05Hello");
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn any_other_upgrade_is_a_tunnel_that_passes_half_close() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                  Upgrade: custom/2\r\n\r\nearly ";
    let application = switching(answer);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(ASK).await.unwrap();
    let head = wire.read_head().await.unwrap().unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("upgrade: custom/2"), "{head}");
    wire.write("late").await.unwrap();
    wire.shutdown().await.unwrap();
    assert_eq!(wire.read_to_end().await.unwrap(), b"early late");
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_not_granted_is_an_ordinary_answer() {
    for (answer, status) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 200),
    ] {
        let application = Raw::answering(answer);
        let served = Served::start(application.upstream(), &[]);
        let mut wire = served.client().http1(served.address()).await.unwrap();
        for _ in 0..2 {
            wire.write(ASK).await.unwrap();
            let response = wire.response().await.unwrap();
            assert_eq!((response.status, response.text().as_str()), (status, "no"));
        }
    }
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn an_unasked_or_different_switch_is_502() {
    let unasked = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                   Upgrade: other\r\n\r\n";
    let application = switching(unasked);
    let served = Served::start(application.upstream(), &[]);
    for request in [ASK, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 502);
    }
    served.sidecar.wait_for_log("both records", |line| {
        line["flag"] == "upstream_unasked_switch"
    });
}

// H1-17
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_h2c_is_not_passed_on() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "ok");
    let received = application.received(0).to_lowercase();
    assert!(
        !received.contains("upgrade") && !received.contains("http2-settings"),
        "{received}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_survives_the_drain_until_it_ends() {
    use crate::support::sidecar::Signal;
    let echo = Echo::start();
    let served = Served::start(&echo.upstream, &["--drain-delay", "50ms"]);
    let tls = served.client().connect(served.address()).await.unwrap();
    let opening = tokio_tungstenite::client_async("wss://localhost/chat", tls);
    let (mut socket, _) = within("a WebSocket", opening).await.unwrap();
    served.sidecar.signal(Signal::TERM);
    served.sidecar.wait_until_closed();
    socket.send(Message::text("still here")).await.unwrap();
    let echoed = within("an echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(echoed, Message::text("still here"));
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the close", socket.next()).await {}
    // The application has closed; the tunnel ends when its client does too.
    drop(socket);
    let ended = served.sidecar.wait_exit();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}
