//! An application that others reach in clear is told of while the sidecar runs.

use std::net::SocketAddr;

use crate::support::admin::{ask, json, until};
use crate::support::application::Raw;
use crate::support::sidecar::{ADMIN, Served};
use crate::support::wait::within;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn an_application_beyond_loopback_is_a_gauge_a_warning_and_on_the_page() {
    let application = Raw::tcp_at("0.0.0.0:0".parse().unwrap(), |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    let port = application.address().port();
    let upstream = SocketAddr::from(([127, 0, 0, 1], port));
    let served = Served::start(&format!("http://{upstream}"), &ADMIN);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let every = format!("0.0.0.0:{port}");
    let warning =
        "the application can be reached in clear, past TLS: have it listen on loopback alone";
    served.sidecar.wait_for_log("the exposure", |line| {
        line["message"] == warning && line["socket"] == every.as_str()
    });
    let status = json(admin, "/status").await;
    assert_eq!(status["upstream"]["exposed_at"], serde_json::json!([every]));
    let metrics = ask(admin, "GET /metrics").await;
    assert!(
        metrics
            .text()
            .contains("\ntls_sidecar_upstream_exposed 1\n")
    );
    let page = ask(admin, "GET /").await;
    assert!(page.text().contains(&format!("past TLS, at {every}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_on_loopback_is_not_exposed() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &ADMIN);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let metrics = within("the metrics", ask(admin, "GET /metrics")).await;
    assert!(
        metrics
            .text()
            .contains("\ntls_sidecar_upstream_exposed 0\n")
    );
}
