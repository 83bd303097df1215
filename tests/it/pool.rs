//! Connections to the application: used again, used up, and closed under a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::application::{Conn, Raw};
use crate::support::background::Gate;
use crate::support::h1::Response;
use crate::support::h2::whole;
use crate::support::hyper_application::Hyper;
use crate::support::ports;
use crate::support::requests::{get, post};
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

/// One pool, so that tests can count its connections.
const ONE_WORKER: [&str; 2] = ["--workers", "1"];

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn ask(served: &Served, request: &str) -> Response {
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(request).await.unwrap();
    wire.response().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_came_back_last_is_used_first() {
    let gates = [Gate::closed(), Gate::closed(), Gate::closed()];
    let doors = gates.clone();
    let application = Raw::tcp(move |mut conn: Conn| {
        let gate = doors[conn.number].clone();
        async move {
            while let Ok(Some(_)) = conn.read_head().await {
                gate.pass().await;
                let number = conn.number;
                let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
                conn.write(text).await.unwrap();
            }
        }
    });
    let served = Arc::new(Served::start(application.upstream(), &ONE_WORKER));
    let mut asked = Vec::new();
    for gate in &gates {
        let served = Arc::clone(&served);
        asked.push(tokio::spawn(
            async move { ask(&served, &get("/")).await.text() },
        ));
        eventually_async("one more is held", PATIENCE, || gate.waiting() == 1).await;
    }
    // They come back in the order 0, 2, 1.
    for number in [0, 2, 1] {
        gates[number].open();
        assert_eq!((&mut asked[number]).await.unwrap(), number.to_string());
    }
    for _ in 0..5 {
        assert_eq!(ask(&served, &get("/")).await.text(), "1");
    }
    assert_eq!(application.connections(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_after_every_kind_of_body() {
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            conn.read_body(&head).await.unwrap();
            let answer = match head.split(' ').nth(1).unwrap() {
                "/declared" => OK,
                "/chunked" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                }
                "/empty" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                _ => "HTTP/1.1 204 No Content\r\n\r\n",
            };
            conn.write(answer).await.unwrap();
        }
    });
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for path in ["/declared", "/chunked", "/empty", "/none"] {
        ask(&served, &get(path)).await;
        ask(&served, &post(path, "abc")).await;
        let mut h2 = served.client().h2(served.address()).await.unwrap();
        whole(h2.get(path).await.unwrap()).await.unwrap();
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_when_the_application_announced_so() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let ended = ended.clone();
        async move {
            let timeout = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n";
            let _ = conn.answer_all(timeout).await;
            ended.send(()).unwrap();
        }
    });
    let patient = ["--workers", "1", "--upstream-idle-timeout", "10m"];
    let served = Served::start(application.upstream(), &patient);
    ask(&served, &get("/")).await;
    within("the idle connection ends", ends.recv())
        .await
        .unwrap();
    ask(&served, &get("/")).await;
    assert_eq!(application.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keep_alive_timeout_of_zero_is_taken_at_its_word() {
    let application =
        Raw::answering("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n");
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for _ in 0..3 {
        ask(&served, &get("/")).await;
    }
    assert_eq!(application.connections(), 3);
}

/// An application that likes to close: right after an answer, or while idle, at any moment; but
/// never before the first request, for which there would be nobody to try again.
fn fickle() -> Raw {
    Raw::tcp(|mut conn| async move {
        let mut answered = 0;
        loop {
            let patience = match fastrand::u8(..) {
                0..8 if answered > 0 => Duration::from_micros(fastrand::u64(..2_000)),
                _ => PATIENCE,
            };
            match tokio::time::timeout(patience, conn.read_head()).await {
                Ok(Ok(Some(_))) => {}
                _ => return,
            }
            if conn.write(OK).await.is_err() || fastrand::u8(..) < 4 {
                return;
            }
            answered += 1;
        }
    })
}

const REQUESTS: usize = 50_000;
const CLIENTS: usize = 8;

/// Runs `client` as several clients at once, each with its share of the requests; how many were
/// answered with each status.
async fn asked_by_many<F, Fut>(client: F) -> Vec<(u16, usize)>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Vec<u16>> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(REQUESTS / CLIENTS));
    }
    let mut statuses: Vec<_> = clients.join_all().await.concat();
    statuses.sort_unstable();
    let groups = statuses.chunk_by(|a, b| a == b);
    groups.map(|group| (group[0], group.len())).collect()
}

// UP-09
#[tokio::test(flavor = "multi_thread")]
async fn closing_at_random_costs_no_http1_client_an_error() {
    let application = fickle();
    let served = Served::start(application.upstream(), &["--access-log", "errors"]);
    let (client, address) = (served.client(), served.address());
    let statuses = asked_by_many(|requests| {
        let client = client.clone();
        async move {
            let mut wire = client.http1(address).await.unwrap();
            let request = get("/");
            let mut statuses = Vec::new();
            for _ in 0..requests {
                wire.write(&request).await.unwrap();
                statuses.push(wire.response().await.unwrap().status);
            }
            statuses
        }
    })
    .await;
    assert_eq!(statuses, [(200, REQUESTS)]);
    let connections = application.connections();
    assert!(connections > REQUESTS / 100, "closed {connections} times");
}

// UP-09
#[tokio::test(flavor = "multi_thread")]
async fn closing_at_random_costs_no_http2_client_an_error() {
    let application = fickle();
    let served = Served::start(application.upstream(), &["--access-log", "errors"]);
    let (client, address) = (served.client(), served.address());
    let statuses = asked_by_many(|requests| {
        let client = client.clone();
        async move {
            let mut h2 = client.h2(address).await.unwrap();
            let mut statuses = Vec::new();
            for _ in 0..requests / 10 {
                let mut answers = Vec::new();
                for _ in 0..10 {
                    answers.push(h2.get("/").await.unwrap());
                }
                for answer in answers {
                    statuses.push(whole(answer).await.unwrap().status);
                }
            }
            statuses
        }
    })
    .await;
    assert_eq!(statuses, [(200, REQUESTS)]);
    let connections = application.connections();
    assert!(connections > REQUESTS / 100, "closed {connections} times");
}

// UP-02
#[tokio::test(flavor = "multi_thread")]
async fn a_get_on_a_connection_that_resets_is_sent_once_more_and_a_post_is_not() {
    let served_before = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served_before);
    let application = Raw::tcp(move |mut conn| {
        let served_before = Arc::clone(&counted);
        async move {
            // The first request of a connection is answered, the second is read and not.
            let head = conn.read_head().await.unwrap().unwrap();
            conn.read_body(&head).await.unwrap();
            conn.write(OK).await.unwrap();
            served_before.fetch_add(1, Relaxed);
            if let Ok(Some(head)) = conn.read_head().await {
                conn.read_body(&head).await.unwrap();
                conn.reset();
            }
        }
    });
    let served = Served::start(application.upstream(), &ONE_WORKER);
    assert_eq!(ask(&served, &get("/first")).await.status, 200);
    assert_eq!(ask(&served, &get("/again")).await.status, 200);
    let got = application.all_received().concat();
    assert_eq!(got.matches("GET /again").count(), 2, "{got}");

    assert_eq!(ask(&served, &post("/once", "abc")).await.status, 502);
    let got = application.all_received().concat();
    assert_eq!(got.matches("POST /once").count(), 1, "{got}");
    assert_eq!(served_before.load(Relaxed), 2);
}

// UP-09
#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_neither_lost_nor_doubled_where_the_close_was_already_to_be_seen() {
    let (closed, mut closings) = mpsc::unbounded_channel();
    let application = Raw::tcp(move |mut conn| {
        let closed = closed.clone();
        async move {
            while let Ok(Some(head)) = conn.read_head().await {
                conn.read_body(&head).await.unwrap();
                conn.write(OK).await.unwrap();
                if head.starts_with("GET") {
                    conn.close();
                    closed.send(()).unwrap();
                    return;
                }
            }
        }
    });
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    for n in 0..300 {
        wire.write(get("/")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
        closings.recv().await.unwrap();
        let port = application.address().port();
        eventually_async("the FIN has arrived", PATIENCE, || {
            !has_fin_on_its_way(port)
        })
        .await;
        wire.write(post(&format!("/{n}"), "abc")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200, "POST {n}");
    }
    let got = application.all_received().concat();
    for n in 0..300 {
        assert_eq!(got.matches(&format!("POST /{n} ")).count(), 1, "POST {n}");
    }
}

/// Whether a connection of this local port has sent a FIN that is not yet acknowledged (FIN_WAIT1);
/// on a busy machine that takes a moment even here.
fn has_fin_on_its_way(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_local = fields.next().is_some_and(|field| field.ends_with(&local));
        is_local && fields.nth(1) == Some("04")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_the_limit_waits_for_its_turn() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "ok");
    let limit = [
        "--workers",
        "1",
        "--max-upstream-connections",
        "1",
        "--upstream-connect-timeout",
        "15s",
    ];
    let served = Served::start(application.upstream(), &limit);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let first = h2.get("/first").await.unwrap();
    eventually_async("the first is held", PATIENCE, || gate.waiting() == 1).await;
    let second = h2.get("/second").await.unwrap();
    gate.open();
    assert_eq!(whole(first).await.unwrap().body, "ok");
    assert_eq!(whole(second).await.unwrap().body, "ok");
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_too_long_for_its_turn_is_503() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "ok");
    let limit = [
        "--workers",
        "1",
        "--max-upstream-connections",
        "1",
        "--upstream-connect-timeout",
        "100ms",
    ];
    let served = Served::start(application.upstream(), &limit);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    let first = h2.get("/first").await.unwrap();
    eventually_async("the first is held", PATIENCE, || gate.waiting() == 1).await;
    let refused = whole(h2.get("/second").await.unwrap()).await.unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    let record = served
        .sidecar
        .wait_for_log("its record", |line| line["flag"].is_string());
    assert_eq!(record["flag"], "upstream_busy");
    assert_eq!(gate.waiting(), 1);
    gate.open();
    assert_eq!(whole(first).await.unwrap().status, 200);
    assert_eq!(
        whole(h2.get("/third").await.unwrap()).await.unwrap().status,
        200
    );
}

// A turn that is not given back would make the next request wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_gives_its_turn_back() {
    let gate = Gate::closed();
    let application = Hyper::holding(&gate, "ok");
    let limit = ["--workers", "1", "--max-upstream-connections", "1"];
    let served = Served::start(application.upstream(), &limit);
    let mut h2 = served.client().h2(served.address()).await.unwrap();
    for _ in 0..5 {
        let cancelled = h2.get("/").await.unwrap();
        eventually_async("it is held", PATIENCE, || gate.waiting() == 1).await;
        drop(cancelled);
        eventually_async("it is gone", PATIENCE, || gate.waiting() == 0).await;
    }
    gate.open();
    assert_eq!(whole(h2.get("/").await.unwrap()).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_used_like_any_other_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let application = Raw::unix(&folder.path().join("app.sock"), |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for _ in 0..3 {
        assert_eq!(ask(&served, &post("/", "abc")).await.text(), "ok");
    }
    assert_eq!(application.connections(), 1);
    assert!(application.received(0).contains("\r\nhost: localhost\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_also_the_ipv6_loopback() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: no IPv6 here");
        return;
    }
    let address =
        std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, ports::unused().port()));
    let application = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    // Nobody else may come to listen on this port of 127.0.0.1.
    let ipv4 = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken.bind(&ipv4.into()).unwrap();
    let served = Served::start(&format!("http://localhost:{}", address.port()), &[]);
    assert_eq!(ask(&served, &get("/")).await.text(), "ok");
    assert_eq!(application.connections(), 1);
}
