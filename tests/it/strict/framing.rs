//! Where the body ends: Content-Length and Transfer-Encoding.

use super::{GOOD, Guarded};

// H1-01
#[tokio::test(flavor = "multi_thread")]
async fn both_a_length_and_a_transfer_coding_are_refused() {
    let guarded = Guarded::start(&[]);
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "transfer-encoding: chunked\r\nCONTENT-LENGTH: 30",
    ] {
        // CL.TE and TE.CL: either reading would find a request in the body.
        let request =
            format!("POST /evil HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n0\r\n\r\n{GOOD}");
        guarded.refuses_with(400, &request).await;
    }
}

// H1-02
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_coding_other_than_one_chunked_is_refused() {
    let guarded = Guarded::start(&[]);
    let codings = [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        ",chunked",
        "chunked,",
        "chunked;q=1",
        "\"chunked\"",
        "xchunked",
        "chunkedx",
        "chunk",
        "",
        " chunked",
        "\tchunked",
        "chunked ",
        "chunked\t",
        "chunked\u{b}",
        "\u{b}chunked",
        "\u{0}chunked",
        "chunked\u{0}",
        "\u{ff}chunked",
        "chun\r\n ked",
        "\r\n chunked",
        "\r\n\tchunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "x\r\ntransfer-encoding: chunked",
    ];
    for coding in codings {
        let request = format!(
            "POST /evil HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
        );
        guarded.refuses_with(400, &request).await;
    }
    guarded
        .refuses_fields(&[
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            " Transfer-Encoding: chunked",
            "Transfer-Encoding\u{0}: chunked",
            "X: y\rTransfer-Encoding: chunked",
            "X: y\nTransfer-Encoding: chunked",
        ])
        .await;
}

// H1-03
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_coding_in_http_1_0_is_refused() {
    let guarded = Guarded::start(&[]);
    let request =
        "POST /evil HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    guarded.refuses_with(400, request).await;
}

// H1-04
#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_not_one_decimal_number_is_refused() {
    let guarded = Guarded::start(&[]);
    for length in [
        "5\r\nContent-Length: 5",
        "5\r\ncontent-length: 6",
        "5, 5",
        "5,5",
        "5,6",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5 5",
        "5 ",
        "5\t",
        "\t5",
        "",
        "05",
        "00",
        "5.0",
        "5e1",
        "5;x",
        "5_0",
        "\"5\"",
        "five",
        "\u{ff15}",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let request = format!(
            "POST /evil HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nhello"
        );
        guarded.refuses_with(400, &request).await;
    }
}

// H1-13
#[tokio::test(flavor = "multi_thread")]
async fn framing_headers_with_an_underscore_are_not_passed_on() {
    let guarded = Guarded::start(&[]);
    let mut wire = guarded
        .served
        .client()
        .http1(guarded.served.address())
        .await
        .unwrap();
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
        Content_Length: 7\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 6.6.6.6\r\n\r\nok";
    wire.write(request).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let heard = guarded.application.all_received().concat().to_lowercase();
    assert!(!heard.contains('_'), "{heard}");
}
