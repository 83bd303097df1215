//! gRPC through the proxy over `h2c://`, with tonic at both ends and bytes as messages.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::support::application::bind_tcp;
use crate::support::background::Background;
use crate::support::ports;
use crate::support::sidecar::Served;
use crate::support::wait::{PATIENCE, eventually_async, within};

/// Messages of a server stream; together they are more than any window on the way.
const MESSAGES: usize = 300;
const MESSAGE: usize = 16 * 1024;

/// An application with one method for each kind of call.
struct Application {
    upstream: String,
    seen: Arc<Seen>,
    _background: Background,
}

/// What the application was asked, and what became of calls that it holds.
#[derive(Default)]
struct Seen {
    headers: Mutex<HeaderMap>,
    held: Mutex<Held>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Held {
    #[default]
    None,
    Waiting,
    Cancelled,
}

/// A call that never answers; says when it is cancelled.
struct Hold(Arc<Seen>);

impl Hold {
    fn new(seen: &Arc<Seen>) -> Self {
        *seen.held.lock().unwrap() = Held::Waiting;
        Self(Arc::clone(seen))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = Held::Cancelled;
    }
}

impl Application {
    fn start() -> Self {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap());
        let upstream = format!("h2c://{}", listener.local_addr().unwrap());
        let seen = Arc::<Seen>::default();
        let noted = Arc::clone(&seen);
        let background = Background::start("grpc application", async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let seen = Arc::clone(&noted);
                let handle = move |request: http::Request<Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move { Ok::<_, Infallible>(serve(seen, request).await) }
                };
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(socket), service_fn(handle)));
            }
        });
        Self {
            upstream,
            seen,
            _background: background,
        }
    }

    async fn until(&self, held: Held) {
        let what = format!("a call that is {held:?}");
        let is_so = || *self.seen.held.lock().unwrap() == held;
        eventually_async(&what, PATIENCE, is_so).await;
    }
}

async fn serve(
    seen: Arc<Seen>,
    request: http::Request<Incoming>,
) -> http::Response<tonic::body::Body> {
    *seen.headers.lock().unwrap() = request.headers().clone();
    let mut grpc = tonic::server::Grpc::new(Raw);
    match request.uri().path() {
        "/t.T/Unary" => grpc.unary(Call(greet), request).await,
        "/t.T/Collect" => grpc.client_streaming(Call(collect), request).await,
        "/t.T/Count" => {
            let count = |_: Request<Bytes>| async {
                let messages = (0..MESSAGES).map(|n| Ok(Bytes::from(vec![n as u8; MESSAGE])));
                Ok::<_, Status>(Response::new(stream::iter(messages)))
            };
            grpc.server_streaming(Call(count), request).await
        }
        "/t.T/Chat" => {
            let chat = |request: Request<Streaming<Bytes>>| async {
                let replies = request
                    .into_inner()
                    .map(|message| message.map(|text| [b"re: ", &text[..]].concat().into()));
                Ok::<_, Status>(Response::new(replies))
            };
            grpc.streaming(Call(chat), request).await
        }
        "/t.T/Break" => {
            let messages = [Ok(Bytes::from("one")), Err(Status::aborted("halfway"))];
            let messages = move |_: Request<Bytes>| {
                let messages = stream::iter(messages.clone());
                async { Ok::<_, Status>(Response::new(messages)) }
            };
            grpc.server_streaming(Call(messages), request).await
        }
        "/t.T/Hold" => {
            let hold = |_: Request<Bytes>| {
                let hold = Hold::new(&seen);
                async move {
                    let _hold = hold;
                    std::future::pending::<Result<Response<Bytes>, Status>>().await
                }
            };
            grpc.unary(Call(hold), request).await
        }
        _ => {
            let mut status = Status::failed_precondition("not today: 100 % sure");
            status
                .metadata_mut()
                .insert("x-why", "because".parse().unwrap());
            status.into_http()
        }
    }
}

async fn greet(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let bytes = request.metadata().get_bin("x-bytes-bin").cloned();
    let mut response = Response::new([b"hello ", &request.into_inner()[..]].concat().into());
    let metadata = response.metadata_mut();
    metadata.insert("x-from-application", "yes".parse().unwrap());
    if let Some(bytes) = bytes {
        metadata.insert_bin("x-bytes-bin", bytes);
    }
    Ok(response)
}

async fn collect(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let mut all = Vec::new();
    while let Some(message) = messages.message().await? {
        all.extend_from_slice(&message);
        all.push(b';');
    }
    Ok(Response::new(all.into()))
}

/// A function as a tower service.
#[derive(Clone)]
struct Call<F>(F);

impl<F, Fut, I, O, E> Service<I> for Call<F>
where
    F: FnMut(I) -> Fut,
    Fut: Future<Output = Result<O, E>>,
{
    type Response = O;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, input: I) -> Fut {
        (self.0)(input)
    }
}

/// Messages that are bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A client that is connected to the sidecar over TLS.
async fn connect(served: &Served) -> Grpc<Channel> {
    let (client, address) = (served.client().alpn(&["h2"]), served.address());
    let connector = Call(move |_: Uri| {
        let client = client.clone();
        async move { client.connect(address).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("https://localhost");
    let connecting = endpoint.connect_with_connector(connector);
    let mut grpc = Grpc::new(within("a channel", connecting).await.unwrap());
    grpc.ready().await.unwrap();
    grpc
}

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

fn ask(text: &'static str) -> Request<Bytes> {
    Request::new(Bytes::from_static(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unary_call_carries_metadata_both_ways() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let mut request = ask("you");
    let metadata = request.metadata_mut();
    metadata.insert("x-from-client", "yes".parse().unwrap());
    metadata.insert_bin("x-bytes-bin", MetadataValue::from_bytes(&[0, 255, 13, 10]));
    let answer = within("an answer", grpc.unary(request, path("/t.T/Unary"), Raw)).await;
    let answer = answer.unwrap();
    assert_eq!(answer.get_ref(), "hello you");
    assert_eq!(answer.metadata().get("x-from-application").unwrap(), "yes");
    let bytes = answer.metadata().get_bin("x-bytes-bin").unwrap();
    assert_eq!(bytes.to_bytes().unwrap(), &[0, 255, 13, 10][..]);
    // The status came as a trailer, behind the message.
    assert_eq!(answer.metadata().get("grpc-status").unwrap(), "0");

    let headers = application.seen.headers.lock().unwrap();
    assert_eq!(headers["x-from-client"], "yes");
    assert_eq!(headers["te"], "trailers");
    assert_eq!(headers["content-type"], "application/grpc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stream_arrives_whole_and_in_order() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let messages = stream::iter(["a", "b", "", "c"].map(Bytes::from));
    let call = grpc.client_streaming(Request::new(messages), path("/t.T/Collect"), Raw);
    let answer = within("an answer", call).await.unwrap();
    assert_eq!(answer.get_ref(), "a;b;;c;");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stream_larger_than_every_window_arrives_whole() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let call = grpc.server_streaming(ask(""), path("/t.T/Count"), Raw);
    let mut messages = within("an answer", call).await.unwrap().into_inner();
    for n in 0..MESSAGES {
        let message = within("a message", messages.message()).await.unwrap();
        assert_eq!(message.unwrap(), vec![n as u8; MESSAGE]);
    }
    assert_eq!(messages.message().await.unwrap(), None);
    let trailers = messages.trailers().await.unwrap();
    assert!(trailers.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bidirectional_stream_is_a_conversation() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let (say, said) = mpsc::channel(1);
    let said = Request::new(ReceiverStream::new(said));
    let call = grpc.streaming(said, path("/t.T/Chat"), Raw);
    let mut replies = within("an answer", call).await.unwrap().into_inner();
    for n in 0..20 {
        // The next is said only when the one before is answered.
        say.send(Bytes::from(n.to_string())).await.unwrap();
        let reply = within("a reply", replies.message()).await.unwrap();
        assert_eq!(reply.unwrap(), format!("re: {n}"));
    }
    drop(say);
    let end = within("the end", replies.message()).await.unwrap();
    assert_eq!(end, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailers_only_error_arrives_with_its_message_and_metadata() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let call = grpc.unary(ask(""), path("/t.T/Refuse"), Raw);
    let status = within("a status", call).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "not today: 100 % sure");
    assert_eq!(status.metadata().get("x-why").unwrap(), "because");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_of_a_stream_arrives_behind_its_messages() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let call = grpc.server_streaming(ask(""), path("/t.T/Break"), Raw);
    let mut messages = within("an answer", call).await.unwrap().into_inner();
    assert_eq!(messages.message().await.unwrap().unwrap(), "one");
    let status = within("a status", messages.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Aborted, "halfway")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_reaches_the_application_and_cancels_there() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let mut request = ask("");
    request.set_timeout(Duration::from_millis(300));
    let call = grpc.unary(request, path("/t.T/Hold"), Raw);
    within("a status", call).await.unwrap_err();
    application.until(Held::Cancelled).await;
    let headers = application.seen.headers.lock().unwrap();
    assert_eq!(headers["grpc-timeout"], "300000u");
}

// H2-11
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_cancelled_at_the_application() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let call = tokio::spawn(async move {
        let answer = grpc.unary(ask(""), path("/t.T/Hold"), Raw).await;
        answer.map(|_| ())
    });
    application.until(Held::Waiting).await;
    call.abort();
    application.until(Held::Cancelled).await;
}

// LIFE-05
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_down_is_unavailable() {
    let upstream = format!("h2c://{}", ports::unused());
    let served = Served::start(&upstream, &["--upstream-connect-timeout", "200ms"]);
    let mut grpc = connect(&served).await;
    for _ in 0..2 {
        grpc.ready().await.unwrap();
        let call = grpc.unary(ask(""), path("/t.T/Unary"), Raw);
        let status = within("a status", call).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("not listening"), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_dies_in_a_call_is_no_clean_end() {
    let application = Application::start();
    let served = Served::start(&application.upstream, &[]);
    let mut grpc = connect(&served).await;
    let (say, said) = mpsc::channel(1);
    let said = Request::new(ReceiverStream::new(said));
    let call = grpc.streaming(said, path("/t.T/Chat"), Raw);
    let mut replies = within("an answer", call).await.unwrap().into_inner();
    say.send(Bytes::from("alive")).await.unwrap();
    assert_eq!(replies.message().await.unwrap().unwrap(), "re: alive");
    drop(application);
    within("a status", replies.message()).await.unwrap_err();
}
