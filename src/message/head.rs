//! Messages with their heads as the proxy has them, whatever version of HTTP they came in.

use std::borrow::Cow;

use http::{Extensions, Method, StatusCode, Uri, Version};

use crate::fields::Fields;

/// The protocol that an extended CONNECT asks for (RFC 8441 section 4): among the extensions of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol(Cow<'static, str>);

impl Protocol {
    /// The one with this name.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Protocol {
    fn from(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<B> {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// The version that it came in, or goes out in.
    pub version: Version,
    /// Its header fields.
    pub fields: Fields,
    /// What else goes with it.
    pub extensions: Extensions,
    /// Its body.
    pub body: B,
}

/// An answer.
#[derive(Debug)]
pub struct Response<B> {
    /// Its status.
    pub status: StatusCode,
    /// The version that it came in, or goes out in.
    pub version: Version,
    /// Its header fields.
    pub fields: Fields,
    /// What else goes with it.
    pub extensions: Extensions,
    /// Its body.
    pub body: B,
}

impl<B> Request<B> {
    /// `GET /` with `body` and no fields.
    pub fn new(body: B) -> Self {
        Self {
            method: Method::GET,
            uri: Uri::default(),
            version: Version::HTTP_11,
            fields: Fields::default(),
            extensions: Extensions::new(),
            body,
        }
    }

    /// The same with another body.
    pub fn map<T>(self, body: impl FnOnce(B) -> T) -> Request<T> {
        Request {
            method: self.method,
            uri: self.uri,
            version: self.version,
            fields: self.fields,
            extensions: self.extensions,
            body: body(self.body),
        }
    }
}

impl<B> Response<B> {
    /// An answer with `status`, `body` and no fields.
    pub fn new(status: StatusCode, body: B) -> Self {
        Self {
            status,
            version: Version::HTTP_11,
            fields: Fields::default(),
            extensions: Extensions::new(),
            body,
        }
    }

    /// The same with another body.
    pub fn map<T>(self, body: impl FnOnce(B) -> T) -> Response<T> {
        Response {
            status: self.status,
            version: self.version,
            fields: self.fields,
            extensions: self.extensions,
            body: body(self.body),
        }
    }
}
