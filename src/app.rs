//! The only wiring place: a [`Config`] becomes a running proxy.
//!
//! [`bind`] loads certificates, binds addresses and starts the workers; [`Bound`] has the real
//! addresses (tests bind port 0 and read them) and [`Bound::wait`] stays until the drain is over.
//! The thread that waits is the control thread: reloads and the clock of the drain run there and
//! never delay a request.

mod control;
mod listening;
mod memory;
mod observing;
mod plan;
mod sources;
mod waiting;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::admin::{Controls, Serving};
use crate::config::{self, Config};
use crate::drain::Stage;
use crate::net;
use crate::reload::{self, Certificates};
use crate::runtime::{self, Workers};
use crate::telemetry::certificates::CertificateMetrics;
use crate::telemetry::log::{self, LogControl, LogGuard};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::{Outlets, Telemetry};
use crate::telemetry::spans::Spans;
use crate::{limits, signal};
pub use control::Signals;
use plan::Plan;

/// Why the proxy did not start.
#[derive(Debug)]
pub enum BindError {
    /// No certificate to serve, no secret to share tickets with, or nobody to trust.
    Certificate(reload::OpenError),
    /// An address is not to be had.
    Listen(net::BindError),
    /// No thread, no runtime, no descriptor.
    System(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
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
    /// The address of the admin port, where there is one.
    pub admin: Option<SocketAddr>,
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
pub fn bind(mut config: Config) -> Result<Bound, BindError> {
    let logs = log::init(&config.log);
    let outlets = Outlets::new(logs.access, Spans::from_environment());
    let (requests, received) = mpsc::unbounded_channel();
    let stage = watch::Sender::new(Stage::Running);
    let controls = Controls {
        log: logs.control.clone(),
        requests: requests.clone(),
        stage: stage.subscribe(),
    };
    // First: probes are answered while a certificate is waited for.
    let observed = observing::start(&config, controls)?;
    let (reloader, certificates) = waiting::open(&config)?;
    let listeners = listening::bind(&config.listen)?;
    let (addresses, redirects) = listening::addresses(&listeners)?;
    let count = config.workers.unwrap_or_else(limits::cpus);
    let shares = memory::share(&mut config);
    let plan = Plan::new(&config, shares, count, &certificates);
    let telemetry: Arc<[_]> = (0..count.get())
        .map(|_| Arc::new(Telemetry::new(outlets.clone())))
        .collect();
    let seeds = telemetry
        .iter()
        .map(|telemetry| plan.seed(&listeners, telemetry))
        .collect::<io::Result<Vec<_>>>()?;
    drop(listeners);
    let (connections, permits) = listening::permits(&config.listen, shares);
    let workers = runtime::start(seeds, permits, &stage)?;
    let (leaving, stage_seen) = (stage.subscribe(), stage.subscribe());
    runtime::on_own_thread("reload", move || reloader.run(leaving))?;
    let admin = observed.as_ref().map(|observed| observed.address);
    if let Some(observed) = observed {
        config.listen.addresses = addresses.clone();
        config.listen.max_connections = Some(connections);
        config.workers = Some(count);
        config.admin.listen = Some(observed.address);
        observed.admin.serves(Serving {
            addresses: addresses.clone(),
            telemetry: Arc::clone(&telemetry),
            certificates: certificates.clone(),
            settings: config.shown(),
            connections,
        });
    }
    Ok(Bound {
        addresses,
        redirects,
        admin,
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
            log: logs.control,
            leaving: stage_seen,
        },
        drain: config.drain,
        _log: logs.guard,
    })
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
}
