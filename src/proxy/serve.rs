//! The one serve loop, for both protocols: until done, drained, timed out or cut.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::activity::Watch;
use super::connection::Context;
use super::entitlement::{self, Vigil};
use super::recycle::Recycling;
use crate::config;
use crate::drain::{Signal, Stage, Streams};
use crate::tls::ClientFault;

/// A connection that has not had its first request gets this long when listeners have closed: its
/// client was let in and its request is on the way (hyper would close it at once).
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// A cut connection has this long to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Idle for this long, an HTTP/1 connection goes to rest: longer than the pauses between the requests
/// of one page, so that few pay for being built anew, and short beside the idle timeout of any client:
/// what hyper holds until then lies between what stays, and leaves holes in the heap.
const REST_AFTER: Duration = Duration::from_millis(500);

/// A hyper connection of either protocol, or one at rest.
pub(super) trait Connection: Future<Output = hyper::Result<()>> + Unpin {
    /// Finishes what is in flight and accepts nothing more.
    fn graceful_shutdown(self: Pin<&mut Self>);

    /// Whether this protocol can ask its client to leave while requests may be on their way.
    const LOSES_NOTHING: bool;

    /// Whether it can be taken down while it is idle, and built again.
    const RESTS: bool;
}

/// How serving ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By the protocol's own rules.
    Done(hyper::Result<()>),
    /// A head did not arrive within `--request-header-timeout`.
    HeaderTimeout,
    /// The drain, or a client that took no data, left no time.
    Cut,
    /// It has not: nothing is in flight, and what hyper holds for it can go.
    AtRest,
}

/// How a connection is cut in the terms of its protocol.
pub(super) enum Cut {
    /// HTTP/1: the socket reads as closed, and hyper gives up what it is doing.
    EndOfInput,
    /// HTTP/2: every stream is reset, behind a GOAWAY.
    Reset(Streams),
}

/// What the loop needs beside the connection.
pub(super) struct Loop<'a> {
    context: &'a Context,
    limits: &'a config::Http,
    drain: &'a mut Signal,
    cut: Cut,
    timer: Pin<Box<Sleep>>,
    /// No later look has seen the client take data.
    quiet_since: Instant,
    /// The last look whether the connection may rest, or the end of its last rest.
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
    pub(super) fn new(context: &'a Context, drain: &'a mut Signal, cut: Cut) -> Self {
        let limits = &context.worker.policy.http;
        let timer = Box::pin(tokio::time::sleep(pace(limits)));
        Self {
            context,
            limits,
            drain,
            cut,
            timer,
            quiet_since: Instant::now(),
            rested: Instant::now(),
            graceful: Graceful::Open,
            recycling: Recycling::of(context),
            vigil: entitlement::vigil(context),
            grace: None,
        }
    }

    /// Serves `connection` to its end, or until it may rest.
    pub(super) async fn run<C: Connection>(&mut self, connection: &mut C) -> Ended {
        match (self.graceful, self.drain.stage()) {
            // Asked while it was at rest.
            (Graceful::Asked, _) => Pin::new(&mut *connection).graceful_shutdown(),
            (_, Stage::Running) => {}
            (_, stage) => self.stage(stage, connection),
        }
        self.rested = Instant::now();
        std::future::poll_fn(|cx| self.poll(cx, connection)).await
    }

    fn poll<C: Connection>(
        &mut self,
        cx: &mut task::Context<'_>,
        connection: &mut C,
    ) -> Poll<Ended> {
        loop {
            if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
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
            let deadline = self.deadline::<C>();
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
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
        Pin::new(connection).graceful_shutdown();
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
        match &self.cut {
            Cut::EndOfInput => self.context.activity.cut(),
            Cut::Reset(streams) => {
                streams.end_all();
                Pin::new(connection).graceful_shutdown();
            }
        }
        self.graceful = Graceful::Cut(Instant::now() + GOODBYE);
    }

    /// A piece of an answer has waited for `--send-timeout`: its stream ends, and the connection
    /// too unless the client takes data on others.
    fn stalled<C: Connection>(&mut self, now: Instant, connection: &mut C) {
        let activity = &self.context.activity;
        let takes_data =
            activity.take_written() || self.quiet_since + self.limits.send_timeout / 2 > now;
        match &self.cut {
            Cut::Reset(streams) if takes_data => {
                self.quiet_since = now;
                streams.end(&activity.stalled(now - self.limits.send_timeout));
            }
            // Whoever takes nothing of the one answer is found by the socket's own clock.
            Cut::EndOfInput if takes_data => self.quiet_since = now,
            _ => self.cut(connection),
        }
    }

    /// When something has to be looked at again, given how things stand.
    fn deadline<C: Connection>(&self) -> Instant {
        if let Graceful::Cut(at) | Graceful::Due(at) = self.graceful {
            return at;
        }
        let by_activity = self.by_activity::<C>();
        let by_activity = self.grace.map_or(by_activity, |at| by_activity.min(at));
        match self.recycling.next() {
            Some(at) if self.graceful == Graceful::Open => by_activity.min(at),
            _ => by_activity,
        }
    }

    fn by_activity<C: Connection>(&self) -> Instant {
        match self.context.activity.watch() {
            Watch::Head(since) => since + self.limits.request_header_timeout,
            Watch::Idle(since) if C::RESTS && self.graceful == Graceful::Open => {
                let rest = since.max(self.rested) + REST_AFTER;
                rest.min(since + self.limits.idle_timeout)
            }
            Watch::Idle(since) => since + self.limits.idle_timeout,
            // Armed only when the timer has fired: a stream that was ended has its turn first.
            Watch::Sending(_) | Watch::Busy => self.timer.deadline(),
        }
    }

    /// Whether the connection has been idle for long enough, and hyper has nothing of it in hand.
    fn goes_to_rest(&mut self, now: Instant) -> bool {
        let activity = &self.context.activity;
        match activity.watch() {
            Watch::Idle(since)
                if since + self.limits.idle_timeout > now
                    && since.max(self.rested) + REST_AFTER <= now =>
            {
                self.rested = now;
                activity.may_rest()
            }
            _ => false,
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
            let deadline = self.deadline::<C>();
            self.timer.as_mut().reset(deadline);
            return None;
        }
        if C::RESTS && self.graceful == Graceful::Open && self.goes_to_rest(now) {
            return Some(Ended::AtRest);
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
            _ => self.deadline::<C>(),
        };
        let next = if due > now { due.min(latest) } else { latest };
        self.timer.as_mut().reset(next);
        None
    }
}

/// Between two looks at most: so often that what is seen of the client's progress is never older
/// than a quarter of the send timeout.
fn pace(limits: &config::Http) -> Duration {
    limits.idle_timeout.min(limits.send_timeout / 4)
}
