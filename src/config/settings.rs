//! What a person wrote: every setting as raw text, from flags, environment or file.
//!
//! One struct that clap and serde both fill, so that all three share one vocabulary and one help
//! text. Nothing is checked here: text stays text, so that the first bad value does not hide the
//! next. Every setting is optional; its default stands in [`super::defaults`] and in its help,
//! and a test holds the two together.

use clap::Args;
use serde::Deserialize;

const LISTENING: &str = "Listening";
const ADMIN: &str = "Admin port";
const CERTIFICATES: &str = "Certificates";
const CLIENTS: &str = "Client certificates";
const APPLICATION: &str = "Application";
const LIMITS: &str = "Limits";
const TIMEOUTS: &str = "Timeouts";
const HEADERS: &str = "Headers";
const STOPPING: &str = "Stopping";
const LOGS: &str = "Logs";

/// What stands before a setting's name in the environment.
pub(super) const PREFIX: &str = "TLS_SIDECAR_";

/// The settings as written; a field is `None` or empty where nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "the text is also the help, where [::] is an address and not a link"
)]
pub struct Settings {
    /// Address to accept TLS on: ADDRESS:PORT, or a port for every address; port 0 picks a free one; repeatable or separated by commas [default: [::]:443, or 0.0.0.0:443 where there is no IPv6]
    #[arg(long, value_name = "ADDR", help_heading = LISTENING, env = "TLS_SIDECAR_LISTEN", hide_env_values = true)]
    pub listen: Vec<String>,

    /// Share the addresses with another process that says so too, e.g. for a restart without a gap (SO_REUSEPORT): off or on [default: off]
    #[arg(long, value_name = "SWITCH", help_heading = LISTENING, env = "TLS_SIDECAR_REUSE_PORT", hide_env_values = true)]
    pub reuse_port: Option<String>,

    /// Address to answer plain HTTP on with 308 to https, and with nothing else; repeatable or separated by commas [default: none]
    #[arg(long, value_name = "ADDR", help_heading = LISTENING, env = "TLS_SIDECAR_REDIRECT_LISTEN", hide_env_values = true)]
    pub redirect_listen: Vec<String>,

    /// Port that the redirect sends clients to, as they see it, e.g. that of the Service; 443 is not written [default: 443]
    #[arg(long, value_name = "PORT", help_heading = LISTENING, env = "TLS_SIDECAR_REDIRECT_PORT", hide_env_values = true)]
    pub redirect_port: Option<String>,

    /// Path passed to the application in clear, with all below it, e.g. /.well-known/acme-challenge/; repeatable or separated by commas [default: none]
    #[arg(long, value_name = "PREFIX", help_heading = LISTENING, env = "TLS_SIDECAR_REDIRECT_EXCEPT", hide_env_values = true)]
    pub redirect_except: Vec<String>,

    /// Worker threads [default: the CPU quota of the container, rounded up]
    #[arg(long, value_name = "N", help_heading = LISTENING, env = "TLS_SIDECAR_WORKERS", hide_env_values = true)]
    pub workers: Option<String>,

    /// Peers whose X-Forwarded-*, Forwarded and PROXY headers are believed: addresses or CIDR blocks, repeatable or separated by commas [default: none]
    #[arg(long, value_name = "CIDR", help_heading = LISTENING, env = "TLS_SIDECAR_TRUSTED_PROXIES", hide_env_values = true)]
    pub trusted_proxies: Vec<String>,

    /// PROXY protocol header at the start of each connection: off, optional (from a trusted peer) or required (every peer must be trusted and send one) [default: off]
    #[arg(long, value_name = "MODE", help_heading = LISTENING, env = "TLS_SIDECAR_PROXY_PROTOCOL_IN", hide_env_values = true)]
    pub proxy_protocol_in: Option<String>,

    /// Directory to serve certificates from, its layout found by itself; repeatable or separated by commas [default: /etc/tls]
    #[arg(long, value_name = "DIR", help_heading = CERTIFICATES, env = "TLS_SIDECAR_CERT_DIR", hide_env_values = true)]
    pub cert_dir: Vec<String>,

    /// Certificate chain in PEM, leaf first, instead of a directory; needs --key-file [default: none]
    #[arg(long, value_name = "FILE", visible_alias = "tls-cert-file", help_heading = CERTIFICATES, env = "TLS_SIDECAR_CERT_FILE", hide_env_values = true)]
    #[serde(alias = "tls-cert-file")]
    pub cert_file: Option<String>,

    /// Private key in PEM; needs --cert-file [default: none]
    #[arg(long, value_name = "FILE", visible_alias = "tls-private-key-file", help_heading = CERTIFICATES, env = "TLS_SIDECAR_KEY_FILE", hide_env_values = true)]
    #[serde(alias = "tls-private-key-file")]
    pub key_file: Option<String>,

    /// Lowest TLS version offered: 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_TLS_MIN_VERSION", hide_env_values = true)]
    pub tls_min_version: Option<String>,

    /// A client that asks for a name no certificate has: serve (the default certificate) or refuse [default: serve]
    #[arg(long, value_name = "ACTION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_UNKNOWN_SNI", hide_env_values = true)]
    pub unknown_sni: Option<String>,

    /// Directory with session-ticket secrets that every replica shares, one or more files of at least 32 bytes, the first by name in use; none makes keys at start [default: none]
    #[arg(long, value_name = "DIR", help_heading = CERTIFICATES, env = "TLS_SIDECAR_TICKET_KEY_DIR", hide_env_values = true)]
    pub ticket_key_dir: Option<String>,

    /// A new certificate that lacks names of the one in service: warn (and serve it) or refuse [default: warn]
    #[arg(long, value_name = "ACTION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_ON_NAME_LOSS", hide_env_values = true)]
    pub on_name_loss: Option<String>,

    /// When the certificate has expired: serve (stay ready) or unready (go on serving and fail readiness) [default: serve]
    #[arg(long, value_name = "ACTION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_ON_EXPIRY", hide_env_values = true)]
    pub on_expiry: Option<String>,

    /// How long the start waits for a certificate that is not there yet, e.g. 60s, or off; then exit 1 [default: off]
    #[arg(long, value_name = "DURATION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_WAIT_FOR_CERTIFICATE", hide_env_values = true)]
    pub wait_for_certificate: Option<String>,

    /// Between two looks at the certificate files, beside the watch on their directories, 100ms to 30s [default: 30s]
    #[arg(long, value_name = "DURATION", help_heading = CERTIFICATES, env = "TLS_SIDECAR_CERTIFICATE_POLL_INTERVAL", hide_env_values = true)]
    pub certificate_poll_interval: Option<String>,

    /// Client certificates: off, optional (a client may have none, one that it shows must be good) or required [default: off]
    #[arg(long, value_name = "MODE", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_AUTH", hide_env_values = true)]
    pub client_auth: Option<String>,

    /// Authorities whose clients are let in: a bundle in PEM or DER, or a directory of them; followed as it changes; repeatable or separated by commas [default: none]
    #[arg(long, value_name = "PATH", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_CA_FILE", hide_env_values = true)]
    pub client_ca_file: Vec<String>,

    /// Revocation lists in PEM or DER, files or directories; every authority in a client's chain then needs one that has not expired; repeatable or separated by commas [default: none]
    #[arg(long, value_name = "PATH", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_CRL_FILE", hide_env_values = true)]
    pub client_crl_file: Vec<String>,

    /// Clients that may come in, others get 403: uri:PATTERN, dns:PATTERN, cn:PATTERN or spki:sha256:DIGEST; repeatable or separated by commas; none lets in every client with a good certificate [default: none]
    #[arg(long, value_name = "PATTERN", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_ALLOW", hide_env_values = true)]
    pub client_allow: Vec<String>,

    /// File with more such patterns, one a line, # begins a comment; followed as it changes [default: none]
    #[arg(long, value_name = "FILE", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_ALLOW_FILE", hide_env_values = true)]
    pub client_allow_file: Option<String>,

    /// Headers that tell the application who the client is: client-cert and client-cert-chain (RFC 9440), xfcc (X-Forwarded-Client-Cert as Envoy writes it) or off; repeatable or separated by commas [default: client-cert]
    #[arg(long, value_name = "WHICH", help_heading = CLIENTS, env = "TLS_SIDECAR_CLIENT_CERT_HEADERS", hide_env_values = true)]
    pub client_cert_headers: Vec<String>,

    /// When an open connection's client certificate has expired, was revoked or is no longer trusted, what is in flight may go on for this long; nothing new begins [default: 0s]
    #[arg(long, value_name = "DURATION", help_heading = CLIENTS, env = "TLS_SIDECAR_REVOKED_GRACE", hide_env_values = true)]
    pub revoked_grace: Option<String>,

    /// The application: http://HOST:PORT, h2c://HOST:PORT (HTTP/2 with prior knowledge, for gRPC), tcp://HOST:PORT (raw bytes) or unix:/PATH; a bare HOST:PORT means http://, a bare PORT localhost [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", help_heading = APPLICATION, env = "TLS_SIDECAR_UPSTREAM", hide_env_values = true)]
    pub upstream: Option<String>,

    /// PROXY protocol header written when a connection to the application opens: off, v1 (text) or v2 (binary) [default: off]
    #[arg(long, value_name = "VERSION", help_heading = APPLICATION, env = "TLS_SIDECAR_PROXY_PROTOCOL_OUT", hide_env_values = true)]
    pub proxy_protocol_out: Option<String>,

    /// The application's own metrics on loopback, http://127.0.0.1:PORT/PATH, served at /metrics/app of the admin port; or off [default: off]
    #[arg(long, value_name = "URL", help_heading = APPLICATION, env = "TLS_SIDECAR_APP_METRICS", hide_env_values = true)]
    pub app_metrics: Option<String>,
    /// Ask the application for this path, and take any answer below 500 for its being there, instead of opening a connection, e.g. /healthz, or off [default: off]
    #[arg(long, value_name = "PATH", help_heading = APPLICATION, env = "TLS_SIDECAR_UPSTREAM_HEALTH_PATH", hide_env_values = true)]
    pub upstream_health_path: Option<String>,

    /// Address of probes, metrics, the status page and control (which only loopback peers have): ADDRESS:PORT, or a port for every address; port 0 picks a free one; or off [default: [::]:9901, or 0.0.0.0:9901 where there is no IPv6]
    #[arg(long, value_name = "ADDR", help_heading = ADMIN, env = "TLS_SIDECAR_ADMIN_LISTEN", hide_env_values = true)]
    pub admin_listen: Option<String>,

    /// Open connections from clients at most; beyond it the kernel queues [default: from the limits of open files and of memory]
    #[arg(long, value_name = "N", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_CONNECTIONS", hide_env_values = true)]
    pub max_connections: Option<String>,

    /// Open connections to the application at most, over all workers; beyond it requests wait for one, then get 503 [default: from the limit of memory, 1024 at most]
    #[arg(long, value_name = "N", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_UPSTREAM_CONNECTIONS", hide_env_values = true)]
    pub max_upstream_connections: Option<String>,

    /// Memory that the sidecar may take, 16MiB or more: how many connections and requests there may be, and how much is held of answers for slow clients and of uploads for a slow application, follow from it; or off [default: the memory limit of the container]
    #[arg(long, value_name = "SIZE", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_MEMORY", hide_env_values = true)]
    pub max_memory: Option<String>,

    /// Size of a request's header section, 1KiB to 1MiB; more is answered 431 [default: 64KiB]
    #[arg(long, value_name = "SIZE", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_HEADER_SIZE", hide_env_values = true)]
    pub max_header_size: Option<String>,

    /// Fields in a request's header section, 1 to 4096; more is answered 431 [default: 128]
    #[arg(long, value_name = "N", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_HEADERS", hide_env_values = true)]
    pub max_headers: Option<String>,

    /// Size of a request body, e.g. 10MiB, or off; more is answered 413 [default: off]
    #[arg(long, value_name = "SIZE", help_heading = LIMITS, env = "TLS_SIDECAR_MAX_BODY_SIZE", hide_env_values = true)]
    pub max_body_size: Option<String>,

    /// From accept to the end of the TLS handshake, PROXY header included [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_HANDSHAKE_TIMEOUT", hide_env_values = true)]
    pub handshake_timeout: Option<String>,

    /// From the first byte of a request to the end of its header section; then 408 [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_REQUEST_HEADER_TIMEOUT", hide_env_values = true)]
    pub request_header_timeout: Option<String>,

    /// No byte of the request body for this long before the answer began; then 408 [default: 60s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_REQUEST_BODY_TIMEOUT", hide_env_values = true)]
    pub request_body_timeout: Option<String>,

    /// Data waits and the client takes none for this long; then the connection is cut, or on HTTP/2 the one stream when others go on [default: 60s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_SEND_TIMEOUT", hide_env_values = true)]
    pub send_timeout: Option<String>,

    /// A client connection without a request in flight is closed after this [default: 75s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_IDLE_TIMEOUT", hide_env_values = true)]
    pub idle_timeout: Option<String>,

    /// One attempt to connect to the application, and how long requests are held when an outage is new; then 503 [default: 2s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_UPSTREAM_CONNECT_TIMEOUT", hide_env_values = true)]
    pub upstream_connect_timeout: Option<String>,

    /// From the end of the request to the head of the answer, or off, so that long polls are not cut; then 504 [default: off]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_UPSTREAM_RESPONSE_TIMEOUT", hide_env_values = true)]
    pub upstream_response_timeout: Option<String>,

    /// No byte either way on an answer's body, upgrade or raw session for this long, or off [default: off]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_STREAM_IDLE_TIMEOUT", hide_env_values = true)]
    pub stream_idle_timeout: Option<String>,

    /// Interval of TCP keep-alive and HTTP/2 PING, which find dead peers on both sides, 1s to 9h; an application is sent a PING every 5m10s at most, because servers of gRPC take more of them for abuse [default: 30s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_KEEPALIVE_INTERVAL", hide_env_values = true)]
    pub keepalive_interval: Option<String>,

    /// A client connection this old, give or take a tenth, is asked to be opened anew: GOAWAY, or Connection: close on its next answer; or off [default: off]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_MAX_CONNECTION_AGE", hide_env_values = true)]
    pub max_connection_age: Option<String>,

    /// When a certificate was replaced, connections opened under it are asked so too, spread over this time; or off [default: off]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_RETIRE_OVER", hide_env_values = true)]
    pub retire_over: Option<String>,

    /// An idle connection to the application is not used again after this, sooner where its Keep-Alive header says so; 0s never uses one again [default: 4s]
    #[arg(long, value_name = "DURATION", help_heading = TIMEOUTS, env = "TLS_SIDECAR_UPSTREAM_IDLE_TIMEOUT", hide_env_values = true)]
    pub upstream_idle_timeout: Option<String>,

    /// Strict-Transport-Security for answers that have none, e.g. max-age=31536000 (seconds), or off [default: off]
    #[arg(long, value_name = "VALUE", help_heading = HEADERS, env = "TLS_SIDECAR_HSTS", hide_env_values = true)]
    pub hsts: Option<String>,

    /// Also send the RFC 7239 Forwarded header to the application: off or on [default: off]
    #[arg(long, value_name = "SWITCH", help_heading = HEADERS, env = "TLS_SIDECAR_FORWARDED", hide_env_values = true)]
    pub forwarded: Option<String>,

    /// Header field to set on every answer, replacing the application's; repeatable, or one a line in the environment [default: none]
    #[arg(long, value_name = "NAME: VALUE", help_heading = HEADERS, env = "TLS_SIDECAR_SET_HEADER", hide_env_values = true)]
    pub set_header: Vec<String>,

    /// Header field to remove from every answer; repeatable or separated by commas [default: none]
    #[arg(long, value_name = "NAME", help_heading = HEADERS, env = "TLS_SIDECAR_REMOVE_HEADER", hide_env_values = true)]
    pub remove_header: Vec<String>,

    /// After the signal to stop, new work is still accepted for this long, while load balancers take notice [default: 5s]
    #[arg(long, value_name = "DURATION", help_heading = STOPPING, env = "TLS_SIDECAR_DRAIN_DELAY", hide_env_values = true)]
    pub drain_delay: Option<String>,

    /// Then work in flight has this long; with the delay, stay below the grace period of the Pod [default: 20s]
    #[arg(long, value_name = "DURATION", help_heading = STOPPING, env = "TLS_SIDECAR_DRAIN_TIMEOUT", hide_env_values = true)]
    pub drain_timeout: Option<String>,

    /// Requests that leave a record: off, errors (500 and above, and what the proxy ended itself) or all [default: errors]
    #[arg(long, value_name = "WHICH", help_heading = LOGS, env = "TLS_SIDECAR_ACCESS_LOG", hide_env_values = true)]
    pub access_log: Option<String>,

    /// Form of log lines: json, text or auto (text on a terminal, else JSON) [default: auto]
    #[arg(long, value_name = "FORMAT", help_heading = LOGS, env = "TLS_SIDECAR_LOG_FORMAT", hide_env_values = true)]
    pub log_format: Option<String>,

    /// Lowest level of diagnostics written: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = LOGS, env = "TLS_SIDECAR_LOG_LEVEL", hide_env_values = true)]
    pub log_level: Option<String>,

    /// Query strings in access records, which may hold secrets: off or on [default: off]
    #[arg(long, value_name = "SWITCH", help_heading = LOGS, env = "TLS_SIDECAR_LOG_QUERY", hide_env_values = true)]
    pub log_query: Option<String>,

    /// Begin a trace (W3C traceparent, sampled) for a request that has none: off or on [default: off]
    #[arg(long, value_name = "SWITCH", help_heading = LOGS, env = "TLS_SIDECAR_TRACE_START", hide_env_values = true)]
    pub trace_start: Option<String>,
}

impl Settings {
    /// These settings, and those of `lower` where these say nothing. A list replaces a list.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            listen: list(self.listen, lower.listen),
            reuse_port: self.reuse_port.or(lower.reuse_port),
            redirect_listen: list(self.redirect_listen, lower.redirect_listen),
            redirect_port: self.redirect_port.or(lower.redirect_port),
            redirect_except: list(self.redirect_except, lower.redirect_except),
            workers: self.workers.or(lower.workers),
            trusted_proxies: list(self.trusted_proxies, lower.trusted_proxies),
            proxy_protocol_in: self.proxy_protocol_in.or(lower.proxy_protocol_in),
            cert_dir: list(self.cert_dir, lower.cert_dir),
            cert_file: self.cert_file.or(lower.cert_file),
            key_file: self.key_file.or(lower.key_file),
            tls_min_version: self.tls_min_version.or(lower.tls_min_version),
            unknown_sni: self.unknown_sni.or(lower.unknown_sni),
            ticket_key_dir: self.ticket_key_dir.or(lower.ticket_key_dir),
            on_name_loss: self.on_name_loss.or(lower.on_name_loss),
            on_expiry: self.on_expiry.or(lower.on_expiry),
            wait_for_certificate: self.wait_for_certificate.or(lower.wait_for_certificate),
            certificate_poll_interval: self
                .certificate_poll_interval
                .or(lower.certificate_poll_interval),
            client_auth: self.client_auth.or(lower.client_auth),
            client_ca_file: list(self.client_ca_file, lower.client_ca_file),
            client_crl_file: list(self.client_crl_file, lower.client_crl_file),
            client_allow: list(self.client_allow, lower.client_allow),
            client_allow_file: self.client_allow_file.or(lower.client_allow_file),
            client_cert_headers: list(self.client_cert_headers, lower.client_cert_headers),
            revoked_grace: self.revoked_grace.or(lower.revoked_grace),
            upstream: self.upstream.or(lower.upstream),
            proxy_protocol_out: self.proxy_protocol_out.or(lower.proxy_protocol_out),
            app_metrics: self.app_metrics.or(lower.app_metrics),
            upstream_health_path: self.upstream_health_path.or(lower.upstream_health_path),
            admin_listen: self.admin_listen.or(lower.admin_listen),
            max_connections: self.max_connections.or(lower.max_connections),
            max_upstream_connections: self
                .max_upstream_connections
                .or(lower.max_upstream_connections),
            max_memory: self.max_memory.or(lower.max_memory),
            max_header_size: self.max_header_size.or(lower.max_header_size),
            max_headers: self.max_headers.or(lower.max_headers),
            max_body_size: self.max_body_size.or(lower.max_body_size),
            handshake_timeout: self.handshake_timeout.or(lower.handshake_timeout),
            request_header_timeout: self.request_header_timeout.or(lower.request_header_timeout),
            request_body_timeout: self.request_body_timeout.or(lower.request_body_timeout),
            send_timeout: self.send_timeout.or(lower.send_timeout),
            idle_timeout: self.idle_timeout.or(lower.idle_timeout),
            upstream_connect_timeout: self
                .upstream_connect_timeout
                .or(lower.upstream_connect_timeout),
            upstream_response_timeout: self
                .upstream_response_timeout
                .or(lower.upstream_response_timeout),
            stream_idle_timeout: self.stream_idle_timeout.or(lower.stream_idle_timeout),
            max_connection_age: self.max_connection_age.or(lower.max_connection_age),
            retire_over: self.retire_over.or(lower.retire_over),
            keepalive_interval: self.keepalive_interval.or(lower.keepalive_interval),
            upstream_idle_timeout: self.upstream_idle_timeout.or(lower.upstream_idle_timeout),
            hsts: self.hsts.or(lower.hsts),
            forwarded: self.forwarded.or(lower.forwarded),
            set_header: list(self.set_header, lower.set_header),
            remove_header: list(self.remove_header, lower.remove_header),
            drain_delay: self.drain_delay.or(lower.drain_delay),
            drain_timeout: self.drain_timeout.or(lower.drain_timeout),
            access_log: self.access_log.or(lower.access_log),
            log_format: self.log_format.or(lower.log_format),
            log_level: self.log_level.or(lower.log_level),
            log_query: self.log_query.or(lower.log_query),
            trace_start: self.trace_start.or(lower.trace_start),
        }
    }
}

/// The name of a setting's environment variable, from the name of its flag.
pub fn prefixed(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// The flags of [`Settings`], from which the keys of a file and their aliases are known.
pub(super) fn vocabulary() -> clap::Command {
    Settings::augment_args(clap::Command::new("tls-sidecar"))
}

fn list(upper: Vec<String>, lower: Vec<String>) -> Vec<String> {
    if upper.is_empty() { lower } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use clap::FromArgMatches as _;

    fn from_flags(flags: &[&str]) -> Settings {
        let line = std::iter::once(&"tls-sidecar").chain(flags);
        let matches = vocabulary().try_get_matches_from(line).unwrap();
        Settings::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn every_flag_has_the_environment_name_of_its_own() {
        for arg in vocabulary().get_arguments() {
            let flag = arg.get_long().unwrap();
            let name = arg.get_env().unwrap().to_str().unwrap();
            assert_eq!(name, prefixed(flag));
        }
    }

    #[test]
    fn the_default_in_every_help_text_is_the_one_in_force() {
        let defaults = format!("{:?}", Config::resolve(Settings::default()).unwrap());
        for arg in vocabulary().get_arguments() {
            let flag = arg.get_long().unwrap();
            let help = arg.get_help().unwrap().to_string();
            let (_, default) = help.split_once("[default: ").expect(flag);
            let default = default.strip_suffix(']').expect(flag);
            let default = default.split(", or ").next().unwrap();
            if default.contains(' ') || default == "none" {
                continue;
            }
            let stated = from_flags(&[&format!("--{flag}={default}")]);
            assert_ne!(stated, Settings::default(), "{flag}");
            let resolved = format!("{:?}", Config::resolve(stated).unwrap());
            assert_eq!(resolved, defaults, "{flag}");
        }
    }

    #[test]
    fn a_lower_source_fills_only_what_is_missing() {
        let upper = from_flags(&["--idle-timeout=1s", "--listen=1", "--listen=2"]);
        let lower = from_flags(&["--idle-timeout=9s", "--listen=9", "--workers=9"]);
        let merged = upper.over(lower);
        assert_eq!(
            merged,
            from_flags(&[
                "--idle-timeout=1s",
                "--listen=1",
                "--listen=2",
                "--workers=9"
            ])
        );
    }

    #[test]
    fn every_setting_survives_a_merge_from_either_side() {
        for arg in vocabulary().get_arguments() {
            let flag = format!("--{}=x", arg.get_long().unwrap());
            let one = from_flags(&[&flag]);
            assert_eq!(one.clone().over(Settings::default()), one, "{flag}");
            assert_eq!(Settings::default().over(one.clone()), one, "{flag}");
        }
    }

    #[test]
    fn the_aliases_of_other_programs_are_read() {
        let aliases = from_flags(&["--tls-cert-file=c", "--tls-private-key-file=k"]);
        assert_eq!(aliases, from_flags(&["--cert-file=c", "--key-file=k"]));
    }
}
