//! The request's body on its way to the application.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::Incoming;
use crate::config;
use crate::fields::name;
use crate::message::Request;
use crate::proxy::activity::{Activity, Upload};
use crate::proxy::headers::strip_trailers;
use crate::telemetry::record::{Record, Transferred};
use crate::upstream::{BoxError, OnContinue};

/// A client that expects 100 and hears nothing sends after about a second (curl does); so do we.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// What the application is sent; the default is empty.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Streaming>>);

#[derive(Debug)]
struct Streaming {
    inner: Incoming,
    received: Transferred,
    left: u64,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    gate: Option<Gate>,
    fate: Fate,
    upload: Option<Upload>,
}

/// Holds the body back until the application says 100 (Continue), or too long has passed.
#[derive(Debug)]
struct Gate {
    /// `None` once no word can come any more.
    opened: Option<oneshot::Receiver<()>>,
    patience: Pin<Box<Sleep>>,
}

/// Why a request body failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum RequestBodyFailure {
    /// More than `--max-body-size`.
    TooLarge,
    /// No byte within `--request-body-timeout`.
    Timeout,
    /// The client broke off.
    ClientGone,
    /// Its framing is unsound.
    Malformed,
}

/// What became of a body, for whoever gave it away.
#[derive(Debug, Clone, Default)]
pub(in crate::proxy) struct Fate(Arc<FateState>);

#[derive(Debug, Default)]
struct FateState {
    failure: AtomicU8,
    is_answered: AtomicBool,
}

impl Fate {
    /// The answer has begun: from here on a slow upload is nobody's problem.
    pub(in crate::proxy) fn answered(&self) {
        self.0.is_answered.store(true, Relaxed);
    }

    /// Why the body failed, if it did.
    pub(in crate::proxy) fn failure(&self) -> Option<RequestBodyFailure> {
        match self.0.failure.load(Relaxed) {
            1 => Some(RequestBodyFailure::TooLarge),
            2 => Some(RequestBodyFailure::Timeout),
            3 => Some(RequestBodyFailure::ClientGone),
            4 => Some(RequestBodyFailure::Malformed),
            _ => None,
        }
    }

    fn fail(&self, failure: RequestBodyFailure) {
        let code = match failure {
            RequestBodyFailure::TooLarge => 1,
            RequestBodyFailure::Timeout => 2,
            RequestBodyFailure::ClientGone => 3,
            RequestBodyFailure::Malformed => 4,
        };
        self.0.failure.store(code, Relaxed);
    }
}

/// Takes the body out of `request` for the application; `None` when it has none.
///
/// # Errors
/// When its declared length is over the limit already.
pub(in crate::proxy) fn incoming(
    mut request: Request<Incoming>,
    record: &mut Record,
    activity: &Arc<Activity>,
    limits: &config::Http,
) -> Result<(Request<RequestBody>, Option<Fate>), RequestBodyFailure> {
    if request.body.is_end_stream() {
        return Ok((request.map(|_| RequestBody(None)), None));
    }
    let left = limits.max_body_size.unwrap_or(u64::MAX);
    if request.body.size_hint().lower() > left {
        return Err(RequestBodyFailure::TooLarge);
    }
    let fate = Fate::default();
    let expects = request.fields.has(name::EXPECT);
    let gate = expects.then(|| Gate::on(&mut request));
    let streaming = |inner| Streaming {
        inner,
        received: record.count_received(),
        left,
        timeout: limits.request_body_timeout,
        timer: None,
        is_waiting: false,
        gate,
        fate: fate.clone(),
        upload: Some(activity.upload()),
    };
    let request = request.map(|inner| RequestBody(Some(Box::new(streaming(inner)))));
    Ok((request, Some(fate)))
}

impl Gate {
    fn on<B>(request: &mut Request<B>) -> Self {
        let (on_continue, opened) = OnContinue::new();
        request.extensions.insert(on_continue);
        Self {
            opened: Some(opened),
            patience: Box::pin(tokio::time::sleep(CONTINUE_PATIENCE)),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(opened) = &mut self.opened {
            match Pin::new(opened).poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                // No word can come any more: patience decides.
                Poll::Ready(Err(_)) => self.opened = None,
                Poll::Pending => {}
            }
        }
        self.patience.as_mut().poll(cx)
    }
}

impl Streaming {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailure>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(cx));
            self.gate = None;
        }
        let Poll::Ready(polled) = self.inner.poll_frame(cx) else {
            return self
                .poll_timeout(cx)
                .map(|()| Some(Err(RequestBodyFailure::Timeout)));
        };
        self.is_waiting = false;
        match polled {
            None => {
                self.complete();
                Poll::Ready(None)
            }
            Some(Err(failure)) => Poll::Ready(Some(Err(failure))),
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers);
                }
                if let Some(data) = frame.data_ref() {
                    let n = data.len() as u64;
                    self.received.fetch_add(n, Relaxed);
                    if let Some(upload) = &self.upload {
                        upload.taken(n);
                    }
                    match self.left.checked_sub(n) {
                        Some(left) => self.left = left,
                        None => return Poll::Ready(Some(Err(RequestBodyFailure::TooLarge))),
                    }
                }
                if self.inner.is_end_stream() || frame.is_trailers() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn complete(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.complete();
        }
    }

    /// Ready when the client has been silent for too long before any answer.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        if self.fate.0.is_answered.load(Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            // What nobody will take is no memory any more.
            upload.taken(self.inner.unread() as u64);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(streaming) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = ready!(streaming.poll_frame(cx));
        Poll::Ready(polled.map(|frame| {
            frame.map_err(|failure| {
                streaming.fate.fail(failure);
                BoxError::from(failure)
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|streaming| streaming.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or(SizeHint::with_exact(0), |streaming| {
                streaming.inner.size_hint()
            })
    }
}

impl std::fmt::Display for RequestBodyFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "over --max-body-size",
            Self::Timeout => "no byte within --request-body-timeout",
            Self::ClientGone => "the client broke off",
            Self::Malformed => "the chunked body is not well-formed",
        })
    }
}

impl std::error::Error for RequestBodyFailure {}
