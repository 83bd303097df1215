//! Settings that are right one by one and wrong together.
//!
//! Each of these would otherwise let one setting silently win over another, or leave one without
//! effect. Looked for in the raw settings where a mistake already reported must not count twice.

use crate::config::problem::{ConfigErrors, Problem};
use crate::config::settings::Settings;
use crate::config::{Config, Headers, Listen, Protocol, ProxyProtocolIn, defaults};

/// Adds every contradiction to `errors`.
pub(super) fn find(settings: &Settings, config: &Config, errors: &mut ConfigErrors) {
    in_listeners(settings, &config.listen, errors);
    in_redirect(settings, config, errors);
    in_certificates(settings, errors);
    in_clients(settings, config, errors);
    in_headers(settings, &config.headers, errors);
    in_admin(config, errors);
}

fn in_admin(config: &Config, errors: &mut ConfigErrors) {
    if config.upstream.health_path.is_some() && config.upstream.target.protocol == Protocol::Raw {
        errors.push(Problem::conflict(
            "upstream-health-path",
            "an application of raw bytes (tcp://) answers no path; leave it out",
        ));
    }
    if let Some(address) = config.admin.listen
        && address.port() != 0
        && config.listen.addresses.contains(&address)
    {
        errors.push(Problem::value(
            "admin-listen",
            &address.to_string(),
            "is where --listen takes TLS; choose another port",
        ));
    }
}

fn in_listeners(s: &Settings, listen: &Listen, errors: &mut ConfigErrors) {
    let believed = s.trusted_proxies.iter().any(|text| !text.trim().is_empty());
    if listen.proxy_protocol != ProxyProtocolIn::Off && !believed {
        errors.push(Problem::conflict(
            "proxy-protocol-in",
            "believes nobody without --trusted-proxies; name the load balancers, \
             e.g. --trusted-proxies 10.0.0.0/8",
        ));
    }
    for (at, address) in listen.addresses.iter().enumerate() {
        // Port 0 is another port each time.
        if address.port() != 0 && listen.addresses[..at].contains(address) {
            errors.push(Problem::value(
                "listen",
                &address.to_string(),
                "stands twice; keep one",
            ));
        }
    }
}

fn in_redirect(s: &Settings, config: &Config, errors: &mut ConfigErrors) {
    let redirect = &config.listen.redirect;
    if s.redirect_listen.is_empty() {
        let without_effect = [
            (
                "redirect-port",
                s.redirect_port.is_some() && redirect.port != defaults::REDIRECT_PORT,
            ),
            ("redirect-except", !redirect.except.is_empty()),
        ];
        for (flag, _) in without_effect.iter().filter(|(_, is_set)| *is_set) {
            let complaint = "has no effect without --redirect-listen; add it, e.g. \
                             --redirect-listen [::]:8080, or leave this out";
            errors.push(Problem::conflict(flag, complaint));
        }
        return;
    }
    if config.upstream.target.protocol == Protocol::Raw {
        let complaint = "does not go with a tcp:// application, which nobody reaches by https; \
                         leave it out";
        errors.push(Problem::conflict("redirect-listen", complaint));
    }
    for (at, address) in redirect.addresses.iter().enumerate() {
        let is_taken =
            redirect.addresses[..at].contains(address) || config.listen.addresses.contains(address);
        if address.port() != 0 && is_taken {
            let complaint = "stands twice, or is also in --listen; give each its own port";
            errors.push(Problem::value(
                "redirect-listen",
                &address.to_string(),
                complaint,
            ));
        }
    }
}

fn in_certificates(s: &Settings, errors: &mut ConfigErrors) {
    match (&s.cert_file, &s.key_file) {
        (Some(_), None) => errors.push(Problem::conflict(
            "cert-file",
            "needs the private key; add --key-file, or use --cert-dir for a directory with both",
        )),
        (None, Some(_)) => errors.push(Problem::conflict(
            "key-file",
            "needs the certificate; add --cert-file, or use --cert-dir for a directory with both",
        )),
        _ => {}
    }
    if s.cert_file.is_some() && !s.cert_dir.is_empty() {
        errors.push(Problem::conflict(
            "cert-file",
            "does not go with --cert-dir; keep the pair of files or the directories",
        ));
    }
}

/// Never silently open: what is written about clients must take effect.
fn in_clients(s: &Settings, config: &Config, errors: &mut ConfigErrors) {
    let said = |texts: &[String]| texts.iter().any(|text| !text.trim().is_empty());
    if config.tls.client_auth.is_some() {
        if !said(&s.client_ca_file) {
            errors.push(Problem::conflict(
                "client-auth",
                "has nobody to trust; add --client-ca-file with the authorities of the clients",
            ));
        }
        let off = |text: &String| text.split(',').any(|word| word.trim() == "off");
        let is_mixed = s.client_cert_headers.iter().any(off)
            && config
                .headers
                .identity
                .is_some_and(|headers| headers != Default::default());
        if is_mixed {
            errors.push(Problem::conflict(
                "client-cert-headers",
                "says off and more; keep one of them",
            ));
        }
        return;
    }
    let is_wrong_mode = s.client_auth.as_deref().is_some_and(|mode| {
        let mode = mode.trim();
        !mode.is_empty() && !mode.eq_ignore_ascii_case("off")
    });
    let useless = [
        ("client-ca-file", said(&s.client_ca_file)),
        ("client-crl-file", said(&s.client_crl_file)),
        ("client-allow", said(&s.client_allow)),
        ("client-allow-file", s.client_allow_file.is_some()),
    ];
    for (flag, is_said) in useless {
        if is_said && !is_wrong_mode {
            errors.push(Problem::conflict(
                flag,
                "asks nobody for a certificate by itself; add --client-auth required (or optional)",
            ));
        }
    }
}

fn in_headers(s: &Settings, headers: &Headers, errors: &mut ConfigErrors) {
    for (at, (name, _)) in headers.set.iter().enumerate() {
        if headers.set[..at].iter().any(|(other, _)| other == name) {
            let complaint = "is set twice; keep one, several values go in one with commas";
            errors.push(Problem::value("set-header", name.as_str(), complaint));
        }
        if headers.remove.contains(name) {
            let complaint = "is set and removed; setting replaces it already, drop --remove-header";
            errors.push(Problem::value("set-header", name.as_str(), complaint));
        }
        if *name == http::header::STRICT_TRANSPORT_SECURITY && s.hsts.is_some() {
            let complaint = "is also set by --hsts; keep one of them";
            errors.push(Problem::value("set-header", name.as_str(), complaint));
        }
    }
}
