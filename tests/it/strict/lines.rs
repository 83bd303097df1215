//! Request lines.

use super::Guarded;

async fn refuses(guarded: &Guarded, status: u16, lines: &[&str]) {
    for line in lines {
        let request = format!("{line}\r\nHost: localhost\r\n\r\n");
        guarded.refuses_with(status, &request).await;
    }
}

// H1-10
#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_that_is_not_exactly_one_is_refused() {
    let guarded = Guarded::start(&[]);
    let long = format!("{} /evil HTTP/1.1", "A".repeat(40));
    refuses(
        &guarded,
        400,
        &[
            "get /evil HTTP/1.1",
            "Get /evil HTTP/1.1",
            " GET /evil HTTP/1.1",
            "GET  /evil HTTP/1.1",
            "GET /evil  HTTP/1.1",
            "GET\t/evil HTTP/1.1",
            "GET /evil\tHTTP/1.1",
            "GET /evil HTTP/1.1 ",
            "GET /evil HTTP/1.1\t",
            "GET /evil HTTP/1.1 HTTP/1.1",
            "GET /evil",
            "GET /evil ",
            "GET /evil HTTP/1.10",
            "GET /evil HTTP/01.1",
            "GET /evil http/1.1",
            "GET /evil HTTP",
            "GET /evil HTTP/",
            "GET /evil HTTP/1,1",
            "G@T /evil HTTP/1.1",
            "GET\u{b}/evil HTTP/1.1",
            "\u{0}GET /evil HTTP/1.1",
            "GET /evil\u{0} HTTP/1.1",
            "GET /evil\u{7f} HTTP/1.1",
            "GET /evil\u{e4} HTTP/1.1",
            "GET /e vil HTTP/1.1",
            "GET /evil#fragment HTTP/1.1",
            "GET evil HTTP/1.1",
            "GET ../evil HTTP/1.1",
            "GET ?evil HTTP/1.1",
            "GET * HTTP/1.1",
            "GET *evil HTTP/1.1",
            "GET localhost:80 HTTP/1.1",
            "GET file:///evil HTTP/1.1",
            "GET http:///evil HTTP/1.1",
            "GET http://u:p@localhost/evil HTTP/1.1",
            &long,
        ],
    )
    .await;
}

// H1-10
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_spoken_is_505() {
    let guarded = Guarded::start(&[]);
    refuses(
        &guarded,
        505,
        &[
            "GET /evil HTTP/1.2",
            "GET /evil HTTP/2.0",
            "GET /evil HTTP/3.0",
            "GET /evil HTTP/0.9",
            "GET /evil HTTP/9.9",
        ],
    )
    .await;
}

// TLS-07
#[tokio::test(flavor = "multi_thread")]
async fn the_preface_of_http2_where_http1_was_chosen_is_refused() {
    let guarded = Guarded::start(&[]);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    guarded.refuses_with(400, preface).await;
}

// H1-10
#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_405_and_their_connection_ends() {
    let guarded = Guarded::start(&[]);
    refuses(&guarded, 405, &["TRACE /evil HTTP/1.1"]).await;
    let request = "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n";
    guarded.refuses_with(405, request).await;
}

// H1-08
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_does_not_end_in_both_characters_is_refused() {
    let guarded = Guarded::start(&[]);
    for request in [
        "GET /evil HTTP/1.1\nHost: localhost\r\n\r\n",
        "GET /evil HTTP/1.1\r\nHost: localhost\n\r\n",
        "GET /evil HTTP/1.1\r\nHost: localhost\r\n\n",
        "GET /evil HTTP/1.1\nHost: localhost\n\n",
        "GET /evil HTTP/1.1\rHost: localhost\r\r",
        "GET /evil HTTP/1.1\r\nHost: localhost\r\n\rX\r\n\r\n",
        "GET /evil HTTP/1.1\r\r\nHost: localhost\r\n\r\n",
        "\nGET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\r\n\r\nGET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        guarded.refuses_with(400, request).await;
    }
}
