//! The settings about certificates: where they are, what is served, how they are followed.

use std::path::PathBuf;

use super::Reader;
use crate::config::settings::Settings;
use crate::config::value::duration;
use crate::config::{
    CertificateSource, OnExpiry, OnNameLoss, Reload, Tls, TlsVersion, UnknownSni, defaults,
};

pub(super) fn tls(s: &Settings, r: &mut Reader<'_>) -> Tls {
    let mut directories = r.list("cert-dir", &s.cert_dir, ',', path);
    if directories.is_empty() {
        directories.push(PathBuf::from(defaults::CERT_DIR));
    }
    let certificate = r.optional("cert-file", &s.cert_file, path);
    let key = r.optional("key-file", &s.key_file, path);
    Tls {
        certificates: match (certificate, key) {
            (Some(certificate), Some(key)) => CertificateSource::Pair { certificate, key },
            _ => CertificateSource::Directories(directories),
        },
        min_version: r.choice(
            "tls-min-version",
            &s.tls_min_version,
            TlsVersion::V1_2,
            &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)],
        ),
        unknown_sni: r.choice(
            "unknown-sni",
            &s.unknown_sni,
            UnknownSni::Serve,
            &[("serve", UnknownSni::Serve), ("refuse", UnknownSni::Refuse)],
        ),
        ticket_key_dir: r.optional("ticket-key-dir", &s.ticket_key_dir, path),
        client_auth: None,
    }
}

pub(super) fn reload(s: &Settings, r: &mut Reader<'_>) -> Reload {
    Reload {
        on_name_loss: r.choice(
            "on-name-loss",
            &s.on_name_loss,
            OnNameLoss::Warn,
            &[("warn", OnNameLoss::Warn), ("refuse", OnNameLoss::Refuse)],
        ),
        on_expiry: r.choice(
            "on-expiry",
            &s.on_expiry,
            OnExpiry::Serve,
            &[("serve", OnExpiry::Serve), ("unready", OnExpiry::Unready)],
        ),
        wait_for_certificate: r.or(
            "wait-for-certificate",
            &s.wait_for_certificate,
            None,
            duration::or_off,
        ),
        poll_interval: r.or(
            "certificate-poll-interval",
            &s.certificate_poll_interval,
            defaults::CERTIFICATE_POLL_INTERVAL,
            |text| {
                let shortest = defaults::CERTIFICATE_POLL_SHORTEST;
                duration::between(text, shortest, defaults::CERTIFICATE_POLL_INTERVAL)
            },
        ),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("is empty; write a path"),
        _ if text.contains('\0') => Err("no path has a zero byte; write a path"),
        _ => Ok(PathBuf::from(text)),
    }
}
