//! The only wiring place: a [`Config`] becomes a running proxy.
//!
//! [`bind`] loads certificates, binds addresses and starts the workers; [`Bound`] has the real
//! addresses (tests bind port 0 and read them) and [`Bound::wait`] stays until the drain is over.
//! The thread that waits is the control thread: reloads and the clock of the drain run there and
//! never delay a request.

mod listening;
mod sources;
mod waiting;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::{self, Config, Protocol};
use crate::drain::{Drain, Stage};
use crate::net;
use crate::proxy::{Crowd, Handshakes, Policy, Worker};
use crate::reload::{self, Certificates};
use crate::runtime::{self, Seed, Workers};
use crate::telemetry::certificates::CertificateMetrics;
use crate::telemetry::log::{self, LogControl, LogGuard};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::{Outlets, Telemetry};
use crate::telemetry::spans::Spans;
use crate::tls::{self, Acceptor, Offer};
use crate::upstream::{self, Outage, Upstream};
use crate::{limits, signal};
use listening::Door;

/// Why the proxy did not start.
#[derive(Debug)]
pub enum BindError {
    /// No certificate to serve, or no secret to share tickets with.
    Certificate(reload::OpenError),
    /// No TLS with these settings.
    Tls(String),
    /// An address is not to be had.
    Listen(net::BindError),
    /// No thread, no runtime, no descriptor.
    System(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Listen(error) => error.fmt(f),
            Self::System(error) => write!(f, "starting: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Bound {
    /// The addresses that are listened on, as the system gave them.
    pub addresses: Vec<SocketAddr>,
    /// The addresses on which clients in clear are sent to https.
    pub redirects: Vec<SocketAddr>,
    summary: Summary,
    workers: Workers,
    stage: watch::Sender<Stage>,
    requests: mpsc::UnboundedReceiver<signal::Request>,
    handle: Handle,
    drain: config::Drain,
    _log: LogGuard,
}

/// What the first log line says.
#[derive(Debug)]
struct Summary {
    upstream: config::Target,
    workers: NonZeroUsize,
    connections: NonZeroUsize,
}

/// Steers a running proxy from elsewhere.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::UnboundedSender<signal::Request>,
    telemetry: Arc<[Arc<Telemetry>]>,
    certificates: Certificates,
    log: LogControl,
    leaving: watch::Receiver<Stage>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in flight was finished.
    Clean,
    /// This many connections had to be cut.
    Cut(usize),
    /// A worker was lost.
    Failed,
}

/// Starts the proxy that `config` describes.
///
/// # Errors
/// What stands in the way, with the mend.
pub fn bind(config: Config) -> Result<Bound, BindError> {
    let log::Logs {
        access,
        control: log_control,
        guard: log_guard,
    } = log::init(&config.log);
    let outlets = Outlets::new(access, Spans::from_environment());
    let (reloader, certificates) = waiting::open(&config)?;
    let listeners = listening::bind(&config.listen)?;
    let (addresses, redirects) = listening::addresses(&listeners)?;
    let count = config.workers.unwrap_or_else(limits::cpus);
    let plan = Plan::new(&config, count, &certificates)?;
    let telemetry: Arc<[_]> = (0..count.get())
        .map(|_| Arc::new(Telemetry::new(outlets.clone())))
        .collect();
    let seeds = telemetry
        .iter()
        .map(|telemetry| plan.seed(&listeners, telemetry))
        .collect::<io::Result<Vec<_>>>()?;
    drop(listeners);
    let (connections, permits) = listening::permits(&config.listen);
    let stage = watch::Sender::new(Stage::Running);
    let workers = runtime::start(seeds, permits, &stage)?;
    let (leaving, stage_seen) = (stage.subscribe(), stage.subscribe());
    runtime::on_own_thread("reload", move || reloader.run(leaving))?;
    let (requests, received) = mpsc::unbounded_channel();
    Ok(Bound {
        addresses,
        redirects,
        summary: Summary {
            upstream: config.upstream.target,
            workers: count,
            connections,
        },
        workers,
        stage,
        requests: received,
        handle: Handle {
            requests,
            telemetry,
            certificates,
            log: log_control,
            leaving: stage_seen,
        },
        drain: config.drain,
        _log: log_guard,
    })
}

/// What all workers are made from.
struct Plan {
    acceptor: Acceptor,
    crowd: Arc<Crowd>,
    policy: Arc<Policy>,
    upstream: config::Upstream,
    outage: Arc<Outage>,
    workers: NonZeroUsize,
}

impl Plan {
    fn new(
        config: &Config,
        workers: NonZeroUsize,
        certificates: &Certificates,
    ) -> Result<Self, BindError> {
        let offer = match config.upstream.target.protocol {
            Protocol::Raw => Offer::Raw,
            Protocol::Http1 | Protocol::H2c => Offer::Http,
        };
        let (set, tickets) = (certificates.set.clone(), certificates.tickets.clone());
        let acceptor = tls::acceptor(&config.tls, offer, set, tickets)
            .map_err(|error| BindError::Tls(error.to_string()))?;
        let policy = Policy {
            listen: config.listen.clone(),
            http: config.http.clone(),
            headers: config.headers.clone(),
            protocol: config.upstream.target.protocol,
            proxy_protocol_out: config.upstream.proxy_protocol,
        };
        let upstream = config.upstream.clone();
        let outage = Arc::new(Outage::new(upstream.connect_timeout));
        Ok(Self {
            acceptor,
            crowd: Arc::new(Crowd::of(workers.get())),
            policy: Arc::new(policy),
            upstream,
            outage,
            workers,
        })
    }

    fn seed(&self, listeners: &[Door], telemetry: &Arc<Telemetry>) -> io::Result<Seed> {
        let (acceptor, policy) = (self.acceptor.clone(), Arc::clone(&self.policy));
        let (section, workers) = (self.upstream.clone(), self.workers.get());
        let outage = Arc::clone(&self.outage);
        let (telemetry, crowd) = (Arc::clone(telemetry), Arc::clone(&self.crowd));
        let worker = move || {
            let limits = upstream::Limits {
                header_size: policy.http.max_header_size,
                headers: policy.http.max_headers,
                keepalive: section.keepalive_interval,
            };
            Worker {
                acceptor,
                handshakes: Handshakes::new(crowd),
                upstream: Upstream::new(&section, limits, workers, Arc::clone(&telemetry), outage),
                drain: Drain::default(),
                telemetry,
                policy,
            }
        };
        let listeners = listeners
            .iter()
            .map(|(entrance, socket)| Ok((*entrance, socket.try_clone()?)))
            .collect::<io::Result<_>>()?;
        Ok(Seed {
            listeners,
            worker: Box::new(worker),
        })
    }
}

impl Handle {
    /// Asks for a look at the certificate files.
    pub fn reload(&self) {
        self.certificates.trigger.reload();
    }

    /// What is known about the certificates.
    pub fn certificates(&self) -> Arc<reload::Status> {
        self.certificates.status.load()
    }

    /// The numbers about certificates.
    pub fn certificate_metrics(&self) -> &CertificateMetrics {
        &self.certificates.metrics
    }

    /// Starts the drain.
    pub fn drain(&self) {
        self.request(signal::Request::Drain);
    }

    /// Each worker's numbers.
    pub fn metrics(&self) -> impl Iterator<Item = &Metrics> {
        self.telemetry.iter().map(|telemetry| &telemetry.metrics)
    }

    fn request(&self, request: signal::Request) {
        // The proxy has ended when nobody receives: then there is nothing to ask of it.
        let _ = self.requests.send(request);
    }
}

impl Bound {
    /// Steers the proxy from elsewhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the control thread's work on the calling thread until the drain is over.
    ///
    /// # Errors
    /// When the system gives no runtime or no signal handler.
    pub fn wait(self, signals: Signals) -> io::Result<Outcome> {
        runtime::on_this_thread(async {
            let signals = match signals {
                Signals::Ignored => None,
                Signals::Obeyed => Some(signal::Signals::install()?),
            };
            Ok(self.control(signals).await)
        })
    }

    async fn control(mut self, mut signals: Option<signal::Signals>) -> Outcome {
        // Only now: who reads this line may send a signal at once, and it must not kill us.
        let Summary {
            upstream,
            workers,
            connections,
        } = &self.summary;
        for address in &self.addresses {
            tracing::info!(%address, %upstream, workers, connections, "listening");
        }
        for address in &self.redirects {
            tracing::info!(%address, "sending clients in clear to https");
        }
        loop {
            let request = tokio::select! {
                request = next(&mut signals) => request,
                Some(request) = self.requests.recv() => request,
                ended = self.workers.next_end() => {
                    tracing::error!(?ended, "a worker ended by itself");
                    return Outcome::Failed;
                }
            };
            match request {
                signal::Request::Reload => self.handle.reload(),
                signal::Request::Drain => break,
                signal::Request::End => signal::end_at_once(),
            }
        }
        let outcome = tokio::select! {
            outcome = drain(&mut self.workers, &self.stage, self.drain) => outcome,
            () = until_second(&mut signals) => signal::end_at_once(),
        };
        self.handle.tell_what_is_owed();
        outcome
    }
}

/// Whether the process's signals steer this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// They do.
    Obeyed,
    /// Only its [`Handle`] does.
    Ignored,
}

async fn next(signals: &mut Option<signal::Signals>) -> signal::Request {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// Returns at the second signal to leave; a reload during a drain does nothing.
async fn until_second(signals: &mut Option<signal::Signals>) {
    while next(signals).await != signal::Request::End {}
}

/// Both stages of the way out.
async fn drain(
    workers: &mut Workers,
    stage: &watch::Sender<Stage>,
    section: config::Drain,
) -> Outcome {
    tracing::info!(delay = ?section.delay, timeout = ?section.timeout, "draining: still accepting");
    stage.send_replace(Stage::Leaving);
    tokio::time::sleep(section.delay).await;
    tracing::info!("draining: listeners close, work in flight goes on");
    stage.send_replace(Stage::Graceful);
    let forced = stage.clone();
    let mut cut = 0;
    let mut time = std::pin::pin!(tokio::time::sleep(section.timeout));
    let mut is_up = false;
    loop {
        tokio::select! {
            ended = workers.next_end() => match ended {
                Some(ended) => cut += ended.cut,
                None => break,
            },
            () = &mut time, if !is_up => {
                is_up = true;
                forced.send_replace(Stage::Forced);
            }
        }
    }
    match (workers.missing(), cut) {
        (0, 0) => {
            tracing::info!("drained: nothing was lost");
            Outcome::Clean
        }
        (0, cut) => {
            tracing::warn!(
                connections = cut,
                "drained: out of time, connections were cut"
            );
            Outcome::Cut(cut)
        }
        (missing, _) => {
            tracing::error!(workers = missing, "drained: a worker was lost");
            Outcome::Failed
        }
    }
}
