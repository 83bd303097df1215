//! Restarts under load: of the sidecar, beside another on the same port, and of the application.
//! Every request is counted, and none may fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::client::TlsStream;

use crate::support::application::Raw;
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h1::{Wire, header};
use crate::support::h2::{H2, whole};
use crate::support::ports;
use crate::support::requests::{get, post};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Served, Sidecar, Signal};
use crate::support::wait::{PATIENCE, eventually_async, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Requests that have to be answered between two events of a test.
const SOME: usize = 200;
/// Lets nothing through that opens a connection: SYN set, ACK not, in the flags of the TCP header.
const NOBODY_NEW: [(u16, u8, u8, u32); 5] = [
    (0x30, 0, 0, 13),   // BPF_LD | BPF_B | BPF_ABS: the flags
    (0x54, 0, 0, 0x12), // BPF_ALU | BPF_AND | BPF_K: of them SYN and ACK
    (0x15, 0, 1, 0x02), // BPF_JMP | BPF_JEQ | BPF_K: SYN alone
    (0x06, 0, 0, 0),    // BPF_RET | BPF_K: no byte arrives
    (0x06, 0, 0, 0xffff),
];
/// The state of a half-open connection in /proc/net/tcp.
const SYN_RECV: &str = "03";

/// Clients that ask without a pause.
struct Load {
    state: Arc<State>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    good: AtomicUsize,
    asked: AtomicUsize,
    /// Paths of requests that a GOAWAY has told not to be processed.
    unprocessed: std::sync::Mutex<Vec<String>>,
    failed: std::sync::Mutex<Vec<String>>,
}

impl Load {
    /// Clients of both protocols against `address`, `uploads` of which send bodies.
    fn start(client: &Client, address: SocketAddr, uploads: usize) -> Self {
        let state = Arc::new(State::default());
        let mut clients = JoinSet::new();
        for number in 0..4 {
            let of = (client.clone(), Arc::clone(&state));
            clients.spawn(async move { of.1.http1(&of.0, address, number < uploads).await });
            let of = (client.clone(), Arc::clone(&state));
            clients.spawn(async move { of.1.http2(&of.0, address).await });
        }
        Self { state, clients }
    }

    /// Waits until some more requests were answered.
    async fn goes_on(&self) {
        let before = self.state.good.load(Relaxed);
        let what = "requests answered";
        eventually_async(what, PATIENCE, || {
            self.state.good.load(Relaxed) >= before + SOME || !self.state.failures().is_empty()
        })
        .await;
        assert_eq!(self.state.failures(), [""; 0]);
    }

    /// Ends the load, in which nothing may have failed; the requests that were told not to be
    /// processed.
    async fn end(self) -> Vec<String> {
        self.state.is_over.store(true, Relaxed);
        within("the end of all clients", self.clients.join_all()).await;
        assert_eq!(self.state.failures(), [""; 0]);
        self.state.unprocessed.lock().unwrap().clone()
    }
}

impl State {
    fn failures(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }

    fn count(&self, status: u16, what: &str) {
        match status {
            200 => drop(self.good.fetch_add(1, Relaxed)),
            status => self.fail(format!("{what}: {status}")),
        }
    }

    fn fail(&self, what: String) {
        self.failed.lock().unwrap().push(what);
        self.is_over.store(true, Relaxed);
    }

    /// One connection after the other; each is kept until an answer says that it closes.
    async fn http1(&self, client: &Client, address: SocketAddr, uploads: bool) {
        let mut kept: Option<Wire<TlsStream<TcpStream>>> = None;
        while !self.is_over.load(Relaxed) {
            let mut wire = match kept.take() {
                Some(wire) => wire,
                None => match client.http1(address).await {
                    Ok(wire) => wire,
                    Err(error) => return self.fail(format!("connecting: {error}")),
                },
            };
            let request = match uploads {
                true => post("/", &"upload ".repeat(1000)),
                false => get("/"),
            };
            let answer = async {
                wire.write(request).await?;
                wire.response().await
            };
            match answer.await {
                Ok(response) => {
                    self.count(response.status, "HTTP/1.1");
                    if response.header("connection").is_none() {
                        kept = Some(wire);
                    }
                }
                Err(error) => return self.fail(format!("HTTP/1.1: {error}")),
            }
        }
    }

    /// Five streams at a time, on one connection until it is told to go away.
    async fn http2(&self, client: &Client, address: SocketAddr) {
        while !self.is_over.load(Relaxed) {
            let mut h2 = match client.h2(address).await {
                Ok(h2) => h2,
                Err(error) => return self.fail(format!("connecting: {error}")),
            };
            let mut is_open = true;
            while is_open && !self.is_over.load(Relaxed) {
                is_open = self.streams(&mut h2).await;
            }
        }
    }

    /// Whether the connection takes more streams.
    async fn streams(&self, h2: &mut H2) -> bool {
        let mut asked = Vec::new();
        for _ in 0..5 {
            // Refused by the client itself, which has read the GOAWAY: nothing was sent.
            let path = format!("/asked-{}", self.asked.fetch_add(1, Relaxed));
            match h2.get(&path).await {
                Ok(answer) => asked.push((path, answer)),
                Err(_) => break,
            }
        }
        let mut is_open = asked.len() == 5;
        for (path, answer) in asked {
            match whole(answer).await {
                Ok(response) => self.count(response.status, "HTTP/2"),
                // This client acknowledges the first GOAWAY's PING before it sends what waits, which
                // is then beyond the last stream of the second: any client sends that again (RFC
                // 9113 section 6.8).
                Err(error)
                    if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) =>
                {
                    self.unprocessed.lock().unwrap().push(path);
                    is_open = false;
                }
                Err(error) => self.fail(format!("HTTP/2: {error:?}")),
            }
        }
        is_open
    }
}

// LIFE-01
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_sidecars_on_a_port_restarts_under_load_and_no_request_fails() {
    let application = Raw::answering(OK);
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let start = |listen: &str| {
        Sidecar::start(&[
            "--listen",
            listen,
            "--reuse-port",
            "on",
            "--cert-dir",
            secret.as_str(),
            "--upstream",
            application.upstream(),
            "--drain-delay",
            "300ms",
            "--access-log",
            "off",
        ])
    };
    let mut old = start("127.0.0.1:0");
    let address = old.address();
    let mut other = start(&address.to_string());
    let load = Load::start(&Client::new(&ca), address, 1);
    for _ in 0..4 {
        load.goes_on().await;
        old.signal(Signal::TERM);
        let ended = tokio::task::spawn_blocking(|| old.wait_exit());
        let ended = ended.await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
        load.goes_on().await;
        old = std::mem::replace(&mut other, start(&address.to_string()));
    }
    let unprocessed = load.end().await;
    let received = application.all_received().concat();
    assert!(received.contains(" /asked-0 "));
    for path in unprocessed {
        assert!(!received.contains(&format!(" {path} ")), "{path} was");
    }
}

// LIFE-07
#[test]
fn without_the_switch_a_second_sidecar_on_a_port_is_an_error() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &["--reuse-port", "on"]);
    let address = served.address().to_string();
    let own = ["--cert-dir", served.secret.as_str(), "--listen", &address];
    let ended = Sidecar::run_to_end(&own);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("another process has the port"));
}

// UP-01, UP-09, UP-16
#[tokio::test(flavor = "multi_thread")]
async fn the_application_restarts_under_load_and_no_request_fails() {
    let mut application = Orderly::start(ports::unused());
    let address = application.address;
    let patient = ["--upstream-connect-timeout", "15s", "--access-log", "off"];
    let served = Served::start(&format!("http://{address}"), &patient);
    // No uploads: whether one arrived that met a connection just being closed nobody can tell, so it
    // is not sent again (RFC 9110 section 9.2.2).
    let load = Load::start(&served.client(), served.address(), 0);
    for _ in 0..5 {
        load.goes_on().await;
        application.stop().await;
        // Now requests are held: nobody answers any.
        let good = load.state.good.load(Relaxed);
        tokio::task::yield_now().await;
        assert!(load.state.good.load(Relaxed) <= good + 24);
        application = Orderly::start(address);
        load.goes_on().await;
    }
    assert_eq!(load.end().await, [""; 0]);
    application.stop().await;
}

/// An application that stops as it should: it takes no more connections, then closes those that
/// have nothing to do and the others behind their answer.
struct Orderly {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<JoinSet<()>>,
}

impl Orderly {
    fn start(address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, stopped) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut stop = stopped.clone();
            loop {
                tokio::select! {
                    biased;
                    Ok((socket, _)) = listener.accept() => {
                        connections.spawn(answer_all(socket, stopped.clone()));
                    }
                    _ = stop.wait_for(|stopping| *stopping) => break,
                }
            }
            // What waits in the queue when it is closed is reset: so nobody else may come in, and
            // whoever has is answered.
            let nobody_new =
                NOBODY_NEW.map(|(code, jt, jf, k)| socket2::SockFilter::new(code, jt, jf, k));
            socket2::SockRef::from(&listener)
                .attach_filter(&nobody_new)
                .unwrap();
            let listener = listener.into_std().unwrap();
            let mut was_half_open = true;
            while was_half_open {
                was_half_open = has_half_open(address);
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true).unwrap();
                    let socket = TcpStream::from_std(socket).unwrap();
                    connections.spawn(answer_all(socket, stopped.clone()));
                }
            }
            connections
        });
        Self {
            address,
            stopping,
            accepting,
        }
    }

    async fn stop(self) {
        self.stopping.send_replace(true);
        let connections = self.accepting.await.unwrap();
        within("the last answers", connections.join_all()).await;
    }
}

/// Whether somebody is between SYN and ACK with `address`, as the kernel shows it.
fn has_half_open(address: SocketAddr) -> bool {
    let port = format!(":{:04X}", address.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_here = fields.next().is_some_and(|local| local.ends_with(&port));
        is_here && fields.nth(1) == Some(SYN_RECV)
    })
}

async fn answer_all(socket: TcpStream, mut stopping: watch::Receiver<bool>) {
    let mut wire = Wire::new(socket);
    // Whoever connects has a request, and a moment to make it.
    let mut is_new = true;
    loop {
        let head = tokio::select! {
            biased;
            head = wire.read_head() => head,
            () = left_alone(&mut stopping, is_new) => return,
        };
        is_new = false;
        let Ok(Some(head)) = head else { return };
        let _ = wire.read_request_body(&head).await;
        assert!(header(&head, "host").is_some());
        if wire.write(OK).await.is_err() {
            return;
        }
    }
}

/// Returns when the application stops, and a new client has been waited for.
async fn left_alone(stopping: &mut watch::Receiver<bool>, is_new: bool) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
    if is_new {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}
