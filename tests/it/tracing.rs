//! W3C trace context on its way through, and in the record.

#[cfg(feature = "otlp")]
mod otlp;

use serde_json::Value;

use crate::support::hyper_application::{Asked, Hyper};
use crate::support::sidecar::Served;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the application was asked and what the record says of a request with `lines`.
async fn passed(arguments: &[&str], lines: &str) -> (Asked, Value) {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), arguments);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    wire.write(request).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let record = served
        .sidecar
        .wait_for_log("the record", |line| line["message"] == "request");
    (application.asked().remove(0), record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_passes_untouched_and_stands_in_the_record() {
    let lines = format!("traceparent: {PARENT}\r\ntracestate: a=1,b=2\r\ntracestate: c=3\r\n");
    for start in ["off", "on"] {
        let (asked, record) = passed(&["--trace-start", start], &lines).await;
        assert_eq!(asked.headers["traceparent"], PARENT);
        let states: Vec<_> = asked.headers.get_all("tracestate").iter().collect();
        assert_eq!(states, ["a=1,b=2", "c=3"]);
        assert_eq!(record["trace_id"], TRACE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trace_is_removed_with_its_state() {
    for bad in [
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n"),
        "traceparent: <script>\r\n".to_owned(),
        String::new(),
    ] {
        let (asked, record) = passed(&[], &format!("{bad}tracestate: a=1\r\n")).await;
        assert!(!asked.headers.contains_key("traceparent"), "{bad}");
        assert!(!asked.headers.contains_key("tracestate"), "{bad}");
        assert!(record.get("trace_id").is_none(), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_begins_here_when_asked_for() {
    for lines in ["", "traceparent: 00-x\r\ntracestate: a=1\r\n"] {
        let (asked, record) = passed(&["--trace-start", "on"], lines).await;
        let own = asked.headers["traceparent"].to_str().unwrap();
        assert!(own.starts_with("00-") && own.ends_with("-01"), "{own}");
        assert_eq!(own.len(), PARENT.len());
        assert_eq!(record["trace_id"], own[3..35]);
        assert!(!asked.headers.contains_key("tracestate"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_passes_over_http2_on_both_sides() {
    let application =
        Hyper::h2c(|_| async { crate::support::hyper_application::answer(200, "ok") });
    let served = Served::start(application.upstream(), &[]);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let request = http::Request::get("https://localhost/")
        .header("traceparent", PARENT)
        .header("tracestate", "a=1")
        .body(())
        .unwrap();
    let (answer, _) = h2.send.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let asked = application.asked().remove(0);
    assert_eq!(asked.headers["traceparent"], PARENT);
    assert_eq!(asked.headers["tracestate"], "a=1");
}
