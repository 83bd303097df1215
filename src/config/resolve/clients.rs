//! The settings about client certificates: who is asked, who is let in, what the application hears.

use std::time::Duration;

use super::Reader;
use super::certificates::path;
use crate::config::settings::Settings;
use crate::config::value::{client, duration};
use crate::config::{ClientAuth, ClientAuthMode, IdentityHeaders, defaults};

pub(super) fn auth(s: &Settings, r: &mut Reader<'_>) -> Option<ClientAuth> {
    let mode = r.choice(
        "client-auth",
        &s.client_auth,
        None,
        &[
            ("off", None),
            ("optional", Some(ClientAuthMode::Optional)),
            ("required", Some(ClientAuthMode::Required)),
        ],
    );
    // Read in any case: a mistake in them is one, whether they count or not.
    let authorities = r.list("client-ca-file", &s.client_ca_file, ',', path);
    let revocations = r.list("client-crl-file", &s.client_crl_file, ',', path);
    let allow = r.list("client-allow", &s.client_allow, ',', client::pattern);
    let allow_file = r.optional("client-allow-file", &s.client_allow_file, path);
    Some(ClientAuth {
        mode: mode?,
        authorities,
        revocations,
        allow,
        allow_file,
    })
}

pub(super) fn headers(s: &Settings, r: &mut Reader<'_>) -> IdentityHeaders {
    let words = r.list(
        "client-cert-headers",
        &s.client_cert_headers,
        ',',
        client::header,
    );
    let mut headers = IdentityHeaders {
        leaf: words.is_empty(),
        ..IdentityHeaders::default()
    };
    for word in words {
        match word {
            client::Header::Off => {}
            client::Header::Leaf => headers.leaf = true,
            client::Header::Chain => headers.chain = true,
            client::Header::Forwarded => headers.forwarded = true,
        }
    }
    headers
}

pub(super) fn grace(s: &Settings, r: &mut Reader<'_>) -> Duration {
    r.or(
        "revoked-grace",
        &s.revoked_grace,
        defaults::REVOKED_GRACE,
        duration::from_zero,
    )
}
