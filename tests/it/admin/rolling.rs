//! A rolling restart as HTTP/2 clients see it; `tests/rolling/run` is the one for HTTP/1.1, with
//! programs that do not know what a GOAWAY is for.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::support::admin::{ask, until};
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::ports;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;
use crate::support::wait::{PATIENCE, eventually_async};

const RESTARTS: usize = 6;
const CONNECTIONS: usize = 4;
const STREAMS: usize = 4;
/// Requests between two restarts, at least.
const BETWEEN: usize = 200;

/// What stands for a Service: where new connections go.
struct Service {
    /// Both sidecars; the first of them that is in service is asked.
    endpoints: Mutex<Vec<SocketAddr>>,
    answered: AtomicUsize,
    next: AtomicUsize,
    is_over: AtomicUsize,
}

impl Service {
    fn endpoint(&self) -> SocketAddr {
        self.endpoints.lock().unwrap()[0]
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) > 0
    }
}

/// Asks until it is over, as RFC 9113 section 6.8 says: what a GOAWAY leaves out is asked again on a
/// new connection. Returns the requests that were not answered.
async fn client(service: Arc<Service>, client: Client) -> Vec<String> {
    let mut unanswered = Vec::new();
    while !service.is_over() {
        let mut h2 = client.h2(service.endpoint()).await.expect("a connection");
        let mut is_open = true;
        while is_open && !service.is_over() {
            let mut asked = Vec::new();
            for _ in 0..STREAMS {
                let path = format!("/{}", service.next.fetch_add(1, Ordering::Relaxed));
                match h2.get(&path).await {
                    Ok(answer) => asked.push((path, answer)),
                    // Not sent: the connection is known to end.
                    Err(_) => is_open = false,
                }
            }
            for (path, answer) in asked {
                match whole(answer).await {
                    Ok(response) => {
                        assert_eq!(
                            (response.status, &response.body[..]),
                            (200, path.as_bytes())
                        );
                        service.answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => {
                        is_open = false;
                        unanswered.push(path);
                    }
                }
            }
        }
    }
    unanswered
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_http2_request() {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let noted = Arc::clone(&seen);
    let application = Hyper::http1(move |request| {
        let path = request.uri().path().to_owned();
        noted.lock().unwrap().insert(path.clone());
        async move { answer(200, path) }
    });
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let start = |listen: &str, admin: &str| {
        Sidecar::start(&[
            "--cert-dir",
            secret.as_str(),
            "--upstream",
            application.upstream(),
            "--listen",
            listen,
            "--admin-listen",
            admin,
            "--drain-delay",
            "300ms",
        ])
    };
    let unused = || ports::unused().to_string();
    let mut sidecars = [
        // To be taken again at each restart.
        start(&unused(), &unused()),
        start(&unused(), &unused()),
    ];
    let service = Arc::new(Service {
        endpoints: Mutex::new(sidecars.iter().map(Sidecar::address).collect()),
        answered: AtomicUsize::new(0),
        next: AtomicUsize::new(0),
        is_over: AtomicUsize::new(0),
    });
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(client(Arc::clone(&service), Client::new(&ca)));
    }
    for _ in 0..RESTARTS {
        let before = service.answered.load(Ordering::Relaxed);
        eventually_async("requests between restarts", PATIENCE, || {
            service.answered.load(Ordering::Relaxed) >= before + BETWEEN
        })
        .await;
        // The one that is asked now leaves; the other takes over when readiness says so.
        let [leaving, staying] = sidecars;
        let (listen, admin) = (leaving.address(), leaving.admin());
        assert_eq!(ask(admin, "POST /drain").await.status, 202);
        until(admin, "/readyz", 503).await;
        service.endpoints.lock().unwrap().rotate_left(1);
        let ended = leaving.wait_exit();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        let back = start(&listen.to_string(), &admin.to_string());
        until(admin, "/readyz", 200).await;
        sidecars = [staying, back];
    }
    service.is_over.store(1, Ordering::Relaxed);
    let unanswered = clients.join_all().await.concat();
    // A client may ask again what was not processed, and only that.
    let seen = seen.lock().unwrap();
    let lost: Vec<_> = unanswered
        .iter()
        .filter(|path| seen.contains(*path))
        .collect();
    assert!(lost.is_empty(), "processed and not answered: {lost:?}");
    assert!(service.answered.load(Ordering::Relaxed) >= RESTARTS * BETWEEN);
}
