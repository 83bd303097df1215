//! `--send-timeout` on HTTP/2: who takes nothing is cut, who takes of others is not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;

use crate::support::hyper_application::{Hyper, answer};
use crate::support::sidecar::Served;
use crate::support::wait::within;

const SEND_TIMEOUT: Duration = Duration::from_millis(800);

/// The answer's body at `path`.
async fn open(send: &SendRequest<Bytes>, path: &str) -> RecvStream {
    let mut ready = within("a free stream", send.clone().ready()).await.unwrap();
    let uri = format!("https://localhost{path}");
    let request = Request::get(uri).body(()).unwrap();
    let (response, _) = ready.send_request(request, true).unwrap();
    within("a head", response).await.unwrap().into_body()
}

// A stream whose window the client keeps shut is the fault of that stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_stream_is_reset_at_the_send_timeout_and_the_others_go_on() {
    let application = Hyper::http1(|request| async move {
        match request.uri().path() {
            "/stalled" => answer(200, vec![0; 8 * 1024 * 1024]),
            _ => answer(200, vec![0; 2 * 1024 * 1024]),
        }
    });
    let served = Served::start(application.upstream(), &["--send-timeout", "800ms"]);
    let client = served.client().alpn(&["h2"]);
    let stream = client.connect(served.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    // The connection has room for what one stalled stream holds back.
    builder
        .initial_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024);
    let (send, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);

    let begun = Instant::now();
    let stalled = open(&send, "/stalled").await;
    let reset = tokio::spawn(async move {
        let mut stalled = stalled;
        // What fits the window has come; nothing is taken of it, so no more can.
        let mut held = Vec::new();
        loop {
            match stalled.data().await {
                Some(Ok(data)) => held.push(data),
                end => return (end, begun.elapsed()),
            }
        }
    });
    // Meanwhile the client takes other answers, for longer than the timeout.
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut taken = 0;
    while begun.elapsed() < SEND_TIMEOUT * 3 {
        let mut body = open(&send, "/taken").await;
        while let Some(data) = within("data", body.data()).await {
            let length = data.unwrap().len();
            body.flow_control().release_capacity(length).unwrap();
            taken += length;
            pace.tick().await;
        }
    }
    assert!(taken > 0 && taken % (2 * 1024 * 1024) == 0, "{taken}");
    let (end, after) = within("the reset", reset).await.unwrap();
    let error = end.unwrap().unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    assert!(after >= SEND_TIMEOUT, "{after:?}");
    assert!(after < SEND_TIMEOUT * 2, "{after:?}");
    assert!(!connection.is_finished());
    drop(open(&send, "/afterwards").await);
}

// The idle timeout, however short, is no measure for a client that is being sent something.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_idle_timeout_does_not_cut_a_client_that_takes_its_time() {
    let application = Hyper::http1(|_| async { answer(200, vec![0; 1024 * 1024]) });
    let arguments = ["--send-timeout", "20s", "--idle-timeout", "200ms"];
    let served = Served::start(application.upstream(), &arguments);
    let client = served.client().alpn(&["h2"]);
    let stream = client.connect(served.address()).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut body = open(&send, "/").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let mut taken = 0;
    while let Some(data) = within("data", body.data()).await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
        taken += length;
    }
    assert_eq!(taken, 1024 * 1024);
}
