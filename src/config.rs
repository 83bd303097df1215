//! The validated configuration: what every other room is built from.
//!
//! [`Settings`] is what a person wrote (flags, environment, file); [`Config`] is what it means.
//! [`Config::resolve`] is the only way from one to the other and reports every mistake at once.
//! Pure data: nothing here reads a file of the system or opens a socket.

pub mod defaults;
pub mod environment;
pub mod file;
mod nearest;
mod problem;
mod resolve;
mod settings;
mod shown;
pub mod value;

pub use nearest::nearest;
pub use resolve::log_level;

pub use problem::{ConfigErrors, Problem};
pub use settings::{Settings, prefixed};
pub use shown::Shown;
pub use value::client::ClientPattern;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

/// Everything `run` needs, in one section per room. Components get their section, never the whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where downstream connections come from.
    pub listen: Listen,
    /// Certificates and protocol versions.
    pub tls: Tls,
    /// How certificates are kept in step with their files.
    pub reload: Reload,
    /// The application.
    pub upstream: Upstream,
    /// Limits and timeouts of downstream HTTP.
    pub http: Http,
    /// Header policy beyond the default.
    pub headers: Headers,
    /// Both stages of the way out.
    pub drain: Drain,
    /// Diagnostics and access log.
    pub log: Log,
    /// Memory that may be taken.
    pub memory: Memory,
    /// Probes, numbers and control.
    pub admin: Admin,
    /// Worker threads; `None` means the CPU quota of the container, rounded up.
    pub workers: Option<NonZeroUsize>,
    /// The application's own metrics, when they are to be passed on.
    pub app_metrics: Option<AppMetrics>,
}

/// `--app-metrics`: a page on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppMetrics {
    /// Where it is asked for, one address after the other.
    pub addresses: Vec<SocketAddr>,
    /// `Host` of the question.
    pub authority: HeaderValue,
    /// Path and query.
    pub path: http::uri::PathAndQuery,
}

/// The TLS listeners and what is known about who may stand before them.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Addresses to bind. `[::]` falls back to `0.0.0.0` where there is no IPv6.
    pub addresses: Vec<SocketAddr>,
    /// Open downstream connections at most; `None` derives it from the limits of descriptors and memory.
    pub max_connections: Option<NonZeroUsize>,
    /// Whether a PROXY protocol header opens each connection.
    pub proxy_protocol: ProxyProtocolIn,
    /// Peers whose forwarding headers and PROXY header are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// From accept to the end of the TLS handshake, PROXY header included.
    pub handshake_timeout: Duration,
    /// TCP keep-alive and HTTP/2 PING interval, downstream and upstream.
    pub keepalive_interval: Duration,
    /// Whether another process may listen on the same addresses.
    pub sharing: PortSharing,
    /// The listeners in clear that send clients here.
    pub redirect: Redirect,
}

/// `--reuse-port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSharing {
    /// A second process on the port is an error.
    Exclusive,
    /// The kernel spreads connections over all processes that say so (SO_REUSEPORT).
    Shared,
}

/// Listeners in clear that answer 308 to `https://`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Addresses to bind; none is off.
    pub addresses: Vec<SocketAddr>,
    /// The port that clients find the TLS listener on; 443 is not written.
    pub port: u16,
    /// Paths that are passed to the application in clear, with everything below them.
    pub except: Vec<String>,
}

/// `--proxy-protocol-in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolIn {
    /// A PROXY header is not expected and fails the TLS handshake like any other garbage.
    Off,
    /// A PROXY header is read when a trusted peer sends one.
    Optional,
    /// Every connection must come from a trusted peer and open with a PROXY header.
    Required,
}

/// `--proxy-protocol-out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolOut {
    /// Nothing is written before the request.
    Off,
    /// The text header (version 1).
    V1,
    /// The binary header (version 2).
    V2,
}

/// Certificates and protocol versions.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Where certificates come from.
    pub certificates: CertificateSource,
    /// The lowest protocol version offered.
    pub min_version: TlsVersion,
    /// What happens to a client that asks for a name no certificate has.
    pub unknown_sni: UnknownSni,
    /// Session-ticket secrets shared by every replica; `None` makes keys at start.
    pub ticket_key_dir: Option<PathBuf>,
    /// Who may come in by certificate; `None` asks nobody for one.
    pub client_auth: Option<ClientAuth>,
}

/// Client certificates: who is asked for one, and which are good.
#[derive(Debug, Clone)]
pub struct ClientAuth {
    /// Whether a client without one is let in.
    pub mode: ClientAuthMode,
    /// Files and directories with the authorities that are trusted.
    pub authorities: Vec<PathBuf>,
    /// Files and directories with revocation lists.
    pub revocations: Vec<PathBuf>,
    /// Clients that may come in; with none here and none in the file, every good certificate may.
    pub allow: Vec<ClientPattern>,
    /// A file with more of them, one a line.
    pub allow_file: Option<PathBuf>,
}

/// `--client-auth`, where it is not off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// A client may come without a certificate; one that it shows must be good.
    Optional,
    /// Nobody comes in without a good certificate.
    Required,
}

/// `--client-cert-headers`: what the application is told of a client's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// `Client-Cert` (RFC 9440).
    pub leaf: bool,
    /// `Client-Cert-Chain` (RFC 9440).
    pub chain: bool,
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    pub forwarded: bool,
}

/// How certificates are kept in step with their files.
#[derive(Debug, Clone, Copy)]
pub struct Reload {
    /// What happens to a new certificate that lacks names of the one in service.
    pub on_name_loss: OnNameLoss,
    /// What an expired certificate does to readiness.
    pub on_expiry: OnExpiry,
    /// How long the start waits for a certificate that is not there; `None` does not.
    pub wait_for_certificate: Option<Duration>,
    /// Between two looks at the files' contents, whatever the watch says.
    pub poll_interval: Duration,
}

/// `--on-name-loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNameLoss {
    /// Publish it and say so.
    Warn,
    /// Keep the one in service.
    Refuse,
}

/// `--on-expiry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExpiry {
    /// Go on serving and stay ready: clients may accept it, and nothing else is there.
    Serve,
    /// Go on serving and fail readiness, so that other replicas take over.
    Unready,
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// `--cert-dir`, in the order given.
    Directories(Vec<PathBuf>),
    /// `--cert-file` with `--key-file`.
    Pair {
        /// The chain, leaf first, PEM.
        certificate: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
}

/// A TLS protocol version this proxy offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// `--unknown-sni`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSni {
    /// Serve the default certificate and let the client judge it.
    Serve,
    /// Refuse the handshake.
    Refuse,
}

/// The application and how it is reached.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Protocol and address.
    pub target: Target,
    /// One connection attempt, and how long a request is held when an outage is new.
    pub connect_timeout: Duration,
    /// From the last byte of the request to the head of the answer; `None` waits for ever.
    pub response_timeout: Option<Duration>,
    /// A pooled connection is not used again after this; the application's `Keep-Alive: timeout=` shortens it.
    pub idle_timeout: Duration,
    /// Open connections to the application at most, over all workers; `None` is
    /// [`defaults::MAX_UPSTREAM_CONNECTIONS`], or fewer where memory is limited.
    pub max_connections: Option<NonZeroUsize>,
    /// PROXY header written when a connection to the application opens.
    pub proxy_protocol: ProxyProtocolOut,
    /// TCP keep-alive and HTTP/2 PING interval.
    pub keepalive_interval: Duration,
    /// What readiness asks the application for; `None` opens a connection and no more.
    pub health_path: Option<PathAndQuery>,
}

/// The admin port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; `None` for no admin port. `[::]` falls back to `0.0.0.0`.
    pub listen: Option<SocketAddr>,
}

/// `--upstream` as written: scheme and address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The protocol spoken to the application.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: Address,
}

/// The protocol spoken to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 in clear (`http://` and `unix:`).
    Http1,
    /// HTTP/2 with prior knowledge (`h2c://`).
    H2c,
    /// Raw bytes (`tcp://`).
    Raw,
}

/// Where the application listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A literal address.
    Ip(SocketAddr),
    /// A name to resolve at each connection attempt; `localhost` is 127.0.0.1, then ::1, without a resolver.
    Name {
        /// Host name.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Limits and timeouts of downstream HTTP.
#[derive(Debug, Clone)]
pub struct Http {
    /// Bytes of one header section; more is 431.
    pub max_header_size: u32,
    /// Fields of one header section; more is 431.
    pub max_headers: u16,
    /// Bytes of one request body; more is 413. `None` is unlimited.
    pub max_body_size: Option<u64>,
    /// From the first byte of a request to the end of its header section; then 408.
    pub request_header_timeout: Duration,
    /// No byte of the request body for this long before the answer began; then 408.
    pub request_body_timeout: Duration,
    /// Data waits and the client takes none for this long; then the connection is cut.
    pub send_timeout: Duration,
    /// A connection without a request in flight is closed after this.
    pub idle_timeout: Duration,
    /// No byte either way on a response body or tunnel for this long; `None` never cuts.
    pub stream_idle_timeout: Option<Duration>,
    /// A connection this old is asked to be opened anew; `None` for never.
    pub max_connection_age: Option<Duration>,
    /// Connections under a replaced certificate are asked so, spread over this; `None` for never.
    pub retire_over: Option<Duration>,
    /// What a client whose certificate is no longer good has in flight may go on for this long.
    pub revoked_grace: Duration,
}

/// Header policy beyond the default.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// Also write RFC 7239 `Forwarded` to the application.
    pub forwarded: bool,
    /// `Strict-Transport-Security` put on every answer that has none.
    pub hsts: Option<HeaderValue>,
    /// Set on every answer, replacing what the application sent.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removed from every answer.
    pub remove: Vec<HeaderName>,
    /// Peers whose forwarding headers are believed; the same list as [`Listen::trusted_proxies`].
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a request without a trace gets one.
    pub trace_start: TraceStart,
    /// What is told of client certificates, where they are asked for; nobody else's word counts then.
    pub identity: Option<IdentityHeaders>,
}

/// `--trace-start`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceStart {
    /// It stays without.
    #[default]
    Never,
    /// A trace begins here.
    Here,
}

/// `--max-memory`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Memory {
    /// What the container may take, if that is limited.
    #[default]
    Container,
    /// So many bytes.
    Bytes(u64),
    /// Without a limit.
    Off,
}

/// The two stages of the way out.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// New work is still accepted for this long after the signal.
    pub delay: Duration,
    /// Then work in flight has this long.
    pub timeout: Duration,
}

impl Drain {
    /// How long a cut connection may take to say goodbye before its thread is given up.
    pub const LAST_WORDS: Duration = Duration::from_secs(3);

    /// What a Pod has to grant from the signal to the end, in whole seconds as Kubernetes counts.
    pub fn whole_seconds(self) -> u64 {
        let longest = self.delay + self.timeout + Self::LAST_WORDS;
        longest.as_secs() + u64::from(longest.subsec_nanos() > 0)
    }
}

/// Diagnostics and access log.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Which requests leave a record.
    pub access: AccessLog,
    /// JSON or text.
    pub format: LogFormat,
    /// Lowest level of diagnostics written.
    pub level: tracing::Level,
    /// Whether a record holds the query.
    pub query: LogQuery,
}

/// `--log-query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogQuery {
    /// Left out: queries hold tokens and names.
    Left,
    /// Kept in the record.
    Kept,
}

/// `--access-log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// No records.
    Off,
    /// Answers of 500 and above, and every request the proxy ended itself.
    Errors,
    /// Every request.
    All,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}
