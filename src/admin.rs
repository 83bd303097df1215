//! The admin port: probes, numbers, the status page and control.
//!
//! All of it runs on one thread of its own, together with the look at the application, so that
//! neither a scrape nor a slow client of it delays a request. It is there before the first
//! certificate is and goes last. Invariant: it reads what others publish and count, and asks them
//! for things; it holds nothing that a request waits for.

pub mod app_metrics;
mod control;
mod exposure;
mod handshake_words;
mod history;
mod metrics;
mod moment;
mod page;
mod probes;
mod report;
mod routes;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use crate::config::{AppMetrics, Config, Shown, Target};
use crate::drain::Stage;
use crate::readiness::{Application, Probe};
use crate::reload::Certificates;
use crate::signal;
use crate::telemetry::log::LogControl;
use crate::telemetry::record::Telemetry;
use exposure::Exposure;
use history::History;
pub use metrics::gather;
pub use moment::span;

/// What the admin port knows and whom it can ask.
#[derive(Debug)]
pub struct Admin {
    application: Application,
    upstream: Target,
    app_metrics: Option<AppMetrics>,
    log: LogControl,
    requests: mpsc::UnboundedSender<signal::Request>,
    stage: watch::Receiver<Stage>,
    serving: OnceLock<Serving>,
    history: Mutex<History>,
    exposure: Exposure,
    started: SystemTime,
}

/// The proxy, once it serves.
#[derive(Debug)]
pub struct Serving {
    /// Where TLS is accepted.
    pub addresses: Vec<SocketAddr>,
    /// Each worker's numbers.
    pub telemetry: Arc<[Arc<Telemetry>]>,
    /// What is served and how it is replaced.
    pub certificates: Certificates,
    /// Every setting in force, by the name of its flag.
    pub settings: Vec<(&'static str, Shown)>,
    /// Open connections from clients at most.
    pub connections: NonZeroUsize,
}

/// Whom the admin port can ask for something.
#[derive(Debug)]
pub struct Controls {
    /// Reads the log's level and changes it.
    pub log: LogControl,
    /// Takes what a signal would ask for.
    pub requests: mpsc::UnboundedSender<signal::Request>,
    /// How far the way out has come.
    pub stage: watch::Receiver<Stage>,
}

impl Admin {
    /// The admin port of a proxy that does not serve yet.
    pub fn new(config: &Config, controls: Controls) -> Self {
        Self {
            application: Application::default(),
            upstream: config.upstream.target.clone(),
            app_metrics: config.app_metrics.clone(),
            log: controls.log,
            requests: controls.requests,
            stage: controls.stage,
            serving: OnceLock::new(),
            history: Mutex::default(),
            exposure: Exposure::default(),
            started: SystemTime::now(),
        }
    }

    /// The proxy serves from now on.
    pub fn serves(&self, serving: Serving) {
        // Told once, by the one place that starts it.
        let _ = self.serving.set(serving);
    }

    /// Answers on `socket` and looks at the application until the proxy has ended.
    pub async fn run(self: Arc<Self>, socket: TcpListener, probe: Probe) {
        let mut stage = self.stage.clone();
        let ended = async move { while stage.changed().await.is_ok() {} };
        let answers = || self.serving.get().map_or(0, Serving::answers);
        tokio::select! {
            () = ended => {}
            () = server::run(&self, socket) => {}
            () = probe.run(self.application.clone(), answers) => {}
            () = history::keep(&self) => {}
            () = exposure::keep(&self) => {}
        }
    }

    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }
}

impl Serving {
    /// What requests have shown so far of the application's being there.
    fn answers(&self) -> u64 {
        let of = |worker: &Arc<Telemetry>| {
            let upstream = &worker.metrics.upstream;
            upstream.answered.value() + upstream.opened.value()
        };
        self.telemetry.iter().map(of).sum()
    }
}
