//! Heads over HTTP/2: requests as they are sent, answers as they are read (RFC 9113 section 8).
//!
//! Invariant: nothing of a section is kept beyond what `--max-header-size` and `--max-headers` allow,
//! whatever it unfolds to.

use http::{HeaderMap, Method, StatusCode, Version};

use super::failure::Failure;
use crate::fields::{Fields, Value, name};
use crate::hpack::{Asked, Encoder, Field, Pseudo};
use crate::http2::OF_CONNECTION;
use crate::message::{Protocol, Request, Response};
use crate::syntax::{self, Limits};

/// Fields that most answers have at most, beside what they get on their way.
const USUAL_FIELDS: usize = 16;
/// What most fields have, as lines.
const USUAL_FIELD: usize = 32;

/// Writes the head of `request`; its Host is told as `:authority` (RFC 9113 section 8.3.1).
pub(super) fn encode<B>(request: &Request<B>, encoder: &mut Encoder, block: &mut Vec<u8>) {
    let uri = &request.uri;
    let host = request.fields.get(name::HOST);
    let protocol = request.extensions.get::<Protocol>();
    let mut path = uri.path_and_query().map_or("/", |path| path.as_str());
    let with_slash;
    if path.starts_with('?') {
        // Of an absolute target without a path (RFC 9113 section 8.3.1).
        with_slash = format!("/{path}");
        path = &with_slash;
    }
    let asked = Asked {
        method: request.method.as_str(),
        protocol: protocol.map(Protocol::as_str),
        authority: host.and_then(Value::as_str).unwrap_or_default(),
        path,
    };
    encoder.request(&asked, block);
    for field in request.fields.iter() {
        if field.name != name::HOST {
            encoder.field(field, block);
        }
    }
}

/// Whether a body of no bytes is worth telling of (RFC 9110 section 8.6).
pub(super) fn tells_no_body(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
    )
}

/// A header section as far as it was decoded.
#[derive(Debug)]
pub(super) struct Section {
    status: Option<StatusCode>,
    fields: Fields,
    is_malformed: bool,
    size: usize,
    limits: Limits,
}

impl Section {
    /// One within `limits`.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            status: None,
            fields: Fields::default(),
            is_malformed: false,
            size: 0,
            limits,
        }
    }

    /// Takes the next field.
    pub(super) fn add(&mut self, field: Field<'_>) {
        self.size += field.size();
        if self.is_too_large() {
            return;
        }
        match field {
            Field::Header(name, value) => {
                if self.fields.is_empty() {
                    self.fields = Fields::with_capacity(USUAL_FIELDS, USUAL_FIELDS * USUAL_FIELD);
                }
                self.fields.append(name, value);
            }
            Field::Pseudo(Pseudo::Status, value) => {
                let status = StatusCode::from_bytes(&value).ok();
                // RFC 9113 section 8.3: once, and before all other fields.
                let is_second = self.status.is_some() || !self.fields.is_empty();
                self.is_malformed |= is_second || status.is_none();
                self.status = status;
            }
            Field::Pseudo(..) | Field::Malformed(_) => self.is_malformed = true,
        }
    }

    fn is_too_large(&self) -> bool {
        self.size > self.limits.size as usize || self.fields.len() > usize::from(self.limits.fields)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.is_too_large() {
            return Err(Failure::TooLarge);
        }
        if self.is_malformed {
            return Err(Failure::Unsound("a malformed header section"));
        }
        match self.fields.has_any(&OF_CONNECTION) {
            true => Err(Failure::Unsound(
                "a header of HTTP/1 in an answer over HTTP/2",
            )),
            false => Ok(()),
        }
    }

    /// The length of the body that it declares.
    ///
    /// # Errors
    /// When it declares several, or none that is one.
    pub(super) fn length(&self) -> Result<Option<u64>, Failure> {
        let mut all = self.fields.all(name::CONTENT_LENGTH);
        let Some(first) = all.next() else {
            return Ok(None);
        };
        let length = syntax::content_length(&first);
        match length.is_some() && all.all(|other| other == first) {
            true => Ok(length),
            false => Err(Failure::Unsound("a Content-Length that is none")),
        }
    }

    /// The head of the answer.
    ///
    /// # Errors
    /// When it makes none.
    pub(super) fn response(self) -> Result<Response<()>, Failure> {
        self.check()?;
        let status = self
            .status
            .ok_or(Failure::Unsound("an answer without a status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 9113 section 8.6.
            return Err(Failure::Unsound("101 over HTTP/2"));
        }
        let mut response = Response::new(status, ());
        response.version = Version::HTTP_2;
        response.fields = self.fields;
        Ok(response)
    }

    /// The section as trailers.
    ///
    /// # Errors
    /// When it makes none.
    pub(super) fn trailers(self) -> Result<HeaderMap, Failure> {
        self.check()?;
        match self.status {
            Some(_) => Err(Failure::Unsound("a status among trailers")),
            None => HeaderMap::try_from(&self.fields).map_err(|_| Failure::TooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Name, Value};

    const LIMITS: Limits = Limits {
        size: 200,
        fields: 3,
    };

    fn section(fields: &[(&'static str, &'static str)]) -> Section {
        let mut section = Section::new(LIMITS);
        for (name, value) in fields {
            section.add(match name.strip_prefix(':') {
                Some("status") => Field::Pseudo(Pseudo::Status, (*value).into()),
                Some(_) => Field::Pseudo(Pseudo::Unknown, (*value).into()),
                None => Field::Header(Name::from_static(name), Value::from_static(value)),
            });
        }
        section
    }

    #[test]
    fn a_sound_section_is_the_head_of_an_answer() {
        let section = section(&[(":status", "204"), ("a", "b"), ("content-length", "7")]);
        assert_eq!(section.length().unwrap(), Some(7));
        let response = section.response().unwrap();
        assert_eq!(response.status, StatusCode::NO_CONTENT);
        assert_eq!(response.version, Version::HTTP_2);
        let value = response.fields.get(Name::from_static("a"));
        assert_eq!(value.unwrap(), "b");
    }

    #[test]
    fn what_is_malformed_is_no_answer() {
        for wrong in [
            &[("a", "b")][..],
            &[(":status", "101")],
            &[(":status", "20")],
            &[(":status", "abc")],
            &[(":status", "200"), (":status", "200")],
            &[("a", "b"), (":status", "200")],
            &[(":status", "200"), (":path", "/")],
            &[(":status", "200"), ("connection", "close")],
            &[(":status", "200"), ("transfer-encoding", "chunked")],
        ] {
            let refused = section(wrong).response();
            assert!(matches!(refused, Err(Failure::Unsound(_))), "{wrong:?}");
        }
        for lengths in [["1", "2"], ["x", "x"], ["", ""], ["1,1", "1,1"]] {
            let two = lengths.map(|length| ("content-length", length));
            assert!(section(&two).length().is_err(), "{lengths:?}");
        }
        let twice = [("content-length", "5"), ("content-length", "5")];
        assert_eq!(section(&twice).length().unwrap(), Some(5));
    }

    #[test]
    fn a_section_over_the_limits_keeps_nothing_beyond_them() {
        let large = "x".repeat(200).leak();
        for fields in [
            vec![(":status", "200"), ("a", large)],
            [vec![(":status", "200")], vec![("a", ""); 1000]].concat(),
        ] {
            let section = section(&fields);
            assert!(section.fields.len() <= 4, "{}", section.fields.len());
            assert!(matches!(section.response(), Err(Failure::TooLarge)));
        }
    }

    #[test]
    fn trailers_have_no_status() {
        assert_eq!(section(&[("a", "b")]).trailers().unwrap()["a"], "b");
        assert!(section(&[(":status", "200")]).trailers().is_err());
    }
}
