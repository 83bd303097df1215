//! HTTP/2 in: streams cross the proxy as they were meant, to HTTP/1.1 and to h2c.

mod conformance;
mod floods;
mod goaway;
mod malformed;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::h2::{H2, whole};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

async fn ready(h2: &H2) -> SendRequest<Bytes> {
    within("a free stream", h2.send.clone().ready())
        .await
        .unwrap()
}

fn to(method: Method, path: &str) -> Request<()> {
    let uri = format!("https://localhost{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// An application that answers with what it was sent, trailers included.
fn echo(
    request: Request<hyper::body::Incoming>,
) -> http::Response<crate::support::hyper_application::Body> {
    http::Response::new(request.into_body().map_err(std::io::Error::other).boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streams_body_and_answer_cross_to_either_protocol() {
    for application in [
        Hyper::http1(|request| async { echo(request) }),
        Hyper::h2c(|request| async { echo(request) }),
    ] {
        let served = Served::start(application.upstream(), &[]);
        let h2 = served.client().h2(served.address()).await.unwrap();
        let (response, mut body) = ready(&h2)
            .await
            .send_request(to(Method::PUT, "/p?q"), false)
            .unwrap();
        body.send_data("hello ".into(), false).unwrap();
        body.send_data("world".into(), true).unwrap();
        let response = whole(response).await.unwrap();
        assert_eq!(
            (response.status, &response.body[..]),
            (200, &b"hello world"[..])
        );
        let asked = application.asked();
        assert_eq!(asked[0].method, Method::PUT);
        assert_eq!(asked[0].uri.path_and_query().unwrap(), "/p?q");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_length_stays_one_in_both_directions() {
    let application = Hyper::http1(|request| async move {
        let length = request.headers()["content-length"].clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = answer(200, body);
        response.headers_mut().insert("x-asked", length);
        response
    });
    let served = Served::start(application.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut request = to(Method::POST, "/");
    request.headers_mut().insert("content-length", 5.into());
    let (response, mut body) = ready(&h2).await.send_request(request, false).unwrap();
    body.send_data("12345".into(), true).unwrap();
    let response = whole(response).await.unwrap();
    assert_eq!(response.headers["x-asked"], "5");
    assert_eq!(response.headers["content-length"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_without_a_body_has_no_framing_at_the_application() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    whole(h2.get("/").await.unwrap()).await.unwrap();
    let asked = application.asked();
    assert!(!asked[0].headers.contains_key("transfer-encoding"));
    assert!(!asked[0].headers.contains_key("content-length"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_end_with_their_head() {
    let application =
        Hyper::http1(
            |request| async move { answer(request.uri().path()[1..].parse().unwrap(), "") },
        );
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    for status in [204, 304] {
        let answer = h2.get(&format!("/{status}")).await.unwrap();
        let response = within("a head", answer).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert!(response.body().is_end_stream(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_cross_both_ways_over_h2c_and_from_http1() {
    let mut sums = HeaderMap::new();
    sums.insert("x-sum", "3".parse().unwrap());
    let h2c = Hyper::h2c(|request| async { echo(request) });
    let served = Served::start(h2c.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let (response, mut body) = ready(&h2)
        .await
        .send_request(to(Method::POST, "/"), false)
        .unwrap();
    body.send_data("abc".into(), false).unwrap();
    body.send_trailers(sums.clone()).unwrap();
    let response = whole(response).await.unwrap();
    assert_eq!(&response.body[..], b"abc");
    assert_eq!(response.trailers, Some(sums.clone()));

    let http1 = Hyper::http1(|request| async {
        let mut response = echo(request);
        let headers = response.headers_mut();
        headers.insert("trailer", "x-sum".parse().unwrap());
        response
    });
    let served = Served::start(http1.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut request = to(Method::POST, "/");
    let headers = request.headers_mut();
    headers.insert("te", "trailers".parse().unwrap());
    headers.insert("trailer", "x-sum".parse().unwrap());
    let (response, mut body) = ready(&h2).await.send_request(request, false).unwrap();
    body.send_data("abc".into(), false).unwrap();
    body.send_trailers(sums.clone()).unwrap();
    let response = whole(response).await.unwrap();
    assert_eq!(&response.body[..], b"abc");
    assert_eq!(response.trailers, Some(sums));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_does_not_hold_up_the_others() {
    let gate = Gate::closed();
    let held = gate.clone();
    let application = Hyper::http1(move |request| {
        let gate = held.clone();
        async move {
            if request.uri().path() == "/slow" {
                gate.pass().await;
            }
            answer(200, request.uri().path().to_owned())
        }
    });
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let slow = h2.get("/slow").await.unwrap();
    eventually_async("the slow one is held", PATIENCE, || gate.waiting() == 1).await;
    for n in 0..50 {
        let path = format!("/{n}");
        let response = whole(h2.get(&path).await.unwrap()).await.unwrap();
        assert_eq!(response.body, path);
    }
    gate.open();
    assert_eq!(whole(slow).await.unwrap().body, "/slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_passed_on_piece_by_piece() {
    for version in [1, 2] {
        let gate = Gate::closed();
        let held = gate.clone();
        let handler = move |_| {
            let gate = held.clone();
            async move {
                let (mut sender, body) = Channel::new(1);
                tokio::spawn(async move {
                    sender.send_data("first".into()).await.unwrap();
                    gate.pass().await;
                    sender.send_data("second".into()).await.unwrap();
                });
                http::Response::new(body.boxed())
            }
        };
        let application = match version {
            1 => Hyper::http1(handler),
            _ => Hyper::h2c(handler),
        };
        let served = Served::start(application.upstream(), &[]);
        let mut h2 = served.client().h2(served.address()).await.unwrap();
        let response = within("a head", h2.get("/").await.unwrap()).await.unwrap();
        let mut body = response.into_body();
        let first = within("the first piece", body.data())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first, "first");
        gate.open();
        let second = within("the second piece", body.data())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(second, "second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_ends_its_own_half_still_gets_the_delayed_answer() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "late but whole");
    let served = Served::start(application.upstream(), &[]);
    let client = served.client().alpn(&["h2"]);
    let mut stream = client.connect(served.address()).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS, empty; the acknowledgement of the server's; a GET for https://localhost/ that ends
    // its stream (RFC 7541 appendix A names the indices).
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 0, 4, 1, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 14, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84, 0x41, 9]);
    bytes.extend_from_slice(b"localhost");
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    eventually_async("the request is held", PATIENCE, || gate.waiting() == 1).await;
    gate.open();
    let mut received = Vec::new();
    within("the end", stream.read_to_end(&mut received))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&received);
    assert!(text.contains("late but whole"), "{text:?}");
}

/// H2-11: a client that takes its request back without an error has not ended it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_reset_without_an_error_is_not_complete() {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let ended = ended.clone();
        async move {
            let _ = conn.read_to_end().await;
            ended.send(()).unwrap();
        }
    });
    let served = Served::start(application.upstream(), &[]);
    let h2 = served.client().h2(served.address()).await.unwrap();
    let (response, mut body) = ready(&h2)
        .await
        .send_request(to(Method::POST, "/"), false)
        .unwrap();
    body.send_data("abc".into(), false).unwrap();
    let arrived = || application.all_received().concat().contains("abc");
    eventually_async("the upload at the application", PATIENCE, arrived).await;
    body.send_reset(h2::Reason::NO_ERROR);
    assert!(response.await.is_err());
    within("the end of the request", end.recv()).await.unwrap();
    let received = application.all_received().concat();
    assert!(!received.ends_with("0\r\n\r\n"), "{received:?}");
}
