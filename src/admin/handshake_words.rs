//! Why handshakes fail, as sentences for whoever looks at the status page.
//!
//! The labels are those of metrics and logs; a label without a sentence is shown as it is.

/// What `label` means and who can mend it.
pub(super) fn of(label: &str) -> String {
    if let Some(known) = known(label) {
        return known.to_owned();
    }
    match label.strip_prefix("alert_") {
        Some(alert) => format!("The client refused: {}.", alert.replace('_', " ")),
        None => label.replace('_', " "),
    }
}

fn known(label: &str) -> Option<&'static str> {
    Some(match label {
        "closed_before_hello" => "Closed before the first byte: a port check or a probe.",
        "closed" => "The client closed in the middle of the handshake.",
        "timeout" => "Not done within --handshake-timeout: a silent or very slow client.",
        "plain_http" => "HTTP in clear on the TLS port: the client means https://.",
        "protocol_version" => "No TLS version in common: the client is too old.",
        "no_shared_cipher" => "No cipher suite in common.",
        "no_shared_group" => "No key exchange group in common.",
        "no_shared_signature_scheme" => "The client cannot verify the kind of key that is served.",
        "no_shared_alpn" => "No application protocol in common: neither h2 nor http/1.1.",
        "unknown_sni" => "No certificate for the name that was asked for (--unknown-sni refuse).",
        "bad_sni" => "The server name is no DNS name.",
        "malformed" => "What arrived is not TLS.",
        "protocol_error" => "The client broke the rules of TLS.",
        "proxy_header" => "The PROXY header is missing or comes from a peer that is not trusted.",
        "io" => "The socket failed.",
        "alert_unknown_ca" => "The client does not know who signed the certificate.",
        "alert_bad_certificate" => "The client does not accept the certificate.",
        "alert_certificate_expired" => "The client finds the certificate expired.",
        "alert_certificate_unknown" => "The client does not accept the certificate.",
        "alert_certificate_revoked" => "The client finds the certificate revoked.",
        "alert_unsupported_certificate" => "The client cannot use a certificate of this kind.",
        "alert_unrecognized_name" => "The client says the name is not ours.",
        "alert_user_canceled" => "The client gave up.",
        "alert_close_notify" => "The client closed in order before the end of the handshake.",
        "no_certificate" => "The client showed no certificate (--client-auth required).",
        "unknown_ca" => "The client's certificate is of no authority in --client-ca-file.",
        "expired" => "The client's certificate, or an issuer of it, has expired.",
        "not_yet_valid" => "The client's certificate is not valid yet: look at both clocks.",
        "wrong_usage" => "The client's certificate is not for client authentication.",
        "revoked" => "The client's certificate, or an issuer of it, is revoked.",
        "revocation_unknown" => "No list in --client-crl-file tells of the client's certificate.",
        "crl_expired" => "The list in --client-crl-file that tells of the client is out of date.",
        "chain_too_long" => "The client's chain is longer than anybody's is.",
        "bad_signature" => "A signature in the client's chain is wrong.",
        "bad_certificate" => "The client's certificate cannot be read.",
        "not_allowed" => "The client's certificate is good, and --client-allow does not name it.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::HandshakeFailure;

    #[test]
    fn every_reason_is_a_sentence() {
        for label in HandshakeFailure::labels() {
            let words = of(label);
            assert!(words.ends_with('.'), "{label}: {words}");
        }
    }
}
