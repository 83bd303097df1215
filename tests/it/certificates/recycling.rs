//! Connections that are asked to be opened anew: by age, and after a rotation.

use crate::support::clients::Client;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::sidecar::Served;
use crate::support::wait::within;

use super::message;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Requests on one HTTP/1.1 connection until an answer says that it closes.
async fn until_told_to_leave(client: &Client, served: &Served) {
    let mut wire = client.http1(served.address()).await.unwrap();
    within("an answer that says it closes", async {
        loop {
            wire.write(GET).await.unwrap();
            let response = wire.response().await.unwrap();
            assert_eq!(response.text(), "served");
            if response.header("connection") == Some("close") {
                break wire.assert_closed().await;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_connections_are_asked_to_leave_and_lose_nothing() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--max-connection-age", "300ms"]);
    let client = served.client();
    let start = std::time::Instant::now();
    until_told_to_leave(&client, &served).await;
    assert!(start.elapsed().as_millis() >= 270, "{:?}", start.elapsed());
    let mut h2 = client.h2(served.address()).await.unwrap();
    assert_eq!(whole(h2.get("/").await.unwrap()).await.unwrap().status, 200);
    h2.closed().await.expect("GOAWAY with NO_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http1_connection_of_age_still_serves_the_request_that_is_on_its_way() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--max-connection-age", "50ms"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    // Another connection shows that the age has passed for this one as well.
    until_told_to_leave(&served.client(), &served).await;
    wire.write(GET).await.unwrap();
    let response = wire.response().await.unwrap();
    assert_eq!(response.text(), "served");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_under_a_replaced_certificate_are_retired_and_others_are_not() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &["--retire-over", "400ms"]);
    let client = served.client();
    let mut old = client.h2(served.address()).await.unwrap();
    assert_eq!(
        whole(old.get("/").await.unwrap()).await.unwrap().status,
        200
    );
    let mut wire = client.http1(served.address()).await.unwrap();
    wire.write(GET).await.unwrap();
    let before = wire.response().await.unwrap();
    assert_eq!(before.header("connection"), None);

    served.secret.swap(&served.ca.leaf(&["localhost"]).files());
    let is_reload = |line: &serde_json::Value| message(line) == "certificate reloaded";
    served.sidecar.wait_for_log("the reload", is_reload);
    let mut new = client.h2(served.address()).await.unwrap();
    old.closed().await.expect("GOAWAY with NO_ERROR");
    within("an answer that says it closes", async {
        loop {
            wire.write(GET).await.unwrap();
            let response = wire.response().await.unwrap();
            if response.header("connection") == Some("close") {
                break;
            }
        }
    })
    .await;
    let answer = new.get("/").await.unwrap();
    assert_eq!(whole(answer).await.unwrap().status, 200);
}
