//! What is forwarded, byte for byte.

use super::OK;
use crate::support::application::Raw;
use crate::support::sidecar::Served;

/// The request as the application reads it, less the headers that the sidecar adds.
async fn forwarded(request: &str) -> String {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200, "{request:?}");
    let heard = application.received(0);
    let ours = ["x-forwarded-", "x-request-id"];
    let lines = heard.split_inclusive("\r\n");
    lines
        .filter(|line| {
            !ours
                .iter()
                .any(|name| line.to_lowercase().starts_with(name))
        })
        .collect()
}

// H1-11
#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_forwarded_byte_for_byte() {
    for path in [
        "/a/../b/./c//d",
        "/%2e%2e/%00/%ff/%",
        "//evil/a",
        "/a;b=c?d=e&f=%20&g=+?h",
        "/\"{|}",
        "/?",
        "/a?",
        "/:80@x",
        "/\\..\\a",
    ] {
        let heard = forwarded(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(heard, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_say_the_same_becomes_one() {
    for (request, heard) in [
        (
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET http://a:8/b HTTP/1.1\r\nHost: A:8\r\n\r\n",
            "GET /b HTTP/1.1\r\nhost: A:8\r\n\r\n",
        ),
        (
            "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /?b HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost:a\r\nX-A:  b \t\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:   2\r\n\r\nok",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n002;x\r\nok\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
    ] {
        let mut lines: Vec<_> = forwarded(request).await.lines().map(String::from).collect();
        let mut expected: Vec<_> = heard.lines().map(String::from).collect();
        // The order of header lines with different names means nothing (RFC 9110 section 5.3).
        let end = |lines: &[String]| lines.iter().position(String::is_empty).unwrap();
        let (at, expected_at) = (end(&lines), end(&expected));
        lines[1..at].sort();
        expected[1..expected_at].sort();
        assert_eq!(lines, expected, "{request:?}");
    }
}
