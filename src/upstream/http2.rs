//! HTTP/2 with prior knowledge to the application: few connections, shared by all requests.
//!
//! A further connection opens when every open one has as many streams as the application allows.
//! Each has a task of its own, because its streams outlive one another.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;

use super::body::{Body, StreamGuard};
use super::error::is_refused_stream;
use super::{Error, Prologue, RequestBody, Shared, io, spare};
use crate::drain::Background;

/// Receive window of one stream: what a fast application may have on its way to one client.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Receive window of a connection, for all of its streams together.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// One worker's HTTP/2 connections.
#[derive(Debug)]
pub(super) struct Connections<B> {
    open: Mutex<Vec<Shareable<B>>>,
    /// One opens at a time: a burst at start must not open a connection per request.
    opening: Semaphore,
}

#[derive(Debug)]
struct Shareable<B> {
    sender: http2::SendRequest<B>,
    streams: Arc<AtomicUsize>,
    /// Streams the application allows, as its task last saw it.
    allowed: Arc<AtomicUsize>,
}

impl<B> Clone for Shareable<B> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            streams: Arc::clone(&self.streams),
            allowed: Arc::clone(&self.allowed),
        }
    }
}

impl<B> Default for Connections<B> {
    fn default() -> Self {
        Self {
            open: Mutex::new(Vec::new()),
            opening: Semaphore::new(1),
        }
    }
}

impl<B: RequestBody> Connections<B> {
    pub(super) async fn send(
        &self,
        shared: &Arc<Shared<B>>,
        request: Request<B>,
        prologue: Prologue,
    ) -> Result<Response<Body<B>>, Error> {
        if prologue.is_some() {
            let connection = connect(shared, prologue).await?;
            return exchange(connection, request)
                .await
                .map_err(|failed| failed.0.into());
        }
        let connection = self.acquire(shared).await?;
        let again = spare(&request);
        match exchange(connection, request).await {
            Ok(response) => Ok(response),
            Err((error, unsent)) => {
                let again = match unsent {
                    Some(unsent) => Some(unsent),
                    None if is_refused_stream(&error) || error.is_closed() => again,
                    None => None,
                };
                let Some(again) = again else {
                    return Err(error.into());
                };
                shared.telemetry.metrics.upstream.retries.increment();
                let connection = self.acquire(shared).await?;
                exchange(connection, again)
                    .await
                    .map_err(|(error, _)| error.into())
            }
        }
    }

    async fn acquire(&self, shared: &Arc<Shared<B>>) -> Result<Shareable<B>, Error> {
        if let Some(connection) = self.pick() {
            return Ok(connection);
        }
        let _turn = self.opening.acquire().await.map_err(|_| Error::Busy)?;
        // Somebody may have opened one while we waited for our turn.
        if let Some(connection) = self.pick() {
            return Ok(connection);
        }
        let connection = connect(shared, None).await?;
        self.lock().push(connection.clone());
        Ok(connection)
    }

    fn pick(&self) -> Option<Shareable<B>> {
        let mut open = self.lock();
        open.retain(|connection| !connection.sender.is_closed());
        open.iter()
            .find(|connection| connection.has_room())
            .cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Shareable<B>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: RequestBody> Shareable<B> {
    fn has_room(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < self.allowed.load(Ordering::Relaxed)
    }
}

async fn connect<B: RequestBody>(
    shared: &Shared<B>,
    prologue: Prologue,
) -> Result<Shareable<B>, Error> {
    let stream = shared.connect(prologue).await?;
    let (sender, mut connection) = http2::Builder::new(Background)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(shared.limits.header_size)
        .keep_alive_interval(shared.limits.keepalive)
        .handshake(io(stream))
        .await?;
    let allowed = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let seen = Arc::clone(&allowed);
    Background.execute(std::future::poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        seen.store(connection.current_max_send_streams(), Ordering::Relaxed);
        polled.map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to the application ended");
            }
        })
    }));
    Ok(Shareable {
        sender,
        streams: Arc::default(),
        allowed,
    })
}

async fn exchange<B: RequestBody>(
    mut connection: Shareable<B>,
    request: Request<B>,
) -> Result<Response<Body<B>>, (hyper::Error, Option<Request<B>>)> {
    let stream = StreamGuard::new(&connection.streams);
    match connection.sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|incoming| Body::http2(incoming, stream))),
        Err(mut failed) => {
            let unsent = failed.take_message();
            Err((failed.into_error(), unsent))
        }
    }
}
