//! The life of one downstream connection.
//!
//! permit -> PROXY header if expected -> TLS, one deadline for both -> ALPN decides -> served
//! until done, drained or cut. Permit, gauges and log end by `Drop` on every exit.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::activity::Activity;
use super::downstream::{Downstream, Reader};
use super::establish::{self, Established};
use super::headers::{Forwarding, Trust};
use super::http2::Reason;
use super::serve::{Ended, Failure, Loop};
use super::{Permit, Worker, http, http1, http2, relay, tcp};
use crate::config::Protocol;
use crate::drain::{Signal, Stage};
use crate::net::{linger, linger_upload};
use crate::telemetry::metrics::Gauge;
use crate::telemetry::record::{ConnectionFacts, Telemetry};
use crate::tls::{Alpn, HandshakeFailure};

/// What a client is told whose request head did not arrive in time.
const HEADER_TIMEOUT_ANSWER: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 79\r\n\
    Connection: close\r\n\r\n\
    408 Request Timeout: the head was not complete within --request-header-timeout\n";

/// Saying goodbye may take this long.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection, as its requests and tunnels see it.
pub(super) struct Context {
    pub(super) worker: Arc<Worker>,
    pub(super) facts: Arc<ConnectionFacts>,
    pub(super) activity: Arc<Activity>,
    pub(super) forwarding: Forwarding,
    /// The next answer says that the connection closes.
    closing: AtomicBool,
    /// Whether it was told that the client is no longer good.
    pub(super) is_told: AtomicBool,
    _permit: Permit,
}

impl Context {
    /// Whether another certificate would be shown now for what this client asked for.
    pub(super) fn has_old_certificate(&self) -> bool {
        let (session, address) = (&self.facts.session, self.facts.server.ip());
        let name = session.server_name.as_deref();
        self.worker.acceptor.shown(name, address) != session.certificate
    }

    /// Has the next HTTP/1 answer say that the connection closes.
    pub(super) fn close_with_next_answer(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Whether an HTTP/1 answer says that the connection closes.
    pub(super) fn is_closing(&self) -> bool {
        self.worker.drain.stage() != Stage::Running
            || self.closing.load(Relaxed)
            || self.is_in_clear()
    }

    /// Whether it came in on the redirect listener.
    pub(super) fn is_in_clear(&self) -> bool {
        self.facts.session.is_in_clear()
    }

    /// Runs a tunnel that outlives the request it came from; the drain waits for it.
    pub(super) fn spawn(self: &Arc<Self>, tunnel: impl Future<Output = ()> + Send + 'static) {
        let telemetry = Arc::clone(&self.worker.telemetry);
        self.worker.drain.spawn(tunnel, move || {
            telemetry.metrics.panics.increment();
            tracing::error!("a tunnel ended in a panic; the process goes on");
        });
    }
}

/// What serves an established connection to its end.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one accepted socket to its end.
pub fn accepted(
    worker: Arc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: Permit,
) -> impl Future<Output = ()> + Send {
    // Boxed, as it is over soon, and so is what serves the connection: its task, which is as large
    // as both until it ends, has room for neither. Boxed here: a block keeps what it captures.
    let handshake = Box::pin(shake_hands(worker, socket, peer, permit));
    async {
        if let Some(serving) = handshake.await {
            serving.await;
        }
    }
}

/// Takes a socket through the handshake, within its deadline.
async fn shake_hands(
    worker: Arc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: Permit,
) -> Option<Serving> {
    let started = Instant::now();
    let telemetry = Arc::clone(&worker.telemetry);
    let metrics = &telemetry.metrics;
    let handshaking = Gauge::enter(Arc::clone(&telemetry), |t| {
        &t.metrics.connections.handshaking
    });
    let limit = worker.policy.listen.handshake_timeout;
    // Until a PROXY header names another, also when there never is a session.
    let mut client = peer;
    let established = establish::with_tls(&worker, socket, &mut client);
    let established = tokio::time::timeout(limit, established).await;
    drop(handshaking);
    match established.unwrap_or(Err(HandshakeFailure::Timeout)) {
        Ok(established) => {
            metrics.handshake_duration.observe(started.elapsed());
            metrics.handshakes.count(&established.session);
            telemetry
                .spans
                .handshake(client, started, Ok(&established.session));
            Some(serve(worker, established, peer, permit))
        }
        Err(failure) => {
            failed(&telemetry, failure, client);
            telemetry.spans.handshake(client, started, Err(failure));
            None
        }
    }
}

/// Counts and tells that no session came about.
pub(super) fn failed(telemetry: &Telemetry, failure: HandshakeFailure, client: SocketAddr) {
    telemetry.metrics.count_handshake_failure(failure);
    telemetry.failures.tell(failure, client);
}

/// What serves an established connection to its end.
///
/// Boxed by protocol: none pays for the room that another needs, and a client that says nothing
/// for none.
pub(super) fn serve(
    worker: Arc<Worker>,
    established: Established,
    peer: SocketAddr,
    permit: Permit,
) -> Serving {
    let Established {
        stream,
        session,
        client,
        server,
    } = established;
    let policy = Arc::clone(&worker.policy);
    let trust = Trust::of(peer, &policy.listen.trusted_proxies);
    let certificate = session.client.as_deref();
    let mut forwarding = Forwarding::new(client, server, trust, certificate, &policy.headers);
    if session.is_in_clear() {
        forwarding = forwarding.in_clear();
    }
    if !worker.upstream.is_http2() {
        forwarding = forwarding.in_lines();
    }
    let alpn = session.alpn;
    let telemetry = Arc::clone(&worker.telemetry);
    let activity = match alpn {
        Alpn::Http1 => Activity::new(),
        Alpn::H2 => Activity::http2(Arc::clone(&worker.http2)),
    };
    let facts = ConnectionFacts {
        telemetry,
        client,
        server,
        session,
        cut: AtomicBool::new(false),
    };
    let drain = worker.drain.signal();
    let context = Arc::new(Context {
        worker,
        facts: Arc::new(facts),
        activity: Arc::clone(&activity),
        forwarding,
        closing: AtomicBool::new(false),
        is_told: AtomicBool::new(false),
        _permit: permit,
    });
    let reader = match (policy.protocol, alpn) {
        (Protocol::Raw, _) | (_, Alpn::Http1) => Reader::Raw,
        (_, Alpn::H2) => Reader::http2(),
    };
    let downstream = Downstream::new(stream, activity, Arc::clone(&context.worker), reader);
    match (policy.protocol, alpn) {
        (Protocol::Raw, _) => Box::pin(async move { tcp::serve(&context, downstream).await }),
        (_, Alpn::H2) => Box::pin(serve_http2(context, downstream, drain)),
        (_, Alpn::Http1) => Box::pin(serve_http1(context, downstream, drain)),
    }
}

async fn serve_http1(context: Arc<Context>, stream: Box<Downstream>, mut drain: Signal) {
    let telemetry = &context.worker.telemetry;
    let _gauge = Gauge::enter(Arc::clone(telemetry), |t| &t.metrics.connections.http1);
    let connection = http1::Connection::new(Arc::clone(&context), stream, http::handle);
    // Boxed: it is moved once more at its end.
    let mut connection = Box::new(connection);
    let ended = Loop::new(&context, &mut drain).run(&mut *connection).await;
    context.count_end(&ended);
    if let Some(stream) = connection.into_stream() {
        Box::pin(end_http1(&context, stream, ended)).await;
    }
}

/// Ends the stream as befits how serving it ended.
async fn end_http1(context: &Context, stream: Box<Downstream>, ended: Ended) {
    match ended {
        // The answer is out, and a reset over what the client still sends would overtake it.
        Ended::Done(Ok(())) if context.activity.is_refused() => linger(stream.into_socket()).await,
        Ended::Done(Ok(())) if context.activity.has_unread() => {
            linger_upload(stream.into_socket()).await;
        }
        Ended::Done(Ok(())) => {}
        // A body that broke off: close_notify would call it complete (RFC 9112 section 9.8).
        Ended::Done(Err(Failure::Answer(_))) => {}
        Ended::Done(Err(_)) => goodbye(stream, b"").await,
        Ended::HeaderTimeout => goodbye(stream, HEADER_TIMEOUT_ANSWER).await,
        Ended::Cut => {
            context.worker.telemetry.metrics.cut.increment();
            goodbye(stream, b"").await;
        }
    }
}

async fn serve_http2(context: Arc<Context>, stream: Box<Downstream>, mut drain: Signal) {
    let telemetry = &context.worker.telemetry;
    let _gauge = Gauge::enter(Arc::clone(telemetry), |t| &t.metrics.connections.http2);
    let open = telemetry.metrics.connections.http2.value();
    let most = context.worker.http2.streams(open);
    let connection = http2::Connection::new(Arc::clone(&context), stream, http::handle, most);
    // Boxed, as that of HTTP/1 is: the future of either is as large as that of the larger.
    let mut connection = Box::new(connection);
    let mut serving = Loop::new(&context, &mut drain);
    let ended = serving.run(&mut *connection).await;
    context.count_end(&ended);
    if matches!(ended, Ended::Cut) {
        context.worker.telemetry.metrics.cut.increment();
    }
}

/// Last words, close_notify and FIN, in that order and within bounds, so that they arrive.
pub(super) async fn goodbye(mut stream: Box<Downstream>, words: &[u8]) {
    let speak = async {
        if !words.is_empty() {
            stream.write_all(words).await?;
        }
        stream.shutdown().await
    };
    if let Ok(Ok(())) = tokio::time::timeout(GOODBYE, speak).await {
        linger(stream.into_socket()).await;
    }
}

impl Context {
    /// Counts the end of a session of raw bytes.
    pub(super) fn count_raw_end(&self, ended: relay::Ended) {
        let connections = &self.worker.telemetry.metrics.connections;
        match ended {
            relay::Ended::Closed => connections.closed.increment(),
            relay::Ended::Broken => connections.failed.increment(),
            relay::Ended::Idle => connections.timed_out.increment(),
        }
    }

    fn count_end(&self, ended: &Ended) {
        let connections = &self.worker.telemetry.metrics.connections;
        match ended {
            Ended::Done(Ok(())) => connections.closed.increment(),
            Ended::Done(Err(Failure::Http2(Reason::ENHANCE_YOUR_CALM))) => {
                connections.flooded.increment();
                tracing::info!(
                    client.address = %self.facts.client,
                    reason = "http2_frame_flood",
                    "connection ended: too many HTTP/2 frames that move nothing"
                );
            }
            Ended::Done(Err(error)) => {
                connections.failed.increment();
                tracing::debug!(client.address = %self.facts.client, %error, "connection ended");
            }
            Ended::HeaderTimeout => connections.timed_out.increment(),
            Ended::Cut => connections.failed.increment(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HEADER_TIMEOUT_ANSWER;

    #[test]
    fn header_timeout_answer_declares_its_own_length() {
        let text = std::str::from_utf8(HEADER_TIMEOUT_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
