//! HTTP/1.1 to the application.
//!
//! A connection has no task of its own: whoever awaits an answer or reads its body drives it, so
//! a request costs no switch between tasks, and dropping the request closes the connection, which
//! is how cancellation reaches the application at once.
//!
//! Written for this use instead of taken from hyper, whose client costs a request more than all else
//! together: its channels to a task that is not needed here, a second look at every head for what it
//! repairs, a copy of each request that may be sent again, and buffers that stay.

mod connection;
mod head;
mod incoming;
mod outgoing;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::body::Body;
use super::{Error, Opened, Prologue, RequestBody, Shared};
use crate::message::{Request, Response};
pub(in crate::upstream) use connection::Connection;
use connection::Look;
use head::Head;
pub(super) use incoming::Incoming;
use outgoing::Outgoing;

/// A request whose head is encoded, so that what waits for the answer does not carry it.
pub(super) struct Sending<B: RequestBody> {
    shared: Arc<Shared<B>>,
    outgoing: Box<Outgoing<B>>,
    prologue: Prologue,
}

impl<B: RequestBody> Sending<B> {
    pub(super) fn new(
        shared: Arc<Shared<B>>,
        request: Request<B>,
        lines: &[&[u8]],
        prologue: Prologue,
    ) -> Self {
        let mut outgoing = Box::new(Outgoing::new(request, lines));
        if outgoing.has_body() {
            outgoing.gather(shared.piece());
        }
        Self {
            shared,
            outgoing,
            prologue,
        }
    }

    /// Sends it on a pooled connection or a fresh one.
    pub(super) async fn answer(self) -> Result<Response<Body<B>>, Error> {
        let permit = self.shared.permit().await?;
        let reuse = match self.prologue {
            None => Reuse::Allowed,
            Some(_) => Reuse::Never,
        };
        let (head, connection) = exchange(&self.shared, self.outgoing, self.prologue).await?;
        Ok(deliver(self.shared, head, connection, permit, reuse))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Allowed,
    Never,
}

/// Which connection a request is tried on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// One that was used before, as long as there are some.
    Pooled,
    Fresh,
    /// One more fresh one.
    Last,
}

/// Sends the request and gets the head of its answer. The retry rule is here.
async fn exchange<B: RequestBody>(
    shared: &Shared<B>,
    mut outgoing: Box<Outgoing<B>>,
    prologue: Prologue,
) -> Result<(Head, Box<Connection<B>>), Error> {
    let mut attempt = match prologue {
        None => Attempt::Pooled,
        Some(_) => Attempt::Fresh,
    };
    loop {
        let look = look(&outgoing);
        let reusable = || match attempt {
            Attempt::Pooled => reuse(shared, look),
            Attempt::Fresh | Attempt::Last => None,
        };
        let (mut connection, is_fresh) = match reusable() {
            Some(connection) => (connection, false),
            // Boxed, as opening is rare: its state would make every request's future larger.
            None => Box::pin(open(shared, prologue.clone(), reusable)).await?,
        };
        if is_fresh && attempt == Attempt::Pooled {
            attempt = Attempt::Fresh;
        }
        let failed = match connection.exchange(outgoing).await {
            Ok(head) => return Ok((head, connection)),
            Err(failed) => failed,
        };
        let is_unsent = failed.outgoing.is_unsent();
        outgoing = match failed.outgoing.again() {
            Some(again) if failed.is_silence => again,
            _ => return Err(failed.error),
        };
        attempt = match attempt {
            Attempt::Pooled if is_unsent => continue,
            // The keep-alive race: closed under the request, before a byte of an answer.
            Attempt::Pooled => Attempt::Fresh,
            // Closed before the request's turn came, which a busy moment can make long.
            Attempt::Fresh if is_unsent => Attempt::Last,
            Attempt::Fresh | Attempt::Last => return Err(failed.error),
        };
        shared.telemetry.metrics.upstream.retries.increment();
    }
}

/// A connection, and whether nobody has used it.
async fn open<B: RequestBody>(
    shared: &Shared<B>,
    prologue: Prologue,
    reusable: impl Fn() -> Option<Box<Connection<B>>>,
) -> Result<(Box<Connection<B>>, bool), Error> {
    Ok(match shared.connect_or(prologue, reusable).await? {
        Opened::Instead(connection) => (connection, false),
        Opened::Fresh(stream) => {
            let connection = Connection::new(stream, shared.limits.section());
            (Box::new(connection), true)
        }
    })
}

/// How closely to look at a pooled connection before it gets this request.
///
/// What the runtime knows of it is as old as the last look at all sockets: whatever the application
/// had said unasked before the client sent this request is known. The kernel is asked for requests
/// that could not be sent a second time, because for those an end that is a moment old counts too.
fn look<B: RequestBody>(outgoing: &Outgoing<B>) -> Look {
    match outgoing.is_repeatable() {
        true => Look::Known,
        false => Look::Now,
    }
}

/// A pooled connection that still looks alive.
fn reuse<B: RequestBody>(shared: &Shared<B>, look: Look) -> Option<Box<Connection<B>>> {
    loop {
        let connection = shared.pool.take()?;
        if connection.is_quiet(look) {
            return Some(connection);
        }
    }
}

fn deliver<B: RequestBody>(
    shared: Arc<Shared<B>>,
    head: Head,
    connection: Box<Connection<B>>,
    permit: OwnedSemaphorePermit,
    reuse: Reuse,
) -> Response<Body<B>> {
    let keep = match reuse {
        Reuse::Allowed if head.persists => keep_for(head.keeps_for, shared.idle_timeout),
        _ => Duration::ZERO,
    };
    let incoming = Incoming::new(head.body, connection, shared, keep, permit);
    head.response.map(|()| Body::http1(incoming))
}

/// How long an idle connection may be used again: our limit, or what the application has `announced`
/// less a second, because its clock started when the answer left it.
fn keep_for(announced: Option<Duration>, limit: Duration) -> Duration {
    announced.map_or(limit, |announced| {
        limit.min(
            announced
                .saturating_sub(Duration::from_secs(1))
                .max(announced / 2),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_applications_keep_alive_shortens_the_idle_limit_and_never_lengthens_it() {
        let limit = Duration::from_secs(4);
        let with = |value: &str| keep_for(head::announced(value.as_bytes()), limit);
        assert_eq!(keep_for(None, limit), limit);
        assert_eq!(with("timeout=5"), Duration::from_secs(4));
        assert_eq!(with("timeout=3, max=100"), Duration::from_secs(2));
        assert_eq!(with("max=100, Timeout=1"), Duration::from_millis(500));
        assert_eq!(with("timeout=0"), Duration::ZERO);
        assert_eq!(with("timeout=600"), limit);
        assert_eq!(with("timeout=soon"), limit);
    }
}
