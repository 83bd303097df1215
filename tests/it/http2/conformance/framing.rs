//! The preface, frames and their sizes, settings and flow control: RFC 9113 sections 3.4 to 4 and 6.

use super::{
    ACK, CANCEL, Comes, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Row, acknowledged, answered, hold,
    served, settled,
};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, post, request,
};

const PUSH_PROMISE: u8 = 5;
const UNKNOWN: u8 = 0x16;
const WINDOW: u8 = 4;

/// A POST on stream 1, and a frame behind it.
fn posted(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    [post(1), frame(kind, flags, 1, payload)].concat()
}

/// A GET on stream 1, and a frame behind it.
fn got(kind: u8, payload: &[u8]) -> Vec<u8> {
    [get(1), frame(kind, 0, 1, payload)].concat()
}

/// One setting, or the same one several times.
fn settings(id: u8, values: &[u32]) -> Vec<u8> {
    let mut payload = Vec::new();
    for value in values {
        payload.extend_from_slice(&[0, id]);
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

// H2-01: RFC 9113 section 3.4
#[tokio::test(flavor = "multi_thread")]
async fn settings_come_first_on_both_sides() {
    let (_application, served) = served();
    let mut frames = Frames::connect(&served).await;
    let first = frames.next().await.unwrap().unwrap();
    assert_eq!((first.kind, first.flags), (SETTINGS, 0));
    for wrong in [
        get(1),
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, ACK, 0, &[]),
        frame(UNKNOWN, 0, 0, &[]),
    ] {
        let mut frames = Frames::silent(&served).await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        frames.write(&[preface, &wrong[..]].concat()).await.unwrap();
        let rest = frames.rest().await;
        let last = rest.last().unwrap();
        assert_eq!(last.kind, GOAWAY, "{wrong:?}: {rest:?}");
        assert_eq!(last.code(), PROTOCOL_ERROR, "{wrong:?}");
    }
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_defined_is_ignored() {
    let (_application, served) = served();
    let reserved = 0x8000_0000;
    let all = [
        (1, 4096),
        (2, 1),
        (3, 100),
        (4, 65_535),
        (5, 16_384),
        (6, 100),
    ];
    let all: Vec<u8> = all
        .into_iter()
        .flat_map(|(id, value)| settings(id, &[value]).split_off(9))
        .collect();
    let rows: [Row; 9] = [
        (
            "4.1",
            "a frame of an unknown type",
            frame(UNKNOWN, 0, 0, &[0; 8]),
            Comes::Nothing,
        ),
        (
            "4.1",
            "an unknown flag",
            frame(SETTINGS, 0x16, 0, &[]),
            Comes::Nothing,
        ),
        (
            "4.1",
            "the reserved bit",
            frame(WINDOW_UPDATE, 0, reserved, &[0x80, 0, 0, 1]),
            Comes::Nothing,
        ),
        (
            "4.1",
            "the reserved bit of a stream",
            [
                post(1 | reserved),
                frame(DATA, END_STREAM, 1 | reserved, b"x"),
            ]
            .concat(),
            Comes::Answer,
        ),
        (
            "6.5",
            "every setting",
            frame(SETTINGS, 0, 0, &all),
            Comes::Nothing,
        ),
        (
            "6.5.2",
            "an unknown setting",
            settings(0xff, &[1]),
            Comes::Nothing,
        ),
        (
            "6.7",
            "an answer to no PING",
            frame(PING, ACK, 0, b"unasked?"),
            Comes::Nothing,
        ),
        (
            "7",
            "a reset for an unknown reason",
            posted(RST_STREAM, 0, &[0, 0, 0, 0xff]),
            Comes::Nothing,
        ),
        (
            "6.4",
            "a reset",
            posted(RST_STREAM, 0, &CANCEL.to_be_bytes()),
            Comes::Nothing,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_size_than_its_type_has_is_an_error_of_that_name() {
    let (_application, served) = served();
    let wrong = Comes::Goaway(FRAME_SIZE_ERROR);
    let rows: [Row; 17] = [
        (
            "4.2",
            "DATA of 2^14",
            posted(DATA, END_STREAM, &[b'x'; 16_384]),
            Comes::Answer,
        ),
        (
            "4.2",
            "DATA of 2^14 + 1",
            posted(DATA, END_STREAM, &[b'x'; 16_385]),
            wrong,
        ),
        (
            "4.2",
            "HEADERS of 2^14 + 1",
            frame(HEADERS, END_HEADERS, 1, &[0x82; 16_385]),
            wrong,
        ),
        (
            "6.3",
            "a PRIORITY of 4",
            got(PRIORITY, &[0x80, 0, 0, 1]),
            wrong,
        ),
        ("6.3", "a PRIORITY of 6", got(PRIORITY, &[0; 6]), wrong),
        ("6.4", "a RST_STREAM of 3", got(RST_STREAM, &[0; 3]), wrong),
        ("6.4", "a RST_STREAM of 5", got(RST_STREAM, &[0; 5]), wrong),
        (
            "6.5",
            "an acknowledgement of something",
            frame(SETTINGS, ACK, 0, &[0]),
            wrong,
        ),
        (
            "6.5",
            "an acknowledgement of 6",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            wrong,
        ),
        (
            "6.5",
            "SETTINGS of 3",
            frame(SETTINGS, 0, 0, &[0, 3, 0]),
            wrong,
        ),
        ("6.7", "a PING of 6", frame(PING, 0, 0, &[0; 6]), wrong),
        ("6.7", "a PING of 9", frame(PING, 0, 0, &[0; 9]), wrong),
        ("6.8", "a GOAWAY of 7", frame(GOAWAY, 0, 0, &[0; 7]), wrong),
        (
            "6.9",
            "a WINDOW_UPDATE of 3",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            wrong,
        ),
        (
            "6.9",
            "a WINDOW_UPDATE of 5 on a stream",
            got(WINDOW_UPDATE, &[0; 5]),
            wrong,
        ),
        (
            "6.1",
            "DATA with padding",
            posted(DATA, PADDED | END_STREAM, b"\x06testpadded"),
            Comes::Answer,
        ),
        (
            "6.1",
            "DATA with more padding than there is",
            posted(DATA, PADDED | END_STREAM, b"\x06test"),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_a_stream_is_on_one_and_a_frame_of_the_connection_on_none() {
    let (_application, served) = served();
    let wrong = Comes::Goaway(PROTOCOL_ERROR);
    let promise = [&[0, 0, 0, 3], &request("GET", "/", &[])[..]].concat();
    let rows: [Row; 9] = [
        ("6.1", "DATA", frame(DATA, END_STREAM, 0, b"test"), wrong),
        ("6.2", "HEADERS", get(0), wrong),
        (
            "6.3",
            "PRIORITY",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 255]),
            wrong,
        ),
        (
            "6.4",
            "RST_STREAM",
            frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]),
            wrong,
        ),
        (
            "6.5",
            "SETTINGS",
            frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100]),
            wrong,
        ),
        ("6.7", "PING", frame(PING, 0, 1, &[0; 8]), wrong),
        ("6.8", "GOAWAY", frame(GOAWAY, 0, 1, &[0; 8]), wrong),
        (
            "6.10",
            "CONTINUATION",
            frame(CONTINUATION, END_HEADERS, 0, &[]),
            wrong,
        ),
        (
            "8.4",
            "a promise",
            frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
            wrong,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 6.5.2
#[tokio::test(flavor = "multi_thread")]
async fn settings_out_of_their_range_end_the_connection() {
    let (_application, served) = served();
    let wrong = Comes::Goaway(PROTOCOL_ERROR);
    let rows: [Row; 6] = [
        ("6.5.2", "ENABLE_PUSH", settings(2, &[2]), wrong),
        (
            "6.5.2",
            "INITIAL_WINDOW_SIZE",
            settings(WINDOW, &[1 << 31]),
            Comes::Goaway(FLOW_CONTROL_ERROR),
        ),
        (
            "6.5.2",
            "too small a MAX_FRAME_SIZE",
            settings(5, &[16_383]),
            wrong,
        ),
        (
            "6.5.2",
            "too large a MAX_FRAME_SIZE",
            settings(5, &[1 << 24]),
            wrong,
        ),
        (
            "RFC 8441 3",
            "ENABLE_CONNECT_PROTOCOL",
            settings(8, &[2]),
            wrong,
        ),
        (
            "6.5.3",
            "settings that only need their acknowledgement",
            settings(2, &[0]),
            Comes::Nothing,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 section 6.9
#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_opened_by_something_and_never_beyond_its_limit() {
    let (_application, served) = served();
    let most = i32::MAX.to_be_bytes();
    let wide = [
        frame(WINDOW_UPDATE, 0, 1, &most),
        frame(WINDOW_UPDATE, 0, 1, &most),
    ]
    .concat();
    let open = [
        settings(WINDOW, &[0]),
        post(1),
        frame(WINDOW_UPDATE, 0, 1, &most),
    ]
    .concat();
    let rows: [Row; 6] = [
        (
            "6.9",
            "by one",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
            Comes::Nothing,
        ),
        (
            "6.9",
            "by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            Comes::Goaway(PROTOCOL_ERROR),
        ),
        (
            "6.9",
            "by nothing, on a stream",
            posted(WINDOW_UPDATE, 0, &[0; 4]),
            Comes::Reset(PROTOCOL_ERROR),
        ),
        (
            "6.9.1",
            "beyond 2^31 - 1",
            frame(WINDOW_UPDATE, 0, 0, &most).repeat(2),
            Comes::Goaway(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.1",
            "beyond 2^31 - 1, on a stream",
            [post(1), wide].concat(),
            Comes::Reset(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.2",
            "beyond 2^31 - 1, by a setting",
            [open, settings(WINDOW, &[1])].concat(),
            Comes::Goaway(FLOW_CONTROL_ERROR),
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 9113 sections 6.5.3, 6.9.1 and 6.9.2
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_keeps_to_the_window_as_it_changes() {
    let (_application, served) = served();
    // The last of several values counts; a window that shrank below nothing has to be made up for.
    for (sizes, first, then) in [(&[100, 1][..], 1, &[][..]), (&[3], 3, &[2])] {
        let mut frames = settled(&served).await;
        frames.write(&settings(WINDOW, sizes)).await.unwrap();
        acknowledged(&mut frames).await;
        frames.write(&get(1)).await.unwrap();
        let data = frames.find(|f| f.kind == DATA).await;
        assert_eq!(data.payload.len(), first, "{sizes:?}");
        if !then.is_empty() {
            frames.write(&settings(WINDOW, then)).await.unwrap();
            acknowledged(&mut frames).await;
            let by_two = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]);
            frames.write(&by_two).await.unwrap();
            let data = frames.find(|f| f.kind == DATA).await;
            assert_eq!(data.payload.len(), 1);
        }
        frames.write(&settings(WINDOW, &[1000])).await.unwrap();
        answered(&mut frames).await;
    }
    let mut frames = settled(&served).await;
    frames.write(&settings(WINDOW, &[0])).await.unwrap();
    acknowledged(&mut frames).await;
    frames.write(&get(1)).await.unwrap();
    frames.find(|f| f.kind == HEADERS).await;
    frames.write(&settings(WINDOW, &[1])).await.unwrap();
    let data = frames.find(|f| f.kind == DATA).await;
    assert_eq!(data.payload.len(), 1);
}
