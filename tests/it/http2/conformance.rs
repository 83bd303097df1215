//! RFC 9113 and RFC 7541 section by section, as the public conformance suites ask for it: one row
//! for each thing a client may or must not send, and what has to come back.

mod framing;
mod hpack;
mod messages;
mod streams;

use crate::support::frames::{
    END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame, get,
};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::sidecar::Served;

const ACK: u8 = 1;
/// A stream that no row uses.
const ANOTHER: u32 = 101;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;

/// A section, what is sent, its frames, and what must come.
type Row = (&'static str, &'static str, Vec<u8>, Comes);

/// What must come of frames.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// An answer with 200 on stream 1.
    Answer,
    /// Nothing that a PING behind them would not be answered after.
    Nothing,
    /// A RST_STREAM on stream 1; the connection is good for another stream.
    Reset(u32),
    /// A GOAWAY and a clean end.
    Goaway(u32),
}

/// The sidecar in front of an application that takes any body and says a bit more than a line.
fn served() -> (Hyper, Served) {
    let application = Hyper::http1(|request| async {
        let body = http_body_util::BodyExt::collect(request.into_body()).await;
        answer(
            if body.is_ok() { 200 } else { 500 },
            "0123456789".repeat(20),
        )
    });
    let served = Served::start(application.upstream(), &["--workers", "1"]);
    (application, served)
}

/// A connection on which both sides know the other's settings.
async fn settled(served: &Served) -> Frames {
    let mut frames = Frames::connect(served).await;
    frames.find(|f| f.kind == SETTINGS && f.flags == 0).await;
    frames.write(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    acknowledged(&mut frames).await;
    frames
}

/// Waits until the sidecar has taken our settings.
async fn acknowledged(frames: &mut Frames) {
    frames.find(|f| f.kind == SETTINGS && f.flags == ACK).await;
}

/// Waits until stream 1 has been answered to its end.
async fn answered(frames: &mut Frames) {
    let is_last = |f: &Frame| f.stream == 1 && f.kind < 2 && f.flags & END_STREAM != 0;
    frames.find(is_last).await;
}

/// Sends every row's frames on a connection of its own.
async fn hold(served: &Served, rows: &[Row]) {
    for row in rows {
        let mut frames = settled(served).await;
        say(&mut frames, row).await;
    }
}

/// Sends the frames of a row when the answer of a GET on stream 1 is complete.
async fn hold_once_answered(served: &Served, rows: &[Row]) {
    for row in rows {
        let mut frames = settled(served).await;
        frames.write(&get(1)).await.unwrap();
        answered(&mut frames).await;
        say(&mut frames, row).await;
    }
}

async fn say(frames: &mut Frames, (section, what, bytes, comes): &Row) {
    let row = format!("{section}: {what}: {comes:?}");
    frames.write(bytes).await.unwrap();
    match *comes {
        Comes::Answer => {
            let said = first_word(frames).await;
            assert_eq!((said.kind, said.stream), (HEADERS, 1), "{row}: {said:?}");
            // 0x88 is `:status: 200` in the static table.
            assert_eq!(said.payload[0], 0x88, "{row}: {said:?}");
        }
        Comes::Nothing => {
            let ping = frame(PING, 0, 0, b"anyone??");
            frames.write(&ping).await.unwrap();
            let said = first_word(frames).await;
            assert_eq!(said.kind, PING, "{row}: {said:?}");
            assert_eq!(
                (said.flags, &said.payload[..]),
                (ACK, &b"anyone??"[..]),
                "{row}"
            );
        }
        Comes::Reset(code) => {
            let said = first_word(frames).await;
            assert_eq!((said.kind, said.stream), (RST_STREAM, 1), "{row}: {said:?}");
            assert_eq!(said.code(), code, "{row}");
            frames.write(&get(ANOTHER)).await.unwrap();
            frames
                .find(|f| f.kind == HEADERS && f.stream == ANOTHER)
                .await;
        }
        Comes::Goaway(code) => assert_eq!(last_word(frames, &row).await, code, "{row}"),
    }
}

/// The next frame that is of a stream, or ends the connection, or answers a PING.
async fn first_word(frames: &mut Frames) -> Frame {
    let is_word = |f: &Frame| matches!(f.kind, HEADERS | RST_STREAM | GOAWAY | PING);
    frames.find(is_word).await
}

/// The code of the GOAWAY that is the last frame before a clean end.
async fn last_word(frames: &mut Frames, row: &str) -> u32 {
    let rest = frames.rest().await;
    let last = rest.last().unwrap_or_else(|| panic!("{row}: not a word"));
    assert_eq!(last.kind, GOAWAY, "{row}: {last:?}");
    last.code()
}
