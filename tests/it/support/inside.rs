//! A proxy in this process, for what can only be asked of its handle.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tls_sidecar::app::{self, Bound, Handle, Signals};
use tls_sidecar::config::{Config, Settings};
use tls_sidecar::telemetry::exposition::{self, Dialect};

use super::secret_dir::SecretDir;

/// The proxy, until it is dropped.
pub(crate) struct Inside {
    /// Its handle.
    pub(crate) handle: Handle,
    /// Where it accepts TLS.
    pub(crate) address: SocketAddr,
    _control: JoinHandle<()>,
}

impl Inside {
    /// Serves what is in `secret`, on a port of the kernel's choice.
    pub(crate) fn start(secret: &SecretDir, more: Settings) -> Self {
        let settings = Settings {
            listen: vec!["127.0.0.1:0".to_owned()],
            admin_listen: Some("off".to_owned()),
            cert_dir: vec![secret.as_str().to_owned()],
            drain_delay: Some("0s".to_owned()),
            log_level: Some("error".to_owned()),
            ..more
        };
        let bound: Bound = app::bind(Config::resolve(settings).unwrap()).unwrap();
        Self {
            handle: bound.handle(),
            address: bound.addresses[0],
            _control: std::thread::spawn(move || drop(bound.wait(Signals::Ignored))),
        }
    }

    /// What a scrape reads.
    pub(crate) fn scrape(&self) -> String {
        exposition::render(&self.handle.sources(), Dialect::Prometheus)
    }

    /// The value of one sample, named with its labels; 0 where it is not there.
    pub(crate) fn sample(&self, name: &str) -> f64 {
        let text = self.scrape();
        let mut samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        let sample = samples.find(|(sample, _)| *sample == name);
        sample.map_or(0.0, |(_, value)| value.parse().unwrap())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.handle.drain();
    }
}
