//! Header lines, Host among them.

use super::Guarded;

// H1-07
#[tokio::test(flavor = "multi_thread")]
async fn a_header_line_that_parsers_read_differently_is_refused() {
    let guarded = Guarded::start(&[]);
    guarded
        .refuses_fields(&[
            "X-A : b",
            "X-A\t: b",
            "X A: b",
            " X-A: b",
            "\tX-A: b",
            ": b",
            ":",
            "X-A",
            "X-A\u{0}: b",
            "X-A: b\u{0}c",
            "X-A: b\rc",
            "X-A\r: b",
            "X-A: b\u{1}",
            "X-A: b\u{1b}[2J",
            "X-A: b\u{7f}",
            "X-A: b\r\n folded",
            "X-A: b\r\n\tfolded",
            "X-A: b\r\n ",
            "X(A): b",
            "X-\u{e4}: b",
            "X\u{b}A: b",
            "X\"A\": b",
            "[X]: b",
            "X@A: b",
        ])
        .await;
}

// H1-09
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_not_exactly_one_host_is_refused() {
    let guarded = Guarded::start(&[]);
    for host in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a,b\r\n",
        "Host: u@a\r\n",
        "Host: u:p@a\r\n",
        "Host: a:\r\nHost: b\r\n",
        "Host: a:x\r\n",
        "Host: a:99999\r\n",
        "Host: a:80:80\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a\\b\r\n",
        "Host: [::1\r\n",
        "Host: [zz]\r\n",
        "Host: http://a\r\n",
        "Host: a\u{e4}\r\n",
        "Host: \"a\"\r\n",
        "Host : a\r\n",
        "Host: a\r\n b\r\n",
    ] {
        let request = format!("GET /evil HTTP/1.1\r\n{host}X-A: b\r\n\r\n");
        guarded.refuses_with(400, &request).await;
    }
    // An absolute target does not stand in for the header (RFC 9112 section 3.2).
    let request = "GET http://a/evil HTTP/1.1\r\nX-A: b\r\n\r\n";
    guarded.refuses_with(400, request).await;
    for host in ["b", "a:80", "a.", ""] {
        let request = format!("GET http://a/evil HTTP/1.1\r\nHost: {host}\r\n\r\n");
        guarded.refuses_with(400, &request).await;
    }
}

// H1-12
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_line_that_lists_what_others_rely_on_is_refused() {
    let guarded = Guarded::start(&[]);
    let names = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Cookie",
        "Authorization",
        "X-Forwarded-For",
        "x-forwarded-proto",
        "X-Real-IP",
        "Forwarded",
        "Client-Cert",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-Verify",
    ];
    for name in names {
        guarded
            .refuses_fields(&[
                &format!("Connection: {name}"),
                &format!("Connection: keep-alive, {name}"),
                &format!("Connection: keep-alive\r\nConnection: x,\t{name}"),
            ])
            .await;
    }
    guarded
        .refuses_fields(&["Connection: close, \u{e4}, x"])
        .await;
}

// H1-15
#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_that_is_not_known_is_417() {
    let guarded = Guarded::start(&[]);
    for expect in [
        "200-ok",
        "100-continue, x",
        "100",
        "",
        "100-continue\r\nExpect: 100-continue",
    ] {
        let request = format!("GET /evil HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\n\r\n");
        guarded.refuses_with(417, &request).await;
    }
}
