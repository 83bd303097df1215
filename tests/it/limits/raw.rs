//! `tcp://`: bytes, not HTTP.

use crate::support::application::{Conn, Raw};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

fn application<F, Fut>(script: F) -> (Raw, String)
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let application = Raw::tcp(script);
    let upstream = format!("tcp://{}", application.address());
    (application, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_pass_both_ways_and_are_one_session_in_the_log() {
    let (_application, upstream) = application(|mut conn| async move {
        conn.write("220 hello\r\n").await.unwrap();
        let said = conn.read_until(b"\n").await.unwrap();
        conn.write(said).await.unwrap();
        conn.read_to_end().await.unwrap();
        conn.write("221 bye\r\n").await.unwrap();
    });
    let served = Served::start(&upstream, &[]);
    // Whatever protocol the client speaks, it is none of ours.
    let client = served.client().alpn(&["smtp"]);
    let mut wire = client.http1(served.address()).await.unwrap();
    // The application speaks first.
    let greeting = within("a greeting", wire.read_until(b"\n")).await;
    assert_eq!(greeting.unwrap(), b"220 hello\r\n");
    wire.write(b"\0\xff any bytes\n").await.unwrap();
    let echoed = within("an echo", wire.read_until(b"\n")).await;
    assert_eq!(echoed.unwrap(), b"\0\xff any bytes\n");
    wire.shutdown().await.unwrap();
    let rest = within("the end", wire.read_to_end()).await;
    assert_eq!(rest.unwrap(), b"221 bye\r\n");

    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["message"] == "session");
    assert_eq!(record["bytes_in"], 13);
    assert_eq!(record["bytes_out"], 11 + 13 + 9);
    assert_eq!(record["tls.protocol.version"], "1.3");
    assert!(record.get("http.request.method").is_none(), "{record}");
    assert!(record.get("flag").is_none(), "{record}");
}

// UP-15
#[tokio::test(flavor = "multi_thread")]
async fn the_application_may_end_its_half_of_a_raw_session_first() {
    let (application, upstream) = application(|mut conn| async move {
        conn.half_close().await.unwrap();
        conn.read_to_end().await.unwrap();
    });
    let served = Served::start(&upstream, &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.assert_closed().await;
    wire.write("still here").await.unwrap();
    wire.shutdown().await.unwrap();
    eventually_async("the rest at the application", PATIENCE, || {
        application.received(0) == "still here"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_session_without_an_application_ends_in_order() {
    let (application, upstream) = application(|_| async {});
    drop(application);
    let arguments = ["--upstream-connect-timeout", "200ms"];
    let served = Served::start(&upstream, &arguments);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.assert_closed().await;
    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["message"] == "session");
    assert_eq!(record["flag"], "upstream_not_reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_raw_session_ends_at_the_stream_idle_timeout_and_only_when_asked() {
    let (_application, upstream) = application(|mut conn| async move {
        let _ = conn.read_to_end().await;
    });
    let served = Served::start(&upstream, &["--stream-idle-timeout", "300ms"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.assert_closed().await;
    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["message"] == "session");
    assert_eq!(record["flag"], "stream_idle_timeout");
}
