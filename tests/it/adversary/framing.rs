//! Answers that say in two ways, or in none, where their body ends.

use super::{ONE_WORKER, answering_by_number, ask, ask_http2, assert_good, send};
use crate::support::sidecar::Served;

/// Header lines that leave the length of a body open.
const AMBIGUOUS: [&str; 28] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5, 5",
    "Content-Length: 5,5",
    "Content-Length: 5, 6",
    "Content-Length: 5,",
    "Content-Length: -5",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: 5h",
    "Content-Length: 5 0",
    "Content-Length: 5.0",
    "Content-Length: five",
    "Content-Length: ",
    "Content-Length: 18446744073709551616",
    "Content-Length: 99999999999999999999999999",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: ",
];

// UP-07
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_an_ambiguous_length_is_502_and_its_connection_is_discarded() {
    let mut answers: Vec<_> = AMBIGUOUS
        .iter()
        .map(|lines| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n0\r\n\r\n"))
        .collect();
    answers.push("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned());
    let bytes = answers.iter().map(|a| a.clone().into_bytes()).collect();
    let application = answering_by_number(bytes);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let mut passed = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        assert_good(&served, "before").await;
        let connections = application.connections();
        let path = format!("/{number}");
        let old = ask(&served, &path).await.map(|response| response.status);
        let new = ask_http2(&served, &path).await.map(|r| r.status);
        assert_good(&served, answer).await;
        let further = application.connections() - connections;
        if !matches!((&old, &new, further), (Ok(502), Ok(502), 2)) {
            passed.push((answer, old, new, further));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

// UP-07: where no body is expected hyper does not look at the lengths, and passes them on.
#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_length_without_a_body_is_502_too() {
    let mut answers = Vec::new();
    for status in ["200 OK", "204 No Content", "304 Not Modified"] {
        for lines in AMBIGUOUS {
            answers.push(format!("HTTP/1.1 {status}\r\n{lines}\r\n\r\n"));
        }
        answers.push(format!(
            "HTTP/1.0 {status}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
    }
    let bytes = answers.iter().map(|a| a.clone().into_bytes()).collect();
    let application = answering_by_number(bytes);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let mut passed = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        let request = format!("HEAD /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        let head = wire.response_head().await.unwrap();
        if head.status != 502 {
            passed.push((answer, head.head));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

// UP-13
#[tokio::test(flavor = "multi_thread")]
async fn a_body_where_none_can_be_is_dropped_with_its_connection() {
    let body = "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil";
    let answers = [
        format!("HTTP/1.1 204 No Content\r\n\r\n{body}"),
        format!("HTTP/1.1 204 No Content\r\nContent-Length: 57\r\n\r\n{body}"),
        // The body is announced and comes later or never.
        "HTTP/1.1 204 No Content\r\nContent-Length: 57\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 57\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
    ];
    let bytes = answers.iter().map(|a| a.clone().into_bytes()).collect();
    let application = answering_by_number(bytes);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for (number, answer) in answers.iter().enumerate() {
        assert_good(&served, "before").await;
        let connections = application.connections();
        let request = format!("HEAD /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        let head = wire.response_head().await.unwrap();
        assert!(matches!(head.status, 200 | 204 | 304), "{}", head.head);
        assert_eq!(head.header("x-evil"), None, "{}", head.head);
        // Nothing follows but the answer to the next request.
        wire.write("GET /good HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "ok", "{answer:?}");
        assert_eq!(application.connections(), connections + 1, "{answer:?}");
    }
}

// UP-13
#[tokio::test(flavor = "multi_thread")]
async fn a_length_without_a_body_is_passed_on_and_keeps_the_connection() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 57\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let application = answering_by_number(answers.iter().map(|a| a.as_bytes().to_vec()).collect());
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for number in 0..answers.len() {
        let request = format!("HEAD /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        assert!(wire.response_head().await.unwrap().status < 400);
        assert_eq!(
            send(&served, &crate::support::requests::get("/good"))
                .await
                .unwrap()
                .text(),
            "ok"
        );
    }
    assert_eq!(application.connections(), 1);
}
