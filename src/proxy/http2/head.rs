//! A header section of a request as a request (RFC 9113 section 8).
//!
//! What makes a request malformed is found here; what is judged as well on the parsed request, over
//! either protocol, is in [`crate::proxy::checks`]. Invariant: nothing of a section is kept beyond what
//! `--max-header-size` allows, whatever it unfolds to.

use bytes::Bytes;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri, Version};

use crate::fields::{Fields, Name, Value, name};
use crate::hpack::{Field, Pseudo};
use crate::http2::OF_CONNECTION;
use crate::message::{Protocol, Request};
use crate::proxy::headers::{ADDED, ADDED_BYTES};
use crate::syntax;

/// What most requests have at most, beside what they get on their way.
const USUAL_FIELDS: usize = 16;
/// What most fields have, as lines.
const USUAL_FIELD: usize = 32;

/// A header section as far as it was decoded.
#[derive(Debug, Default)]
pub(super) struct Section {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    protocol: Option<Bytes>,
    fields: Fields,
    /// The length of the body that it declares; one that is not written as it has to be is refused
    /// elsewhere.
    length: Option<u64>,
    is_malformed: bool,
    size: usize,
    most: usize,
    /// Fields there is room for from the start: to move them costs more.
    room: usize,
}

/// Why a section makes no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsound {
    /// RFC 9113 section 8.1.1.
    Malformed,
    /// Larger than `--max-header-size`, or with more fields than can be kept.
    TooLarge,
}

/// What the client asked for the last time: mostly the same authority, which is parsed once.
#[derive(Debug, Default)]
pub(super) struct Known {
    authority: Option<(Bytes, Authority)>,
}

impl Section {
    /// One of at most `most` bytes, as RFC 9113 section 6.5.2 counts them, that `block` bytes unfold to.
    pub(super) fn new(most: usize, block: usize) -> Self {
        Self {
            most,
            // Each takes a byte at least, and four of them say what is asked for.
            room: block.saturating_sub(4).min(USUAL_FIELDS) + ADDED,
            ..Self::default()
        }
    }

    /// Takes the next field.
    pub(super) fn add(&mut self, field: Field<'_>) {
        self.size += field.size();
        if self.size > self.most {
            return;
        }
        match field {
            Field::Header(name, value) => self.add_field(name, value),
            Field::Pseudo(pseudo, value) => self.add_pseudo(pseudo, value),
            Field::Malformed(_) => self.is_malformed = true,
        }
    }

    fn add_field(&mut self, name: Name<'_>, value: Value<'_>) {
        if name == name::CONTENT_LENGTH {
            self.length = syntax::content_length(&value);
        } else if name == name::TE {
            self.is_malformed |= value != "trailers";
        }
        if self.fields.is_empty() {
            let bytes = (self.room * USUAL_FIELD).min(self.most) + ADDED_BYTES;
            self.fields = Fields::with_capacity(self.room, bytes);
        }
        self.fields.append(name, value);
    }

    fn add_pseudo(&mut self, pseudo: Pseudo, value: Bytes) {
        let place = match pseudo {
            Pseudo::Method => &mut self.method,
            Pseudo::Scheme => &mut self.scheme,
            Pseudo::Authority => &mut self.authority,
            Pseudo::Path => &mut self.path,
            Pseudo::Protocol => &mut self.protocol,
            Pseudo::Status | Pseudo::Unknown => {
                self.is_malformed = true;
                return;
            }
        };
        // RFC 9113 section 8.3: each once, and before all other fields.
        self.is_malformed |= place.replace(value).is_some() || !self.fields.is_empty();
    }

    fn check(&self) -> Result<(), Unsound> {
        if self.is_malformed || self.fields.has_any(&OF_CONNECTION) {
            return Err(Unsound::Malformed);
        }
        match self.size > self.most {
            true => Err(Unsound::TooLarge),
            false => Ok(()),
        }
    }

    /// The length of the body that it declares.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The request of the section.
    ///
    /// # Errors
    /// When it makes none.
    pub(super) fn request(mut self, known: &mut Known) -> Result<Request<()>, Unsound> {
        self.check()?;
        let method = self.method.take().ok_or(Unsound::Malformed)?;
        let mut request = Request::new(());
        request.method = match &*method {
            b"GET" => Method::GET,
            other => Method::from_bytes(other).map_err(|_| Unsound::Malformed)?,
        };
        let is_connect = request.method == Method::CONNECT;
        if let Some(protocol) = self.protocol.take() {
            let name = std::str::from_utf8(&protocol).map_err(|_| Unsound::Malformed)?;
            request.extensions.insert(Protocol::from(name));
            // RFC 8441 section 4.
            if !is_connect {
                return Err(Unsound::Malformed);
            }
            request.uri = self.target(known)?;
        } else if is_connect {
            request.uri = self.authority_alone()?;
        } else {
            request.uri = self.target(known)?;
        }
        request.version = Version::HTTP_2;
        request.fields = self.fields;
        Ok(request)
    }

    fn target(&mut self, known: &mut Known) -> Result<Uri, Unsound> {
        let (Some(scheme), Some(path)) = (self.scheme.take(), self.path.take()) else {
            return Err(Unsound::Malformed);
        };
        let scheme = match &*scheme {
            b"https" => Scheme::HTTPS,
            other => Scheme::try_from(other).map_err(|_| Unsound::Malformed)?,
        };
        if path.is_empty() {
            return Err(Unsound::Malformed);
        }
        let mut parts = Parts::default();
        parts.path_and_query =
            Some(PathAndQuery::from_maybe_shared(path).map_err(|_| Unsound::Malformed)?);
        // A URI has no scheme without an authority; Host is as good.
        if let Some(authority) = self.authority.take() {
            parts.scheme = Some(scheme);
            parts.authority = Some(known.authority(authority)?);
        }
        Uri::from_parts(parts).map_err(|_| Unsound::Malformed)
    }

    /// RFC 9113 section 8.5.
    fn authority_alone(&mut self) -> Result<Uri, Unsound> {
        let (None, None, Some(authority)) = (&self.scheme, &self.path, self.authority.take())
        else {
            return Err(Unsound::Malformed);
        };
        let mut parts = Parts::default();
        parts.authority =
            Some(Authority::from_maybe_shared(authority).map_err(|_| Unsound::Malformed)?);
        Uri::from_parts(parts).map_err(|_| Unsound::Malformed)
    }

    /// The section as trailers.
    ///
    /// # Errors
    /// When it makes none.
    pub(super) fn trailers(self) -> Result<HeaderMap, Unsound> {
        self.check()?;
        let pseudo = [
            self.method,
            self.scheme,
            self.authority,
            self.path,
            self.protocol,
        ];
        match pseudo.iter().any(Option::is_some) {
            true => Err(Unsound::Malformed),
            false => HeaderMap::try_from(&self.fields).map_err(|_| Unsound::TooLarge),
        }
    }
}

impl Known {
    fn authority(&mut self, value: Bytes) -> Result<Authority, Unsound> {
        if let Some((known, authority)) = &self.authority
            && *known == value
        {
            return Ok(authority.clone());
        }
        let authority = Authority::from_maybe_shared(value.clone());
        let authority = authority.map_err(|_| Unsound::Malformed)?;
        self.authority = Some((value, authority.clone()));
        Ok(authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(pseudo: &[(Pseudo, &'static str)], fields: &[(&'static str, &str)]) -> Section {
        let mut section = Section::new(1000, 30);
        for (pseudo, value) in pseudo {
            section.add(Field::Pseudo(*pseudo, Bytes::from_static(value.as_bytes())));
        }
        for (name, value) in fields {
            let value = Value::new(value.as_bytes()).unwrap();
            section.add(Field::Header(Name::from_static(name), value));
        }
        section
    }

    const GET: [(Pseudo, &str); 4] = [
        (Pseudo::Method, "GET"),
        (Pseudo::Scheme, "https"),
        (Pseudo::Authority, "a.example:8443"),
        (Pseudo::Path, "/p?q"),
    ];

    #[test]
    fn a_sound_section_is_a_request() {
        let mut known = Known::default();
        for _ in 0..2 {
            let request = section(&GET, &[("x", "y")]).request(&mut known).unwrap();
            assert_eq!(request.uri, "https://a.example:8443/p?q");
            let value = request.fields.get(Name::from_static("x"));
            assert_eq!(value.unwrap(), "y");
            assert_eq!(request.version, Version::HTTP_2);
        }
        let other = [GET[0], GET[1], (Pseudo::Authority, "b"), GET[3]];
        let request = section(&other, &[]).request(&mut known).unwrap();
        assert_eq!(request.uri, "https://b/p?q");
        let bare = section(&[GET[0], GET[1], GET[3]], &[("host", "c")]);
        assert_eq!(bare.request(&mut known).unwrap().uri, "/p?q");
    }

    #[test]
    fn a_tunnel_names_its_protocol_or_an_authority_alone() {
        let mut known = Known::default();
        let connect = (Pseudo::Method, "CONNECT");
        let protocol = (Pseudo::Protocol, "websocket");
        let extended = [connect, protocol, GET[1], GET[2], GET[3]];
        let request = section(&extended, &[]).request(&mut known).unwrap();
        let named = request.extensions.get::<Protocol>().unwrap();
        assert_eq!(named.as_str(), "websocket");
        let bare = section(&[connect, GET[2]], &[]).request(&mut known);
        assert_eq!(bare.unwrap().uri, "a.example:8443");
        for wrong in [
            &[connect, GET[2], GET[3]][..],
            &[connect, GET[1], GET[2]],
            &[connect],
            &[connect, protocol, GET[2]],
            &[GET[0], protocol, GET[1], GET[2], GET[3]],
        ] {
            let request = section(wrong, &[]).request(&mut known);
            assert_eq!(request.unwrap_err(), Unsound::Malformed, "{wrong:?}");
        }
    }

    #[test]
    fn what_rfc_9113_calls_malformed_is_no_request() {
        let mut known = Known::default();
        for fields in [
            [("connection", "close")],
            [("keep-alive", "1")],
            [("proxy-connection", "close")],
            [("transfer-encoding", "chunked")],
            [("upgrade", "h2c")],
            [("te", "gzip")],
        ] {
            let request = section(&GET, &fields).request(&mut known);
            assert_eq!(request.unwrap_err(), Unsound::Malformed, "{fields:?}");
        }
        assert!(
            section(&GET, &[("te", "trailers")])
                .request(&mut known)
                .is_ok()
        );
        let mut late = section(&GET[..3], &[("x", "y")]);
        late.add(Field::Pseudo(Pseudo::Path, "/".into()));
        assert_eq!(late.request(&mut known).unwrap_err(), Unsound::Malformed);
        for again in GET {
            let twice = section(&[&GET[..], &[again]].concat(), &[]);
            assert_eq!(twice.request(&mut known).unwrap_err(), Unsound::Malformed);
        }
        for missing in [0, 1, 3] {
            let mut rest = GET.to_vec();
            rest.remove(missing);
            let request = section(&rest, &[]).request(&mut known);
            assert_eq!(request.unwrap_err(), Unsound::Malformed, "{missing}");
        }
    }

    #[test]
    fn a_section_that_is_too_large_keeps_nothing_beyond_its_limit() {
        let mut large = section(&GET, &[]);
        for _ in 0..1000 {
            let name = Name::from_static("accept");
            large.add(Field::Header(name, Value::from_static("a")));
        }
        assert!(large.fields.len() < 30, "{}", large.fields.len());
        let refused = large.request(&mut Known::default());
        assert_eq!(refused.unwrap_err(), Unsound::TooLarge);
    }

    #[test]
    fn trailers_have_no_pseudo_header_fields() {
        assert!(section(&[], &[("x", "y")]).trailers().is_ok());
        for pseudo in GET {
            let trailers = section(&[pseudo], &[]).trailers();
            assert_eq!(trailers.unwrap_err(), Unsound::Malformed, "{pseudo:?}");
        }
    }
}
