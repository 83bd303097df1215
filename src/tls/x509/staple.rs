//! How long an OCSP answer says anything (RFC 6960 section 4.2.1).
//!
//! Its signature is the client's to check; what is read here is whether it is an answer at all and
//! when the next one is due. Invariant: bytes that are no whole answer are refused, never guessed.

use std::time::SystemTime;

use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::{Unreadable, moment};

const ENUMERATED: u8 = 0x0a;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`.
const FIRST: u8 = 0xa0;

/// What an OCSP answer is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tls) enum Staple {
    /// An answer; from this moment on, if there is one, it says nothing.
    Answer(Option<SystemTime>),
    /// An answer that reports an error.
    Failure,
}

/// Reads an OCSPResponse.
pub(in crate::tls) fn staple(der: &[u8]) -> Result<Staple, Unreadable> {
    read(der).ok_or(Unreadable)
}

fn read(der: &[u8]) -> Option<Staple> {
    let mut outer = Reader(der);
    let mut response = outer.expect(SEQUENCE)?;
    if !outer.0.is_empty() {
        return None;
    }
    if response.expect(ENUMERATED)?.0 != [0] {
        return Some(Staple::Failure);
    }
    let mut bytes = response.expect(FIRST)?.expect(SEQUENCE)?;
    bytes.expect(OBJECT_IDENTIFIER)?;
    let mut basic = bytes.expect(OCTET_STRING)?.expect(SEQUENCE)?;
    let mut data = basic.expect(SEQUENCE)?;
    if data.0.first() == Some(&FIRST) {
        data.expect(FIRST)?;
    }
    data.next()?; // Who answers: by name or by key.
    data.expect(GENERALIZED_TIME)?;
    let mut single = data.expect(SEQUENCE)?.expect(SEQUENCE)?;
    single.expect(SEQUENCE)?;
    single.next()?; // Good, revoked or unknown.
    single.expect(GENERALIZED_TIME)?;
    let until = match single.0.first() {
        Some(&FIRST) => Some(time(single.expect(FIRST)?.0)?),
        _ => None,
    };
    Some(Staple::Answer(until))
}

fn time(der: &[u8]) -> Option<SystemTime> {
    match ASN1Time::from_der(der) {
        Ok(([], time)) => Some(moment(time)),
        _ => None,
    }
}

/// What is left of the DER of one value's contents.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn expect(&mut self, tag: u8) -> Option<Reader<'a>> {
        let (found, contents) = self.next()?;
        (found == tag).then_some(contents)
    }

    fn next(&mut self) -> Option<(u8, Reader<'a>)> {
        let [tag, length, rest @ ..] = self.0 else {
            return None;
        };
        let (length, rest) = match usize::from(*length) {
            short @ ..=0x7f => (short, rest),
            // 0x80 is of no fixed length, which DER has not; four bytes are more than any file.
            long @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(long - 0x80)?;
                let number = digits.iter().fold(0, |n, d| n << 8 | usize::from(*d));
                (number, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, Reader(contents)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_answer_is_refused() {
        assert_eq!(staple(&[0x30, 3, 0x0a, 1, 6]), Ok(Staple::Failure));
        let cases: [&[u8]; 5] = [
            b"",
            b"PEM",
            &[0x30],
            &[0x30, 0xff, 1],
            &[0x30, 3, 0x0a, 1, 0],
        ];
        for bytes in cases {
            assert_eq!(staple(bytes), Err(Unreadable), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(der in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let _ = staple(&der);
        }
    }
}
