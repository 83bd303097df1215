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

/// One request at work: its record and its place among the connection's requests.
#[derive(Debug)]
pub(in crate::proxy) struct Exchange {
    pub(in crate::proxy) record: Record,
    in_flight: InFlight,
    activity: Arc<Activity>,
}

impl Exchange {
    pub(in crate::proxy) fn new(record: Record, activity: &Arc<Activity>) -> Self {
        Self {
            record,
            in_flight: activity.begin(),
            activity: Arc::clone(activity),
        }
    }

    /// Ends the connection behind the answer, and nothing more of it is taken for a request.
    pub(in crate::proxy) fn refuse_what_follows(&self) {
        self.activity.refuse();
    }

    /// The record, and the guard that keeps the connection from being idle.
    pub(in crate::proxy) fn into_parts(self) -> (Record, InFlight) {
        (self.record, self.in_flight)
    }
}

/// The answer's body.
#[derive(Debug)]
pub(in crate::proxy) struct ResponseBody {
    content: Content,
    tail: Option<Box<Exchange>>,
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
    /// What the other side of a tunnel says.
    Tunnel(Feed),
}

/// `--stream-idle-timeout`.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl ResponseBody {
    pub(in crate::proxy) fn empty() -> Self {
        Self {
            content: Content::Empty,
            tail: None,
            waiting: None,
            idle: None,
            broken: None,
        }
    }

    /// An answer of our own without content.
    pub(in crate::proxy) fn without_content(mut exchange: Box<Exchange>) -> Self {
        exchange.record.complete();
        Self {
            tail: Some(exchange),
            ..Self::empty()
        }
    }

    /// An answer of our own.
    pub(in crate::proxy) fn text(text: String, exchange: Box<Exchange>) -> Self {
        Self {
            content: Content::Text(text.into()),
            tail: Some(exchange),
            ..Self::empty()
        }
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
        let idle = idle.map(|limit| Idle {
            limit,
            timer: Box::pin(tokio::time::sleep(limit)),
        });
        Self {
            content: Content::Upstream(body),
            tail: Some(exchange),
            waiting: None,
            idle,
            broken: None,
        }
    }

    /// The bytes of a tunnel.
    pub(in crate::proxy) fn tunnel(bytes: Feed) -> Self {
        Self {
            content: Content::Tunnel(bytes),
            ..Self::empty()
        }
    }

    /// The last piece that was given waits for its client from now on.
    pub(in crate::proxy) fn wait_for_client(&mut self) {
        if let (Some(exchange), None) = (&self.tail, &self.waiting) {
            self.waiting = Some(exchange.activity.waiting());
        }
    }

    fn yielded(&mut self, frame: &Frame<Bytes>) {
        let Some(exchange) = &mut self.tail else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            exchange.record.body_bytes(data.len());
            // Whoever sends the last piece asks for no other, and drops this.
            if !self.content.is_end() {
                self.waiting = Some(exchange.activity.waiting());
            }
        }
        if let Some(idle) = &mut self.idle {
            idle.timer.as_mut().reset(Instant::now() + idle.limit);
        }
    }

    fn ended(&mut self) {
        if let Some(exchange) = &mut self.tail {
            exchange.record.complete();
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
        let this = &mut *self;
        this.waiting = None;
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Text(text) if text.is_empty() => Poll::Ready(None),
            Content::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Content::Upstream(body) => Pin::new(body).poll_frame(cx),
            Content::Tunnel(bytes) => bytes.poll_frame(cx).map_err(BoxError::from),
        };
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers);
                }
                this.yielded(&frame);
                if this.content.is_end() || frame.is_trailers() {
                    this.ended();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(exchange) = &mut this.tail {
                    exchange.record.flag("upstream_closed_in_body");
                }
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.ended();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(idle) = &mut this.idle else {
                    return Poll::Pending;
                };
                ready!(idle.timer.as_mut().poll(cx));
                if let Some(exchange) = &mut this.tail {
                    exchange.record.flag("stream_idle_timeout");
                }
                Poll::Ready(Some(Err("no byte within --stream-idle-timeout".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            Content::Upstream(body) => body.size_hint(),
            Content::Tunnel(_) => SizeHint::default(),
        }
    }
}

impl Content {
    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Tunnel(bytes) => bytes.is_end_stream(),
        }
    }
}
