//! HTTP/2 with prior knowledge to the application: few connections, shared by all requests.
//!
//! A further connection opens when every open one has as many streams as the application allows,
//! up to `--max-upstream-connections`; then requests wait for a stream as long as for a
//! connection. Where memory is limited, all streams together are too, as HTTP/1.1 connections are:
//! each may bring an answer for a client that is slow. An application that allows no stream at all
//! wants to be left alone (RFC 9113 section 6.5.2): nothing further is opened to it. Each connection
//! has a task of its own, because its streams outlive one another.

mod foreign;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body::{Body, StreamGuard};
use super::error::is_unprocessed;
use super::{Error, Opened, Prologue, RequestBody, Shared};
use crate::drain::Background;
use crate::limits::SMALLEST_PIECE;
use crate::message::{Request, Response};
use crate::net::{ConnectError, Stream};

/// The streams allowed before the application has said how many; no application says this.
const UNTOLD: usize = 1_000_003;

/// One worker's HTTP/2 connections.
#[derive(Debug)]
pub(super) struct Connections<B> {
    open: Mutex<Vec<Shareable<B>>>,
    /// One opens at a time: a burst at start must not open a connection per request.
    opening: Semaphore,
    queue: Arc<Queue>,
}

/// Requests that wait for a stream.
#[derive(Debug, Default)]
struct Queue {
    freed: Notify,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Shareable<B> {
    sender: http2::SendRequest<B>,
    room: Arc<Room>,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Room {
    streams: AtomicUsize,
    /// Streams the application allows, as the connection's task last saw it.
    allowed: AtomicUsize,
    told: Notify,
    /// Wakes the connection's task, which alone can see what is allowed now.
    task: OnceLock<Waker>,
    queue: Arc<Queue>,
}

/// The socket below h2; what arrives on it may be SETTINGS that somebody waits for.
struct Noticed {
    stream: Stream,
    room: Arc<Room>,
}

impl Room {
    /// One more stream.
    pub(super) fn enter(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// One stream less.
    pub(super) fn leave(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.queue.freed.notify_one();
    }

    fn allow(&self, streams: usize) {
        if self.allowed.swap(streams, Ordering::Relaxed) != streams {
            self.told.notify_one();
            self.queue.freed.notify_waiters();
        }
    }

    /// Something has arrived; h2 will have read it before the task has its turn.
    fn notice(&self) {
        let is_awaited = self.allowed() == UNTOLD || self.queue.waiting.load(Ordering::Relaxed) > 0;
        if is_awaited && let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn allowed(&self) -> usize {
        self.allowed.load(Ordering::Relaxed)
    }
}

impl<B> Clone for Shareable<B> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            room: Arc::clone(&self.room),
        }
    }
}

impl<B> Default for Connections<B> {
    fn default() -> Self {
        Self {
            open: Mutex::new(Vec::new()),
            opening: Semaphore::new(1),
            queue: Arc::default(),
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
        let request = foreign::request(request)?;
        let stream = shared.stream_permit().await?;
        if prologue.is_some() {
            let permit = shared.permit().await?;
            let socket = shared.connect(prologue).await?;
            let connection = self.begin(shared, socket, permit).await?;
            if !connection.has_room() {
                return Err(Error::Busy);
            }
            return exchange(shared, connection, request, stream)
                .await
                .map_err(|failed| failed.0.into())
                .and_then(|response| foreign::response(shared, response));
        }
        let connection = self.acquire(shared).await?;
        let again = foreign::spare(&request);
        match exchange(shared, connection, request, stream).await {
            Ok(response) => foreign::response(shared, response),
            Err((error, unsent)) => {
                let again = match unsent {
                    Some(unsent) => Some(unsent),
                    None if is_unprocessed(&error) || error.is_closed() => again,
                    None => None,
                };
                let Some(again) = again else {
                    return Err(error.into());
                };
                shared.telemetry.metrics.upstream.retries.increment();
                let stream = shared.stream_permit().await?;
                let connection = self.acquire(shared).await?;
                exchange(shared, connection, again, stream)
                    .await
                    .map_err(|(error, _)| error.into())
                    .and_then(|response| foreign::response(shared, response))
            }
        }
    }

    /// Closes connections beyond the first that no stream needs any more.
    pub(super) fn sweep(&self) {
        let mut has_first = false;
        self.lock().retain(|connection| {
            let is_needed = !has_first || connection.room.streams() > 0;
            has_first = true;
            is_needed && !connection.sender.is_closed()
        });
    }

    async fn acquire(&self, shared: &Arc<Shared<B>>) -> Result<Shareable<B>, Error> {
        let patience = Instant::now() + shared.connect_timeout;
        loop {
            if let Some(connection) = self.pick() {
                return Ok(connection);
            }
            if let Some(connection) = self.open_further(shared, patience).await? {
                return Ok(connection);
            }
            // All of a worker runs on one thread: nothing can have been freed since the look.
            let _place = Place::take(&self.queue);
            let freed = tokio::time::timeout_at(patience, self.queue.freed.notified()).await;
            freed.map_err(|_| Error::Busy)?;
        }
    }

    /// A further connection, or one that has got room meanwhile; `None` when there may be none.
    async fn open_further(
        &self,
        shared: &Arc<Shared<B>>,
        patience: Instant,
    ) -> Result<Option<Shareable<B>>, Error> {
        let _turn = self.opening.acquire().await.map_err(|_| Error::Busy)?;
        // Somebody may have opened one while we waited for our turn.
        if let Some(connection) = self.pick() {
            return Ok(Some(connection));
        }
        // Whoever had the turn before has waited for a port all this time: it was our wait, too.
        if Instant::now() >= patience
            && let Some(shortage) = shared.shortage.why()
        {
            return Err(Error::Connect(shortage));
        }
        let is_unwanted = self.lock().iter().any(|c| c.room.allowed() == 0);
        if is_unwanted {
            return Ok(None);
        }
        let Ok(permit) = Arc::clone(&shared.permits).try_acquire_owned() else {
            return Ok(None);
        };
        let connection = match shared.connect_or(None, || self.pick()).await? {
            Opened::Fresh(stream) => self.begin(shared, stream, permit).await?,
            Opened::Instead(connection) => return Ok(Some(connection)),
        };
        self.lock().push(connection);
        Ok(self.pick())
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

    async fn begin(
        &self,
        shared: &Shared<B>,
        stream: Stream,
        permit: OwnedSemaphorePermit,
    ) -> Result<Shareable<B>, Error> {
        let room = Arc::new(Room {
            streams: AtomicUsize::new(0),
            allowed: AtomicUsize::new(UNTOLD),
            told: Notify::new(),
            task: OnceLock::new(),
            queue: Arc::clone(&self.queue),
        });
        let stream = Noticed {
            stream,
            room: Arc::clone(&room),
        };
        let windows = shared.limits.room.windows(self.lock().len() + 1);
        let (sender, mut connection) = http2::Builder::new(Background)
            .timer(TokioTimer::new())
            .initial_stream_window_size(windows.stream)
            .initial_connection_window_size(windows.connection)
            .max_send_buf_size(SMALLEST_PIECE)
            .max_header_list_size(shared.limits.header_size)
            .keep_alive_interval(shared.limits.keepalive)
            .initial_max_send_streams(UNTOLD)
            .handshake(TokioIo::new(stream))
            .await?;
        let seen = Arc::clone(&room);
        Background.execute(async move {
            let ended = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                seen.task.get_or_init(|| cx.waker().clone());
                seen.allow(connection.current_max_send_streams());
                polled
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to the application ended");
            }
            drop((connection, permit));
            seen.told.notify_one();
            seen.queue.freed.notify_waiters();
        });
        let connection = Shareable { sender, room };
        match tokio::time::timeout(shared.connect_timeout, connection.told()).await {
            Ok(()) if connection.sender.is_closed() => {
                Err(Error::Closed("it ended with its beginning".into()))
            }
            Ok(()) => Ok(connection),
            Err(_) => Err(Error::Connect(ConnectError::Timeout)),
        }
    }
}

impl<B: RequestBody> Shareable<B> {
    /// Returns when the application has said how many streams it allows, or the connection is over.
    ///
    /// Its SETTINGS are the first it says (RFC 9113 section 3.4). A request that is sent before
    /// them could wait inside h2 for a stream that it never gets.
    async fn told(&self) {
        while self.room.allowed() == UNTOLD && !self.sender.is_closed() {
            self.room.told.notified().await;
        }
    }

    fn has_room(&self) -> bool {
        self.room.streams() < self.room.allowed()
    }
}

/// A place among those who wait, given up by its `Drop`.
struct Place<'a>(&'a Queue);

impl<'a> Place<'a> {
    fn take(queue: &'a Queue) -> Self {
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        Self(queue)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn exchange<B: RequestBody>(
    shared: &Arc<Shared<B>>,
    mut connection: Shareable<B>,
    request: http::Request<B>,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<http::Response<Body<B>>, (hyper::Error, Option<http::Request<B>>)> {
    let stream = StreamGuard::new(&connection.room, permit);
    match connection.sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|incoming| Body::http2(incoming, stream, shared))),
        Err(mut failed) => {
            let unsent = failed.take_message();
            Err((failed.into_error(), unsent))
        }
    }
}

impl AsyncRead for Noticed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            self.room.notice();
        }
        polled
    }
}

impl AsyncWrite for Noticed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
