//! Bodies that break off or cannot be read: the client sees that they did.

use super::{ONE_WORKER, answering_by_number, ask, ask_http2, assert_good};
use crate::support::application::{Conn, Raw};
use crate::support::sidecar::Served;
use crate::support::wait::within;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What an application answers, and how it ends then.
type Ending = (&'static str, fn(Conn));

/// Asserts that clients of every version see that the answer at `path` broke off.
async fn assert_truncated(served: &Served, path: &str, case: &str) {
    let old = ask(served, path).await;
    assert!(old.is_err(), "{case}: {old:?}");
    let new = ask_http2(served, path).await;
    assert!(
        new.as_ref().is_err_and(h2::Error::is_reset),
        "{case}: {new:?}"
    );
    // To a client of HTTP/1.0 the end of the connection is the end of the body.
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(format!("GET {path} HTTP/1.0\r\n\r\n"))
        .await
        .unwrap();
    let end = within("the end", wire.read_to_end()).await;
    assert!(end.is_err(), "{case}: {end:?}");
}

// UP-04
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_the_chunks_is_a_truncated_body() {
    let faults = [
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n",
        "-5\r\nabcde\r\n0\r\n\r\n",
        " 5\r\nabcde\r\n0\r\n\r\n",
        "5_0\r\nabcde\r\n0\r\n\r\n",
        "5 0\r\nabcde\r\n0\r\n\r\n",
        "g\r\nabcde\r\n0\r\n\r\n",
        "\r\n\r\n0\r\n\r\n",
        ";a=b\r\nabcde\r\n0\r\n\r\n",
        "10000000000000000\r\nabcde\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "00000000000000000000000000000000000000000000000000000000000000g\r\n",
        "5\nabcde\r\n0\r\n\r\n",
        "5\rabcde\r\n0\r\n\r\n",
        "5\r\nabcde\n0\r\n\r\n",
        "5\r\nabcde0\r\n\r\n",
        "5\r\nabcdefg\r\n0\r\n\r\n",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n",
        "0\n\n",
        "0\r\nX-A: a\0b\r\n\r\n",
        "0\r\nX-A: a\rb\r\n\r\n",
        "0\r\nX-A: a\u{1}b\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n X-A: b\r\n\r\n",
        "0\r\nX-A: b\r\n folded\r\n\r\n",
        "0\r\nX-A\r\n\r\n",
        "0\r\nX-\u{e9}: b\r\n\r\n",
    ];
    let mut answers: Vec<_> = faults
        .iter()
        .map(|fault| format!("{CHUNKED}2\r\nok\r\n{fault}"))
        .collect();
    // Extensions and trailers without an end are not read for ever.
    answers.push(format!("{CHUNKED}2\r\nok\r\n5;{}\r\n", "a".repeat(20_000)));
    answers.push(format!(
        "{CHUNKED}{}",
        format!("1;{}\r\na\r\n", "a".repeat(1000)).repeat(20)
    ));
    let trailers = |n: usize| format!("{CHUNKED}2\r\nok\r\n0\r\n{}\r\n", "X-A: 1\r\n".repeat(n));
    answers.push(trailers(10_000));
    answers.push(trailers(200));
    let application = answering_by_number(answers.iter().map(|a| a.clone().into_bytes()).collect());
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for (number, answer) in answers.iter().enumerate() {
        let case: String = answer.chars().skip(CHUNKED.len()).take(80).collect();
        assert_truncated(&served, &format!("/{number}"), &case).await;
        assert_good(&served, &case).await;
    }
}

// UP-04, UP-15
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_truncated_for_every_client() {
    let begun: [Ending; 9] = [
        // hyper waits for the CR that has to come here.
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n0\r\n\n",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly",
            Conn::reset,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\non",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n0\r\n",
            Conn::close,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n",
            Conn::reset,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nonly", Conn::reset),
    ];
    for (bytes, end) in begun {
        let application = Raw::tcp(move |mut conn| async move {
            if let Ok(Some(head)) = conn.read_head().await {
                conn.read_body(&head).await.unwrap();
                conn.write(bytes).await.unwrap();
                end(conn);
            }
        });
        let served = Served::start(application.upstream(), &[]);
        assert_truncated(&served, "/", bytes).await;
    }
}

// H1-06 for answers: a trailer neither frames nor routes nor trusts.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_lose_what_may_not_stand_in_them() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\nKeep-Alive: timeout=1\r\nSet-Cookie: a=b\r\nHost: evil\r\n\
         WWW-Authenticate: Basic\r\n{}\r\n",
        "Content-Type: text/html\r\n"
    );
    let application = answering_by_number(vec![answer.into_bytes()]);
    let served = Served::start(application.upstream(), &[]);
    let request = "GET /0 HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    let response = super::send(&served, request).await.unwrap();
    assert_eq!(response.text(), "ok");
    let trailers = response.trailers.to_ascii_lowercase();
    assert_eq!(trailers, "x-sum: 1\r\n", "{}", response.head);
    let response = ask_http2(&served, "/0").await.unwrap();
    let trailers = response.trailers.unwrap();
    assert_eq!(
        (trailers.len(), &trailers["x-sum"]),
        (1, &http::HeaderValue::from_static("1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_reach_whoever_takes_them_and_nobody_else() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
    let application = answering_by_number(vec![answer.into()]);
    let served = Served::start(application.upstream(), &[]);
    for (fields, trailers) in [
        ("", ""),
        ("TE: gzip\r\n", ""),
        ("TE: trailers\r\n", "x-sum: 1\r\n"),
        ("TE: gzip;q=0.5, Trailers\r\n", "x-sum: 1\r\n"),
        ("TE: gzip\r\nTE: trailers\r\n", "x-sum: 1\r\n"),
    ] {
        let request = format!("GET /0 HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let response = super::send(&served, &request).await.unwrap();
        assert_eq!(response.text(), "ok");
        let found = response.trailers.to_ascii_lowercase();
        assert_eq!(found, trailers, "{fields:?}");
    }
}
