//! Every way in which a handshake ends badly, under the name that log and metric use.
//!
//! Made from what rustls and the socket report, in one place. Invariant: the set of reasons is
//! fixed, so that no label takes a value a client chooses.

use std::io;

use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use super::client::ClientFault;
use crate::net::{FirstBytes, NotTls};

/// Why no TLS session came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The peer closed, or a probe looked, before the first byte: worth a debug line at most.
    ClosedBeforeHello,
    /// The peer closed or reset in the middle.
    Closed,
    /// Not done within `--handshake-timeout`.
    Timeout,
    /// HTTP in clear on the TLS port.
    PlainHttp,
    /// No protocol version in common.
    ProtocolVersion,
    /// No cipher suite in common.
    CipherSuite,
    /// No key exchange group in common.
    KeyExchangeGroup,
    /// No signature scheme that fits the certificate's key.
    SignatureScheme,
    /// No application protocol in common.
    Alpn,
    /// No certificate for the name asked for, and `--unknown-sni refuse`.
    UnknownSni,
    /// What arrived is not TLS.
    Malformed,
    /// The server_name extension holds no DNS name (RFC 6066 section 3).
    BadSni,
    /// TLS, but against its rules.
    Protocol,
    /// The client's certificate, or that there is none.
    Client(ClientFault),
    /// The client refused the session and said why.
    ClientAlert(&'static str),
    /// A PROXY header was expected and did not come, or came from a stranger.
    ProxyHeader,
    /// The socket failed.
    Io,
}

/// How many reasons there are, for a table with a counter each.
const FIXED: [HandshakeFailure; 15] = [
    HandshakeFailure::ClosedBeforeHello,
    HandshakeFailure::Closed,
    HandshakeFailure::Timeout,
    HandshakeFailure::PlainHttp,
    HandshakeFailure::ProtocolVersion,
    HandshakeFailure::CipherSuite,
    HandshakeFailure::KeyExchangeGroup,
    HandshakeFailure::SignatureScheme,
    HandshakeFailure::Alpn,
    HandshakeFailure::UnknownSni,
    HandshakeFailure::BadSni,
    HandshakeFailure::Malformed,
    HandshakeFailure::Protocol,
    HandshakeFailure::ProxyHeader,
    HandshakeFailure::Io,
];

/// Alerts of RFC 8446 section 6 that a client can send, as labels.
const ALERTS: [(AlertDescription, &str); 22] = [
    (AlertDescription::CloseNotify, "alert_close_notify"),
    (
        AlertDescription::UnexpectedMessage,
        "alert_unexpected_message",
    ),
    (AlertDescription::BadRecordMac, "alert_bad_record_mac"),
    (AlertDescription::RecordOverflow, "alert_record_overflow"),
    (
        AlertDescription::HandshakeFailure,
        "alert_handshake_failure",
    ),
    (AlertDescription::BadCertificate, "alert_bad_certificate"),
    (
        AlertDescription::UnsupportedCertificate,
        "alert_unsupported_certificate",
    ),
    (
        AlertDescription::CertificateRevoked,
        "alert_certificate_revoked",
    ),
    (
        AlertDescription::CertificateExpired,
        "alert_certificate_expired",
    ),
    (
        AlertDescription::CertificateUnknown,
        "alert_certificate_unknown",
    ),
    (
        AlertDescription::IllegalParameter,
        "alert_illegal_parameter",
    ),
    (AlertDescription::UnknownCA, "alert_unknown_ca"),
    (AlertDescription::AccessDenied, "alert_access_denied"),
    (AlertDescription::DecodeError, "alert_decode_error"),
    (AlertDescription::DecryptError, "alert_decrypt_error"),
    (AlertDescription::ProtocolVersion, "alert_protocol_version"),
    (
        AlertDescription::InsufficientSecurity,
        "alert_insufficient_security",
    ),
    (AlertDescription::InternalError, "alert_internal_error"),
    (AlertDescription::UserCanceled, "alert_user_canceled"),
    (AlertDescription::NoRenegotiation, "alert_no_renegotiation"),
    (
        AlertDescription::UnsupportedExtension,
        "alert_unsupported_extension",
    ),
    (
        AlertDescription::UnrecognisedName,
        "alert_unrecognized_name",
    ),
];

const OTHER_ALERT: &str = "alert_other";

impl HandshakeFailure {
    /// The reason as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClosedBeforeHello => "closed_before_hello",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::PlainHttp => "plain_http",
            Self::ProtocolVersion => "protocol_version",
            Self::CipherSuite => "no_shared_cipher",
            Self::KeyExchangeGroup => "no_shared_group",
            Self::SignatureScheme => "no_shared_signature_scheme",
            Self::Alpn => "no_shared_alpn",
            Self::UnknownSni => "unknown_sni",
            Self::BadSni => "bad_sni",
            Self::Malformed => "malformed",
            Self::Protocol => "protocol_error",
            Self::Client(fault) => fault.as_str(),
            Self::ClientAlert(name) => name,
            Self::ProxyHeader => "proxy_header",
            Self::Io => "io",
        }
    }

    /// Every label value there can be, each once.
    pub fn labels() -> impl Iterator<Item = &'static str> {
        FIXED
            .into_iter()
            .map(Self::as_str)
            .chain(ClientFault::ALL.into_iter().map(ClientFault::as_str))
            .chain(ALERTS.into_iter().map(|(_, name)| name))
            .chain([OTHER_ALERT])
    }

    /// Whether this is a probe or a port scan rather than somebody's failed session.
    pub fn is_quiet(self) -> bool {
        matches!(self, Self::ClosedBeforeHello)
    }

    /// What `error` means, given what the peer had sent by then.
    pub(super) fn classify(error: &io::Error, first: FirstBytes) -> Self {
        let inner = error.get_ref();
        match inner.and_then(|e| e.downcast_ref::<NotTls>()) {
            Some(NotTls::PlainHttp) => return Self::PlainHttp,
            Some(NotTls::Alert) => return Self::Protocol,
            None => {}
        }
        if let Some(tls) = inner.and_then(|e| e.downcast_ref::<rustls::Error>()) {
            return Self::from_tls(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => match first {
                FirstBytes::None => Self::ClosedBeforeHello,
                FirstBytes::Some => Self::Closed,
            },
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io,
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        if let Some(fault) = ClientFault::of(error) {
            return Self::Client(fault);
        }
        match error {
            rustls::Error::AlertReceived(alert) => Self::ClientAlert(alert_name(*alert)),
            rustls::Error::PeerIncompatible(why) => match why {
                PeerIncompatible::NoCipherSuitesInCommon => Self::CipherSuite,
                PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NamedGroupsExtensionRequired
                | PeerIncompatible::KeyShareExtensionRequired
                | PeerIncompatible::NoEcPointFormatsInCommon => Self::KeyExchangeGroup,
                PeerIncompatible::NoSignatureSchemesInCommon => Self::SignatureScheme,
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // rustls asks for this extension before it looks at the version, and only
                // clients older than TLS 1.2 leave it out.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::ProtocolVersion,
                _ => Self::Protocol,
            },
            rustls::Error::NoApplicationProtocol => Self::Alpn,
            rustls::Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)
            | rustls::Error::InvalidMessage(InvalidMessage::InvalidServerName) => Self::BadSni,
            rustls::Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
                Self::ProtocolVersion
            }
            rustls::Error::InvalidMessage(_) => Self::Malformed,
            // The only general error on this path: the resolver had no certificate to give.
            rustls::Error::General(_) => Self::UnknownSni,
            _ => Self::Protocol,
        }
    }
}

fn alert_name(alert: AlertDescription) -> &'static str {
    ALERTS
        .iter()
        .find(|(known, _)| *known == alert)
        .map_or(OTHER_ALERT, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_closes_without_a_byte_is_quiet() {
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        let probe = HandshakeFailure::classify(&eof, FirstBytes::None);
        assert!(probe.is_quiet());
        assert!(!HandshakeFailure::classify(&eof, FirstBytes::Some).is_quiet());
    }

    #[test]
    fn client_alerts_are_told_apart_by_name() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let error = io::Error::new(io::ErrorKind::InvalidData, alert);
        let failure = HandshakeFailure::classify(&error, FirstBytes::Some);
        assert_eq!(failure.as_str(), "alert_unknown_ca");
        assert!(HandshakeFailure::labels().any(|label| label == "alert_unknown_ca"));
    }
}
