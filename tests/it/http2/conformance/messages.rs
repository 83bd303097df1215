//! Requests as a sequence of frames: RFC 9113 section 8. Their fields are in `malformed`.

use super::{Comes, Row, STREAM_CLOSED, hold, served};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, block, frame, post, request,
};

const WHOLE: u8 = END_STREAM | END_HEADERS;

// H2-01: RFC 9113 section 8.1
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_head_a_body_and_trailers_that_end_it() {
    let (_application, served) = served();
    let body = frame(DATA, 0, 1, b"test");
    let trailers = |flags, fields: &[u8]| frame(HEADERS, flags, 1, fields);
    let sound = block(&[("x-test", "ok")]);
    let posted = |last: Vec<u8>| [post(1), body.clone(), last].concat();
    let head = |method| frame(HEADERS, WHOLE, 1, &request(method, "/", &[]));
    let again = [trailers(WHOLE, &sound), trailers(WHOLE, &sound)].concat();
    let rows: [Row; 9] = [
        ("8.1", "a head alone", head("GET"), Comes::Answer),
        ("8.1", "a HEAD", head("HEAD"), Comes::Answer),
        (
            "8.1",
            "a body",
            posted(frame(DATA, END_STREAM, 1, b"test")),
            Comes::Answer,
        ),
        (
            "8.1",
            "trailers",
            posted(trailers(WHOLE, &sound)),
            Comes::Answer,
        ),
        (
            "8.1",
            "trailers without a body",
            [post(1), trailers(WHOLE, &sound)].concat(),
            Comes::Answer,
        ),
        (
            "8.1",
            "trailers that end nothing",
            posted(trailers(END_HEADERS, &sound)),
            Comes::Reset(PROTOCOL_ERROR),
        ),
        (
            "8.1",
            "trailers twice",
            posted(again),
            Comes::Goaway(STREAM_CLOSED),
        ),
        (
            "8.2.2",
            "trailers of the connection",
            posted(trailers(WHOLE, &block(&[("connection", "close")]))),
            Comes::Reset(PROTOCOL_ERROR),
        ),
        (
            "8.2.1",
            "trailers in capitals",
            posted(trailers(WHOLE, &block(&[("X-Test", "ok")]))),
            Comes::Reset(PROTOCOL_ERROR),
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 8.1
#[tokio::test(flavor = "multi_thread")]
async fn trailers_have_no_pseudo_header_fields() {
    let (_application, served) = served();
    let posted = |fields: &[u8]| {
        let body = frame(DATA, 0, 1, b"test");
        [post(1), body, frame(HEADERS, WHOLE, 1, fields)].concat()
    };
    let wrong = Comes::Reset(PROTOCOL_ERROR);
    let late = block(&[("x", "y"), (":path", "/")]);
    // `:path: /x`, into the table with the head and out of it again behind the body.
    let head = b"\x83\x87\x41\x09localhost\x44\x02/x";
    let dynamic = [
        frame(HEADERS, END_HEADERS, 1, head),
        frame(DATA, 0, 1, b"test"),
        frame(HEADERS, WHOLE, 1, &[0xbe]),
    ]
    .concat();
    let rows: [Row; 7] = [
        (
            "8.1",
            ":method from the static table",
            posted(&[0x83]),
            wrong,
        ),
        (
            "8.1",
            ":path with a value of its own",
            posted(&[0x44, 2, b'/', b'x']),
            wrong,
        ),
        (
            "8.1",
            ":status in letters",
            posted(&block(&[(":status", "200")])),
            wrong,
        ),
        (
            "8.1",
            ":path, Huffman coded",
            posted(b"\x40\x84\xb9\x58\xd3\x3f\x01/"),
            wrong,
        ),
        (
            "8.1",
            "one that nobody knows",
            posted(&block(&[(":x", "y")])),
            wrong,
        ),
        ("8.3", "one behind another field", posted(&late), wrong),
        (
            "8.1",
            "one that only the dynamic table names",
            dynamic,
            wrong,
        ),
    ];
    hold(&served, &rows).await;
}
