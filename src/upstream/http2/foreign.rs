//! Requests as hyper takes them, and answers as it gives them.

use http::HeaderMap;

use super::super::{Body, Error, RequestBody, Shared, is_idempotent};
use crate::fields::Fields;
use crate::message::{Request, Response};
use crate::syntax::is_token;

/// `request` as hyper takes it.
///
/// # Errors
/// When it cannot be told in the terms of the `http` crate.
pub(super) fn request<B>(request: Request<B>) -> Result<http::Request<B>, Error> {
    let headers = HeaderMap::try_from(&request.fields);
    let headers = headers.map_err(|error| Error::RequestBody(error.into()))?;
    let mut theirs = http::Request::new(request.body);
    *theirs.method_mut() = request.method;
    *theirs.uri_mut() = request.uri;
    *theirs.version_mut() = request.version;
    *theirs.headers_mut() = headers;
    *theirs.extensions_mut() = request.extensions;
    Ok(theirs)
}

/// The parts of `request` for sending it again, when the rule allows that.
pub(super) fn spare<B: RequestBody>(request: &http::Request<B>) -> Option<http::Request<B>> {
    if !is_idempotent(request.method()) || !request.body().is_end_stream() {
        return None;
    }
    let mut spare = http::Request::new(B::default());
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.version_mut() = request.version();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

/// The answer that hyper gives. The size of a header section is h2's to bound; the number of its fields is
/// not.
///
/// # Errors
/// When it is none that can be passed on.
pub(super) fn response<B: RequestBody>(
    shared: &Shared<B>,
    theirs: http::Response<Body<B>>,
) -> Result<Response<Body<B>>, Error> {
    let (head, body) = theirs.into_parts();
    if head.headers.len() > usize::from(shared.limits.headers) {
        return Err(Error::TooLarge);
    }
    // What h2 lets through and HTTP/1 has no word for.
    if head.headers.keys().any(|name| !is_token(name)) {
        return Err(Error::Garbage("a header name is no token".into()));
    }
    let mut response = Response::new(head.status, body);
    response.version = head.version;
    response.fields = Fields::from(&head.headers);
    response.extensions = head.extensions;
    Ok(response)
}
