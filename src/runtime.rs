//! Worker threads: each one its own runtime, listener ends, application pool and drain shard.
//!
//! The listening socket is one and shared, so that the port is taken once; whichever worker
//! accepts gives the connection to the worker that has fewest, so that also few long-lived
//! connections spread evenly. Invariant: a worker ends only when its last connection has.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::config::{Drain, PortSharing};
use crate::drain::Stage;
use crate::net::{AcceptBackoff, Listener};
use crate::proxy::{self, Load, Permit, Worker};

/// A client that is halfway in when a shared port is left has this long, a round trip or a few.
const LAST_ARRIVALS: Duration = Duration::from_millis(200);
/// Accepted one behind another before the connections that are open have their turn: each costs them
/// some ten microseconds, and clients may come by the hundred.
const AT_ONCE: u32 = 2;
/// Between two looks for pooled connections that have been idle too long.
const SWEEP: Duration = Duration::from_secs(1);

/// Runs `work` to its end on the calling thread.
///
/// # Errors
/// When the system gives no runtime, or what `work` says.
pub fn on_this_thread<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// Runs what `make` makes on a thread of its own, which ends with it or with the process.
///
/// # Errors
/// When the system gives no thread or no runtime.
pub fn on_own_thread<F: Future<Output = ()>>(
    name: &str,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(make()))?;
    Ok(())
}

/// What one worker is started with.
pub struct Seed {
    /// Its listener ends.
    pub listeners: Vec<(Entrance, StdListener)>,
    /// What its connections need; made on the worker's own thread.
    pub worker: Box<dyn FnOnce() -> Worker + Send>,
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// TLS.
    Tls,
    /// HTTP in clear, which is sent to TLS.
    Clear,
}

/// Connections that may be open; those in clear never take the place of one with TLS.
#[derive(Debug, Clone)]
pub struct Permits {
    /// With TLS.
    pub tls: Arc<Semaphore>,
    /// In clear.
    pub clear: Arc<Semaphore>,
}

impl Permits {
    fn of(&self, entrance: Entrance) -> &Arc<Semaphore> {
        match entrance {
            Entrance::Tls => &self.tls,
            Entrance::Clear => &self.clear,
        }
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Connections that had to be cut.
    pub cut: usize,
}

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    ended: mpsc::UnboundedReceiver<Ended>,
    left: usize,
}

impl Workers {
    /// The end of the next worker, `None` when all have ended.
    ///
    /// A worker that panicked is missing in the count: [`Self::missing`] tells.
    pub async fn next_end(&mut self) -> Option<Ended> {
        let ended = self.ended.recv().await;
        if ended.is_some() {
            self.left -= 1;
        }
        ended
    }

    /// Workers that have not reported their end.
    pub fn missing(&self) -> usize {
        self.left
    }
}

/// Starts a thread per seed; `stage` moves all of them along the way out.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    seeds: Vec<Seed>,
    permits: Permits,
    stage: &watch::Sender<Stage>,
) -> io::Result<Workers> {
    let (report, ended) = mpsc::unbounded_channel();
    let (inboxes, mut receivers): (Vec<_>, Vec<_>) =
        seeds.iter().map(|_| mpsc::unbounded_channel()).unzip();
    let loads = seeds.iter().map(|_| Load::default()).collect();
    let balancer = Arc::new(Balancer { loads, inboxes });
    let left = seeds.len();
    receivers.reverse();
    for (index, seed) in seeds.into_iter().enumerate() {
        let Some(inbox) = receivers.pop() else { break };
        let thread = Thread {
            index,
            inbox,
            balancer: Arc::clone(&balancer),
            permits: permits.clone(),
            stage: stage.subscribe(),
            report: report.clone(),
        };
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || thread.run(seed))?;
    }
    Ok(Workers { ended, left })
}

/// A connection on its way to the worker that will serve it.
struct Accepted {
    socket: std::net::TcpStream,
    arrival: Arrival,
}

/// What comes with an accepted socket.
struct Arrival {
    entrance: Entrance,
    peer: SocketAddr,
    permit: Permit,
}

/// Who has how many connections, and how to give one away.
struct Balancer {
    loads: Vec<Load>,
    inboxes: Vec<mpsc::UnboundedSender<Accepted>>,
}

impl Balancer {
    /// The worker that should serve a connection accepted by worker `own`: itself unless another
    /// has fewer.
    fn choose(&self, own: usize) -> usize {
        let mut best = (own, self.loads[own].connections());
        for (index, load) in self.loads.iter().enumerate() {
            let load = load.connections();
            if load < best.1 {
                best = (index, load);
            }
        }
        best.0
    }
}

struct Thread {
    index: usize,
    inbox: mpsc::UnboundedReceiver<Accepted>,
    balancer: Arc<Balancer>,
    permits: Permits,
    stage: watch::Receiver<Stage>,
    report: mpsc::UnboundedSender<Ended>,
}

impl Thread {
    fn run(self, seed: Seed) {
        let report = self.report.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => {
                let ended = runtime.block_on(self.serve(seed));
                // The receiver is gone only when the process is ending anyway.
                let _ = report.send(ended);
            }
            Err(error) => tracing::error!(%error, "worker without a runtime"),
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a worker starts its own accept loops"
    )]
    async fn serve(mut self, seed: Seed) -> Ended {
        let worker = Arc::new((seed.worker)());
        let accepting: Vec<_> = seed
            .listeners
            .into_iter()
            .map(|(entrance, socket)| {
                let acceptor = AcceptLoop {
                    own: self.index,
                    entrance,
                    worker: Arc::clone(&worker),
                    balancer: Arc::clone(&self.balancer),
                    permits: Arc::clone(self.permits.of(entrance)),
                    stage: self.stage.clone(),
                };
                tokio::spawn(acceptor.run(socket))
            })
            .collect();
        // Inboxes close when every accept loop of every worker has ended.
        drop(self.balancer);
        let mut sweep = tokio::time::interval(SWEEP);
        let mut announced = self.stage.clone();
        loop {
            tokio::select! {
                accepted = self.inbox.recv() => match accepted {
                    Some(accepted) => adopt(&worker, accepted),
                    None => break,
                },
                changed = announced.changed() => if changed.is_ok() {
                    let stage = *announced.borrow_and_update();
                    worker.drain.advance(stage.min(Stage::Leaving));
                },
                _ = sweep.tick() => {
                    worker.upstream.sweep();
                    worker.telemetry.failures.sweep();
                    give_memory_back();
                }
            }
        }
        drop(accepting);
        worker.drain.advance(Stage::Graceful);
        finish(&worker, &mut self.stage).await
    }
}

/// Has the allocator give back what has been free for a while: it looks for that when a large block
/// is freed, which behind a peak nobody does.
fn give_memory_back() {
    const LARGE: usize = 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// Waits for the last connection; cuts what is left when time is up.
async fn finish(worker: &Worker, stage: &mut watch::Receiver<Stage>) -> Ended {
    let time_is_up = async {
        // A sender that is gone gives no more time either.
        let _ = stage.wait_for(|stage| *stage == Stage::Forced).await;
    };
    tokio::select! {
        biased;
        () = worker.drain.empty() => return Ended { cut: 0 },
        () = time_is_up => {}
    }
    let cut = worker.drain.open();
    worker.drain.advance(Stage::Forced);
    let _ = tokio::time::timeout(Drain::LAST_WORDS, worker.drain.empty()).await;
    Ended { cut }
}

fn adopt(worker: &Arc<Worker>, accepted: Accepted) {
    match TcpStream::from_std(accepted.socket) {
        Ok(socket) => serve(worker, socket, accepted.arrival),
        Err(error) => tracing::warn!(%error, "connection not taken over"),
    }
}

fn serve(worker: &Arc<Worker>, socket: TcpStream, arrival: Arrival) {
    let Arrival {
        entrance,
        peer,
        permit,
    } = arrival;
    let shared = Arc::clone(worker);
    match entrance {
        Entrance::Tls => spawn(worker, peer, proxy::accepted(shared, socket, peer, permit)),
        Entrance::Clear => {
            let connection = proxy::accepted_in_clear(shared, socket, peer, permit);
            spawn(worker, peer, Box::pin(connection));
        }
    }
}

fn spawn(worker: &Worker, peer: SocketAddr, connection: impl Future<Output = ()> + Send + 'static) {
    let telemetry = Arc::clone(&worker.telemetry);
    worker.drain.spawn(connection, move || {
        telemetry.metrics.panics.increment();
        tracing::error!(client.address = %peer, "a connection ended in a panic; the process goes on");
    });
}

struct AcceptLoop {
    own: usize,
    entrance: Entrance,
    worker: Arc<Worker>,
    balancer: Arc<Balancer>,
    permits: Arc<Semaphore>,
    stage: watch::Receiver<Stage>,
}

impl AcceptLoop {
    async fn run(mut self, socket: StdListener) {
        let listener = match Listener::new(socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "listener lost"),
        };
        let mut stage = self.stage.clone();
        tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage >= Stage::Graceful) => {}
            () = self.accept(&listener) => {}
        }
        if self.worker.policy.listen.sharing == PortSharing::Shared {
            self.leave_to_others(&listener).await;
        }
        self.empty_queue(&listener).await;
    }

    /// Lets no client in whom closing the listener would send away: another process takes it.
    async fn leave_to_others(&mut self, listener: &Listener) {
        if let Err(error) = listener.turn_away() {
            tracing::warn!(%error, "clients that are just connecting may be lost");
            return;
        }
        // Whoever was let in before has to say so within a round trip.
        let _ = tokio::time::timeout(LAST_ARRIVALS, self.accept(listener)).await;
    }

    async fn accept(&mut self, listener: &Listener) {
        let mut backoff = AcceptBackoff::default();
        let mut in_a_row = 0;
        loop {
            if self.entrance == Entrance::Tls {
                self.worker.handshakes.room().await;
            }
            // The permit first: without one the kernel's queue is ours.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((socket, peer)) => {
                    backoff.reset();
                    self.place(socket, peer, permit);
                    in_a_row += 1;
                    if in_a_row == AT_ONCE {
                        in_a_row = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => {
                    drop(permit);
                    self.worker.telemetry.metrics.accept_errors.increment();
                    if let Some(pause) = backoff.pause(&error) {
                        tracing::warn!(%error, ?pause, "accept failed; trying again");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Takes what the kernel has completed already: those clients believe they are connected.
    async fn empty_queue(&self, listener: &Listener) {
        std::future::poll_fn(|cx| {
            while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                let Some((socket, peer)) = listener.accept_queued(cx) else {
                    break;
                };
                self.place(socket, peer, permit);
            }
            std::task::Poll::Ready(())
        })
        .await;
    }

    /// Gives the connection to the worker with the fewest.
    fn place(&self, socket: TcpStream, peer: SocketAddr, open: OwnedSemaphorePermit) {
        let chosen = self.balancer.choose(self.own);
        let arrival = Arrival {
            entrance: self.entrance,
            peer,
            permit: Permit::new(open, &self.balancer.loads[chosen]),
        };
        if chosen == self.own {
            return serve(&self.worker, socket, arrival);
        }
        match socket.into_std() {
            // An inbox is open as long as this accept loop runs.
            Ok(socket) => {
                let _ = self.balancer.inboxes[chosen].send(Accepted { socket, arrival });
            }
            Err(error) => tracing::warn!(%error, "connection not handed over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_long_lived_connections_spread_evenly() {
        let (inboxes, _receivers): (Vec<_>, Vec<_>) =
            (0..2).map(|_| mpsc::unbounded_channel()).unzip();
        let balancer = Balancer {
            loads: vec![Load::default(), Load::default()],
            inboxes,
        };
        let open = Arc::new(Semaphore::new(4));
        // All four arrive at worker 0.
        let held: Vec<_> = (0..4)
            .map(|_| {
                let one = Arc::clone(&open).try_acquire_owned().unwrap();
                Permit::new(one, &balancer.loads[balancer.choose(0)])
            })
            .collect();
        let loads: Vec<_> = balancer.loads.iter().map(Load::connections).collect();
        assert_eq!(loads, [2, 2]);
        drop(held);
        assert_eq!(balancer.loads[0].connections(), 0);
    }
}
