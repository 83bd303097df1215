//! What may come on a stream in which state: RFC 9113 sections 5 and 6.

use super::{
    CANCEL, Comes, Row, STREAM_CLOSED, acknowledged, hold, hold_once_answered, served, settled,
};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PRIORITY, PROTOCOL_ERROR,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, post, request,
};

const PRIORITIZED: u8 = 0x20;
const WHOLE: u8 = END_STREAM | END_HEADERS;

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    let [a, b, c, d] = on.to_be_bytes();
    frame(PRIORITY, 0, stream, &[a, b, c, d, weight])
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

fn data(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, b"test")
}

/// The second half of a header block, without the first.
fn continuation(stream: u32) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, stream, &[0x40, 1, b'x', 1, b'y'])
}

// H2-01: RFC 9113 section 5.1
#[tokio::test(flavor = "multi_thread")]
async fn only_headers_and_priority_may_come_on_an_idle_stream() {
    let (_application, served) = served();
    let wrong = Comes::Goaway(PROTOCOL_ERROR);
    let window = |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 100]);
    let rows: [Row; 11] = [
        ("5.1", "DATA", data(1), wrong),
        ("5.1", "RST_STREAM", reset(1), wrong),
        ("5.1", "WINDOW_UPDATE", window(1), wrong),
        ("5.1", "CONTINUATION", continuation(1), wrong),
        ("5.1", "RST_STREAM on one of ours", reset(2), wrong),
        ("5.1", "WINDOW_UPDATE on one of ours", window(2), wrong),
        ("5.1.1", "HEADERS on one of ours", get(2), wrong),
        (
            "5.1.1",
            "HEADERS on one that was passed over",
            [get(5), get(3)].concat(),
            wrong,
        ),
        ("6.3", "PRIORITY", priority(1, 0, 255), Comes::Nothing),
        (
            "6.3",
            "PRIORITY, and HEADERS on one below",
            [priority(3, 1, 0), get(1)].concat(),
            Comes::Answer,
        ),
        (
            "5.3.1",
            "PRIORITY on itself",
            priority(1, 1, 255),
            Comes::Reset(PROTOCOL_ERROR),
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 5.1.1
#[tokio::test(flavor = "multi_thread")]
async fn the_last_stream_there_is_is_one_like_any_other() {
    let (_application, served) = served();
    let last = i32::MAX as u32;
    let mut frames = settled(&served).await;
    frames.write(&get(last)).await.unwrap();
    let head = frames.find(|f| f.kind == HEADERS).await;
    assert_eq!(head.stream, last);
}

// H2-01: RFC 9113 section 5.1
#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_of_a_request_may_come_once_its_stream_was_ended() {
    let (_application, served) = served();
    let after = |frame: Vec<u8>| [get(1), frame].concat();
    let rows: [Row; 6] = [
        ("5.1", "DATA", after(data(1)), Comes::Reset(STREAM_CLOSED)),
        (
            "5.1",
            "HEADERS",
            after(get(1)),
            Comes::Goaway(STREAM_CLOSED),
        ),
        (
            "5.1",
            "CONTINUATION",
            after(continuation(1)),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
        ("5.1", "RST_STREAM", after(reset(1)), Comes::Nothing),
        (
            "6.9",
            "WINDOW_UPDATE",
            after(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
            Comes::Answer,
        ),
        ("6.3", "PRIORITY", after(priority(1, 0, 255)), Comes::Answer),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 5.1
#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_may_come_on_a_stream_that_was_reset() {
    let (_application, served) = served();
    let after = |frame: Vec<u8>| [post(1), reset(1), frame].concat();
    let rows: [Row; 4] = [
        ("5.1", "DATA", after(data(1)), Comes::Reset(STREAM_CLOSED)),
        (
            "5.1",
            "HEADERS",
            after(get(1)),
            Comes::Goaway(STREAM_CLOSED),
        ),
        (
            "5.1",
            "CONTINUATION",
            after(continuation(1)),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
        (
            "6.3",
            "PRIORITY",
            after(priority(1, 0, 255)),
            Comes::Nothing,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 5.1
#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_have_been_on_its_way_may_come_on_a_stream_that_was_answered() {
    let (_application, served) = served();
    let rows: [Row; 6] = [
        ("5.1", "DATA", data(1), Comes::Reset(STREAM_CLOSED)),
        ("5.1", "HEADERS", get(1), Comes::Goaway(STREAM_CLOSED)),
        (
            "5.1",
            "CONTINUATION",
            continuation(1),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
        ("5.1", "RST_STREAM", reset(1), Comes::Nothing),
        (
            "5.1",
            "WINDOW_UPDATE",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            Comes::Nothing,
        ),
        ("6.3", "PRIORITY", priority(1, 0, 255), Comes::Nothing),
    ];
    hold_once_answered(&served, &rows).await;
}

// H2-01: RFC 9113 section 6.2
#[tokio::test(flavor = "multi_thread")]
async fn padding_and_priority_of_headers_are_passed_over_when_they_are_sound() {
    let (_application, served) = served();
    let block = request("GET", "/", &[]);
    let headers = |flags, before: &[u8], after: &[u8]| {
        frame(HEADERS, WHOLE | flags, 1, &[before, &block, after].concat())
    };
    let rows: [Row; 6] = [
        (
            "6.2",
            "padding",
            headers(PADDED, &[8], &[0; 8]),
            Comes::Answer,
        ),
        (
            "6.2",
            "more padding than there is",
            headers(PADDED, &[255], &[]),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "priority",
            headers(PRIORITIZED, &[0, 0, 0, 0, 255], &[]),
            Comes::Answer,
        ),
        (
            "6.2",
            "exclusive priority",
            headers(PRIORITIZED, &[0x80, 0, 0, 0, 0], &[]),
            Comes::Answer,
        ),
        (
            "5.3.1",
            "priority on itself",
            headers(PRIORITIZED, &[0, 0, 0, 1, 255], &[]),
            Comes::Reset(PROTOCOL_ERROR),
        ),
        (
            "6.2",
            "both",
            headers(PADDED | PRIORITIZED, &[2, 0, 0, 0, 0, 9], &[0; 2]),
            Comes::Answer,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 sections 4.3 and 6.10
#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_is_in_one_piece_or_in_pieces_behind_each_other() {
    let (_application, served) = served();
    let block = request("GET", "/", &[("x", "y")]);
    let begun = frame(HEADERS, END_STREAM, 1, &block[..5]);
    let more = |flags, piece: &[u8]| frame(CONTINUATION, flags, 1, piece);
    let whole = [begun.clone(), more(END_HEADERS, &block[5..])].concat();
    let behind = |wrong: Vec<u8>| [begun.clone(), wrong, more(END_HEADERS, &block[5..])].concat();
    let wrong = Comes::Goaway(PROTOCOL_ERROR);
    let rows: [Row; 9] = [
        ("6.10", "two pieces", whole.clone(), Comes::Answer),
        (
            "6.10",
            "three",
            [
                begun.clone(),
                more(0, &block[5..10]),
                more(END_HEADERS, &block[10..]),
            ]
            .concat(),
            Comes::Answer,
        ),
        ("6.10", "an empty one", behind(more(0, &[])), Comes::Answer),
        (
            "6.10",
            "one too many",
            [whole, continuation(1)].concat(),
            wrong,
        ),
        (
            "4.3",
            "PRIORITY between",
            behind(priority(1, 0, 255)),
            wrong,
        ),
        (
            "4.3",
            "HEADERS of another stream between",
            behind(get(3)),
            wrong,
        ),
        (
            "5.5",
            "an unknown frame between",
            behind(frame(0x16, 0, 0, &[0; 8])),
            wrong,
        ),
        ("6.10", "DATA between", behind(data(1)), wrong),
        (
            "6.10",
            "a piece of no stream between",
            behind(continuation(0)),
            wrong,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 sections 6.8 and 7
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_let_go_whatever_its_reason() {
    let (_application, served) = served();
    for code in [0, 0xff] {
        let mut frames = settled(&served).await;
        let goaway = [0, 0, 0, 0, 0, 0, 0, code, b'b', b'y', b'e'];
        frames.write(&frame(GOAWAY, 0, 0, &goaway)).await.unwrap();
        frames.rest().await;
    }
}

// H2-01: RFC 9113 section 5.1
#[tokio::test(flavor = "multi_thread")]
async fn a_window_opens_for_an_answer_on_a_stream_its_client_has_ended() {
    let (_application, served) = served();
    let by_one = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    for before in [Vec::new(), priority(1, 0, 255)] {
        let mut frames = settled(&served).await;
        let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        frames.write(&closed).await.unwrap();
        acknowledged(&mut frames).await;
        let bytes = [get(1), before, by_one.clone()].concat();
        frames.write(&bytes).await.unwrap();
        let data = frames.find(|f| f.kind == DATA).await;
        assert_eq!(data.payload.len(), 1);
    }
}
