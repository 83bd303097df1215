//! The configuration in force, in the words of the settings: for `/config` and a person.
//!
//! What is shown reads back as the same configuration, so that it can be compared and copied.
//! Invariant: the value of a header field is left out, because it may be a secret; nothing else
//! that a setting can hold is one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::value::{duration, size};
use super::{
    AccessLog, CertificateSource, ClientAuthMode, Config, Headers, Http, LogFormat, LogQuery,
    Memory, OnExpiry, OnNameLoss, PortSharing, ProxyProtocolIn, ProxyProtocolOut, TlsVersion,
    TraceStart, UnknownSni,
};

/// What stands for a value that may be a secret.
const REDACTED: &str = "(redacted)";

/// The value of a setting, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Of a setting that has one.
    One(String),
    /// Of a setting that may be repeated.
    Many(Vec<String>),
}

impl Config {
    /// Every setting that is in force, by the name of its flag; one without a value is left out.
    pub fn shown(&self) -> Vec<(&'static str, Shown)> {
        let mut list = List::default();
        self.listening(&mut list);
        self.certificates(&mut list);
        self.clients(&mut list);
        self.application(&mut list);
        http(&self.http, &mut list);
        headers(&self.headers, &mut list);
        list.duration("drain-delay", self.drain.delay);
        list.duration("drain-timeout", self.drain.timeout);
        list.one(
            "access-log",
            match self.log.access {
                AccessLog::Off => "off",
                AccessLog::Errors => "errors",
                AccessLog::All => "all",
            },
        );
        list.one(
            "log-format",
            match self.log.format {
                LogFormat::Auto => "auto",
                LogFormat::Json => "json",
                LogFormat::Text => "text",
            },
        );
        list.one("log-query", on_or_off(self.log.query == LogQuery::Kept));
        list.one("log-level", self.log.level.as_str().to_ascii_lowercase());
        list.0
    }

    fn listening(&self, list: &mut List) {
        list.many("listen", &self.listen.addresses);
        let is_shared = self.listen.sharing == PortSharing::Shared;
        list.one("reuse-port", on_or_off(is_shared));
        let redirect = &self.listen.redirect;
        list.many("redirect-listen", &redirect.addresses);
        list.one("redirect-port", redirect.port);
        list.many("redirect-except", &redirect.except);
        list.optional("workers", self.workers);
        list.many("trusted-proxies", &self.listen.trusted_proxies);
        list.one(
            "proxy-protocol-in",
            match self.listen.proxy_protocol {
                ProxyProtocolIn::Off => "off",
                ProxyProtocolIn::Optional => "optional",
                ProxyProtocolIn::Required => "required",
            },
        );
        let admin = self.admin.listen.map(|address| address.to_string());
        list.one("admin-listen", admin.unwrap_or_else(off));
        list.optional("max-connections", self.listen.max_connections);
        match self.memory {
            Memory::Container => {}
            Memory::Bytes(bytes) => list.one("max-memory", size::Shown(bytes)),
            Memory::Off => list.one("max-memory", off()),
        }
        list.duration("handshake-timeout", self.listen.handshake_timeout);
        list.duration("keepalive-interval", self.listen.keepalive_interval);
    }

    fn certificates(&self, list: &mut List) {
        match &self.tls.certificates {
            CertificateSource::Directories(directories) => {
                let paths: Vec<_> = directories.iter().map(|path| path.display()).collect();
                list.many("cert-dir", &paths);
            }
            CertificateSource::Pair { certificate, key } => {
                list.one("cert-file", certificate.display());
                list.one("key-file", key.display());
            }
        }
        list.one(
            "tls-min-version",
            match self.tls.min_version {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            },
        );
        list.one(
            "unknown-sni",
            match self.tls.unknown_sni {
                UnknownSni::Serve => "serve",
                UnknownSni::Refuse => "refuse",
            },
        );
        let directory = self.tls.ticket_key_dir.as_deref();
        list.optional("ticket-key-dir", directory.map(Path::display));
        list.one(
            "on-name-loss",
            match self.reload.on_name_loss {
                OnNameLoss::Warn => "warn",
                OnNameLoss::Refuse => "refuse",
            },
        );
        list.one(
            "on-expiry",
            match self.reload.on_expiry {
                OnExpiry::Serve => "serve",
                OnExpiry::Unready => "unready",
            },
        );
        list.limit("wait-for-certificate", self.reload.wait_for_certificate);
        list.duration("certificate-poll-interval", self.reload.poll_interval);
    }

    fn clients(&self, list: &mut List) {
        let Some(auth) = &self.tls.client_auth else {
            list.one("client-auth", off());
            return;
        };
        list.one(
            "client-auth",
            match auth.mode {
                ClientAuthMode::Optional => "optional",
                ClientAuthMode::Required => "required",
            },
        );
        let paths = |paths: &[PathBuf]| -> Vec<String> {
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        list.many("client-ca-file", &paths(&auth.authorities));
        list.many("client-crl-file", &paths(&auth.revocations));
        list.many("client-allow", &auth.allow);
        let file = auth.allow_file.as_deref();
        list.optional("client-allow-file", file.map(Path::display));
        let told = self.headers.identity.unwrap_or_default();
        let names = [
            ("client-cert", told.leaf),
            ("client-cert-chain", told.chain),
            ("xfcc", told.forwarded),
        ];
        let mut names: Vec<_> = names
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if names.is_empty() {
            names.push("off");
        }
        list.many("client-cert-headers", &names);
        list.duration("revoked-grace", self.http.revoked_grace);
    }

    fn application(&self, list: &mut List) {
        let upstream = &self.upstream;
        list.one("upstream", &upstream.target);
        list.one(
            "proxy-protocol-out",
            match upstream.proxy_protocol {
                ProxyProtocolOut::Off => "off",
                ProxyProtocolOut::V1 => "v1",
                ProxyProtocolOut::V2 => "v2",
            },
        );
        let path = upstream.health_path.as_ref().map(ToString::to_string);
        list.one("upstream-health-path", path.unwrap_or_else(off));
        let page = self.app_metrics.as_ref().map(ToString::to_string);
        list.one("app-metrics", page.unwrap_or_else(off));
        list.optional("max-upstream-connections", upstream.max_connections);
        list.duration("upstream-connect-timeout", upstream.connect_timeout);
        list.limit("upstream-response-timeout", upstream.response_timeout);
        list.duration("upstream-idle-timeout", upstream.idle_timeout);
    }
}

fn http(http: &Http, list: &mut List) {
    list.one(
        "max-header-size",
        size::Shown(u64::from(http.max_header_size)),
    );
    list.one("max-headers", http.max_headers);
    let body = http.max_body_size.map(|size| size::Shown(size).to_string());
    list.one("max-body-size", body.unwrap_or_else(off));
    list.duration("request-header-timeout", http.request_header_timeout);
    list.duration("request-body-timeout", http.request_body_timeout);
    list.duration("send-timeout", http.send_timeout);
    list.duration("idle-timeout", http.idle_timeout);
    list.limit("stream-idle-timeout", http.stream_idle_timeout);
    list.limit("max-connection-age", http.max_connection_age);
    list.limit("retire-over", http.retire_over);
}

fn headers(headers: &Headers, list: &mut List) {
    let hsts = headers.hsts.as_ref().and_then(|value| value.to_str().ok());
    list.one("hsts", hsts.unwrap_or("off"));
    list.one("forwarded", on_or_off(headers.forwarded));
    let starts = headers.trace_start == TraceStart::Here;
    list.one("trace-start", on_or_off(starts));
    let set = headers.set.iter();
    let set: Vec<_> = set.map(|(name, _)| format!("{name}: {REDACTED}")).collect();
    list.many("set-header", &set);
    list.many("remove-header", &headers.remove);
}

fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

fn off() -> String {
    "off".to_owned()
}

#[derive(Debug, Default)]
struct List(Vec<(&'static str, Shown)>);

impl List {
    fn one(&mut self, flag: &'static str, value: impl ToString) {
        self.0.push((flag, Shown::One(value.to_string())));
    }

    fn optional(&mut self, flag: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.one(flag, value);
        }
    }

    fn many(&mut self, flag: &'static str, values: &[impl ToString]) {
        let values = values.iter().map(ToString::to_string).collect();
        self.0.push((flag, Shown::Many(values)));
    }

    fn duration(&mut self, flag: &'static str, value: Duration) {
        self.one(flag, duration::Shown(value));
    }

    /// A duration that may be off.
    fn limit(&mut self, flag: &'static str, value: Option<Duration>) {
        let shown = value.map(|value| duration::Shown(value).to_string());
        self.one(flag, shown.unwrap_or_else(off));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::settings::vocabulary;
    use clap::FromArgMatches as _;

    fn from_flags(flags: &[String]) -> Config {
        let line = std::iter::once("tls-sidecar".to_owned()).chain(flags.iter().cloned());
        let matches = vocabulary().try_get_matches_from(line).unwrap();
        Config::resolve(Settings::from_arg_matches(&matches).unwrap()).unwrap()
    }

    fn as_flags(config: &Config) -> Vec<String> {
        let flags = config.shown().into_iter().map(|(flag, shown)| match shown {
            Shown::One(value) => format!("--{flag}={value}"),
            Shown::Many(values) => format!("--{flag}={}", values.join(",")),
        });
        flags.collect()
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let changed = [
            "--listen=127.0.0.1:1,[::1]:2",
            "--admin-listen=off",
            "--trusted-proxies=10.0.0.0/8",
            "--proxy-protocol-in=required",
            "--upstream=unix:/run/app.sock",
            "--upstream-health-path=/healthz",
            "--max-body-size=10MiB",
            "--upstream-response-timeout=1500ms",
            "--hsts=max-age=1",
            "--remove-header=server,x-powered-by",
            "--reuse-port=on",
            "--redirect-listen=127.0.0.1:3",
            "--redirect-except=/.well-known/acme-challenge/",
            "--app-metrics=http://127.0.0.1:9/own?a",
            "--log-query=on",
            "--trace-start=on",
            "--client-auth=optional",
            "--client-ca-file=/ca",
            "--client-allow=dns:*.example,uri:spiffe://a/*",
            "--client-cert-headers=client-cert-chain",
            "--revoked-grace=3s",
            "--log-level=debug",
            "--workers=3",
            "--cert-file=/c",
            "--key-file=/k",
        ];
        for flags in [Vec::new(), changed.map(str::to_owned).to_vec()] {
            let config = from_flags(&flags);
            let again = from_flags(&as_flags(&config));
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
        }
    }

    #[test]
    fn every_setting_is_shown() {
        let every = from_flags(&[
            "--ticket-key-dir=/t".to_owned(),
            "--workers=1".to_owned(),
            "--max-connections=1".to_owned(),
            "--max-upstream-connections=1".to_owned(),
            "--max-memory=64MiB".to_owned(),
            "--client-auth=required".to_owned(),
            "--client-ca-file=/ca".to_owned(),
            "--client-allow-file=/allow".to_owned(),
        ]);
        let pair = from_flags(&["--cert-file=/c".to_owned(), "--key-file=/k".to_owned()]);
        let shown = [every.shown(), pair.shown()].concat();
        for arg in vocabulary().get_arguments() {
            let flag = arg.get_long().unwrap();
            assert!(shown.iter().any(|(name, _)| *name == flag), "{flag}");
        }
    }

    #[test]
    fn the_value_of_a_header_field_is_not_shown() {
        let config = from_flags(&["--set-header=x-token: secret".to_owned()]);
        let shown = format!("{:?}", config.shown());
        assert!(
            shown.contains("x-token: (redacted)") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
