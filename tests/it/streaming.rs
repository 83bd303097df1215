//! Bodies that are large, slow or endless: in full, in order, in bounded memory.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use tempfile::NamedTempFile;

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::{chunk, curl_at, get, once_still, post_chunked, resident_memory};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

const MIB: u64 = 1 << 20;
/// More than every buffer between a client and its application together.
const TOO_MUCH: u64 = 400 * MIB;
/// What may be on its way: socket buffers of the kernel on both sides, and ours.
const ON_ITS_WAY: u64 = 64 * MIB;
/// Of the proxy, however much is sent.
const MEMORY: u64 = 64 * MIB;

/// 100 MB without a period, the same for the same seed.
fn large(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; 100_000_000];
    random.fill(&mut bytes);
    bytes
}

/// Equal without printing 100 MB when not.
fn assert_same(received: &[u8], sent: &[u8]) {
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "the bytes differ");
}

fn assert_bounded(served: &Served, on_its_way: u64) {
    assert!(on_its_way < ON_ITS_WAY, "{on_its_way} bytes on their way");
    let memory = resident_memory(served.sidecar.id());
    assert!(memory < MEMORY, "the proxy holds {memory} bytes");
}

#[test]
fn a_large_upload_arrives_as_it_was_sent() {
    let application = Hyper::http1(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_same(&body, &large(1));
        answer(200, "the same")
    });
    let served = Served::start(application.upstream(), &[]);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&large(1)).unwrap();
    let path = file.path().to_str().unwrap();
    for version in ["--http1.1", "--http2"] {
        let Some(output) = curl_at(&served, "/", &[version, "--upload-file", path]) else {
            return;
        };
        assert_eq!(output.stdout, b"the same", "{version}: {output:?}");
    }
    let memory = resident_memory(served.sidecar.id());
    assert!(memory < MEMORY, "the proxy holds {memory} bytes");
}

#[test]
fn a_large_answer_arrives_as_it_was_sent() {
    let sent = Bytes::from(large(2));
    let body = sent.clone();
    let application = Hyper::http1(move |request| {
        let body = body.clone();
        async move {
            if request.uri().path() == "/declared" {
                return answer(200, body);
            }
            let (mut sender, chunked) = Channel::new(1);
            tokio::spawn(async move {
                for piece in body.chunks(100_000) {
                    sender.send_data(body.slice_ref(piece)).await.unwrap();
                }
            });
            http::Response::new(chunked.boxed())
        }
    });
    let served = Served::start(application.upstream(), &[]);
    for version in ["--http1.1", "--http2"] {
        for path in ["/declared", "/chunked"] {
            let Some(output) = curl_at(&served, path, &[version]) else {
                return;
            };
            assert!(output.status.success(), "{version} {path}");
            assert_same(&output.stdout, &sent);
        }
    }
    let memory = resident_memory(served.sidecar.id());
    assert!(memory < MEMORY, "the proxy holds {memory} bytes");
}

/// An application that reads a head and then nothing of the body until `gate` opens.
fn not_reading(gate: &Gate) -> (Raw, Arc<AtomicU64>) {
    let gate = gate.clone();
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    let application = Raw::tcp(move |mut conn| {
        let (gate, read) = (gate.clone(), Arc::clone(&counted));
        async move {
            conn.read_head().await.unwrap();
            gate.pass().await;
            while let Ok(bytes) = conn.read_until(b"\r\n").await {
                read.fetch_add(bytes.len() as u64, Relaxed);
            }
        }
    });
    (application, read)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_read_holds_back_an_http1_upload() {
    let gate = Gate::closed();
    let (application, _) = not_reading(&gate);
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(post_chunked("/")).await.unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let upload = tokio::spawn(async move {
        let piece = chunk(&[b'x'; 65_536]);
        while counted.load(Relaxed) < TOO_MUCH {
            wire.write(&piece).await.unwrap();
            counted.fetch_add(piece.len() as u64, Relaxed);
        }
    });
    let on_its_way = once_still("the upload is held", || sent.load(Relaxed)).await;
    assert_bounded(&served, on_its_way);
    upload.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_read_holds_back_an_http2_upload() {
    let gate = Gate::closed();
    let (application, read) = not_reading(&gate);
    let served = Served::start(application.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::post("https://localhost/").body(()).unwrap();
    let (_answer, mut body) = ready.send_request(request, false).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let upload = tokio::spawn(async move {
        while counted.load(Relaxed) < TOO_MUCH {
            body.reserve_capacity(65_536);
            let granted = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
            let granted = granted.unwrap().unwrap();
            let piece = [&vec![b'x'; granted - 1][..], b"\n"].concat();
            body.send_data(piece.into(), false).unwrap();
            counted.fetch_add(granted as u64, Relaxed);
        }
    });
    let on_its_way = once_still("the upload is held", || sent.load(Relaxed)).await;
    assert_bounded(&served, on_its_way);
    // It goes on as soon as the application does.
    gate.open();
    let what = "the application reads on";
    eventually_async(what, PATIENCE, || read.load(Relaxed) > on_its_way).await;
    upload.abort();
}

/// An application that answers with as much as it can, and how much that was.
fn pouring() -> (Raw, Arc<AtomicU64>) {
    let written = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&written);
    let application = Raw::tcp(move |mut conn| {
        let written = Arc::clone(&counted);
        async move {
            conn.read_head().await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {TOO_MUCH}\r\n\r\n");
            conn.write(head).await.unwrap();
            let piece = vec![b'x'; 65_536];
            while written.load(Relaxed) < TOO_MUCH && conn.write(&piece).await.is_ok() {
                written.fetch_add(65_536, Relaxed);
            }
        }
    });
    (application, written)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http1_client_that_does_not_read_holds_back_the_application() {
    let (application, written) = pouring();
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(get("/")).await.unwrap();
    let on_its_way = once_still("the answer is held", || written.load(Relaxed)).await;
    assert_bounded(&served, on_its_way);
    let head = wire.response_head().await.unwrap();
    assert_eq!(
        head.header("content-length"),
        Some(TOO_MUCH.to_string().as_str())
    );
    let mut left = TOO_MUCH;
    while left > 0 {
        let piece = left.min(MIB);
        let length = usize::try_from(piece).unwrap();
        within("the rest", wire.read_exact(length)).await.unwrap();
        left -= piece;
    }
    assert_bounded(&served, 0);
}

// H2-09
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_that_does_not_read_holds_back_the_application() {
    let (application, written) = pouring();
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let response = within("a head", h2.get("/").await.unwrap()).await.unwrap();
    let on_its_way = once_still("the answer is held", || written.load(Relaxed)).await;
    assert_bounded(&served, on_its_way);
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(data) = within("the rest", body.data()).await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
        received += length as u64;
    }
    assert_eq!(received, TOO_MUCH);
    assert_bounded(&served, 0);
}

fn echo() -> [Hyper; 2] {
    let echo = |request: Request<hyper::body::Incoming>| async {
        http::Response::new(request.into_body().map_err(std::io::Error::other).boxed())
    };
    [Hyper::http1(echo), Hyper::h2c(echo)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_back_over_http1_before_the_request_ends() {
    for application in echo() {
        let served = Served::start(application.upstream(), &[]);
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(post_chunked("/")).await.unwrap();
        wire.write(chunk(b"begin")).await.unwrap();
        let head = wire.response_head().await.unwrap();
        assert_eq!(head.status, 200);
        within("the echo", wire.read_until(b"begin\r\n"))
            .await
            .unwrap();
        for n in 0..100 {
            let word = format!("word {n}.");
            wire.write(chunk(word.as_bytes())).await.unwrap();
            let end = format!("{word}\r\n");
            within("the echo", wire.read_until(end.as_bytes()))
                .await
                .unwrap();
        }
        wire.write("0\r\n\r\n").await.unwrap();
        within("the end", wire.read_until(b"0\r\n\r\n"))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_back_over_http2_before_the_request_ends() {
    for application in echo() {
        let served = Served::start(application.upstream(), &[]);
        let h2 = served.client().h2(served.address()).await.unwrap();
        let mut ready = h2.send.clone().ready().await.unwrap();
        let request = Request::builder()
            .method(Method::POST)
            .uri("https://localhost/")
            .body(())
            .unwrap();
        let (response, mut upload) = ready.send_request(request, false).unwrap();
        upload.send_data("begin".into(), false).unwrap();
        let mut echo = within("a head", response).await.unwrap().into_body();
        assert_eq!(
            within("the echo", echo.data()).await.unwrap().unwrap(),
            "begin"
        );
        for n in 0..100 {
            let word = format!("word {n}.");
            upload.send_data(word.clone().into(), false).unwrap();
            let back = within("the echo", echo.data()).await.unwrap().unwrap();
            assert_eq!(back, word);
        }
        upload.send_data(Bytes::new(), true).unwrap();
        while let Some(data) = within("the end", echo.data()).await {
            assert!(data.unwrap().is_empty());
        }
    }
}

/// What is said to be sent, what is before a client stops, and what comes then.
const LENGTH: usize = 16 * MIB as usize;
const STOPS: [usize; 3] = [3 * MIB as usize + 7, 1, 5 * MIB as usize];

/// An application that counts an upload as it comes.
fn counting() -> (Hyper, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let application = Hyper::http1(move |request| {
        let counted = Arc::clone(&counted);
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let length = frame.unwrap().data_ref().map_or(0, Bytes::len);
                counted.fetch_add(length as u64, Relaxed);
            }
            answer(200, "all of it")
        }
    });
    (application, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_http1_that_stops_in_between_arrives_as_far_as_it_was_sent() {
    let (application, count) = counting();
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
    wire.write(head).await.unwrap();
    let mut sent = 0;
    for stop in STOPS {
        wire.write(vec![b'x'; stop]).await.unwrap();
        sent += stop;
        let has_come = || count.load(Relaxed) == sent as u64;
        eventually_async("what was sent", PATIENCE, has_come).await;
    }
    wire.write(vec![b'x'; LENGTH - sent]).await.unwrap();
    assert_eq!(wire.response().await.unwrap().text(), "all of it");
    // And the next request is as quick to be seen as the first.
    wire.write(get("/")).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_http2_that_stops_in_between_arrives_as_far_as_it_was_sent() {
    let (application, count) = counting();
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let request = Request::post("https://localhost/").header("content-length", LENGTH);
    let request = request.body(()).unwrap();
    let (response, mut body) = ready.send_request(request, false).unwrap();
    let mut sent = 0;
    for stop in STOPS {
        body.send_data(vec![b'x'; stop].into(), false).unwrap();
        sent += stop;
        let has_come = || count.load(Relaxed) == sent as u64;
        eventually_async("what was sent", PATIENCE, has_come).await;
    }
    // A request on another stream is not held up by what is waited for.
    let other = whole(h2.get("/").await.unwrap()).await.unwrap();
    assert_eq!(other.status, 200);
    let rest = vec![b'x'; LENGTH - sent];
    body.send_data(rest.into(), true).unwrap();
    assert_eq!(whole(response).await.unwrap().body, "all of it");
}
