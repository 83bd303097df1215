//! The whole proxy in memory: bytes of a client in, bytes of the answers and what the application
//! was sent out.
//!
//! Time is paused: a timeout fires when nothing else can happen, so every conversation ends. TLS
//! alone is replaced, by clear text. The application answers each request that the strict reader
//! finds whole and never closes a connection by itself.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net as unix;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tls_sidecar::config::{Config, Settings};
use tls_sidecar::drain::Drain;
use tls_sidecar::limits::{AnswerRoom, Http2Room};
use tls_sidecar::proxy::{self, Crowd, Handshakes, Load, Permit, Policy, Worker};
use tls_sidecar::telemetry::record::{Outlets, Telemetry};
use tls_sidecar::tls::{Acceptor, Alpn};
use tls_sidecar::upstream::{Limits, Outage, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rounds::{Port, Rounds};
use crate::strict::{self, Framed, Request, Why};

/// The client's address, as the application is told it.
pub const CLIENT: ([u8; 4], u16) = ([198, 51, 100, 7], 4711);
/// The header by which an answer is known to be the application's.
pub const MARK: &str = "x-application";
/// A target that begins so is granted any switch it asks for.
pub const SWITCH: &[u8] = b"/switch";

/// No conversation takes longer, on its own clock; each timeout of the proxy is far below.
const CONVERSATION: Duration = Duration::from_secs(3600);
/// A tunnel in which nothing was said for so long is closed by the application.
const TUNNEL_QUIET: Duration = Duration::from_secs(5);
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Application: 1\r\n\r\n";

/// What the client says, and how.
pub struct Client<'a> {
    pub alpn: Alpn,
    /// Each piece is written when the one before has been taken.
    pub pieces: Vec<&'a [u8]>,
    /// Whether it closes its side behind the last piece; else it waits for the end.
    pub leaves: bool,
}

/// One request as the application saw it; after a switch, what came behind it.
#[derive(Debug)]
pub enum Seen {
    Whole(Request),
    Switched(Request, Vec<u8>),
    /// Broken off; its head where that had arrived, and the bytes.
    Part(Option<Request>, Vec<u8>),
    Refused(Why, Vec<u8>),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// All bytes that the client got.
    pub answers: Vec<u8>,
    /// All requests that reached the application, in the order of their first bytes.
    pub seen: Vec<Seen>,
}

type Log = Arc<Mutex<Vec<Seen>>>;

struct Harness {
    port: Port,
    config: Config,
    policy: Arc<Policy>,
}

thread_local! {
    static ROUNDS: RefCell<Rounds> = RefCell::default();
    static HARNESS: Harness = Harness::new();
}

/// Carries on one conversation, from accept to the end of the last task.
pub fn converse(client: &Client<'_>) -> Outcome {
    HARNESS.with(|harness| harness.converse(client))
}

impl Harness {
    fn new() -> Self {
        let port = Port::new("proxy");
        let mut config = Config::resolve(Settings::default()).unwrap();
        config.upstream.target.address = port.address();
        let policy = Policy {
            listen: config.listen.clone(),
            http: config.http.clone(),
            headers: config.headers.clone(),
            protocol: config.upstream.target.protocol,
            proxy_protocol_out: config.upstream.proxy_protocol,
        };
        let harness = Self {
            port,
            config,
            policy: Arc::new(policy),
        };
        harness.prove();
        harness
    }

    /// A harness through which nothing passes would find nothing.
    fn prove(&self) {
        let outcome = self.converse(&Client {
            alpn: Alpn::Http1,
            pieces: vec![b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\nHost: a\r\n\r\n"],
            leaves: false,
        });
        let [Seen::Whole(first), Seen::Whole(second)] = outcome.seen.as_slice() else {
            panic!("the proxy in memory passes nothing: {outcome:?}");
        };
        assert_eq!(
            (&first.target[..], &first.body[..]),
            (&b"/a"[..], &b"x"[..])
        );
        assert_eq!(&second.target, b"/b");
        let answers = String::from_utf8_lossy(&outcome.answers);
        assert_eq!(answers.matches(MARK).count(), 2, "{answers}");
    }

    fn converse(&self, client: &Client<'_>) -> Outcome {
        ROUNDS.with_borrow_mut(|rounds| rounds.next().block_on(self.conversation(client)))
    }

    fn worker(&self, alpn: Alpn) -> Arc<Worker> {
        let telemetry = Arc::new(Telemetry::new(Outlets::off()));
        let limits = Limits {
            header_size: self.policy.http.max_header_size,
            headers: self.policy.http.max_headers,
            keepalive: self.config.upstream.keepalive_interval,
            room: AnswerRoom::new(None, 1),
        };
        let upstream = &self.config.upstream;
        let outage = Arc::new(Outage::new(upstream.connect_timeout));
        Arc::new(Worker {
            acceptor: Acceptor::settled_on(alpn),
            handshakes: Handshakes::new(Arc::new(Crowd::of(1))),
            upstream: Upstream::new(upstream, limits, 1, Arc::clone(&telemetry), outage),
            http2: Arc::new(Http2Room::new(None, 1)),
            drain: Drain::default(),
            telemetry,
            policy: Arc::clone(&self.policy),
        })
    }

    async fn conversation(&self, client: &Client<'_>) -> Outcome {
        let log = Log::default();
        let application = self.application(Arc::clone(&log));
        let mut application = std::pin::pin!(application);
        let worker = self.worker(client.alpn);
        let (ours, theirs) = unix::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let socket = std::net::TcpStream::from(OwnedFd::from(theirs));
        let socket = TcpStream::from_std(socket).unwrap();
        let open = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let permit = Permit::new(open, &Load::default());
        let serving = proxy::accepted(Arc::clone(&worker), socket, CLIENT.into(), permit);
        worker.drain.spawn(serving, || {});
        let talk = async {
            let talking = talk(client, UnixStream::from_std(ours).unwrap());
            let answers = timeout(CONVERSATION, talking)
                .await
                .expect("the connection never ends");
            timeout(CONVERSATION, worker.drain.empty())
                .await
                .expect("a task of the connection never ends");
            answers
        };
        let answers = tokio::select! {
            answers = talk => answers,
            () = &mut application => unreachable!("the application never ends"),
        };
        // Closes what is pooled; then the application has seen the end of everything.
        drop(worker);
        let _ = timeout(Duration::from_secs(1), application).await;
        let seen = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
        Outcome { answers, seen }
    }

    async fn application(&self, log: Log) {
        let listener = self.port.listen();
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            connections.spawn(serve(socket, Arc::clone(&log)));
            while connections.try_join_next().is_some() {}
        }
    }
}

/// The client: writes piece by piece and reads all the while.
async fn talk(client: &Client<'_>, socket: UnixStream) -> Vec<u8> {
    let (mut reader, mut writer) = socket.into_split();
    let writing = async {
        for piece in &client.pieces {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            // Long enough for the proxy to have taken it, and no time on any of its clocks.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        if client.leaves {
            let _ = writer.shutdown().await;
        }
        writer
    };
    let reading = async {
        let mut answers = Vec::new();
        // A reset ends the answers as an end does.
        let _ = reader.read_to_end(&mut answers).await;
        answers
    };
    let (_, answers) = tokio::join!(writing, reading);
    answers
}

/// The application, on one connection.
async fn serve(mut socket: UnixStream, log: Log) {
    let note = |slot: usize, seen: Seen| {
        log.lock().unwrap_or_else(PoisonError::into_inner)[slot] = seen;
    };
    let open = || {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(Seen::Part(None, Vec::new()));
        log.len() - 1
    };
    let mut bytes = Vec::new();
    let mut slot = None;
    loop {
        while !bytes.is_empty() {
            let here = *slot.get_or_insert_with(open);
            match strict::frame(&bytes) {
                Framed::Whole(request, length) => {
                    bytes.drain(..length);
                    slot = None;
                    let switches =
                        request.target.starts_with(SWITCH) && request.has_option(b"upgrade");
                    if switches {
                        let tunnel = tunnel(&mut socket, &request, bytes).await;
                        return note(here, Seen::Switched(request, tunnel));
                    }
                    let body = if request.method == b"HEAD" { "" } else { "ok" };
                    note(here, Seen::Whole(request));
                    let answer = format!("{ANSWER}{body}");
                    // Who asked may have left.
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
                Framed::Part(head) => {
                    note(here, Seen::Part(head, bytes.clone()));
                    break;
                }
                Framed::Refused(why, _) => return note(here, Seen::Refused(why, bytes)),
            }
        }
        if !matches!(socket.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

/// Grants the switch and takes what comes behind it.
async fn tunnel(socket: &mut UnixStream, request: &Request, mut bytes: Vec<u8>) -> Vec<u8> {
    let protocol = request.all(b"upgrade").next().unwrap_or_default();
    let granted = [
        b"HTTP/1.1 101 Switching Protocols\r\nX-Application: 1\r\nConnection: upgrade\r\nUpgrade: ",
        protocol,
        b"\r\n\r\n",
    ]
    .concat();
    let _ = socket.write_all(&granted).await;
    while let Ok(Ok(1..)) = timeout(TUNNEL_QUIET, socket.read_buf(&mut bytes)).await {}
    bytes
}
