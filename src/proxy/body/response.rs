//! The answer's body on its way to the client; it carries the request's record to its end.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{Feed, RequestBody};
use crate::proxy::activity::{Activity, InFlight, Waiting};
use crate::proxy::headers::strip_trailers;
use crate::telemetry::record::Record;
use crate::upstream::{self, BoxError};

/// One request at work: its record, its place among the connection's requests, and its answer's body.
///
/// Boxed once for all of it, because an answer changes hands a dozen times.
#[derive(Debug)]
pub(in crate::proxy) struct Exchange {
    pub(in crate::proxy) record: Record,
    in_flight: InFlight,
    content: Content,
    waiting: Option<Waiting>,
    idle: Option<Idle>,
    /// Told one turn later, so that what came before is written first.
    broken: Option<BoxError>,
}

#[derive(Debug)]
enum Content {
    Empty,
    Text(Bytes),
    Upstream(upstream::Body<RequestBody>),
}

/// `--stream-idle-timeout`.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

/// The answer's body.
#[derive(Debug)]
pub(in crate::proxy) struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Answer(Box<Exchange>),
    /// What the other side of a tunnel says.
    Tunnel(Feed),
}

impl Exchange {
    pub(in crate::proxy) fn new(record: Record, activity: &Arc<Activity>) -> Self {
        Self {
            record,
            in_flight: activity.begin(),
            content: Content::Empty,
            waiting: None,
            idle: None,
            broken: None,
        }
    }

    /// Ends the connection behind the answer, and nothing more of it is taken for a request.
    pub(in crate::proxy) fn refuse_what_follows(&self) {
        self.in_flight.activity().refuse();
    }

    /// The record, and the guard that keeps the connection from being idle.
    pub(in crate::proxy) fn into_parts(self) -> (Record, InFlight) {
        (self.record, self.in_flight)
    }

    fn yielded(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.record.body_bytes(data.len());
            // Whoever sends the last piece asks for no other, and drops this.
            if !self.content.is_end() {
                self.waiting = Some(self.in_flight.activity().waiting());
            }
        }
        if let Some(idle) = &mut self.idle {
            idle.timer.as_mut().reset(Instant::now() + idle.limit);
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.waiting = None;
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.content.poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers);
                }
                self.yielded(&frame);
                if self.content.is_end() || frame.is_trailers() {
                    self.record.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.record.flag("upstream_closed_in_body");
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.record.complete();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(idle) = &mut self.idle else {
                    return Poll::Pending;
                };
                ready!(idle.timer.as_mut().poll(cx));
                self.record.flag("stream_idle_timeout");
                Poll::Ready(Some(Err("no byte within --stream-idle-timeout".into())))
            }
        }
    }
}

impl ResponseBody {
    pub(in crate::proxy) fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// An answer of our own without content.
    pub(in crate::proxy) fn without_content(mut exchange: Box<Exchange>) -> Self {
        exchange.record.complete();
        Self(Kind::Answer(exchange))
    }

    /// An answer of our own.
    pub(in crate::proxy) fn text(text: String, mut exchange: Box<Exchange>) -> Self {
        exchange.content = Content::Text(text.into());
        Self(Kind::Answer(exchange))
    }

    /// The application's answer.
    pub(in crate::proxy) fn upstream(
        body: upstream::Body<RequestBody>,
        mut exchange: Box<Exchange>,
        idle: Option<Duration>,
    ) -> Self {
        if body.is_end_stream() {
            // Nobody polls such a body.
            exchange.record.complete();
        }
        exchange.idle = idle.map(|limit| Idle {
            limit,
            timer: Box::pin(tokio::time::sleep(limit)),
        });
        exchange.content = Content::Upstream(body);
        Self(Kind::Answer(exchange))
    }

    /// The bytes of a tunnel.
    pub(in crate::proxy) fn tunnel(bytes: Feed) -> Self {
        Self(Kind::Tunnel(bytes))
    }

    /// When the application's answer had come, if it is one.
    pub(in crate::proxy) fn answered(&self) -> Option<std::time::Instant> {
        match &self.0 {
            Kind::Answer(exchange) => exchange.record.answered_at(),
            Kind::Empty | Kind::Tunnel(_) => None,
        }
    }

    /// The last piece that was given waits for its client from now on.
    pub(in crate::proxy) fn wait_for_client(&mut self) {
        if let Kind::Answer(exchange) = &mut self.0
            && exchange.waiting.is_none()
        {
            exchange.waiting = Some(exchange.in_flight.activity().waiting());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Answer(exchange) => exchange.poll_frame(cx),
            Kind::Tunnel(bytes) => bytes.poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Answer(exchange) => exchange.content.is_end(),
            Kind::Tunnel(bytes) => bytes.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Answer(exchange) => exchange.content.size_hint(),
            Kind::Tunnel(_) => SizeHint::default(),
        }
    }
}

impl Content {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}
