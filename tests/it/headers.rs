//! What the application and the client see of each other's headers, and of the proxy's.

use http::{HeaderMap, HeaderValue, Request};

use crate::support::application::Raw;
use crate::support::h1::{header, headers};
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::sidecar::Served;

/// One request with these header lines over HTTP/1.1; what the application was asked.
async fn asked_over_http1(served: &Served, application: &Hyper, lines: &str) -> HeaderMap {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(format!("GET / HTTP/1.1\r\n{lines}\r\n"))
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    application.asked().last().unwrap().headers.clone()
}

/// One request with these header fields over HTTP/2; what the application was asked.
async fn asked_over_http2(
    served: &Served,
    application: &Hyper,
    fields: &[(&str, &str)],
) -> HeaderMap {
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut request = Request::get("https://app.example:8443/");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut ready = h2.send.clone().ready().await.unwrap();
    let (response, _) = ready.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(whole(response).await.unwrap().status, 200);
    application.asked().last().unwrap().headers.clone()
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter();
    lines.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn host_is_untouched_and_the_client_is_told() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let port = served.address().port().to_string();
    let over_http1 = asked_over_http1(&served, &application, "Host: App.Example:8443\r\n").await;
    assert_eq!(all(&over_http1, "host"), ["App.Example:8443"]);
    let over_http2 = asked_over_http2(&served, &application, &[]).await;
    assert_eq!(all(&over_http2, "host"), ["app.example:8443"]);
    for headers in [over_http1, over_http2] {
        assert_eq!(all(&headers, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(all(&headers, "x-forwarded-port"), [port.as_str()]);
        assert_eq!(headers["x-forwarded-host"], headers["host"]);
        assert!(!headers.contains_key("forwarded"), "{headers:?}");
    }
}

// H1-13
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_claims_are_replaced_in_every_spelling() {
    const CLAIMS: [(&str, &str); 10] = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X_Forwarded_For", "1.2.3.4"),
        ("x-forwarded_for", "1.2.3.4"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Client-Cert", "By=evil"),
        ("X_Forwarded_Client_Cert", "By=evil"),
        ("Forwarded", "for=1.2.3.4"),
        ("X-Real-IP", "1.2.3.4"),
        ("SSL_Client_Verify", "SUCCESS"),
        ("X-Forwarded-For", "5.6.7.8"),
    ];
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let lines: Vec<_> = CLAIMS
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .into();
    let lines = format!("Host: app.example:8443\r\n{}", lines.concat());
    let over_http1 = asked_over_http1(&served, &application, &lines).await;
    let fields = CLAIMS.map(|(name, value)| (name.to_lowercase(), value));
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let over_http2 = asked_over_http2(&served, &application, &fields).await;
    for headers in [over_http1, over_http2] {
        let names = headers.keys().map(http::HeaderName::as_str);
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let ours = [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, ours);
        assert_eq!(all(&headers, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxys_chain_is_continued() {
    let application = Hyper::saying("ok");
    let trusting = ["--trusted-proxies", "127.0.0.0/8", "--forwarded", "on"];
    let served = Served::start(application.upstream(), &trusting);
    let headers = asked_over_http1(
        &served,
        &application,
        "Host: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: outer\r\nX-Forwarded-Port: 80\r\n\
         Forwarded: for=192.0.2.1\r\nX_Forwarded_For: 1.2.3.4\r\n",
    )
    .await;
    assert_eq!(
        all(&headers, "x-forwarded-for"),
        ["192.0.2.1, 192.0.2.2, 127.0.0.1"]
    );
    assert_eq!(all(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["outer"]);
    assert_eq!(all(&headers, "x-forwarded-port"), ["80"]);
    assert_eq!(
        all(&headers, "forwarded"),
        ["for=192.0.2.1, for=127.0.0.1;proto=https;host=\"a\""]
    );
    assert!(!headers.contains_key("x_forwarded_for"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_outside_the_trusted_networks_is_a_stranger() {
    let application = Hyper::saying("ok");
    let trusting = ["--trusted-proxies", "192.0.2.0/24", "--forwarded", "on"];
    let served = Served::start(application.upstream(), &trusting);
    let lines = "Host: a\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
    let headers = asked_over_http1(&served, &application, lines).await;
    assert_eq!(all(&headers, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(
        all(&headers, "forwarded"),
        ["for=127.0.0.1;proto=https;host=\"a\""]
    );
}

// H1-12
#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_headers_of_the_request_stay_behind() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let headers = asked_over_http1(
        &served,
        &application,
        "Host: a\r\nConnection: keep-alive\r\nConnection: x-secret , X-Other\r\n\
         X-Secret: 1\r\nX-Other: 2\r\nX-Kept: 3\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    )
    .await;
    for gone in [
        "connection",
        "x-secret",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers["x-kept"], "3");
}

// H1-12
#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_headers_of_the_answer_stay_behind() {
    let application = Raw::answering(
        "HTTP/1.1 200 OK\r\nConnection: x-secret\r\nConnection: keep-alive, X-Other\r\n\
         X-Secret: 1\r\nX-Other: 2\r\nX-Kept: 3\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    let served = Served::start(application.upstream(), &[]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let response = wire.response().await.unwrap();
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let over_http2 = whole(h2.get("/").await.unwrap()).await.unwrap();
    for gone in [
        "connection",
        "x-secret",
        "x-other",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(response.header(gone), None, "{gone}");
        assert!(!over_http2.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(response.header("x-kept"), Some("3"));
    assert_eq!(
        (response.text().as_str(), &over_http2.body[..]),
        ("ok", &b"ok"[..])
    );
}

// H1-12
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_header_that_lists_what_others_rely_on_is_refused() {
    let application = Raw::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let served = Served::start(application.upstream(), &[]);
    for listed in [
        "Host",
        "Content-Length",
        "Cookie",
        "Authorization",
        "X-Forwarded-For",
        "Forwarded",
        "X-Forwarded-Client-Cert",
    ] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: {listed}\r\n\r\n"
        ))
        .await
        .unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.status, 400, "{listed}");
        assert_eq!(response.header("connection"), Some("close"));
        wire.assert_closed().await;
    }
    assert_eq!(application.connections(), 0);
}

// H2-10
#[tokio::test(flavor = "multi_thread")]
async fn cookie_crumbs_are_joined_for_http1() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=\"3\"")];
    let headers = asked_over_http2(&served, &application, &crumbs).await;
    assert_eq!(all(&headers, "cookie"), ["a=1; b=2; c=\"3\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn te_trailers_reaches_the_application() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let lines = "Host: a\r\nTE: gzip, trailers\r\nConnection: TE\r\n";
    let over_http1 = asked_over_http1(&served, &application, lines).await;
    let over_http2 = asked_over_http2(&served, &application, &[("te", "trailers")]).await;
    for headers in [over_http1, over_http2] {
        assert_eq!(all(&headers, "te"), ["trailers"]);
        assert_eq!(all(&headers, "connection"), ["te"]);
    }
    let h2c = Hyper::h2c(|_| async { answer(200, "ok") });
    let served = Served::start(h2c.upstream(), &[]);
    let headers = asked_over_http2(&served, &h2c, &[("te", "trailers")]).await;
    assert_eq!(all(&headers, "te"), ["trailers"]);
    assert!(!headers.contains_key("connection"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_an_id_and_keeps_one_it_has() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let first = asked_over_http1(&served, &application, "Host: a\r\n").await;
    let second = asked_over_http2(&served, &application, &[]).await;
    let own = asked_over_http1(&served, &application, "Host: a\r\nX-Request-Id: mine-1\r\n").await;
    assert_eq!(all(&own, "x-request-id"), ["mine-1"]);
    assert_eq!(all(&first, "x-request-id").len(), 1);
    assert!(!first["x-request-id"].is_empty());
    assert_ne!(first["x-request-id"], second["x-request-id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_context_and_unknown_headers_are_passed_on() {
    let application = Hyper::saying("ok");
    let served = Served::start(application.upstream(), &[]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = [
        ("traceparent", parent),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
        ("x-under_score", "kept"),
        ("accept-encoding", "br"),
    ];
    let headers = asked_over_http2(&served, &application, &fields).await;
    assert_eq!(all(&headers, "traceparent"), [parent]);
    assert_eq!(all(&headers, "tracestate"), ["a=1", "b=2"]);
    assert_eq!(all(&headers, "x-under_score"), ["kept"]);
    assert_eq!(all(&headers, "accept-encoding"), ["br"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_above_ascii_in_a_value_cross_unchanged() {
    let application = Hyper::http1(|request| async move {
        let mut response = answer(200, "");
        let value = request.headers()["x-name"].clone();
        response.headers_mut().insert("x-name", value);
        response
    });
    let served = Served::start(application.upstream(), &[]);
    let mut request = Request::get("https://localhost/").body(()).unwrap();
    let name = HeaderValue::from_bytes("Zo\u{eb} \u{5b57}".as_bytes()).unwrap();
    request.headers_mut().insert("x-name", name.clone());
    let h2 = served.client().h2(served.address()).await.unwrap();
    let mut ready = h2.send.clone().ready().await.unwrap();
    let (response, _) = ready.send_request(request, true).unwrap();
    assert_eq!(whole(response).await.unwrap().headers["x-name"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_policy_applies_to_every_answer() {
    let application = Raw::answering(
        "HTTP/1.1 200 OK\r\nServer: theirs\r\nX-Powered-By: PHP\r\nX-Frame-Options: ALLOW\r\n\
         X-Frame-Options: SAMEORIGIN\r\nContent-Length: 0\r\n\r\n",
    );
    let policy = [
        "--hsts",
        "max-age=31536000",
        "--set-header",
        "X-Frame-Options: DENY",
        "--set-header",
        "X-Set: a b",
        "--remove-header",
        "Server,X-Powered-By",
    ];
    let served = Served::start(application.upstream(), &policy);
    // The second is an answer of the proxy's own.
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ] {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(request).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(response.status, status);
        let head = &response.head;
        let hsts = header(head, "strict-transport-security");
        assert_eq!(hsts, Some("max-age=31536000"), "{head}");
        let options: Vec<_> = headers(head, "x-frame-options").collect();
        assert_eq!(options, ["DENY"], "{head}");
        assert_eq!(header(head, "x-set"), Some("a b"), "{head}");
        assert_eq!(header(head, "server"), None, "{head}");
        assert_eq!(header(head, "x-powered-by"), None, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_hsts_is_kept() {
    let application = Raw::answering(
        "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n",
    );
    let served = Served::start(application.upstream(), &["--hsts", "max-age=31536000"]);
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let response = wire.response().await.unwrap();
    let lines: Vec<_> = headers(&response.head, "strict-transport-security").collect();
    assert_eq!(lines, ["max-age=1"]);
}
