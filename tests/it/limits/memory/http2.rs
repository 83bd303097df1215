//! The same over HTTP/2, where one connection has many requests and windows of its own.

use std::future::pending;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::{Method, Request};
use http_body_util::BodyExt as _;

use super::{MIB, own_memory};
use crate::support::background::Gate;
use crate::support::frames::{
    Frames, HEADERS, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get,
};
use crate::support::h1::Wire;
use crate::support::h2::{H2, whole};
use crate::support::hyper_application::{Body, Hyper, answer};
use crate::support::requests::{self, once_still};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

static LARGE: [u8; 8 * 1024 * 1024] = [0; 8 * 1024 * 1024];
const LIMIT: [&str; 4] = ["--max-memory", "64MiB", "--workers", "1"];

/// `/small` is two bytes, and everything else is long; uploads are taken at `/taken` alone.
async fn application(request: Request<hyper::body::Incoming>) -> http::Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/taken") => {
            let upload = request.into_body().collect().await.unwrap();
            answer(200, upload.to_bytes().len().to_string())
        }
        (&Method::POST, _) => pending().await,
        (_, "/small") => answer(200, "ok"),
        _ => answer(200, Bytes::from_static(&LARGE)),
    }
}

/// A client that asks `streams` times at once, grants `window` to each answer, and reads nothing.
async fn reader(served: &Served, streams: u32, window: u32) -> Frames {
    let mut frames = Frames::silent(served).await;
    let initial = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &initial));
    if let Some(more) = window.checked_sub(65_535).filter(|more| *more > 0) {
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()));
    }
    bytes.extend((0..streams).flat_map(|n| get(2 * n + 1)));
    // Whoever asks for too much may be gone before it has said all.
    let _ = frames.write(&bytes).await;
    frames
}

async fn until_asked(application: &Hyper, least: usize) {
    eventually_async("the application is asked", PATIENCE, || {
        application.asked().len() >= least
    })
    .await;
}

/// Whether all that `served` takes, until nothing changes any more, fits its limit.
async fn assert_fits(served: &Served) {
    let id = served.sidecar.id();
    let mut most = 0;
    once_still("memory", || {
        let now = own_memory(id);
        most = most.max(now);
        // Connections and timers of its own move a page now and then.
        now / MIB
    })
    .await;
    assert!(most < 64 * MIB, "{} MiB", most / MIB);
}

/// Whether a client that reads is served.
async fn assert_serves(served: &Served) {
    let client = served.client();
    let mut wire: Wire<_> = client.http1(served.address()).await.unwrap();
    // Requests of those who have gone may be held for a moment more.
    let answered = async {
        loop {
            wire.write(requests::get("/small")).await.unwrap();
            if wire.response().await.unwrap().status == 200 {
                return;
            }
        }
    };
    within("an answer", answered).await;
}

async fn assert_readers_fit(application: Hyper, connections: usize, streams: u32, window: u32) {
    let served = Served::start(application.upstream(), &LIMIT);
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(reader(&served, streams, window).await);
    }
    until_asked(&application, 200).await;
    assert_fits(&served).await;
    drop(open);
    assert_serves(&served).await;
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_grant_nothing_fit_the_limit_of_memory() {
    assert_readers_fit(Hyper::http1(application), 300, 128, 0).await;
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_grant_all_and_are_not_read_fit_the_limit_of_memory() {
    assert_readers_fit(Hyper::http1(application), 8, 128, (1 << 31) - 1).await;
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_an_http2_application_fit_the_limit_of_memory() {
    assert_readers_fit(Hyper::h2c(application), 300, 8, (1 << 31) - 1).await;
}

/// As many clients with four uploads each as there are `connections`, none of which is taken.
async fn untaken(served: &Served, connections: usize) -> Vec<(ResponseFuture, SendStream<Bytes>)> {
    let mut open = Vec::new();
    for _ in 0..connections {
        let h2 = served.client().h2(served.address()).await.unwrap();
        for _ in 0..4 {
            // As much as is granted goes out, and the rest waits in this client.
            open.push(upload(&h2, "/", &LARGE).await);
        }
    }
    open
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn uploads_over_http2_that_nobody_takes_fit_the_limit_of_memory() {
    let application = Hyper::http1(application);
    let served = Served::start(application.upstream(), &LIMIT);
    let open = untaken(&served, 200).await;
    until_asked(&application, 50).await;
    assert_fits(&served).await;
    drop(open);
    assert_serves(&served).await;
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_taken_goes_on_while_others_have_the_memory() {
    let application = Hyper::http1(application);
    let served = Served::start(application.upstream(), &LIMIT);
    // Fewer than may be at the application, of a megabyte and more each.
    let open = untaken(&served, 50).await;
    until_asked(&application, 20).await;
    assert_fits(&served).await;
    for (answer, _body) in [
        upload(
            &served.client().h2(served.address()).await.unwrap(),
            "/taken",
            &LARGE,
        )
        .await,
        upload(
            &served.client().h2(served.address()).await.unwrap(),
            "/taken",
            b"little",
        )
        .await,
    ] {
        let answer = within("an answer", whole(answer)).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    drop(open);
    assert_serves(&served).await;
}

// What h2 has thrown away is no memory.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_were_refused_leave_room_for_others() {
    let application = Hyper::http1(application);
    let served = Served::start(application.upstream(), &LIMIT);
    let mut open = Vec::new();
    for _ in 0..10 {
        let h2 = served.client().h2(served.address()).await.unwrap();
        for _ in 0..4 {
            let mut refused = Request::post("https://localhost/").body(()).unwrap();
            *refused.method_mut() = Method::from_bytes(b"post").unwrap();
            let mut send = within("a stream", h2.send.clone().ready()).await.unwrap();
            let (answer, mut body) = send.send_request(refused, false).unwrap();
            let _ = body.send_data(Bytes::from_static(&LARGE[..256 * 1024]), false);
            let answer = within("an answer", answer).await.unwrap();
            assert_eq!(answer.status(), 400);
        }
        open.push(h2);
    }
    let h2 = served.client().h2(served.address()).await.unwrap();
    let (answer, _body) = upload(&h2, "/taken", &LARGE).await;
    let answer = within("an answer", whole(answer)).await.unwrap();
    assert_eq!(answer.status, 200);
}

async fn upload(h2: &H2, path: &str, bytes: &'static [u8]) -> (ResponseFuture, SendStream<Bytes>) {
    let post = Request::post(format!("https://localhost{path}"));
    let mut send = within("a stream", h2.send.clone().ready()).await.unwrap();
    let (answer, mut body) = send.send_request(post.body(()).unwrap(), false).unwrap();
    let _ = body.send_data(Bytes::from_static(bytes), path == "/taken");
    (answer, body)
}

/// A client that knows how many streams it may have open.
async fn allowed(served: &Served) -> (Frames, u32) {
    let mut frames = Frames::connect(served).await;
    let settings = frames.find(|frame| frame.kind == SETTINGS).await;
    let mut settings = settings.payload.chunks_exact(6);
    let streams = settings.find(|setting| setting[..2] == [0, 3]).unwrap();
    let streams = u32::from_be_bytes(streams[2..].try_into().unwrap());
    (frames, streams)
}

// RES-04
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_memory_for_it_is_refused_and_good_when_others_have_ended() {
    // What 16 MiB allow.
    const REQUESTS: u32 = 112;
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "ok");
    let limit = ["--max-memory", "16MiB", "--workers", "1"];
    let patience = ["--upstream-connect-timeout", "1m"];
    let served = Served::start(application.upstream(), &[&limit[..], &patience].concat());
    let mut clients = Vec::new();
    let mut asked = 0;
    while asked <= REQUESTS {
        let (mut frames, streams) = allowed(&served).await;
        for n in 0..streams {
            frames.write(&get(2 * n + 1)).await.unwrap();
        }
        asked += streams;
        clients.push((frames, 2 * streams + 1));
    }
    let (mut last, next) = clients.pop().unwrap();
    let refused = last.find(|frame| frame.kind == RST_STREAM).await;
    assert_eq!(refused.code(), REFUSED_STREAM);
    let record = served
        .sidecar
        .wait_for_log("the refusal", |line| line["flag"] == "max_memory");
    assert_eq!(record["http.response.status_code"], 503);
    gate.open();
    for (frames, _) in &mut clients {
        frames.find(|frame| frame.kind == HEADERS).await;
    }
    last.write(&get(next)).await.unwrap();
    last.find(|frame| frame.kind == HEADERS && frame.stream == next)
        .await;
}
