//! How the sidecar takes its leave, and how it finds out that a client took none.

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::frames::{END_STREAM, Frames, GOAWAY, HEADERS, PING, frame, get};
use crate::support::hyper_application::Hyper;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually_async};

const ACK: u8 = 1;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn last_stream(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

// H2-12: RFC 9113 section 6.8.
#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_comes_in_two_steps_and_what_came_between_is_answered() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "finished");
    let served = Served::start(application.upstream(), &["--drain-delay", "10m"]);
    let mut frames = Frames::connect(&served).await;
    frames.write(&get(1)).await.unwrap();
    eventually_async("the first request", PATIENCE, || gate.waiting() == 1).await;
    served.sidecar.signal(Signal::TERM);
    let first = frames.find(|frame| frame.kind == GOAWAY).await;
    assert_eq!(
        (last_stream(&first.payload), first.code()),
        (i32::MAX as u32, 0)
    );
    // On its way before the client knew.
    frames.write(&get(3)).await.unwrap();
    eventually_async("the second request", PATIENCE, || gate.waiting() == 2).await;
    let ping = frames
        .find(|frame| frame.kind == PING && frame.flags & ACK == 0)
        .await;
    frames
        .write(&frame(PING, ACK, 0, &ping.payload))
        .await
        .unwrap();
    let second = frames.find(|frame| frame.kind == GOAWAY).await;
    assert_eq!((last_stream(&second.payload), second.code()), (3, 0));
    gate.open();
    let rest = frames.rest().await;
    for stream in [1, 3] {
        let of = |kind| {
            rest.iter()
                .filter(move |frame| (frame.stream, frame.kind) == (stream, kind))
        };
        assert_eq!(of(HEADERS).count(), 1, "{rest:?}");
        let ended = rest
            .iter()
            .any(|f| f.stream == stream && f.flags & END_STREAM != 0);
        assert!(ended, "{rest:?}");
    }
}

// H2-12
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_asked_whether_it_is_there() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--keepalive-interval", "1s"]);
    let mut frames = Frames::connect(&served).await;
    frames.write(&get(1)).await.unwrap();
    for _ in 0..2 {
        let ping = frames
            .find(|frame| frame.kind == PING && frame.flags & ACK == 0)
            .await;
        frames
            .write(&frame(PING, ACK, 0, &ping.payload))
            .await
            .unwrap();
    }
}
