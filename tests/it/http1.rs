//! HTTP/1.1 in, HTTP/1.1 out: messages cross the proxy as they were meant.

use std::process::Output;

use http_body_util::BodyExt;
use tokio_rustls::client::TlsStream;

use crate::support::application::{Conn, Raw};
use crate::support::background::Gate;
use crate::support::h1::{Wire, header};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::{chunk, curl_at, get, post, post_chunked};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async};

/// An application that answers with the method, the path and the length of the body.
fn telling() -> Hyper {
    Hyper::http1(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!("{} {} {}", head.method, head.uri.path(), body.len());
        answer(200, text)
    })
}

fn text_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn connect(served: &Served) -> Wire<TlsStream<tokio::net::TcpStream>> {
    served.client().http1(served.address()).await.unwrap()
}

#[test]
fn curl_sends_every_method_over_http1_and_http2() {
    let application = telling();
    let served = Served::start(application.upstream(), &[]);
    for version in ["--http1.1", "--http2"] {
        for (arguments, expected) in [
            (&[][..], "GET /m 0"),
            (&["--data", "12345"], "POST /m 5"),
            (&["--data", "123", "--request", "PUT"], "PUT /m 3"),
            (&["--request", "DELETE"], "DELETE /m 0"),
            (&["--request", "PROPFIND"], "PROPFIND /m 0"),
            (
                &["--data", "1234", "--header", "Transfer-Encoding: chunked"],
                "POST /m 4",
            ),
        ] {
            let arguments = [&[version], arguments].concat();
            let Some(output) = curl_at(&served, "/m", &arguments) else {
                return;
            };
            assert_eq!(text_of(&output), expected, "{arguments:?}");
        }
        let head = curl_at(&served, "/m", &[version, "--head"]).unwrap();
        assert!(text_of(&head).contains("content-length: 9"), "{head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_keeps_the_content_length_that_the_application_declared() {
    let application =
        Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n");
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut wire = connect(&served).await;
    let request = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Twice: nothing of a body is waited for or left behind.
    for _ in 0..2 {
        wire.write(request).await.unwrap();
        let head = wire.response_head().await.unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), Some("1234"));
        assert_eq!(head.header("etag"), Some("\"a\""));
    }
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let answer = h2.request(http::Method::HEAD, "/").await.unwrap();
    let answer = crate::support::h2::whole(answer).await.unwrap();
    assert_eq!(answer.headers["content-length"], "1234");
    assert!(answer.body.is_empty());
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_gets_no_content_length_that_the_application_did_not_declare() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    for _ in 0..2 {
        wire.write("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let head = wire.response_head().await.unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), None, "{}", head.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_content_and_not_modified_have_no_body_and_keep_the_connection() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            let answer = if head.starts_with("GET /204") {
                "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
            } else {
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n"
            };
            conn.write(answer).await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut wire = connect(&served).await;
    for _ in 0..2 {
        wire.write(get("/204")).await.unwrap();
        let none = wire.response_head().await.unwrap();
        assert_eq!((none.status, none.header("x-a")), (204, Some("1")));
        assert_eq!(none.header("content-length"), None, "{}", none.head);
        assert_eq!(none.header("transfer-encoding"), None, "{}", none.head);

        wire.write(get("/304")).await.unwrap();
        let same = wire.response_head().await.unwrap();
        assert_eq!((same.status, same.header("etag")), (304, Some("\"a\"")));
        assert_eq!(same.header("transfer-encoding"), None, "{}", same.head);
    }
    assert_eq!(application.connections(), 1);
}

// UP-13
#[tokio::test(flavor = "multi_thread")]
async fn a_body_behind_an_answer_that_has_none_never_reaches_the_next_request() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n",
                "/extra" => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
            };
            conn.write(answer).await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    for poison in ["/204", "/extra"] {
        let mut wire = connect(&served).await;
        wire.write(get(poison)).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.header("x-evil"), None);
        for _ in 0..2 {
            let mut wire = connect(&served).await;
            wire.write(get("/next")).await.unwrap();
            let next = wire.response().await.unwrap();
            assert_eq!((next.status, next.text().as_str()), (200, "good"));
        }
    }
}

// H1-11
#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_forwarded_byte_for_byte() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut wire = connect(&served).await;
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let targets = [
        "//a/../%2e%2F?x=%00",
        "/a/./b/../c//",
        "/%",
        "/%zz?%",
        "/?",
        "/a?b?c&d=/../",
        "/;a=b,c:d@e!$'()*+~_-.",
        "/a%0d%0aX-Evil:1",
        "/{a}|^\"",
        "//evil.example/x",
        "/a\\b",
    ];
    for target in targets {
        wire.write(get(target)).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.status, 200, "{target}");
    }
    let lines = |text: &str| -> Vec<String> {
        let heads = text.split("\r\n\r\n").filter(|head| !head.is_empty());
        heads
            .map(|head| head.lines().next().unwrap().to_owned())
            .collect()
    };
    let expected: Vec<_> = targets
        .map(|target| format!("GET {target} HTTP/1.1"))
        .into();
    assert_eq!(lines(&application.received(0)), expected);

    for target in targets {
        let answer = h2.get(target).await.unwrap();
        let answer = crate::support::h2::whole(answer).await.unwrap();
        assert_eq!(answer.status, 200, "{target}");
    }
    assert_eq!(lines(&application.received(0))[targets.len()..], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_length_and_chunks_cross_both_ways() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            let body = conn.read_body(&head).await.unwrap();
            let framing = match header(&head, "transfer-encoding") {
                Some(coding) => format!("Transfer-Encoding: {coding}\r\n\r\n"),
                None => format!("Content-Length: {}\r\n\r\n", body.len()),
            };
            let chunked = header(&head, "transfer-encoding").is_some();
            conn.write(format!("HTTP/1.1 200 OK\r\n{framing}"))
                .await
                .unwrap();
            let body = if chunked {
                [chunk(&body[..3]), chunk(&body[3..]), b"0\r\n\r\n".to_vec()].concat()
            } else {
                body
            };
            conn.write(body).await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    wire.write(post("/", "exactly")).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.header("content-length"), Some("7"));
    assert_eq!(response.text(), "exactly");

    let body = [&chunk(b"in")[..], b"3;ext=1\r\ntwo\r\n0\r\n\r\n"].concat();
    wire.write([post_chunked("/").into_bytes(), body].concat())
        .await
        .unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.text(), "intwo");
    // H1-06: the extension was for the first hop.
    assert!(!application.received(0).contains("ext=1"));
}

/// H1-05: what was framed is what arrives, whatever the method.
#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_get_without_a_length_arrives() {
    let application = telling();
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    let head = post_chunked("/").replace("POST", "GET");
    let body = [&chunk(b"abc")[..], b"0\r\n\r\n"].concat();
    wire.write([head.into_bytes(), body].concat())
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "GET / 3");

    let h2 = served.client().h2(served.address()).await.unwrap();
    let request = http::Request::get("https://localhost/").body(()).unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let (response, mut body) = ready.send_request(request, false).unwrap();
    body.send_data("defg".into(), true).unwrap();
    let response = crate::support::h2::whole(response).await.unwrap();
    assert_eq!(response.body, "GET / 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_cross_both_ways() {
    let application = Raw::tcp(|mut conn| async move {
        let _head = conn.read_head().await.unwrap().unwrap();
        conn.read_until(b"0\r\nx-sum: 3\r\n\r\n").await.unwrap();
        conn.write("HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        conn.write("2\r\nok\r\n0\r\nX-End: yes\r\n\r\n")
            .await
            .unwrap();
        conn.read_to_end().await.unwrap();
    });
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    wire.write(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\
         Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n",
    )
    .await
    .unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.text(), "ok");
    assert_eq!(response.trailers.to_lowercase(), "x-end: yes\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let application = telling();
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    let requests: Vec<_> = (0..20).map(|n| post(&format!("/{n}"), "x")).collect();
    wire.write(requests.concat()).await.unwrap();
    for n in 0..20 {
        let response = wire.response().await.unwrap();
        assert_eq!(response.text(), format!("POST /{n} 1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http10_client_gets_one_answer_and_the_end() {
    let application = Raw::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    wire.write("GET /old HTTP/1.0\r\n\r\n").await.unwrap();
    let response = wire.response().await.unwrap();
    // Chunks are unknown to it: the end of the connection ends the body.
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.text(), "abcde");
    wire.assert_closed().await;
    let asked = application.received(0);
    assert!(asked.starts_with("GET /old HTTP/1.1\r\n"), "{asked}");
    assert_eq!(header(&asked, "host"), Some("localhost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn http10_client_may_keep_the_connection() {
    let application = Hyper::saying("kept");
    let served = Served::start(application.upstream(), &[]);
    let mut wire = connect(&served).await;
    for _ in 0..3 {
        wire.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await
            .unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.header("connection"), Some("keep-alive"));
        assert_eq!(response.text(), "kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_close_is_honoured_from_either_side_and_stays_on_its_hop() {
    let application = Raw::tcp(|mut conn: Conn| async move {
        let head = conn.read_head().await.unwrap().unwrap();
        let close = match head.starts_with("GET /close ") {
            true => "Connection: close\r\n",
            false => "",
        };
        conn.write(format!(
            "HTTP/1.1 200 OK\r\n{close}Content-Length: 2\r\n\r\nok"
        ))
        .await
        .unwrap();
        if close.is_empty() {
            conn.read_to_end().await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    let mut wire = connect(&served).await;
    for _ in 0..2 {
        // The application's wish ends its own connection and not the client's.
        wire.write(get("/close")).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.header("connection"), None, "{}", response.head);
        assert_eq!(response.text(), "ok");
    }
    assert_eq!(application.connections(), 2);
    wire.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.header("connection"), Some("close"));
    wire.assert_closed().await;
    assert_eq!(header(&application.received(2), "connection"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_ends_its_own_half_still_gets_the_delayed_answer() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "late");
    let served = Served::start(application.upstream(), &[]);
    // close_notify and FIN.
    let mut both = connect(&served).await;
    both.write(get("/")).await.unwrap();
    both.shutdown().await.unwrap();
    // close_notify alone.
    let mut notify = connect(&served).await;
    notify.write(get("/")).await.unwrap();
    let mut stream = notify.into_stream();
    stream.get_mut().1.send_close_notify();
    tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
    let mut notify = Wire::new(stream);

    eventually_async("both requests held", PATIENCE, || gate.waiting() == 2).await;
    // Long enough for several looks at whether these clients have gone.
    let mut looks = 0;
    eventually_async("some time", PATIENCE, || {
        looks += 1;
        looks > 100
    })
    .await;
    assert_eq!(gate.waiting(), 2);
    gate.open();
    for wire in [&mut both, &mut notify] {
        assert_eq!(wire.response().await.unwrap().text(), "late");
        wire.assert_closed().await;
    }
}
