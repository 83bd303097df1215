//! What is read of client certificates, of the authorities that sign them and of revocation lists.
//!
//! Whether a chain is good is rustls' to say; this is what people, patterns and headers need to
//! know of it. Distinguished names are written as RFC 2253 and OpenSSL write them, in ASCII, so
//! that what a certificate says of itself cannot break out of a header or a log line.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::{Unreadable, moment, parse, sha256};

/// A revocation list that is replaced this late is worth a word.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a client's certificate says of its holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The subject, as RFC 2253 writes it.
    pub subject: String,
    /// The common names in it.
    pub common_names: Vec<String>,
    /// URI SANs.
    pub uris: Vec<String>,
    /// DNS SANs.
    pub dns: Vec<String>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal.
    pub key_sha256: String,
}

/// An authority that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFacts {
    /// Its subject, as RFC 2253 writes it.
    pub subject: String,
    /// SHA-256 of its certificate, lower-case hexadecimal.
    pub sha256: String,
    /// Valid from this moment.
    pub not_before: SystemTime,
    /// Valid up to this moment.
    pub not_after: SystemTime,
    /// Whether it says that it may sign others (RFC 5280 section 4.2.1.9).
    pub is_ca: bool,
    /// Whether it was signed by its own key.
    pub is_self_signed: bool,
    /// Its subject in DER.
    pub(in crate::tls) name: Vec<u8>,
    /// Its key in DER.
    pub(in crate::tls) key: Vec<u8>,
}

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationFacts {
    /// Who issued it, as RFC 2253 writes it.
    pub issuer: String,
    /// When it was issued.
    pub this_update: SystemTime,
    /// When the next one is due; from then on this one says nothing.
    pub next_update: Option<SystemTime>,
    /// How many certificates it names.
    pub revoked: usize,
    /// Its issuer in DER.
    pub(in crate::tls) name: Vec<u8>,
    /// The key that signed it in DER, where an authority has it.
    pub(in crate::tls) signer: Option<Vec<u8>>,
}

impl RevocationFacts {
    /// From when its end is worth a word: a day before it, or when the last quarter of a shorter
    /// life begins, because a list for a day would otherwise always be nearly over.
    pub fn nearly_over_from(&self) -> Option<SystemTime> {
        let end = self.next_update?;
        let life = end.duration_since(self.this_update).ok()?;
        end.checked_sub(DAY.min(life / 4))
    }
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tls) struct Validity {
    pub(in crate::tls) not_before: SystemTime,
    pub(in crate::tls) not_after: SystemTime,
}

/// What a client's certificate says of its holder.
pub(in crate::tls) fn holder(der: &[u8]) -> Result<Holder, Unreadable> {
    let certificate = parse(der)?;
    let mut holder = Holder {
        subject: rfc2253(certificate.subject()),
        sha256: sha256(der),
        key_sha256: sha256(certificate.public_key().raw),
        ..Holder::default()
    };
    let names = certificate.subject().iter_common_name();
    holder.common_names.extend(
        names
            .filter_map(|name| name.as_str().ok())
            .map(str::to_owned),
    );
    each_name(&certificate, |name| match name {
        GeneralName::URI(uri) => holder.uris.push((*uri).to_owned()),
        GeneralName::DNSName(name) => holder.dns.push((*name).to_owned()),
        _ => {}
    })?;
    Ok(holder)
}

/// The URI SANs of a certificate; none of one that cannot be read.
pub(in crate::tls) fn uris(der: &[u8]) -> Vec<String> {
    let mut uris = Vec::new();
    let read = parse(der).and_then(|certificate| {
        each_name(&certificate, |name| {
            if let GeneralName::URI(uri) = name {
                uris.push((*uri).to_owned());
            }
        })
    });
    match read {
        Ok(()) => uris,
        Err(Unreadable) => Vec::new(),
    }
}

/// What an authority's certificate says.
pub(in crate::tls) fn authority(der: &[u8]) -> Result<AuthorityFacts, Unreadable> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    Ok(AuthorityFacts {
        subject: rfc2253(certificate.subject()),
        sha256: sha256(der),
        not_before: moment(validity.not_before),
        not_after: moment(validity.not_after),
        is_ca: certificate.is_ca(),
        is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw()
            && certificate.verify_signature(None).is_ok(),
        name: certificate.subject().as_raw().to_vec(),
        key: certificate.public_key().raw.to_vec(),
    })
}

/// The issuer of a certificate, in DER.
pub(in crate::tls) fn issuer(der: &[u8]) -> Result<Vec<u8>, Unreadable> {
    Ok(parse(der)?.issuer().as_raw().to_vec())
}

/// When a certificate is valid.
pub(in crate::tls) fn validity(der: &[u8]) -> Result<Validity, Unreadable> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    Ok(Validity {
        not_before: moment(validity.not_before),
        not_after: moment(validity.not_after),
    })
}

/// What a revocation list says; signed by one of `authorities` where one of them has its
/// issuer's name.
pub(in crate::tls) fn revocations<'a>(
    der: &[u8],
    authorities: impl Iterator<Item = &'a [u8]>,
) -> Result<RevocationFacts, Unreadable> {
    let Ok(([], list)) = CertificateRevocationList::from_der(der) else {
        return Err(Unreadable);
    };
    let (mut is_known, mut signer) = (false, None);
    for authority in authorities {
        let authority = parse(authority)?;
        if authority.subject().as_raw() == list.issuer().as_raw() {
            is_known = true;
            if list.verify_signature(authority.public_key()).is_ok() {
                signer = Some(authority.public_key().raw.to_vec());
            }
        }
    }
    if is_known && signer.is_none() {
        return Err(Unreadable);
    }
    Ok(RevocationFacts {
        issuer: rfc2253(list.issuer()),
        this_update: moment(list.last_update()),
        next_update: list.next_update().map(moment),
        revoked: list.iter_revoked_certificates().count(),
        name: list.issuer().as_raw().to_vec(),
        signer,
    })
}

fn each_name(
    certificate: &X509Certificate<'_>,
    mut tell: impl FnMut(&GeneralName<'_>),
) -> Result<(), Unreadable> {
    let extension = certificate.subject_alternative_name();
    if let Some(extension) = extension.map_err(|_| Unreadable)? {
        extension.value.general_names.iter().for_each(&mut tell);
    }
    Ok(())
}

/// A distinguished name: last part first, in ASCII.
fn rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter().collect();
    let mut text = String::new();
    for (at, part) in parts.iter().rev().enumerate() {
        for (within, attribute) in part.iter().enumerate() {
            match (at, within) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            write_attribute(&mut text, attribute);
        }
    }
    text
}

fn write_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let kind = attribute.attr_type();
    match short_name(kind) {
        Some(name) => text.push_str(name),
        None => text.push_str(&kind.to_id_string()),
    }
    text.push('=');
    match attribute.as_str() {
        Ok(value) => write_value(text, value),
        // Of another type than text: its bytes (RFC 2253 section 2.4).
        Err(_) => {
            text.push('#');
            for byte in attribute.as_slice() {
                let _ = write!(text, "{byte:02X}");
            }
        }
    }
}

/// RFC 2253 section 2.4, and what is no printable ASCII byte by byte.
fn write_value(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if at == 0 => text.push_str("\\#"),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

/// The short names that OpenSSL writes.
fn short_name(kind: &Oid<'_>) -> Option<&'static str> {
    Some(match kind.to_id_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(build: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        build(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_subject_is_written_last_part_first_and_cannot_break_out_of_quotes() {
        let der = certificate(|params| {
            let name = &mut params.distinguished_name;
            name.push(DnType::OrganizationName, "Acme, \"Inc\";x=y");
            name.push(DnType::CommonName, " käse\r\n#");
        });
        let holder = holder(&der).unwrap();
        assert_eq!(
            holder.subject,
            "CN=\\ k\\C3\\A4se\\0D\\0A#,O=Acme\\, \\\"Inc\\\"\\;x=y"
        );
        assert_eq!(holder.common_names, [" käse\r\n#"]);
    }

    #[test]
    fn names_are_read_by_their_kind() {
        let der = certificate(|params| {
            let uri = "spiffe://d/ns/a".try_into().unwrap();
            params.subject_alt_names = vec![
                SanType::URI(uri),
                SanType::DnsName("A.example".try_into().unwrap()),
                SanType::Rfc822Name("me@example".try_into().unwrap()),
            ];
        });
        let holder = holder(&der).unwrap();
        assert_eq!(holder.uris, ["spiffe://d/ns/a"]);
        assert_eq!(uris(&der), holder.uris);
        assert_eq!(holder.dns, ["A.example"]);
        assert_eq!((holder.sha256.len(), holder.key_sha256.len()), (64, 64));
    }

    #[test]
    fn a_list_is_nearly_over_a_day_before_its_end_or_in_the_last_quarter_of_a_short_life() {
        let hours = |count: u64| Duration::from_secs(count * 60 * 60);
        let begin = SystemTime::UNIX_EPOCH + hours(1_000);
        let of = |life: Duration| RevocationFacts {
            issuer: String::new(),
            this_update: begin,
            next_update: Some(begin + life),
            revoked: 0,
            name: Vec::new(),
            signer: None,
        };
        for (life, word) in [(7 * 24, 6 * 24), (4 * 24, 3 * 24), (24, 18), (4, 3)] {
            let from = of(hours(life)).nearly_over_from();
            assert_eq!(from, Some(begin + hours(word)), "{life} h");
        }
        let endless = RevocationFacts {
            next_update: None,
            ..of(hours(1))
        };
        assert_eq!(endless.nearly_over_from(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(der in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = (holder(&der), authority(&der), validity(&der), uris(&der));
            let _ = revocations(&der, [der.as_slice()].into_iter());
        }
    }
}
