//! From [`Settings`] to [`Config`]: the one function that gives raw text its meaning.
//!
//! `run`, `demo` and `check` all call it. It never stops at a mistake: a wrong value counts as its
//! default from then on, so that every other one is still looked at, and all are returned together.

mod certificates;
mod clients;
mod contradictions;

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;
use tracing::Level;

use super::problem::{ConfigErrors, Problem};
use super::settings::Settings;
use super::value::{address, app_metrics, duration, header, number, path, size, target, word};
use super::{
    AccessLog, Admin, Config, Drain, Headers, Http, Listen, Log, LogFormat, LogQuery, Memory,
    PortSharing, ProxyProtocolIn, ProxyProtocolOut, Redirect, TraceStart, Upstream, defaults,
};

impl Config {
    /// What the settings mean, or everything that is wrong with them.
    pub fn resolve(settings: Settings) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let config = resolve(
            &settings,
            &mut Reader {
                errors: &mut errors,
            },
        );
        contradictions::find(&settings, &config, &mut errors);
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }
}

/// Reads one setting after the other and keeps what is wrong.
struct Reader<'a> {
    errors: &'a mut ConfigErrors,
}

impl Reader<'_> {
    fn optional<T, E: Display>(
        &mut self,
        flag: &'static str,
        text: &Option<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = text.as_deref()?.trim();
        parse(text)
            .map_err(|error| self.errors.push(Problem::value(flag, text, error)))
            .ok()
    }

    fn or<T, E: Display>(
        &mut self,
        flag: &'static str,
        text: &Option<String>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        self.optional(flag, text, parse).unwrap_or(default)
    }

    fn choice<T: Copy>(
        &mut self,
        flag: &'static str,
        text: &Option<String>,
        default: T,
        choices: &[(&'static str, T)],
    ) -> T {
        self.or(flag, text, default, |text| word::one_of(text, choices))
    }

    /// Items of all texts; an empty item says nothing, so that an empty variable is an empty list.
    fn list<T, E: Display>(
        &mut self,
        flag: &'static str,
        texts: &[String],
        separator: char,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let items = texts.iter().flat_map(|text| text.split(separator));
        let items = items.map(str::trim).filter(|item| !item.is_empty());
        items
            .filter_map(|item| {
                parse(item)
                    .map_err(|error| self.errors.push(Problem::value(flag, item, error)))
                    .ok()
            })
            .collect()
    }
}

/// The order is the one of the help, and so of the errors.
fn resolve(s: &Settings, r: &mut Reader<'_>) -> Config {
    let mut listen = listen(s, r);
    let workers = r.optional("workers", &s.workers, |text| {
        number::count(text, defaults::WORKERS_MOST)
    });
    let mut tls = certificates::tls(s, r);
    let reload = certificates::reload(s, r);
    tls.client_auth = clients::auth(s, r);
    let identity = clients::headers(s, r);
    let revoked_grace = clients::grace(s, r);
    let mut upstream = upstream(s, r);
    let app_metrics = r.or("app-metrics", &s.app_metrics, None, app_metrics::or_off);
    upstream.health_path = r.or(
        "upstream-health-path",
        &s.upstream_health_path,
        None,
        target::path_or_off,
    );
    let admin = Admin {
        listen: r.or(
            "admin-listen",
            &s.admin_listen,
            Some(defaults::admin_listen()),
            address::listen_or_off,
        ),
    };
    listen.max_connections = r.optional("max-connections", &s.max_connections, connections);
    upstream.max_connections = r.optional(
        "max-upstream-connections",
        &s.max_upstream_connections,
        connections,
    );
    let memory = r.or("max-memory", &s.max_memory, Memory::Container, size::memory);
    let mut http = http(s, r);
    http.revoked_grace = revoked_grace;
    timeouts(s, r, &mut listen, &mut upstream);
    let mut headers = headers(s, r, listen.trusted_proxies.clone());
    let (drain, log) = (drain(s, r), log(s, r));
    if r.or("trace-start", &s.trace_start, false, word::switch) {
        headers.trace_start = TraceStart::Here;
    }
    headers.identity = tls.client_auth.is_some().then_some(identity);
    Config {
        listen,
        tls,
        reload,
        upstream,
        http,
        headers,
        drain,
        log,
        memory,
        admin,
        workers,
        app_metrics,
    }
}

fn listen(s: &Settings, r: &mut Reader<'_>) -> Listen {
    let mut addresses = r.list("listen", &s.listen, ',', address::listen);
    if addresses.is_empty() {
        addresses.push(defaults::listen());
    }
    Listen {
        addresses,
        max_connections: None,
        trusted_proxies: r.list("trusted-proxies", &s.trusted_proxies, ',', address::network),
        proxy_protocol: r.choice(
            "proxy-protocol-in",
            &s.proxy_protocol_in,
            ProxyProtocolIn::Off,
            &[
                ("off", ProxyProtocolIn::Off),
                ("optional", ProxyProtocolIn::Optional),
                ("required", ProxyProtocolIn::Required),
            ],
        ),
        handshake_timeout: defaults::HANDSHAKE_TIMEOUT,
        keepalive_interval: defaults::KEEPALIVE_INTERVAL,
        sharing: match r.or("reuse-port", &s.reuse_port, false, word::switch) {
            true => PortSharing::Shared,
            false => PortSharing::Exclusive,
        },
        redirect: Redirect {
            addresses: r.list("redirect-listen", &s.redirect_listen, ',', address::listen),
            port: r.or(
                "redirect-port",
                &s.redirect_port,
                defaults::REDIRECT_PORT,
                address::port,
            ),
            except: r.list("redirect-except", &s.redirect_except, ',', path::prefix),
        },
    }
}

fn upstream(s: &Settings, r: &mut Reader<'_>) -> Upstream {
    Upstream {
        target: r.or(
            "upstream",
            &s.upstream,
            defaults::upstream(),
            target::target,
        ),
        proxy_protocol: r.choice(
            "proxy-protocol-out",
            &s.proxy_protocol_out,
            ProxyProtocolOut::Off,
            &[
                ("off", ProxyProtocolOut::Off),
                ("v1", ProxyProtocolOut::V1),
                ("v2", ProxyProtocolOut::V2),
            ],
        ),
        max_connections: None,
        connect_timeout: defaults::UPSTREAM_CONNECT_TIMEOUT,
        response_timeout: None,
        idle_timeout: defaults::UPSTREAM_IDLE_TIMEOUT,
        keepalive_interval: defaults::KEEPALIVE_INTERVAL,
        health_path: None,
    }
}

fn http(s: &Settings, r: &mut Reader<'_>) -> Http {
    Http {
        max_header_size: r.or(
            "max-header-size",
            &s.max_header_size,
            defaults::MAX_HEADER_SIZE,
            |text| {
                size::between(
                    text,
                    defaults::HEADER_SIZE_LEAST,
                    defaults::HEADER_SIZE_MOST,
                )
            },
        ),
        max_headers: r.or(
            "max-headers",
            &s.max_headers,
            defaults::MAX_HEADERS,
            |text| {
                let count = number::count(text, usize::from(defaults::HEADERS_MOST))?;
                // Within the bound it always fits; the bound itself stands in for what cannot happen.
                Ok::<_, number::NumberError>(
                    u16::try_from(count.get()).unwrap_or(defaults::HEADERS_MOST),
                )
            },
        ),
        max_body_size: r.or("max-body-size", &s.max_body_size, None, size::or_off),
        request_header_timeout: timeout(
            r,
            "request-header-timeout",
            &s.request_header_timeout,
            defaults::REQUEST_HEADER_TIMEOUT,
        ),
        request_body_timeout: timeout(
            r,
            "request-body-timeout",
            &s.request_body_timeout,
            defaults::REQUEST_BODY_TIMEOUT,
        ),
        send_timeout: timeout(r, "send-timeout", &s.send_timeout, defaults::SEND_TIMEOUT),
        idle_timeout: timeout(r, "idle-timeout", &s.idle_timeout, defaults::IDLE_TIMEOUT),
        stream_idle_timeout: r.or(
            "stream-idle-timeout",
            &s.stream_idle_timeout,
            None,
            duration::or_off,
        ),
        max_connection_age: r.or(
            "max-connection-age",
            &s.max_connection_age,
            None,
            duration::or_off,
        ),
        retire_over: r.or("retire-over", &s.retire_over, None, duration::or_off),
        revoked_grace: defaults::REVOKED_GRACE,
    }
}

/// The timeouts of connections, on both sides.
fn timeouts(s: &Settings, r: &mut Reader<'_>, listen: &mut Listen, upstream: &mut Upstream) {
    listen.handshake_timeout = timeout(
        r,
        "handshake-timeout",
        &s.handshake_timeout,
        defaults::HANDSHAKE_TIMEOUT,
    );
    upstream.connect_timeout = timeout(
        r,
        "upstream-connect-timeout",
        &s.upstream_connect_timeout,
        defaults::UPSTREAM_CONNECT_TIMEOUT,
    );
    upstream.response_timeout = r.or(
        "upstream-response-timeout",
        &s.upstream_response_timeout,
        None,
        duration::or_off,
    );
    upstream.idle_timeout = r.or(
        "upstream-idle-timeout",
        &s.upstream_idle_timeout,
        defaults::UPSTREAM_IDLE_TIMEOUT,
        duration::from_zero,
    );
    let keepalive = r.or(
        "keepalive-interval",
        &s.keepalive_interval,
        defaults::KEEPALIVE_INTERVAL,
        |text| {
            let (low, high) = (defaults::KEEPALIVE_SHORTEST, defaults::KEEPALIVE_LONGEST);
            duration::between(text, low, high)
        },
    );
    listen.keepalive_interval = keepalive;
    upstream.keepalive_interval = keepalive;
}

fn headers(s: &Settings, r: &mut Reader<'_>, trusted_proxies: Vec<IpNet>) -> Headers {
    Headers {
        hsts: r.or("hsts", &s.hsts, None, header::hsts),
        forwarded: r.or("forwarded", &s.forwarded, false, word::switch),
        // A value may hold commas, but never a line break.
        set: r.list("set-header", &s.set_header, '\n', header::field),
        remove: r.list("remove-header", &s.remove_header, ',', header::name),
        trusted_proxies,
        trace_start: TraceStart::Never,
        identity: None,
    }
}

fn drain(s: &Settings, r: &mut Reader<'_>) -> Drain {
    Drain {
        delay: r.or(
            "drain-delay",
            &s.drain_delay,
            defaults::DRAIN_DELAY,
            duration::from_zero,
        ),
        timeout: r.or(
            "drain-timeout",
            &s.drain_timeout,
            defaults::DRAIN_TIMEOUT,
            duration::from_zero,
        ),
    }
}

fn log(s: &Settings, r: &mut Reader<'_>) -> Log {
    Log {
        access: r.choice(
            "access-log",
            &s.access_log,
            AccessLog::Errors,
            &[
                ("off", AccessLog::Off),
                ("errors", AccessLog::Errors),
                ("all", AccessLog::All),
            ],
        ),
        format: r.choice(
            "log-format",
            &s.log_format,
            LogFormat::Auto,
            &[
                ("auto", LogFormat::Auto),
                ("json", LogFormat::Json),
                ("text", LogFormat::Text),
            ],
        ),
        level: r.or("log-level", &s.log_level, Level::INFO, log_level),
        query: match r.or("log-query", &s.log_query, false, word::switch) {
            true => LogQuery::Kept,
            false => LogQuery::Left,
        },
    }
}

/// The level of diagnostics called `name`.
///
/// # Errors
/// With the names there are.
pub fn log_level(name: &str) -> Result<Level, word::WordError> {
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    word::one_of(name, &levels)
}

fn timeout(
    r: &mut Reader<'_>,
    flag: &'static str,
    text: &Option<String>,
    default: Duration,
) -> Duration {
    r.or(flag, text, default, duration::positive)
}

fn connections(text: &str) -> Result<NonZeroUsize, number::NumberError> {
    number::count(text, defaults::CONNECTIONS_MOST)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::CertificateSource;
    use crate::config::settings::vocabulary;
    use clap::FromArgMatches as _;
    use proptest::prelude::*;

    fn from_flags(flags: &[&str]) -> Settings {
        let line = std::iter::once(&"tls-sidecar").chain(flags);
        let matches = vocabulary().try_get_matches_from(line).unwrap();
        Settings::from_arg_matches(&matches).unwrap()
    }

    fn config(flags: &[&str]) -> Config {
        Config::resolve(from_flags(flags)).unwrap()
    }

    fn errors(flags: &[&str]) -> String {
        Config::resolve(from_flags(flags)).unwrap_err().to_string()
    }

    #[test]
    fn nothing_written_is_a_working_configuration() {
        let config = Config::resolve(Settings::default()).unwrap();
        assert_eq!(config.listen.addresses, [defaults::listen()]);
        assert_eq!(config.upstream.target.to_string(), "http://127.0.0.1:8080");
        let directories = CertificateSource::Directories(vec![PathBuf::from("/etc/tls")]);
        assert_eq!(config.tls.certificates, directories);
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = errors(&[
            "--idle-timeout=10x",
            "--listen=localhost:1",
            "--upstream=https://app",
            "--workers=0",
            "--max-header-size=1GiB",
            "--cert-file=/c",
            "--log-level=loud",
        ]);
        assert_eq!(
            errors.lines().collect::<Vec<_>>(),
            [
                "--listen \"localhost:1\": a host name cannot be listened on; write a literal \
                 address, e.g. 127.0.0.1:8443, or :8443 for every address",
                "--workers \"0\": not a count; write a whole number of at least 1",
                "--upstream \"https://app\": the proxy speaks plain to the application and ends \
                 TLS itself; write http://HOST:PORT",
                "--max-header-size \"1GiB\": out of bounds; write 1KiB to 1MiB",
                "--idle-timeout \"10x\": not a duration; write a number with ms, s, m or h, e.g. 75s",
                "--log-level \"loud\": not a choice; write error, warn, info, debug or trace",
                "--cert-file: needs the private key; add --key-file, or use --cert-dir for a \
                 directory with both",
            ]
        );
    }

    #[test]
    fn every_setting_complains_in_its_own_name() {
        for arg in vocabulary().get_arguments() {
            let flag = arg.get_long().unwrap();
            let errors = errors(&[&format!("--{flag}=\0")]);
            assert!(
                errors.starts_with(&format!("--{flag} \"\\0\": ")),
                "{errors}"
            );
            assert!(errors.contains("; "), "{errors}");
        }
    }

    #[test]
    fn a_redirect_has_an_address_of_its_own_and_an_application_that_speaks_http() {
        let redirect = config(&[
            "--redirect-listen=8080,127.0.0.1:81",
            "--redirect-port=8443",
        ]);
        let redirect = redirect.listen.redirect;
        assert_eq!((redirect.addresses.len(), redirect.port), (2, 8443));
        assert!(errors(&["--redirect-except=/a/"]).starts_with("--redirect-except: has no effect"));
        assert!(errors(&["--redirect-port=1"]).starts_with("--redirect-port: has no effect"));
        let twice = errors(&["--listen=8443", "--redirect-listen=8443"]);
        assert!(
            twice.starts_with("--redirect-listen \"[::]:8443\": stands twice"),
            "{twice}"
        );
        let raw = errors(&["--redirect-listen=80", "--upstream=tcp://a:1"]);
        assert!(
            raw.starts_with("--redirect-listen: does not go with a tcp://"),
            "{raw}"
        );
    }

    #[test]
    fn a_pair_of_files_replaces_the_directory() {
        let pair = config(&["--cert-file=/c", "--key-file=/k"])
            .tls
            .certificates;
        let (certificate, key) = (PathBuf::from("/c"), PathBuf::from("/k"));
        assert_eq!(pair, CertificateSource::Pair { certificate, key });
        assert!(errors(&["--key-file=/k"]).starts_with("--key-file: needs the certificate"));
        let both = errors(&["--cert-file=/c", "--key-file=/k", "--cert-dir=/d"]);
        assert!(
            both.starts_with("--cert-file: does not go with --cert-dir"),
            "{both}"
        );
    }

    #[test]
    fn proxy_protocol_needs_somebody_to_believe() {
        for mode in ["optional", "required"] {
            let mode = format!("--proxy-protocol-in={mode}");
            let error = errors(&[&mode]);
            assert!(
                error.starts_with("--proxy-protocol-in: believes nobody"),
                "{error}"
            );
            let config = config(&[&mode, "--trusted-proxies=10.0.0.1, fd00::/8"]);
            assert_eq!(config.listen.trusted_proxies.len(), 2);
            assert_eq!(
                config.headers.trusted_proxies,
                config.listen.trusted_proxies
            );
            // A typing error in the list is not also the lack of a list.
            assert_eq!(
                errors(&[&mode, "--trusted-proxies=10.0.0.300"])
                    .lines()
                    .count(),
                1
            );
        }
    }

    #[test]
    fn lists_are_split_but_header_values_keep_their_commas() {
        let config = config(&[
            "--listen=1,2",
            "--listen=3",
            "--cert-dir=/a, /b,",
            "--remove-header=Server,X-Powered-By",
            "--set-header=Cache-Control: no-cache, no-store\nX-A: b",
        ]);
        assert_eq!(config.listen.addresses.len(), 3);
        let directories = ["/a", "/b"].map(PathBuf::from).to_vec();
        assert_eq!(
            config.tls.certificates,
            CertificateSource::Directories(directories)
        );
        assert_eq!(config.headers.remove, ["server", "x-powered-by"]);
        assert_eq!(config.headers.set[0].1, "no-cache, no-store");
        assert_eq!(config.headers.set[1].0, "x-a");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let twice = errors(&["--listen=8443", "--listen=[::]:8443"]);
        assert_eq!(twice, "--listen \"[::]:8443\": stands twice; keep one");
        assert_eq!(
            config(&["--listen=0", "--listen=0"]).listen.addresses.len(),
            2
        );
        let lines = errors(&[
            "--set-header=A: 1",
            "--set-header=a: 2",
            "--remove-header=a",
            "--set-header=Strict-Transport-Security: max-age=1",
            "--hsts=max-age=1",
        ]);
        assert_eq!(lines.lines().count(), 4, "{lines}");
    }

    #[test]
    fn zero_is_refused_where_it_makes_no_sense() {
        let none = config(&[
            "--drain-delay=0",
            "--drain-timeout=0s",
            "--upstream-idle-timeout=0s",
        ]);
        assert_eq!(none.drain.delay + none.drain.timeout, Duration::ZERO);
        assert_eq!(none.upstream.idle_timeout, Duration::ZERO);
        for flag in ["idle-timeout", "handshake-timeout", "stream-idle-timeout"] {
            let error = errors(&[&format!("--{flag}=0s")]);
            assert!(error.contains("must be longer than nothing"), "{error}");
        }
        assert!(errors(&["--keepalive-interval=0s"]).ends_with("write 1s to 9h"));
    }

    #[test]
    fn the_bounds_of_header_limits_are_allowed() {
        for (size, count) in [("1KiB", "1"), ("1MiB", "4096")] {
            let http = config(&[
                &format!("--max-header-size={size}"),
                &format!("--max-headers={count}"),
            ])
            .http;
            assert_eq!(http.max_headers.to_string(), count);
        }
        assert!(errors(&["--max-headers=4097"]).ends_with("write a number from 1 to 4096"));
        assert!(errors(&["--max-header-size=1023"]).ends_with("write 1KiB to 1MiB"));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_error_is_one_line(text in "\\PC{0,20}") {
            let settings = Settings {
                listen: vec![text.clone()],
                upstream: Some(text.clone()),
                hsts: Some(text.clone()),
                set_header: vec![text.clone()],
                trusted_proxies: vec![text.clone()],
                idle_timeout: Some(text),
                ..Settings::default()
            };
            if let Err(errors) = Config::resolve(settings) {
                prop_assert_eq!(errors.to_string().lines().count(), errors.iter().count());
            }
        }
    }
}
