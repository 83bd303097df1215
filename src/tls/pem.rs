//! PEM text to DER: the only file that knows `rustls-pemfile`, so that a swap is one file.
//!
//! Leading text, comments, CRLF and a byte order mark are tolerated; what is not a certificate or
//! a key is passed over. Invariant: an error names what is wrong and never prints key material.

use std::fmt;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls_pemfile::Item;

/// Why a PEM text does not hold what was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemError {
    /// Not a byte in it.
    Empty,
    /// A section that begins and does not end, or is not base64.
    Malformed(&'static str),
    /// Readable, but no certificate in it.
    NoCertificate,
    /// Readable, but no revocation list in it.
    NoRevocationList,
    /// Readable, but no private key in it.
    NoKey,
    /// A key under a pass phrase, which nobody could type.
    EncryptedKey,
    /// Two keys: which one is meant cannot be known.
    SeveralKeys,
    /// DER instead of PEM.
    Der,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Malformed(why) => write!(f, "is not well-formed PEM: {why}"),
            Self::NoCertificate => {
                f.write_str("holds no certificate; expected -----BEGIN CERTIFICATE-----")
            }
            Self::NoRevocationList => {
                f.write_str("holds no revocation list; expected -----BEGIN X509 CRL-----")
            }
            Self::NoKey => {
                f.write_str("holds no private key; expected -----BEGIN PRIVATE KEY-----")
            }
            Self::EncryptedKey => f.write_str(
                "holds an encrypted key; decrypt it first: openssl pkey -in FILE -out tls.key",
            ),
            Self::SeveralKeys => f.write_str("holds more than one private key; leave one"),
            Self::Der => f.write_str(
                "is DER; convert it to PEM first: openssl x509 (or pkey) -inform der -in FILE",
            ),
        }
    }
}

impl std::error::Error for PemError {}

/// The certificates of a PEM text, in the order they stand.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = body(text)?;
    let mut found = Vec::new();
    for item in items(text) {
        if let Item::X509Certificate(certificate) = item? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(PemError::NoCertificate);
    }
    Ok(found)
}

/// The revocation lists of a PEM text, in the order they stand.
pub(super) fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let text = body(text)?;
    let mut found = Vec::new();
    for item in items(text) {
        if let Item::Crl(list) = item? {
            found.push(list);
        }
    }
    if found.is_empty() {
        return Err(PemError::NoRevocationList);
    }
    Ok(found)
}

/// Whether the text has both a certificate and a private key, whole or not.
pub(super) fn is_bundle(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN CERTIFICATE-----") && contains(text, b"PRIVATE KEY-----")
}

/// The one private key of a PEM text: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = body(text)?;
    // Its header lines are no base64, so that it must be looked for first (RFC 1421 section 4.6).
    if contains(text, b"Proc-Type: 4,ENCRYPTED") {
        return Err(PemError::EncryptedKey);
    }
    let mut found = None;
    for item in items(text) {
        let key = match item? {
            Item::Pkcs1Key(key) => PrivateKeyDer::Pkcs1(key),
            Item::Pkcs8Key(key) => PrivateKeyDer::Pkcs8(key),
            Item::Sec1Key(key) => PrivateKeyDer::Sec1(key),
            _ => continue,
        };
        if found.replace(key).is_some() {
            return Err(PemError::SeveralKeys);
        }
    }
    found.ok_or_else(|| {
        if contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            PemError::EncryptedKey
        } else {
            PemError::NoKey
        }
    })
}

/// The sections of known kinds, up to the first that is none.
fn items(mut text: &[u8]) -> impl Iterator<Item = Result<Item, PemError>> {
    std::iter::from_fn(move || match rustls_pemfile::read_one_from_slice(text) {
        Ok(Some((item, rest))) => {
            text = rest;
            Some(Ok(item))
        }
        Ok(None) => None,
        Err(error) => {
            text = &[];
            Some(Err(PemError::Malformed(in_words(&error))))
        }
    })
}

/// Words of our own: those of the library repeat the line, and a key whose line breaks are lost is
/// one line with its label.
fn in_words(error: &rustls_pemfile::Error) -> &'static str {
    match error {
        rustls_pemfile::Error::MissingSectionEnd { .. } => {
            "a section has no END line with the words of its BEGIN line"
        }
        rustls_pemfile::Error::IllegalSectionStart { .. } => {
            "a BEGIN line does not end in five hyphens"
        }
        rustls_pemfile::Error::Base64Decode(_) => "a section is not base64",
    }
}

/// The text without a byte order mark, refused when it is no text at all.
fn body(text: &[u8]) -> Result<&[u8], PemError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match text {
        [] => Err(PemError::Empty),
        // An ASN.1 SEQUENCE in long form: how every DER certificate and most DER keys begin.
        [0x30, 0x81..=0x84, ..] => Err(PemError::Der),
        _ => Ok(text),
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_what_is_wrong() {
        assert_eq!(certificates(b""), Err(PemError::Empty));
        assert_eq!(certificates(b"\xef\xbb\xbf"), Err(PemError::Empty));
        assert_eq!(certificates(b"hello"), Err(PemError::NoCertificate));
        assert_eq!(certificates(&[0x30, 0x82, 1, 2]), Err(PemError::Der));
        assert_eq!(private_key(b"hello").err(), Some(PemError::NoKey));
        let encrypted =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(private_key(encrypted).err(), Some(PemError::EncryptedKey));
        let old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(private_key(old).err(), Some(PemError::EncryptedKey));
        let half = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(
            certificates(half),
            Err(PemError::Malformed(_) | PemError::NoCertificate)
        ));
    }

    #[test]
    fn leading_text_crlf_and_a_byte_order_mark_are_tolerated() {
        let key = rcgen::KeyPair::generate().unwrap();
        let text = format!(
            "\u{feff}# made today\r\n{}",
            key.serialize_pem().replace('\n', "\r\n")
        );
        assert!(private_key(text.as_bytes()).is_ok());
        let twice = format!("{0}{0}", key.serialize_pem());
        assert_eq!(
            private_key(twice.as_bytes()).err(),
            Some(PemError::SeveralKeys)
        );
    }

    #[test]
    fn a_key_that_lost_its_line_breaks_is_not_repeated() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let secret = key.lines().nth(1).unwrap();
        let no_base64 = key.replacen(secret, &secret.replacen('A', "*", 1), 1);
        let half = &key[..key.len() - 30];
        for text in [
            key.replace('\n', ""),
            key.replace('\n', " "),
            no_base64,
            half.to_owned(),
        ] {
            let error = private_key(text.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains(&secret[10..20]), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = certificates(&text);
            let _ = private_key(&text);
        }
    }
}
