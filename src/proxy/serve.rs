//! The one serve loop, for both protocols: until done, drained, timed out or cut.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::activity::Watch;
use super::connection::Context;
use super::entitlement::{self, Vigil};
use super::http2::Reason;
use super::recycle::Recycling;
use crate::alarm::Alarm;
use crate::config;
use crate::drain::{Signal, Stage};
use crate::tls::ClientFault;
use crate::upstream::BoxError;

/// A connection that has not had its first request gets this long when listeners have closed: its
/// client was let in and its request is on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// A cut connection has this long to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Idle for this long, an HTTP/1 connection goes to rest: longer than the pauses between the requests
/// of one page, so that few pay for new buffers, and short beside the idle timeout of any client: what
/// is held until then lies between what stays, and leaves holes in the heap.
const REST_AFTER: Duration = Duration::from_millis(500);

/// A connection of either protocol.
pub(super) trait Connection {
    /// Whether this protocol can ask its client to leave while requests may be on their way.
    const LOSES_NOTHING: bool;

    /// Serves it; ready when it is over.
    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Failure>>;

    /// Finishes what is in flight and accepts nothing more.
    fn graceful_shutdown(&mut self);

    /// Ends it at once, in the terms of its protocol.
    fn cut(&mut self);

    /// Ends what has waited for its client since `since` or longer, where that is not all there is.
    fn end_stalled(&mut self, since: Instant);

    /// Whether it holds what an idle connection can do without.
    fn may_rest(&self) -> bool;

    /// Gives that back.
    fn rest(&mut self);
}

/// Why a connection ended before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// The answer broke off, and its client must see that it did.
    Answer(BoxError),
    /// The client broke off.
    Stream(io::Error),
    /// The client broke the rules of HTTP/2.
    Http2(Reason),
}

/// How serving ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By the protocol's own rules.
    Done(Result<(), Failure>),
    /// A head did not arrive within `--request-header-timeout`.
    HeaderTimeout,
    /// The drain, or a client that took no data, left no time.
    Cut,
}

/// What the loop needs beside the connection.
pub(super) struct Loop<'a> {
    context: &'a Context,
    limits: &'a config::Http,
    drain: &'a mut Signal,
    timer: Alarm,
    /// No later look has seen the client take data.
    quiet_since: Instant,
    /// When the connection last went to rest.
    rested: Instant,
    graceful: Graceful,
    recycling: Recycling,
    /// Ready when the client's certificate is no longer good.
    vigil: Option<Vigil<'a>>,
    /// When what such a client has in flight is over.
    grace: Option<Instant>,
}

/// How far the graceful end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Graceful {
    Open,
    /// To be asked for at the latest then.
    Due(Instant),
    Asked,
    /// Cut, and over then.
    Cut(Instant),
}

impl<'a> Loop<'a> {
    pub(super) fn new(context: &'a Context, drain: &'a mut Signal) -> Self {
        let limits = &context.worker.policy.http;
        let timer = Alarm::new(Instant::now() + pace(limits));
        Self {
            context,
            limits,
            drain,
            timer,
            quiet_since: Instant::now(),
            rested: Instant::now(),
            graceful: Graceful::Open,
            recycling: Recycling::of(context),
            vigil: entitlement::vigil(context),
            grace: None,
        }
    }

    /// Serves `connection` to its end.
    pub(super) async fn run<C: Connection>(&mut self, connection: &mut C) -> Ended {
        match self.drain.stage() {
            Stage::Running => {}
            stage => self.stage(stage, connection),
        }
        std::future::poll_fn(|cx| self.poll(cx, connection)).await
    }

    fn poll<C: Connection>(
        &mut self,
        cx: &mut task::Context<'_>,
        connection: &mut C,
    ) -> Poll<Ended> {
        loop {
            if let Poll::Ready(result) = connection.poll(cx) {
                return Poll::Ready(match self.graceful {
                    Graceful::Cut(_) => Ended::Cut,
                    _ => Ended::Done(result),
                });
            }
            if let Poll::Ready(stage) = self.drain.poll_changed(cx) {
                self.stage(stage, connection);
                continue;
            }
            if let Some(vigil) = &mut self.vigil
                && let Poll::Ready(fault) = vigil.as_mut().poll(cx)
            {
                self.vigil = None;
                self.lost(fault, connection);
                continue;
            }
            let deadline = self.deadline(connection);
            if deadline < self.timer.deadline() {
                self.timer.set(deadline);
            }
            if self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(ended) = self.fired(connection) {
                return Poll::Ready(ended);
            }
        }
    }

    fn stage<C: Connection>(&mut self, stage: Stage, connection: &mut C) {
        match stage {
            Stage::Running => {}
            Stage::Leaving if C::LOSES_NOTHING && self.context.activity.has_served() => {
                self.graceful(connection);
            }
            Stage::Leaving => {}
            Stage::Graceful if self.graceful != Graceful::Open => {}
            Stage::Graceful if self.context.activity.has_served() => self.graceful(connection),
            Stage::Graceful => self.graceful = Graceful::Due(Instant::now() + FIRST_REQUEST),
            Stage::Forced | Stage::Over => self.cut(connection),
        }
    }

    fn graceful<C: Connection>(&mut self, connection: &mut C) {
        self.graceful = Graceful::Asked;
        connection.graceful_shutdown();
    }

    /// Asks the client to open another connection, as gently as its protocol can.
    fn recycle<C: Connection>(&mut self, connection: &mut C) {
        if C::LOSES_NOTHING {
            self.graceful(connection);
        } else {
            self.context.close_with_next_answer();
        }
    }

    /// The client is no longer good: nothing new begins, and what is in flight has its grace.
    fn lost<C: Connection>(&mut self, fault: ClientFault, connection: &mut C) {
        entitlement::note(self.context, fault);
        let grace = self.limits.revoked_grace;
        match self.graceful {
            Graceful::Cut(_) => {}
            _ if grace.is_zero() => self.cut(connection),
            Graceful::Open | Graceful::Due(_) => {
                self.graceful(connection);
                self.grace = Some(Instant::now() + grace);
            }
            Graceful::Asked => self.grace = Some(Instant::now() + grace),
        }
    }

    fn cut<C: Connection>(&mut self, connection: &mut C) {
        self.context.facts.cut.store(true, Ordering::Relaxed);
        connection.cut();
        self.graceful = Graceful::Cut(Instant::now() + GOODBYE);
    }

    /// A piece of an answer has waited for `--send-timeout`: its stream ends, and the connection
    /// too unless the client takes data on others.
    fn stalled<C: Connection>(&mut self, now: Instant, connection: &mut C) {
        let activity = &self.context.activity;
        let takes_data =
            activity.take_written() || self.quiet_since + self.limits.send_timeout / 2 > now;
        if takes_data {
            self.quiet_since = now;
            connection.end_stalled(now - self.limits.send_timeout);
        } else {
            self.cut(connection);
        }
    }

    /// When something has to be looked at again, given how things stand.
    fn deadline<C: Connection>(&self, connection: &C) -> Instant {
        if let Graceful::Cut(at) | Graceful::Due(at) = self.graceful {
            return at;
        }
        let by_activity = self.by_activity(connection);
        let by_activity = self.grace.map_or(by_activity, |at| by_activity.min(at));
        match self.recycling.next() {
            Some(at) if self.graceful == Graceful::Open => by_activity.min(at),
            _ => by_activity,
        }
    }

    fn by_activity<C: Connection>(&self, connection: &C) -> Instant {
        match self.context.activity.watch() {
            Watch::Head(since) => since + self.limits.request_header_timeout,
            Watch::Idle(since) if self.graceful == Graceful::Open && connection.may_rest() => {
                let rest = since.max(self.rested) + REST_AFTER;
                rest.min(since + self.limits.idle_timeout)
            }
            Watch::Idle(since) => since + self.limits.idle_timeout,
            // Armed only when the timer has fired: a stream that was ended has its turn first.
            Watch::Sending(_) | Watch::Busy => self.timer.deadline(),
        }
    }

    /// Has the connection rest if it has been idle for long enough.
    fn rest<C: Connection>(&mut self, now: Instant, connection: &mut C) {
        if let Watch::Idle(since) = self.context.activity.watch()
            && since.max(self.rested) + REST_AFTER <= now
            && connection.may_rest()
        {
            self.rested = now;
            connection.rest();
            tracing::debug!(client.address = %self.context.facts.client, "connection at rest");
        }
    }

    /// The timer fired: what is due is done, else it is armed anew.
    fn fired<C: Connection>(&mut self, connection: &mut C) -> Option<Ended> {
        let now = Instant::now();
        if self.graceful == Graceful::Open && self.recycling.is_due(self.context, now) {
            self.recycle(connection);
        }
        if self.graceful == Graceful::Asked && self.grace.is_some_and(|at| at <= now) {
            self.cut(connection);
            let deadline = self.deadline(connection);
            self.timer.set(deadline);
            return None;
        }
        if self.graceful == Graceful::Open {
            self.rest(now, connection);
        }
        match self.graceful {
            Graceful::Cut(_) => return Some(Ended::Cut),
            Graceful::Due(_) => self.graceful(connection),
            Graceful::Open | Graceful::Asked => match self.context.activity.watch() {
                Watch::Head(since) if since + self.limits.request_header_timeout <= now => {
                    return Some(Ended::HeaderTimeout);
                }
                Watch::Idle(since) if since + self.limits.idle_timeout <= now => {
                    if self.graceful == Graceful::Asked {
                        self.cut(connection);
                    } else {
                        self.graceful(connection);
                    }
                }
                Watch::Sending(since) if since + self.limits.send_timeout <= now => {
                    self.stalled(now, connection);
                }
                _ => {}
            },
        }
        if self.context.activity.take_written() {
            self.quiet_since = now;
        }
        // Never later than any clock that may have started meanwhile could fire.
        let latest = now + pace(self.limits);
        let due = match self.context.activity.watch() {
            Watch::Sending(since) => since + self.limits.send_timeout,
            _ => self.deadline(connection),
        };
        let next = if due > now { due.min(latest) } else { latest };
        self.timer.set(next);
        None
    }
}

/// Between two looks at most: so often that what is seen of the client's progress is never older
/// than a quarter of the send timeout.
fn pace(limits: &config::Http) -> Duration {
    limits.idle_timeout.min(limits.send_timeout / 4)
}

impl Failure {
    /// The client has left in the middle of something.
    pub(super) fn early() -> Self {
        Self::Stream(io::ErrorKind::UnexpectedEof.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(error) => write!(f, "the answer broke off: {error}"),
            Self::Stream(error) => write!(f, "the client broke off: {error}"),
            Self::Http2(reason) => write!(f, "the client broke the rules of HTTP/2: {reason}"),
        }
    }
}
