//! Header blocks as they are written: RFC 7541.

use super::{COMPRESSION_ERROR, Comes, Row, hold, served, settled};
use crate::support::frames::{END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame};

/// GET https://localhost/, with the indices of RFC 7541 appendix A.
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
const AGENT: &[u8] = b"\x0auser-agent\x04test";
/// The same, Huffman coded.
const AGENT_CODED: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x83\x49\x50\x9f";

/// A GET on stream 1 whose header block has more before and behind.
fn get(before: &[u8], behind: &[u8]) -> Vec<u8> {
    let block = [before, GET, behind].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)
}

/// A GET whose last field is literal, in the representation that `first` stands for.
fn literal(first: u8, field: &[u8]) -> Vec<u8> {
    get(&[], &[&[first], field].concat())
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_understood_in_every_representation() {
    let (_application, served) = served();
    let rows: [Row; 13] = [
        ("6.1", "indexed", get(&[], &[0xba]), Comes::Answer),
        (
            "6.2.1",
            "with incremental indexing",
            literal(0x40, AGENT),
            Comes::Answer,
        ),
        (
            "6.2.1",
            "with incremental indexing, coded",
            literal(0x40, AGENT_CODED),
            Comes::Answer,
        ),
        (
            "6.2.1",
            "with incremental indexing, by index",
            literal(0x7a, b"\x04test"),
            Comes::Answer,
        ),
        (
            "6.2.2",
            "without indexing",
            literal(0, AGENT),
            Comes::Answer,
        ),
        (
            "6.2.2",
            "without indexing, coded",
            literal(0, AGENT_CODED),
            Comes::Answer,
        ),
        (
            "6.2.2",
            "without indexing, by index",
            literal(0x0f, b"\x2b\x04test"),
            Comes::Answer,
        ),
        (
            "6.2.3",
            "never indexed",
            literal(0x10, AGENT),
            Comes::Answer,
        ),
        (
            "6.2.3",
            "never indexed, coded",
            literal(0x10, AGENT_CODED),
            Comes::Answer,
        ),
        (
            "6.2.3",
            "never indexed, by index",
            literal(0x1f, b"\x2b\x04test"),
            Comes::Answer,
        ),
        (
            "2.3.3",
            "from the dynamic table",
            get(&[], b"\x40\x01x\x01y\xbe"),
            Comes::Answer,
        ),
        (
            "6.3",
            "behind a size of the table",
            get(&[0x20], &[]),
            Comes::Answer,
        ),
        (
            "4.2",
            "behind two sizes of the table",
            get(b"\x3f\x61\x3f\xe1\x1f", &[]),
            Comes::Answer,
        ),
    ];
    hold(&served, &rows).await;
}

// H2-01
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_cannot_be_read_ends_the_connection() {
    let (_application, served) = served();
    let wrong = Comes::Goaway(COMPRESSION_ERROR);
    let bare = |block: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, block);
    let rows: [Row; 14] = [
        (
            "2.3.3",
            "an index beyond both tables",
            get(&[], &[0xc6]),
            wrong,
        ),
        (
            "2.3.3",
            "a name beyond both tables",
            get(&[], b"\x7f\x07\0"),
            wrong,
        ),
        (
            "2.3.3",
            "a field that a table without room has not kept",
            get(&[0x20], b"\x40\x01x\x01y\xbe"),
            wrong,
        ),
        ("6.1", "index 0", get(&[], &[0x80]), wrong),
        (
            "4.2",
            "a size of the table at the end",
            get(&[], &[0x21]),
            wrong,
        ),
        (
            "6.3",
            "a size larger than the settings have",
            get(b"\x3f\xe2\x1f", &[]),
            wrong,
        ),
        (
            "5.2",
            "padding longer than 7 bits",
            literal(0, b"\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
            wrong,
        ),
        (
            "5.2",
            "padding of zeros",
            literal(0, b"\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
            wrong,
        ),
        (
            "5.2",
            "the end of a string in a string",
            literal(0, b"\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f"),
            wrong,
        ),
        (
            "5.1",
            "a number without end",
            bare(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0f"),
            wrong,
        ),
        (
            "5.2",
            "a string longer than the block",
            get(&[], b"\0\x7f\xff\xff\x01"),
            wrong,
        ),
        (
            "5.2",
            "a name and nothing more",
            get(&[], b"\x40\x01x"),
            wrong,
        ),
        (
            "4.3",
            "a representation and nothing more",
            bare(&[0x40]),
            wrong,
        ),
        ("6.2.1", "an index cut off", get(&[], &[0x7f]), wrong),
    ];
    hold(&served, &rows).await;
}

// H2-01: RFC 7541 section 4.2
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_obeys_the_size_of_the_table_that_its_client_has() {
    let (_application, served) = served();
    let mut frames = settled(&served).await;
    let none = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
    frames.write(&none).await.unwrap();
    frames.write(&get(&[], &[])).await.unwrap();
    let head = frames.find(|f| f.kind == HEADERS).await;
    assert_eq!(head.payload[..2], [0x20, 0x88]);
}
