//! The application on a real port, driven by a plain socket.
//!
//! Each fact has its own application; requests are written as text, so that what is tested is
//! what stands on the wire.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::serve;

/// A running application.
struct Running {
    address: std::net::SocketAddr,
    _stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test takes no part in the drain"
)]
async fn application() -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut task = JoinSet::new();
    task.spawn(serve(listener, async { drop(stopped.await) }));
    Running {
        address,
        _stop: stop,
        task,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on its own connection; the answer as it stands on the wire.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        let (line, rest) = request.split_once("\r\n").unwrap();
        let request = format!("{line}\r\nHost: demo\r\nConnection: close\r\n{rest}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, target: &str) -> String {
        self.exchange(&format!("GET {target} HTTP/1.1\r\n\r\n"))
            .await
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn json(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap()
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
}

/// Reads until `stop` is seen.
async fn read_until(stream: &mut TcpStream, stop: &str) -> String {
    let mut seen = BytesMut::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains(stop) {
            return text;
        }
        assert_ne!(
            stream.read_buf(&mut seen).await.unwrap(),
            0,
            "ended without {stop:?}: {text}"
        );
    }
}

#[tokio::test]
async fn home_shows_the_request_and_escapes_it() {
    let running = application().await;
    let request = "GET /?%3C<x> HTTP/1.1\r\nX-Evil: <script>alert(1)</script>\r\n\r\n";
    let refused = running.exchange(request).await;
    assert_status(&refused, 400);
    let request = "GET /?a='b' HTTP/1.1\r\nX-Evil: <script>alert(1)</script>\r\n\r\n";
    let answer = running.exchange(request).await;
    assert_status(&answer, 200);
    assert!(answer.contains("content-security-policy: default-src 'none';"));
    assert!(answer.contains("<pre>GET /?a=&#39;b&#39; HTTP/1.1</pre>"));
    assert!(answer.contains("<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>"));
    assert!(answer.contains("came straight from"));
    assert!(!answer.contains("<script>alert"));
}

#[tokio::test]
async fn home_says_how_the_sidecar_was_reached() {
    let running = application().await;
    let headers = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n";
    let answer = running
        .exchange(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
        .await;
    assert!(answer.contains("over <code>https</code> from <code>192.0.2.7</code>"));
    assert!(answer.contains("<tr class=\"sidecar\"><th scope=\"row\">x-forwarded-proto</th>"));
}

#[tokio::test]
async fn home_is_text_for_curl() {
    let answer = application()
        .await
        .exchange("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n")
        .await;
    assert!(answer.contains("content-type: text/plain; charset=utf-8\r\n"));
    assert!(answer.contains("vary: accept\r\n"));
    assert!(answer.contains("\n  GET / HTTP/1.1\n  host: demo\n"));
}

#[tokio::test]
async fn echo_repeats_line_and_headers_for_any_method() {
    let running = application().await;
    for path in ["/headers", "/echo"] {
        let request = format!("PATCH {path}?a=1&b HTTP/1.1\r\nX-Two: 1\r\nx-two: 2\r\n\r\n");
        let seen = json(&running.exchange(&request).await);
        assert_eq!(seen["method"], "PATCH");
        assert_eq!(seen["path"], path);
        assert_eq!(seen["query"], "a=1&b");
        assert_eq!(seen["version"], "HTTP/1.1");
        assert_eq!(seen["headers"]["x-two"], serde_json::json!(["1", "2"]));
        assert!(seen["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let running = application().await;
    for (target, length) in [("/healthz", 3), ("/download?bytes=1MiB", 1 << 20)] {
        let answer = running
            .exchange(&format!("HEAD {target} HTTP/1.1\r\n\r\n"))
            .await;
        assert_status(&answer, 200);
        assert!(
            answer.contains(&format!("content-length: {length}\r\n")),
            "{answer}"
        );
        assert_eq!(body(&answer), "");
    }
}

#[tokio::test]
async fn head_of_a_stream_ends_with_its_header_section() {
    let running = application().await;
    for target in ["/stream", "/events", "/trailers"] {
        let answer = running
            .exchange(&format!("HEAD {target} HTTP/1.1\r\n\r\n"))
            .await;
        assert_status(&answer, 200);
        assert!(!answer.contains("content-length"), "{answer}");
        assert_eq!(body(&answer), "");
    }
}

#[tokio::test]
async fn stream_sends_each_line_as_its_own_chunk() {
    let running = application().await;
    let answer = running.get("/stream?chunks=3&interval=1ms").await;
    assert!(answer.contains("transfer-encoding: chunked"));
    let lines: Vec<&str> = body(&answer)
        .lines()
        .filter(|line| line.starts_with("line"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[2].starts_with("line 3 at 2"));
    assert_eq!(
        body(&answer).matches("\r\n").count(),
        3 * 2 + 2,
        "two a chunk, two at the end"
    );
}

#[tokio::test]
async fn first_event_comes_at_once_and_ids_go_on_after_a_reconnect() {
    let running = application().await;
    let mut stream = running.connect().await;
    let request = "GET /events HTTP/1.1\r\nHost: demo\r\nLast-Event-ID: 41\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let seen = read_until(&mut stream, "\n\n").await;
    assert!(seen.contains("content-type: text/event-stream"));
    assert!(seen.contains("id: 42\ndata: {"));
    assert!(seen.contains("\"listeners\":1"));
}

#[tokio::test]
async fn events_end_when_the_client_leaves() {
    let running = application().await;
    let request = b"GET /events HTTP/1.1\r\nHost: demo\r\n\r\n";
    let mut left = running.connect().await;
    left.write_all(request).await.unwrap();
    read_until(&mut left, "\"listeners\":1").await;
    let mut stays = running.connect().await;
    stays.write_all(request).await.unwrap();
    read_until(&mut stays, "\"listeners\":2").await;
    drop(left);
    let next = read_until(&mut stays, "\"listeners\":1");
    tokio::time::timeout(Duration::from_secs(10), next)
        .await
        .unwrap();
}

#[tokio::test]
async fn upload_counts_the_body() {
    let running = application().await;
    for method in ["POST", "PUT"] {
        let content = "x".repeat(200_000);
        let head = format!(
            "{method} /upload HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let answer = json(&running.exchange(&(head + &content)).await);
        assert_eq!(answer["bytes"], 200_000);
        assert!(answer["duration_ms"].is_number() && answer["mb_per_s"].is_number());
    }
}

#[tokio::test]
async fn download_is_as_long_as_asked() {
    let running = application().await;
    let answer = running.get("/download?bytes=200001").await;
    assert!(answer.contains("content-length: 200001\r\n"));
    assert_eq!(body(&answer).len(), 200_001);
    assert_eq!(body(&running.get("/download?bytes=0").await).len(), 0);
}

#[tokio::test]
async fn status_is_the_one_asked_for() {
    let running = application().await;
    assert_eq!(
        body(&running.get("/status/418").await),
        "418 I'm a teapot\n"
    );
    assert_status(&running.get("/status/599").await, 599);
    assert!(running.get("/status/302").await.contains("location: /\r\n"));
    let answer = running.get("/status/204").await;
    assert_status(&answer, 204);
    assert!(!answer.contains("content-length"));
}

#[tokio::test]
async fn delay_is_waited_out() {
    let running = application().await;
    let started = std::time::Instant::now();
    let answer = running.get("/delay/30ms").await;
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(body(&answer), "answered after 30ms\n");
}

#[tokio::test]
async fn trailers_follow_the_body_for_a_client_that_takes_them() {
    let running = application().await;
    let answer = running
        .exchange("GET /trailers HTTP/1.1\r\nTE: trailers\r\n\r\n")
        .await;
    assert!(answer.contains("trailer: x-chunks, x-bytes\r\n"));
    assert!(
        answer.contains("\r\n0\r\nx-chunks: 3\r\nx-bytes: 52\r\n\r\n"),
        "{answer}"
    );
    let without = running.get("/trailers").await;
    assert!(without.ends_with("\r\n0\r\n\r\n"), "{without}");
}

#[tokio::test]
async fn health_is_ok() {
    assert_eq!(body(&application().await.get("/healthz").await), "ok\n");
}

#[tokio::test]
async fn unknown_page_is_404_with_the_list() {
    let answer = application().await.get("/nowhere").await;
    assert_status(&answer, 404);
    assert!(answer.contains("no page \"/nowhere\""));
    assert!(answer.contains("/download?bytes=100MiB"));
}

#[tokio::test]
async fn wrong_method_is_405_with_allow() {
    let answer = application().await.get("/upload").await;
    assert_status(&answer, 405);
    assert!(answer.contains("allow: POST, PUT\r\n"));
}

#[tokio::test]
async fn bad_values_are_400_that_name_value_and_mend() {
    let running = application().await;
    for (target, name, mend) in [
        ("/stream?chunks=0", "chunks \"0\"", "chunks=10"),
        ("/stream?chunks=99999999", "chunks \"99999999\"", "10000"),
        ("/stream?interval=0ms", "interval \"0ms\"", "interval=500ms"),
        ("/stream?chunk=1", "query key \"chunk\"", "chunks, interval"),
        ("/download?bytes=101GiB", "bytes \"101GiB\"", "bytes=100MiB"),
        ("/status/99", "status code \"99\"", "/status/418"),
        ("/status/abc", "status code \"abc\"", "/status/418"),
        ("/delay/1h", "delay \"1h\"", "/delay/250ms"),
    ] {
        let answer = running.get(target).await;
        assert_status(&answer, 400);
        assert!(answer.contains(name) && answer.contains(mend), "{answer}");
    }
}

#[tokio::test]
async fn plain_get_of_the_websocket_is_426_with_words() {
    let answer = application().await.get("/ws").await;
    assert_status(&answer, 426);
    assert!(answer.contains("upgrade: websocket\r\n"));
    assert!(answer.contains("sec-websocket-version: 13\r\n"));
    assert!(body(&answer).contains("this is a WebSocket"));
}

/// A client frame; a mask of zeros leaves the payload readable (RFC 6455 section 5.3).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126, "the short form only");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn websocket_echoes_answers_pings_and_closes() {
    let running = application().await;
    let mut stream = running.connect().await;
    let request = "GET /ws HTTP/1.1\r\nHost: demo\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert_status(&head, 101);
    // The example of RFC 6455 section 1.3.
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    let sent = [
        frame(1, b"hello"),
        frame(2, &[0, 255]),
        frame(9, b"?"),
        frame(8, &[3, 232]),
    ];
    stream.write_all(&sent.concat()).await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    let expected: [&[u8]; 4] = [
        b"\x81\x05hello",
        &[0x82, 2, 0, 255],
        b"\x8a\x01?",
        &[0x88, 2, 3, 232],
    ];
    assert_eq!(back, expected.concat());
}

#[tokio::test]
async fn connection_is_kept_for_the_next_request() {
    let running = application().await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: demo\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "\r\n\r\nok\n").await;
    }
}

#[tokio::test]
async fn shutdown_closes_the_listener() {
    let Running {
        address,
        _stop: stop,
        mut task,
    } = application().await;
    drop(stop);
    task.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
