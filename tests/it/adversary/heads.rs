//! Heads that are none: 502, once, and the connection is not used again.

use super::{ONE_WORKER, answering_by_number, ask, ask_http2, assert_good, send};
use crate::support::application::Raw;
use crate::support::requests::resident_memory;
use crate::support::sidecar::Served;

/// Each of `answers` is refused over either protocol, and costs the connection it came on.
async fn assert_refused(answers: &[String]) {
    let bytes = answers.iter().map(|a| latin1(a)).collect();
    let application = answering_by_number(bytes);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let mut passed = Vec::new();
    assert_good(&served, "at first").await;
    let mut connections = 1;
    for (number, answer) in answers.iter().enumerate() {
        let path = format!("/{number}");
        let old = ask(&served, &path).await.map(|response| response.status);
        assert_good(&served, answer).await;
        let new = ask_http2(&served, &path).await.map(|r| r.status);
        assert_good(&served, answer).await;
        connections += 2;
        if !matches!((&old, &new), (Ok(502), Ok(502))) || application.connections() != connections {
            passed.push((answer, old, new, application.connections() - connections));
            connections = application.connections();
        }
        let asked = application.all_received().concat();
        assert_eq!(
            asked.matches(&format!("GET {path} ")).count(),
            2,
            "{answer:?}"
        );
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

/// The bytes whose numbers are the characters'.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c as u32).unwrap())
        .collect()
}

// UP-06
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_begin_with_a_status_line_of_http_1_is_502() {
    let begins = [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 1000 OK",
        "HTTP/1.1 2OO OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1200 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/0.9 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "HTTP/3.0 200 OK",
        "http/1.1 200 OK",
        "HTTPS/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "\nHTTP/1.1 200 OK",
        "",
        "GET / HTTP/1.1",
        "SSH-2.0-OpenSSH_9.2",
        "220 mail ESMTP",
        "<html>hello</html>",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}",
        "\u{16}\u{3}\u{3}\0\u{7a}\u{2}\0\0\u{76}\u{3}\u{3}",
        "\0\0\u{12}\u{4}\0\0\0\0\0\0\u{3}\0\0\0\u{80}\0\u{4}\0\u{1}\0\0",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 O\u{1b}K",
    ];
    let heads: Vec<_> = begins
        .iter()
        .map(|begin| format!("{begin}\r\nContent-Length: 2\r\n\r\nno"))
        .collect();
    assert_refused(&heads).await;
}

// UP-11
#[tokio::test(flavor = "multi_thread")]
async fn a_header_line_that_another_parser_could_read_otherwise_is_502() {
    let lines = [
        "X-A: a\0b\r\n",
        "X-A: a\rb\r\n",
        "X-A: a\rX-B: b\r\n",
        "X-A: a\u{1}b\r\n",
        "X-A: a\u{b}b\r\n",
        "X-A: a\u{1f}b\r\n",
        "X-A: a\u{7f}b\r\n",
        "X-A : b\r\n",
        "X-A\t: b\r\n",
        " X-A: b\r\n",
        "X-A: b\r\n folded\r\n",
        "X-A: b\r\n\tfolded\r\n",
        "X-A\r\n",
        ": b\r\n",
        "X A: b\r\n",
        "X\0A: b\r\n",
        "X-\u{e9}: b\r\n",
        "X(A): b\r\n",
        "\u{ff}: b\r\n",
        "X-A: a\nX-B: b\r\n",
        "X-A: a\n",
    ];
    let mut heads: Vec<_> = lines
        .iter()
        .map(|line| format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 2\r\n\r\nno"))
        .collect();
    heads.push("HTTP/1.1 200 OK\nContent-Length: 2\n\nno".to_owned());
    heads.push("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nno".to_owned());
    heads.push(
        "HTTP/1.1 102 Processing\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_owned(),
    );
    assert_refused(&heads).await;
}

// UP-11: what is odd and clear is passed on.
#[tokio::test(flavor = "multi_thread")]
async fn odd_but_clear_heads_are_passed_on() {
    let heads = [
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 Tr\u{e8}s bien\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A:\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A: \u{e9}\r\nContent-Length: \t 2 \r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx!#$%&'*+-.^_`|~9: 1\r\ncontent-length: 002\r\n\r\nok",
    ];
    let application = answering_by_number(heads.iter().map(|a| latin1(a)).collect());
    let served = Served::start(application.upstream(), &[]);
    for (number, head) in heads.iter().enumerate() {
        let path = format!("/{number}");
        let response = ask(&served, &path).await.unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ok"),
            "{head:?}"
        );
        assert_eq!(
            ask_http2(&served, &path).await.unwrap().body,
            "ok",
            "{head:?}"
        );
    }
    // Any final status of three digits is the application's to choose (RFC 9110 section 15).
    let application = answering_by_number(vec![
        b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok".to_vec(),
    ]);
    let served = Served::start(application.upstream(), &[]);
    assert_eq!(ask(&served, "/0").await.unwrap().status, 999);
}

// UP-12: hyper's server has no way to send an interim answer before the final one, so none but
// 100 (Continue) reaches the client; RFC 9110 section 15.2 lets a proxy drop them.
#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_nobody_asked_for_are_dropped_and_bounded() {
    let many = format!(
        "{}HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast",
        "HTTP/1.1 102 Processing\r\n\r\n".repeat(2000)
    );
    let flood = format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast",
        "HTTP/1.1 102 Processing\r\nX-Pad: 0123456789\r\n\r\n".repeat(400_000)
    );
    let application = answering_by_number(vec![many.into_bytes(), flood.into_bytes()]);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(crate::support::requests::get("/0"))
        .await
        .unwrap();
    let first = wire.response_head().await.unwrap();
    assert_eq!(first.status, 200, "{}", first.head);
    assert_eq!(wire.read_exact(4).await.unwrap(), b"last");
    assert_eq!(ask_http2(&served, "/0").await.unwrap().body, "last");

    let before = resident_memory(served.sidecar.id());
    assert_eq!(ask(&served, "/1").await.unwrap().text(), "last");
    let grown = resident_memory(served.sidecar.id()).saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "grew by {grown}");
    assert_good(&served, "behind the flood").await;
    assert_eq!(application.connections(), 1);
}

// UP-10
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_502_and_bounded() {
    let endless = Raw::tcp(|mut conn| async move {
        let _ = conn.read_head().await;
        let _ = conn.write("HTTP/1.1 200 OK\r\n").await;
        let line = "X-A: 0123456789012345678901234567890123456789\r\n".repeat(100);
        while conn.write(&line).await.is_ok() {}
    });
    let one_line = Raw::tcp(|mut conn| async move {
        let _ = conn.read_head().await;
        let _ = conn.write("HTTP/1.1 200 OK\r\nX-A: ").await;
        while conn.write([b'a'; 4096]).await.is_ok() {}
    });
    for application in [endless, one_line] {
        let served = Served::start(application.upstream(), &[]);
        let response = send(&served, &crate::support::requests::get("/"))
            .await
            .unwrap();
        assert_eq!(response.status, 502);
        assert!(
            response.text().contains("--max-header"),
            "{}",
            response.text()
        );
        assert_eq!(ask_http2(&served, "/").await.unwrap().status, 502);
    }
}
