//! Handshakes take turns, so that a storm of them cannot starve the connections that are open.
//!
//! A full handshake costs the CPU time of a dozen requests. So a worker runs one step of one
//! handshake at a time, and when steps have taken a while every task that is ready runs and the
//! sockets are looked at before the next. Waiting for the client takes no turn: any number of silent
//! clients holds up nobody. Invariant: a turn is held only while a step runs and for the round of
//! the others after it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Steps that took less together are no burden to others and are followed by the next one: reading a
/// part of a hello takes a few microseconds, the end of a handshake forty, key exchange and signature
/// hundreds.
const CHEAP: Duration = Duration::from_micros(50);

/// Clients per worker whose bytes may wait for a turn, a few hundredths of a second of work;
/// beyond it nobody is accepted and the kernel queues, which costs less memory and no descriptor.
const CROWD_PER_WORKER: usize = 64;

/// One worker's turn.
#[derive(Debug)]
pub struct Handshakes {
    turn: Semaphore,
    /// Nanoseconds that steps have taken since the others had their round.
    spent: AtomicU64,
    crowd: Arc<Crowd>,
}

/// Clients of all workers whose bytes wait for a turn.
#[derive(Debug)]
pub struct Crowd {
    waiting: AtomicUsize,
    most: usize,
    thinner: Notify,
}

impl Handshakes {
    /// The turn of one worker, whose waiting clients count in `crowd`.
    pub fn new(crowd: Arc<Crowd>) -> Self {
        Self {
            turn: Semaphore::new(1),
            spent: AtomicU64::new(0),
            crowd,
        }
    }

    /// Returns when so few wait for a turn that one more may be accepted.
    pub async fn room(&self) {
        self.crowd.room().await;
    }

    /// Runs `handshake` to its end, step by step, each in its turn.
    pub async fn run<F: Future + Unpin>(&self, mut handshake: F) -> F::Output {
        loop {
            let turn = self.turn().await;
            loop {
                let begun = Instant::now();
                let step = poll_fn(|cx| Poll::Ready(Pin::new(&mut handshake).poll(cx))).await;
                let is_burden = self.is_burden(begun.elapsed());
                if is_burden {
                    tokio::task::yield_now().await;
                }
                match step {
                    Poll::Ready(output) => return output,
                    // A wake may have been spent on the yield: the handshake is asked again.
                    Poll::Pending if is_burden => {}
                    Poll::Pending => break,
                }
            }
            drop(turn);
            woken().await;
        }
    }

    /// Whether it is the others' turn, after a step that took so long.
    fn is_burden(&self, step: Duration) -> bool {
        // One thread's own: nobody comes between the load and the store.
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(step);
        let is_burden = u128::from(spent) >= CHEAP.as_nanos();
        self.spent
            .store(if is_burden { 0 } else { spent }, Ordering::Relaxed);
        is_burden
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.turn.try_acquire() {
            return Some(turn);
        }
        let _waiting = Waiting::in_crowd(&self.crowd);
        // First come, first served. It is never closed.
        self.turn.acquire().await.ok()
    }
}

impl Crowd {
    /// Nobody waits yet at any of `workers` workers.
    pub fn of(workers: usize) -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            most: CROWD_PER_WORKER * workers,
            thinner: Notify::new(),
        }
    }

    async fn room(&self) {
        while self.is_full() {
            let thinner = self.thinner.notified();
            // Asked again: it may have thinned before there was anybody to tell.
            if self.is_full() {
                thinner.await;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) >= self.most
    }
}

/// One client in the crowd, until it is dropped.
struct Waiting<'a>(&'a Crowd);

impl<'a> Waiting<'a> {
    fn in_crowd(crowd: &'a Crowd) -> Self {
        crowd.waiting.fetch_add(1, Ordering::SeqCst);
        Self(crowd)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::SeqCst) == self.0.most {
            self.0.thinner.notify_waiters();
        }
    }
}

/// Returns when the task is woken again, without an await between this and the poll before it.
async fn woken() {
    let mut asleep = false;
    poll_fn(|_| match std::mem::replace(&mut asleep, true) {
        false => Poll::Pending,
        true => Poll::Ready(()),
    })
    .await;
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test owns its tasks")]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::atomic::AtomicBool;

    fn handshakes(workers: usize) -> Arc<Handshakes> {
        Arc::new(Handshakes::new(Arc::new(Crowd::of(workers))))
    }

    /// What makes a step expensive.
    fn burden() {
        work(2 * CHEAP);
    }

    fn work(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }

    /// How many of 200 steps, of `time` each, run between two looks at the sockets at most.
    async fn between_two_looks(time: Duration) -> usize {
        let handshakes = handshakes(1);
        let steps = Arc::new(AtomicUsize::new(0));
        let storm: Vec<_> = (0..200)
            .map(|_| {
                let (handshakes, steps) = (Arc::clone(&handshakes), Arc::clone(&steps));
                tokio::spawn(async move {
                    let step = poll_fn(|_| {
                        work(time);
                        steps.fetch_add(1, Ordering::SeqCst);
                        Poll::Ready(())
                    });
                    handshakes.run(step).await;
                })
            })
            .collect();
        // A connection with bytes to read at every look: each is seen by the driver of the
        // runtime, not by a wake from another task.
        let (mut near, mut far) = tokio::net::UnixStream::pair().unwrap();
        let (mut longest, mut seen) = (0, 0);
        while seen < 100 {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            far.write_all(b"?").await.unwrap();
            near.readable().await.unwrap();
            near.read_exact(&mut [0]).await.unwrap();
            tokio::task::yield_now().await;
            longest = longest.max(count(&steps) - seen);
            seen = count(&steps);
        }
        for one in storm {
            one.await.unwrap();
        }
        assert_eq!(count(&steps), 200);
        longest
    }

    #[tokio::test]
    async fn an_open_connection_gets_its_share_between_any_two_expensive_steps() {
        let longest = between_two_looks(2 * CHEAP).await;
        assert!(longest <= 4, "{longest} steps between two looks");
    }

    #[tokio::test]
    async fn cheap_steps_are_a_burden_together() {
        let longest = between_two_looks(CHEAP / 2).await;
        assert!(longest <= 8, "{longest} steps between two looks");
    }

    #[tokio::test]
    async fn who_waits_for_a_client_holds_up_nobody() {
        let handshakes = handshakes(1);
        let silent: Vec<_> = (0..1000)
            .map(|_| {
                let handshakes = Arc::clone(&handshakes);
                tokio::spawn(async move { handshakes.run(std::future::pending::<()>()).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(handshakes.run(Box::pin(async { 7 })).await, 7);
        handshakes.room().await;
        for one in &silent {
            one.abort();
        }
    }

    #[tokio::test]
    async fn a_wake_during_the_round_of_the_others_is_not_lost() {
        let handshakes = handshakes(1);
        let arrived = Arc::new(AtomicBool::new(false));
        let (telling, told) = tokio::sync::oneshot::channel();
        let client = Arc::clone(&arrived);
        tokio::spawn(async move {
            client.store(true, Ordering::SeqCst);
            telling.send(()).unwrap();
        });
        let mut told = pin!(told);
        let two_steps = poll_fn(|cx| {
            burden();
            told.as_mut().poll(cx)
        });
        handshakes.run(two_steps).await.unwrap();
        assert!(arrived.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_crowd_stops_the_accepting_until_it_thins() {
        let handshakes = handshakes(1);
        let held = handshakes.turn().await;
        let crowd: Vec<_> = (0..CROWD_PER_WORKER)
            .map(|_| {
                let handshakes = Arc::clone(&handshakes);
                tokio::spawn(async move { handshakes.run(std::future::ready(())).await })
            })
            .collect();
        while handshakes.crowd.waiting.load(Ordering::SeqCst) < CROWD_PER_WORKER {
            tokio::task::yield_now().await;
        }
        let mut room = pin!(handshakes.room());
        let polled = poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(held);
        room.await;
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(count(&handshakes.crowd.waiting), 0);
    }

    #[tokio::test]
    async fn who_gives_up_while_waiting_leaves_the_crowd() {
        let handshakes = handshakes(1);
        let held = handshakes.turn().await;
        let mut waiting = Box::pin(handshakes.run(std::future::ready(())));
        let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        assert_eq!(count(&handshakes.crowd.waiting), 1);
        drop(waiting);
        assert_eq!(count(&handshakes.crowd.waiting), 0);
        drop(held);
    }
}
