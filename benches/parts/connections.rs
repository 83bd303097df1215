//! Handshakes and requests as a whole: client, proxy and application in one thread, over loopback
//! sockets, because the proxy asks its sockets what only real ones know.
//!
//! A figure holds both ends of each connection, so it is one to compare with itself.

use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tls_sidecar::config::{Config, Settings};
use tls_sidecar::drain::Drain;
use tls_sidecar::limits::{AnswerRoom, Http2Room};
use tls_sidecar::net::Sniffed;
use tls_sidecar::proxy::{self, Crowd, Handshakes, Load, Permit, Worker};
use tls_sidecar::telemetry::record::{Outlets, Telemetry};
use tls_sidecar::upstream::{Limits, Outage, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Served, served};
use crate::rewriting::policy;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world\n";

pub(crate) fn handshakes(c: &mut Criterion) {
    let runtime = runtime();
    let served = served(vec!["localhost".to_owned()]);
    let listener = runtime.block_on(listener());
    for (name, resumption) in [
        ("handshake, full", Resumption::disabled()),
        ("handshake, resumed", Resumption::in_memory_sessions(8)),
    ] {
        let resumes = name.ends_with("resumed");
        let connector = connector(&served, resumption, &[]);
        // The first leaves the ticket for the second.
        runtime.block_on(shake(&served, &listener, &connector));
        let resumed = runtime.block_on(shake(&served, &listener, &connector));
        assert_eq!(resumed, resumes, "{name}");
        c.bench_function(name, |b| {
            b.iter(|| runtime.block_on(shake(&served, &listener, &connector)));
        });
    }
}

pub(crate) fn requests(c: &mut Criterion) {
    let runtime = runtime();
    let served = served(vec!["localhost".to_owned()]);
    let worker = runtime.block_on(worker(&served));

    let stream = runtime.block_on(connect(
        &worker,
        &connector(&served, Resumption::disabled(), &[b"http/1.1"]),
    ));
    let (mut sender, connection) = runtime
        .block_on(hyper::client::conn::http1::handshake(TokioIo::new(stream)))
        .expect("a connection");
    runtime.spawn(connection);
    c.bench_function("request, HTTP/1.1", |b| {
        b.iter(|| runtime.block_on(async { read(sender.send_request(ask("/")).await).await }));
    });

    let stream = runtime.block_on(connect(
        &worker,
        &connector(&served, Resumption::disabled(), &[b"h2"]),
    ));
    let (mut sender, connection) = runtime
        .block_on(hyper::client::conn::http2::handshake(
            TokioExecutor::new(),
            TokioIo::new(stream),
        ))
        .expect("a connection");
    runtime.spawn(connection);
    c.bench_function("request, HTTP/2", |b| {
        b.iter(|| {
            let request = ask("https://localhost/");
            runtime.block_on(async { read(sender.send_request(request).await).await })
        });
    });
}

/// Both ends of a handshake, and a byte from the server, with which its tickets have arrived;
/// whether it took up an earlier session.
async fn shake(served: &Served, listener: &TcpListener, connector: &TlsConnector) -> bool {
    let address = listener.local_addr().expect("an address");
    let accepting = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        let accepted = served
            .acceptor
            .accept(Sniffed::new(socket), address.ip())
            .await;
        let (mut stream, session) = accepted.expect("a handshake");
        stream.write_all(b"x").await.expect("a client");
        stream.flush().await.expect("a client");
        session.resumed
    };
    let connecting = async {
        let socket = TcpStream::connect(address).await.expect("a listener");
        let mut stream = connector
            .connect(name(), socket)
            .await
            .expect("a handshake");
        stream.read_u8().await.expect("a byte")
    };
    tokio::join!(accepting, connecting).0
}

/// A worker as `run` makes it, before an application that answers every read.
async fn worker(served: &Served) -> Arc<Worker> {
    let application = listener().await;
    let address = application.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = application.accept().await {
            tokio::spawn(async move {
                let mut piece = [0; 4096];
                while let Ok(1..) = socket.read(&mut piece).await {
                    if socket.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let settings = Settings {
        upstream: Some(format!("http://{address}")),
        ..Settings::default()
    };
    let config = Config::resolve(settings).expect("settings");
    let telemetry = Arc::new(Telemetry::new(Outlets::off()));
    let policy = policy(&config);
    let limits = Limits {
        header_size: policy.http.max_header_size,
        headers: policy.http.max_headers,
        keepalive: config.upstream.keepalive_interval,
        room: AnswerRoom::new(None, 1),
    };
    let outage = Arc::new(Outage::new(config.upstream.connect_timeout));
    Arc::new(Worker {
        acceptor: served.acceptor.clone(),
        handshakes: Handshakes::new(Arc::new(Crowd::of(1))),
        upstream: Upstream::new(&config.upstream, limits, 1, Arc::clone(&telemetry), outage),
        http2: Arc::new(Http2Room::new(None, 1)),
        drain: Drain::default(),
        telemetry,
        policy: Arc::new(policy),
    })
}

/// A connection through `worker`.
async fn connect(worker: &Arc<Worker>, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let listener = listener().await;
    let address = listener.local_addr().expect("an address");
    let worker = Arc::clone(worker);
    tokio::spawn(async move {
        let (socket, peer) = listener.accept().await.expect("a connection");
        let open = Arc::new(Semaphore::new(1)).acquire_owned().await;
        let permit = Permit::new(open.expect("a permit"), &Load::default());
        let serving = proxy::accepted(Arc::clone(&worker), socket, peer, permit);
        worker.drain.spawn(serving, || {});
    });
    let socket = TcpStream::connect(address).await.expect("a listener");
    socket.set_nodelay(true).expect("a socket");
    let stream = connector.connect(name(), socket).await;
    stream.expect("a handshake")
}

fn ask(target: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(target).header("host", "localhost");
    request.body(Empty::new()).expect("a request")
}

async fn read(answer: hyper::Result<http::Response<hyper::body::Incoming>>) -> Bytes {
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await;
    body.expect("a body").to_bytes()
}

fn connector(served: &Served, resumption: Resumption, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(served.pem.as_bytes());
    roots
        .add(certificate.expect("a certificate"))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = resumption;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config).into()
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

async fn listener() -> TcpListener {
    let bound = TcpListener::bind("127.0.0.1:0").await;
    bound.expect("a free port")
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}
