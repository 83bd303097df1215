//! `tls-sidecar demo`: the proxy with a sample application and a certificate of its own.
//!
//! Everything but the application and the secret is what `run` uses: same settings, same wiring,
//! same signals. The secret's directory and the application live exactly as long as the proxy;
//! whatever way the demo ends, short of a kill, the directory is removed.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what to try next is the demo's answer to the person who started it"
)]

mod application;
mod client;
mod clock;
mod greeting;
mod rotation;
mod secret;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;

use crate::app;
use crate::cli::run::supervise;
use crate::config::{Config, Settings};
use client::Client;
use greeting::Greeting;
use rotation::Rotation;
use secret::Secret;

/// Where the demo listens unless told otherwise: no privilege needed, and easy to remember.
const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8443);

/// Where its admin port is, likewise.
const ADMIN_LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9901);

/// Exit code for bad usage or configuration.
const USAGE: u8 = 2;

/// What `tls-sidecar demo` was asked for.
#[derive(Debug)]
pub(crate) struct DemoOptions {
    /// The settings of the proxy. The demo fills listener and upstream where they are not given,
    /// and the certificate directory always.
    pub(crate) settings: Settings,
    /// Rotate the certificate this often; `None` leaves it to the person at the keyboard.
    pub(crate) rotate_every: Option<Duration>,
    /// Who may come.
    pub(crate) clients: Clients,
}

/// Who may come to the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// Anybody.
    Any,
    /// Who has a certificate of the demo's authority; one is made.
    WithCertificate,
}

/// Runs the demo until the proxy has drained.
pub(crate) fn run(options: DemoOptions) -> ExitCode {
    if let Some(directory) = options.settings.cert_dir.first() {
        eprintln!("--cert-dir {directory}: the demo makes its own certificate; leave it out");
        return ExitCode::from(USAGE);
    }
    start(options).unwrap_or_else(|error| {
        eprintln!("demo: {error:#}");
        ExitCode::FAILURE
    })
}

fn start(options: DemoOptions) -> anyhow::Result<ExitCode> {
    let DemoOptions {
        mut settings,
        rotate_every,
        clients,
    } = options;
    let application = match settings.upstream {
        Some(_) => None,
        None => Some(Application::start()?),
    };
    let secret = Secret::create()?;
    if let Some(application) = &application {
        settings.upstream = Some(format!("http://{}", application.address));
    }
    settings.cert_dir = vec![secret.path().display().to_string()];
    let client = match clients {
        Clients::Any => None,
        Clients::WithCertificate => Some(Client::create(&secret)?),
    };
    if client.is_some() {
        let authority = secret.path().join("ca.crt");
        settings.client_auth.get_or_insert("required".to_owned());
        settings.client_ca_file = vec![authority.display().to_string()];
    }
    if settings.listen.is_empty() {
        settings.listen = vec![free_address(LISTEN).to_string()];
    }
    if settings.admin_listen.is_none() {
        settings.admin_listen = Some(free_address(ADMIN_LISTEN).to_string());
    }
    let upstream = settings.upstream.clone().unwrap_or_default();
    let config = match Config::resolve(settings) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    let bound = app::bind(config).map_err(|error| anyhow::anyhow!("{error}"))?;
    let address = bound
        .addresses
        .first()
        .copied()
        .context("the proxy has no listener")?;
    let greeting = Greeting {
        address,
        admin: bound.admin,
        upstream: &upstream,
        directory: secret.path(),
        serial: secret.serial(),
        sample: application.is_some(),
        rotate_every,
        client: client.as_ref().map(Client::path),
    };
    println!("{greeting}");
    let rotation = Rotation::start(secret, bound.handle(), rotate_every)?;
    let code = supervise(bound);
    // In this order: the proxy needs both to its last request.
    drop((rotation, application, client));
    Ok(code)
}

/// The demo's address when it is free, else any port: asking for the busy one would end the demo
/// before it has shown anything.
fn free_address(wanted: (Ipv4Addr, u16)) -> SocketAddr {
    match TcpListener::bind(wanted) {
        Ok(_) => wanted.into(),
        Err(_) => (wanted.0, 0).into(),
    }
}

/// The sample application on a thread of its own; ends when dropped.
struct Application {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Application {
    fn start() -> anyhow::Result<Self> {
        let context = "no port for the sample application";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(context)?;
        listener.set_nonblocking(true).context(context)?;
        let address = listener.local_addr().context(context)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the sample application")?;
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let shutdown = async { drop(stopped.await) };
            application::serve(listener, shutdown).await;
            std::io::Result::Ok(())
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                eprintln!("demo: the sample application cannot listen: {error}");
            }
        };
        let thread = thread::Builder::new()
            .name("demo-application".to_owned())
            .spawn(run)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
