//! WebSocket sessions of a real library on both ends: every kind of message, and the drain.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::support::application::bind_tcp;
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
