//! The oracle of an application that speaks HTTP/2: whatever it says, each request comes to an end,
//! a body is what was sent on its stream, and one that ends cleanly was ended there.
//!
//! The first byte of an input says how it is said, the rest are the bytes behind the application's
//! SETTINGS. What was sent on a stream is told by a reader of frames that shares no line with the
//! client's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use tls_sidecar::config::{Config, Protocol as Spoken, Settings};
use tls_sidecar::limits::AnswerRoom;
use tls_sidecar::message::{Protocol, Request};
use tls_sidecar::telemetry::record::{Outlets, Telemetry};
use tls_sidecar::upstream::{BoxError, Limits, Outage, Upstream, upgraded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::report::{Finding, report};
use crate::rounds::{Port, Rounds};

/// SETTINGS that take extended CONNECT.
const OPENING: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1];
/// No request takes longer, on its own clock: who waits for ever is let go of.
const PATIENCE: Duration = Duration::from_secs(60);
/// All that is left ends by itself within this.
const AFTER: Duration = Duration::from_secs(7200);
/// What is asked, each on a stream of its own.
const ASKED: [Asked; 4] = [Asked::Get, Asked::Post, Asked::Head, Asked::Connect];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Get,
    Post,
    Head,
    Connect,
}

/// The body of a request, in pieces.
#[derive(Debug, Default)]
struct Said(Vec<&'static [u8]>);

impl Body for Said {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = self.0.pop();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// What a request came to.
#[derive(Debug)]
struct Got {
    body: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Clean,
    Broken,
    /// There was no head.
    None,
    /// It would have gone on for ever.
    LetGo,
}

/// What was sent on a stream, up to its end.
#[derive(Debug, Default)]
struct Sent {
    body: Vec<u8>,
    is_ended: bool,
}

struct Harness {
    port: Port,
    config: Config,
}

thread_local! {
    static ROUNDS: RefCell<Rounds> = RefCell::default();
    static HARNESS: Harness = Harness::new();
}

/// Holds the client to the oracle for `input`.
pub fn hold(input: &[u8]) {
    let Some((mode, said)) = input.split_first() else {
        return;
    };
    let got = HARNESS.with(|harness| harness.converse(*mode, said));
    let sent = sent(said);
    for (asked, got) in ASKED.into_iter().zip(got) {
        report(input, judge(asked, &got, &sent));
    }
}

/// Which stream an answer is of is not known: one request may have come before another, and one that is
/// sent again is on a connection where the same is said.
fn judge(asked: Asked, got: &Got, sent: &HashMap<u32, Sent>) -> Result<(), Finding> {
    let fits = |sent: &Sent| match got.end {
        End::Clean => sent.is_ended && (sent.body == got.body || asked == Asked::Head),
        _ => sent.body.starts_with(&got.body),
    };
    let is_nothing = got.body.is_empty() && got.end != End::Clean;
    match is_nothing || sent.values().any(fits) {
        true => Ok(()),
        false => Err(Finding::new(
            format!("an answer that nobody gave: {asked:?}, {:?}", got.end),
            format!("{got:?}\n{sent:?}"),
        )),
    }
}

/// What was sent on each stream.
fn sent(mut bytes: &[u8]) -> HashMap<u32, Sent> {
    let mut streams: HashMap<u32, Sent> = HashMap::new();
    while let [a, b, c, kind, flags, s @ ..] = bytes
        && let Some(stream) = s.first_chunk::<4>()
    {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        let rest = &bytes[9..];
        let mut payload = &rest[..length.min(rest.len())];
        let is_whole = rest.len() >= length;
        if *kind == 0 {
            let mut left = length;
            if flags & 8 != 0 && !payload.is_empty() {
                left = length.saturating_sub(1 + usize::from(payload[0]));
                payload = &payload[1..];
            }
            let payload = &payload[..left.min(payload.len())];
            let is_here = payload.len() == left;
            let sent = streams.entry(stream).or_default();
            if !sent.is_ended {
                sent.body.extend_from_slice(payload);
                sent.is_ended = is_here && flags & 1 != 0;
            }
        } else if *kind == 1 && flags & 1 != 0 {
            streams.entry(stream).or_default().is_ended = true;
        }
        if !is_whole {
            break;
        }
        bytes = &rest[length..];
    }
    streams
}

impl Harness {
    fn new() -> Self {
        let port = Port::new("h2c");
        let mut config = Config::resolve(Settings::default()).unwrap();
        config.upstream.target.address = port.address();
        config.upstream.target.protocol = Spoken::H2c;
        let harness = Self { port, config };
        harness.prove();
        harness
    }

    /// A harness through which nothing passes would find nothing.
    fn prove(&self) {
        let answer = |stream: u8| {
            let head = [0, 0, 1, 1, 4, 0, 0, 0, stream, 0x88];
            [&head[..], &[0, 0, 2, 0, 1, 0, 0, 0, stream, b'o', b'k']].concat()
        };
        let head = [0, 0, 1, 1, 5, 0, 0, 0, 5, 0x88];
        let said = [answer(1), answer(3), head.to_vec(), answer(7)].concat();
        let got = self.converse(0, &said);
        let bodies: Vec<_> = got.iter().map(|got| got.body.as_slice()).collect();
        assert_eq!(bodies, [&b"ok"[..], b"ok", b"", b"ok"], "{got:?}");
        assert!(got.iter().all(|got| got.end == End::Clean), "{got:?}");
    }

    fn converse(&self, mode: u8, said: &[u8]) -> Vec<Got> {
        ROUNDS.with_borrow_mut(|rounds| rounds.next().block_on(self.conversation(mode, said)))
    }

    async fn conversation(&self, mode: u8, said: &[u8]) -> Vec<Got> {
        let telemetry = Arc::new(Telemetry::new(Outlets::off()));
        let limits = Limits {
            header_size: 16 * 1024,
            headers: 100,
            keepalive: self.config.upstream.keepalive_interval,
            room: AnswerRoom::new(None, 1),
        };
        let section = &self.config.upstream;
        let outage = Arc::new(Outage::new(section.connect_timeout));
        let upstream = Upstream::new(section, limits, 1, telemetry, outage);
        let asking = async {
            let [a, b, c, d] = ASKED.map(|asked| timeout(PATIENCE, ask(&upstream, asked)));
            let (a, b, c, d) = tokio::join!(a, b, c, d);
            let let_go = |_| Got {
                body: Vec::new(),
                end: End::LetGo,
            };
            [a, b, c, d].map(|got| got.unwrap_or_else(let_go)).into()
        };
        let got = tokio::select! {
            got = asking => got,
            () = self.application(mode, said) => unreachable!("the application never ends"),
        };
        drop(upstream);
        // Whoever was asked sees the end of every connection.
        let metrics = tokio::runtime::Handle::current().metrics();
        let end = async {
            while metrics.num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(AFTER, end).await.expect("a connection never ends");
        got
    }

    /// Says on each connection what is to be said, when all that is asked has come.
    async fn application(&self, mode: u8, said: &[u8]) {
        let listener = self.port.listen();
        let mut open = Vec::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            // Who asked may have left.
            let _ = say(&mut socket, mode, said).await;
            if mode & 1 != 0 {
                open.push(socket);
            }
        }
    }
}

async fn say(socket: &mut UnixStream, mode: u8, said: &[u8]) -> io::Result<()> {
    socket.write_all(OPENING).await?;
    let mut heard = Vec::new();
    // The last asks for another protocol; time passes only when nothing more comes.
    let hear = async {
        while socket.read_buf(&mut heard).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(Duration::from_millis(10), hear).await;
    let size = match mode & 6 {
        0 => said.len().max(1),
        2 => 1,
        4 => 7,
        _ => 64,
    };
    for piece in said.chunks(size) {
        socket.write_all(piece).await?;
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

async fn ask(upstream: &Upstream<Said>, asked: Asked) -> Got {
    let mut request = Request::new(Said::default());
    request.version = Version::HTTP_2;
    request.uri = "http://a.example/path".parse().unwrap();
    match asked {
        Asked::Get => {}
        Asked::Post => {
            request.method = Method::POST;
            request.body = Said(vec![b"world", b"hello"]);
        }
        Asked::Head => request.method = Method::HEAD,
        Asked::Connect => {
            request.method = Method::CONNECT;
            request.extensions.insert(Protocol::from_static("chat"));
        }
    }
    let mut body = Vec::new();
    let end = match upstream.send(request, &[], None).answer().await {
        Err(_) => End::None,
        Ok(response) if asked == Asked::Connect && response.status.is_success() => {
            match upgraded(response) {
                Err(_) => End::Broken,
                Ok(mut tunnel) => {
                    let _ = tunnel.write_all(b"hello").await;
                    match timeout(PATIENCE / 2, tunnel.read_to_end(&mut body)).await {
                        Ok(Ok(_)) => End::Clean,
                        Ok(Err(_)) => End::Broken,
                        Err(_) => End::LetGo,
                    }
                }
            }
        }
        Ok(response) => {
            let mut answer = response.body;
            loop {
                let next = std::future::poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx));
                match timeout(PATIENCE / 2, next).await {
                    Err(_) => break End::LetGo,
                    Ok(None) => break End::Clean,
                    Ok(Some(Err(_))) => break End::Broken,
                    Ok(Some(Ok(frame))) => {
                        body.extend_from_slice(&frame.into_data().unwrap_or_default());
                    }
                }
            }
        }
    };
    Got { body, end }
}
