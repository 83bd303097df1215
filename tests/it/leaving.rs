//! A client that goes away: the application hears of it at once, and only then.

use http::{Method, Request};
use rustls::SupportedProtocolVersion;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::application::Raw;
use crate::support::background::Gate;
use crate::support::clients::Client;
use crate::support::h2::H2;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::requests::{chunk, get, post_chunked};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually, eventually_async, within};

/// How a client goes away.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// close_notify and a closed socket.
    InOrder,
    /// A closed socket.
    Abruptly,
    /// A RST.
    Resetting,
}

const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

const WAYS: [Leaving; 3] = [Leaving::InOrder, Leaving::Abruptly, Leaving::Resetting];

async fn leave(mut stream: TlsStream<TcpStream>, way: Leaving) {
    match way {
        Leaving::InOrder => stream.shutdown().await.unwrap(),
        Leaving::Abruptly => {}
        Leaving::Resetting => {
            let socket = socket2::SockRef::from(stream.get_ref().0);
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    }
}

fn versions(served: &Served) -> [(&'static str, Client); 2] {
    let client = || served.client();
    [
        ("1.3", client().versions(TLS13)),
        ("1.2", client().versions(TLS12)),
    ]
}

async fn until_held(gate: &Gate, requests: usize, what: &str) {
    eventually_async(what, PATIENCE, || gate.waiting() == requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thinking_application_hears_that_its_http1_client_has_gone() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "");
    let served = Served::start(application.upstream(), &[]);
    for (version, client) in versions(&served) {
        for way in WAYS {
            let mut wire = client.http1(served.address()).await.unwrap();
            wire.write(get("/")).await.unwrap();
            until_held(&gate, 1, "the request is held").await;
            let stream = wire.into_stream();
            leave(stream, way).await;
            let what = format!("the application is alone, TLS {version}, {way:?}");
            until_held(&gate, 0, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thinking_application_hears_that_its_http2_client_has_gone() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "");
    let served = Served::start(application.upstream(), &[]);
    for (version, client) in versions(&served) {
        let client = client.alpn(&["h2"]);
        for way in WAYS {
            let mut stream = client.connect(served.address()).await.unwrap();
            // Preface, SETTINGS, and a GET for https://localhost/ that ends its stream.
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(&[0, 0, 14, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84, 0x41, 9]);
            bytes.extend_from_slice(b"localhost");
            stream.write_all(&bytes).await.unwrap();
            until_held(&gate, 1, "the request is held").await;
            leave(stream, way).await;
            let what = format!("the application is alone, TLS {version}, {way:?}");
            until_held(&gate, 0, &what).await;
        }
    }
}

// H2-11
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_stream_cancels_its_request_and_no_other() {
    let gate = Gate::closed();
    let (http1, h2c) = (Hyper::holding(&gate, ""), {
        let gate = gate.clone();
        Hyper::h2c(move |_| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                answer(200, "")
            }
        })
    });
    for application in [&http1, &h2c] {
        let served = Served::start(application.upstream(), &[]);
        let mut h2 = served.client().h2(served.address()).await.unwrap();
        let kept = h2.get("/kept").await.unwrap();
        let given_up = h2.get("/given-up").await.unwrap();
        until_held(&gate, 2, "both requests are held").await;
        // Dropping the only handle of a stream resets it with CANCEL.
        drop(given_up);
        until_held(&gate, 1, "one request is held").await;
        drop(kept);
        until_held(&gate, 0, "none is").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_its_upload_leaves_a_truncated_body() {
    let application = Raw::tcp(|mut conn| async move {
        let _ = conn.read_to_end().await;
    });
    let served = Served::start(application.upstream(), &[]);
    let mut number = 0;
    for (_, client) in versions(&served) {
        for way in WAYS {
            let mut wire = client.http1(served.address()).await.unwrap();
            wire.write(post_chunked("/")).await.unwrap();
            wire.write(chunk(b"half")).await.unwrap();
            eventually("half of it has arrived", PATIENCE, || {
                application.connections() > number && application.received(number).contains("half")
            });
            let stream = wire.into_stream();
            leave(stream, way).await;
            number += 1;
        }
    }
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let (answer, mut body) = upload(&mut h2).await;
    body.send_data("half".into(), false).unwrap();
    eventually("half of it has arrived", PATIENCE, || {
        application.connections() > number && application.received(number).contains("half")
    });
    body.send_reset(h2::Reason::CANCEL);
    drop(answer);
    let records = number + 1;
    eventually("a record for each", PATIENCE, || {
        let log = served.sidecar.log_lines();
        let gone = log.iter().filter(|line| line["flag"] == "client_gone");
        gone.count() == records
    });
    for received in application.all_received() {
        assert!(!received.ends_with("0\r\n\r\n"), "{received}");
    }
}

async fn upload(h2: &mut H2) -> (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("https://localhost/")
        .body(())
        .unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    ready.send_request(request, false).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_the_middle_of_its_answer_hears_that_the_client_has_gone() {
    let (closed, mut closings) = tokio::sync::mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let closed = closed.clone();
        async move {
            conn.read_head().await.unwrap();
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
                .await
                .unwrap();
            let _ = conn.read_to_end().await;
            closed.send(()).unwrap();
        }
    });
    let served = Served::start(application.upstream(), &[]);
    for (_, client) in versions(&served) {
        for way in WAYS {
            let mut wire = client.http1(served.address()).await.unwrap();
            wire.write(get("/")).await.unwrap();
            wire.read_until(b"begun").await.unwrap();
            let stream = wire.into_stream();
            leave(stream, way).await;
            within("the application hears", closings.recv())
                .await
                .unwrap();
        }
        let mut h2 = client.h2(served.address()).await.unwrap();
        let mut body = h2.get("/").await.unwrap().await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "begun");
        drop(body);
        within("the application hears", closings.recv())
            .await
            .unwrap();
    }
}
