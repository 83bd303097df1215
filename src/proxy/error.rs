//! The one place where an error becomes a status, a gRPC status, a log flag and words.
//!
//! What a client reads is short text with the reason, and nothing about the inside beyond it.
//! A gRPC client gets a trailers-only answer instead, because it would read any other as UNKNOWN.

use http::{Method, StatusCode, Version};

use super::body::{Exchange, RequestBodyFailure, ResponseBody};
use super::http1::HeadFault;
use crate::fields::{Fields, Value, name};
use crate::message::{Request, Response};
use crate::net::ConnectError;
use crate::telemetry::record::Flag;
use crate::tls::ClientFault;
use crate::upstream;

/// Why the proxy ends a request itself.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Malformed or ambiguous, with the words for it.
    BadRequest(&'static str),
    /// The head itself.
    Head(HeadFault),
    /// The request came in clear: where https is.
    Redirect(String),
    /// CONNECT or TRACE.
    MethodNotAllowed,
    /// An expectation other than 100-continue.
    ExpectationFailed,
    /// There is no memory for one more request, or for one more upload.
    NoRoom,
    /// The request's own body failed.
    Body(RequestBodyFailure),
    /// The application gave no answer.
    Upstream(upstream::Error),
    /// The application switched protocols although nobody asked, or to another one than asked for.
    UnaskedSwitch,
    /// The client's certificate does not let it in.
    Client(ClientFault),
    /// A name for which another certificate is shown than for the one that was asked for.
    Misdirected,
    /// The application cannot do what was asked: an upgrade over HTTP/2 without RFC 8441.
    NoExtendedConnect,
}

/// What an answer of our own depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    version: Version,
    is_head: bool,
    is_grpc: bool,
}

/// gRPC status codes (grpc/doc/statuscodes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grpc {
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

struct Answer {
    status: StatusCode,
    grpc: Grpc,
    flag: Flag,
    words: &'static str,
}

impl Shape {
    /// What an answer to `request` depends on.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let kind = request.fields.get(name::CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        Self {
            version: request.version,
            is_head: request.method == Method::HEAD,
            is_grpc,
        }
    }

    /// Whether the client speaks HTTP/1, where an answer can ask for the connection's end.
    pub(super) fn is_http1(self) -> bool {
        self.version < Version::HTTP_2
    }
}

/// A request for which there is no memory is not answered: any answer would take some until its client
/// reads it. Its stream is refused, and its client may send it again (RFC 9113 section 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unanswered;

/// Whether a request gets no answer, as the record is told.
pub(super) fn is_unanswered(refusal: &Refusal, exchange: &mut Exchange) -> bool {
    let Refusal::NoRoom = refusal else {
        return false;
    };
    let answer = Answer::to(refusal);
    exchange.record.flag(answer.flag);
    exchange.record.status(answer.status);
    true
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no memory for an answer")
    }
}

impl std::error::Error for Unanswered {}

/// Answers for the proxy: `refusal` becomes what the client sees and what the record says.
pub(super) fn respond(
    refusal: &Refusal,
    shape: Shape,
    mut exchange: Box<Exchange>,
) -> Response<ResponseBody> {
    let answer = Answer::to(refusal);
    tracing::debug!(flag = answer.flag, reason = ?refusal, "request refused");
    let location = match refusal {
        // What every client in clear is told is no event of its own.
        Refusal::Redirect(location) => Some(location),
        _ => {
            exchange.record.flag(answer.flag);
            None
        }
    };
    if shape.is_grpc && location.is_none() {
        exchange.record.status(StatusCode::OK);
        return grpc(&answer, exchange);
    }
    exchange.record.status(answer.status);
    let text = format!(
        "{} {}: {}\n",
        answer.status.as_u16(),
        reason(answer.status),
        answer.words
    );
    let mut fields = Fields::default();
    let kind = Value::from_static("text/plain; charset=utf-8");
    fields.append(name::CONTENT_TYPE, kind);
    fields.append_number(name::CONTENT_LENGTH, text.len() as u64);
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => fields.append_number(name::RETRY_AFTER, 1),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = Value::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            fields.append(name::ALLOW, allowed);
        }
        _ => {}
    }
    if let Some(location) = location.and_then(|location| Value::new(location.as_bytes())) {
        fields.append(name::LOCATION, location);
    }
    let is_theirs = answer.status.is_client_error()
        || matches!(refusal, Refusal::Head(_) | Refusal::Redirect(_));
    if shape.is_http1() && is_theirs {
        // What follows on this connection cannot be trusted to be a request.
        exchange.refuse_what_follows();
        fields.append(name::CONNECTION, Value::from_static("close"));
    }
    let body = match shape.is_head {
        true => ResponseBody::without_content(exchange),
        false => ResponseBody::text(text, exchange),
    };
    let mut response = Response::new(answer.status, body);
    response.fields = fields;
    response
}

/// A trailers-only answer (gRPC over HTTP/2, "Responses").
fn grpc(answer: &Answer, exchange: Box<Exchange>) -> Response<ResponseBody> {
    let mut response = Response::new(StatusCode::OK, ResponseBody::without_content(exchange));
    let fields = &mut response.fields;
    fields.append(name::CONTENT_TYPE, Value::from_static("application/grpc"));
    fields.append_number(name::GRPC_STATUS, answer.grpc as u64);
    if let Some(words) = Value::new(answer.words.as_bytes()) {
        fields.append(name::GRPC_MESSAGE, words);
    }
    response
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

impl Answer {
    fn to(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::BadRequest(words) => Self::new(
                StatusCode::BAD_REQUEST,
                Grpc::Internal,
                "bad_request",
                words,
            ),
            Refusal::Head(fault) => Self::new(
                StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST),
                Grpc::Internal,
                fault.flag,
                fault.words,
            ),
            Refusal::Redirect(_) => Self::new(
                StatusCode::PERMANENT_REDIRECT,
                Grpc::Unavailable,
                "redirect",
                "only https is served here",
            ),
            Refusal::MethodNotAllowed => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Grpc::Unimplemented,
                "method_not_allowed",
                "this proxy passes on neither CONNECT nor TRACE",
            ),
            Refusal::ExpectationFailed => Self::new(
                StatusCode::EXPECTATION_FAILED,
                Grpc::Unimplemented,
                "expectation_failed",
                "the only expectation known is 100-continue",
            ),
            Refusal::NoRoom => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Grpc::Unavailable,
                "max_memory",
                "there are as many requests or uploads as --max-memory allows",
            ),
            Refusal::Body(failure) => Self::to_body(*failure),
            Refusal::Upstream(error) => Self::to_upstream(error),
            Refusal::UnaskedSwitch => Self::new(
                StatusCode::BAD_GATEWAY,
                Grpc::Unavailable,
                "upstream_unasked_switch",
                "the application switched protocols unasked",
            ),
            Refusal::Client(fault) => Self::new(
                StatusCode::FORBIDDEN,
                Grpc::PermissionDenied,
                "client_not_allowed",
                fault.words(),
            ),
            Refusal::Misdirected => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                Grpc::PermissionDenied,
                "misdirected",
                "the connection was opened for another name; open one for this name",
            ),
            Refusal::NoExtendedConnect => Self::to_upstream(&upstream::Error::NoExtendedConnect),
        }
    }

    fn to_body(failure: RequestBodyFailure) -> Self {
        match failure {
            RequestBodyFailure::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Grpc::ResourceExhausted,
                "request_body_too_large",
                "the request body is over --max-body-size",
            ),
            RequestBodyFailure::Timeout => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                Grpc::DeadlineExceeded,
                "request_body_timeout",
                "no byte of the request body within --request-body-timeout",
            ),
            RequestBodyFailure::Malformed => Self::new(
                StatusCode::BAD_REQUEST,
                Grpc::Internal,
                "bad_framing",
                "the chunked body is not well-formed",
            ),
            RequestBodyFailure::ClientGone => Self::new(
                StatusCode::BAD_REQUEST,
                Grpc::Internal,
                crate::telemetry::record::CLIENT_GONE,
                "the request body ended early",
            ),
        }
    }

    fn to_upstream(error: &upstream::Error) -> Self {
        use upstream::Error;
        let (status, grpc, flag, words) = match error {
            Error::Connect(error) => return Self::to_connect(error),
            Error::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                Grpc::Unavailable,
                "upstream_busy",
                "as many requests as --max-upstream-connections or --max-memory allows are with the application",
            ),
            Error::ResponseTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                Grpc::DeadlineExceeded,
                "upstream_response_timeout",
                "the application did not answer within --upstream-response-timeout",
            ),
            Error::Closed(_) | Error::Io(_) => (
                StatusCode::BAD_GATEWAY,
                Grpc::Unavailable,
                "upstream_closed",
                "the application closed the connection instead of answering",
            ),
            Error::Garbage(_) => (
                StatusCode::BAD_GATEWAY,
                Grpc::Unavailable,
                "upstream_garbage",
                "the application's answer is not valid HTTP",
            ),
            Error::TooLarge => (
                StatusCode::BAD_GATEWAY,
                Grpc::Unavailable,
                "upstream_headers_too_large",
                "the application's headers are over --max-header-size or --max-headers",
            ),
            Error::NoExtendedConnect => (
                StatusCode::BAD_GATEWAY,
                Grpc::Unimplemented,
                "upstream_no_extended_connect",
                "the application does not take upgrades over HTTP/2 (RFC 8441)",
            ),
            Error::RequestBody(_) => return Self::to_body(RequestBodyFailure::ClientGone),
        };
        Self::new(status, grpc, flag, words)
    }

    fn to_connect(error: &ConnectError) -> Self {
        let (flag, words) = match error {
            ConnectError::Refused(_) => (
                "upstream_refused",
                "the application is not listening (yet); try again",
            ),
            ConnectError::Timeout => (
                "upstream_connect_timeout",
                "the application accepts no connection; try again",
            ),
            ConnectError::Exhausted(_) => (
                "upstream_no_ports",
                "no local port or descriptor is left; try again",
            ),
            ConnectError::Failed(_) => (
                "upstream_connect_failed",
                "the application cannot be reached; try again",
            ),
        };
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Grpc::Unavailable,
            flag,
            words,
        )
    }

    fn new(status: StatusCode, grpc: Grpc, flag: Flag, words: &'static str) -> Self {
        Self {
            status,
            grpc,
            flag,
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn refused_reset_timeout_and_client_gone_are_told_apart() {
        let refused = ConnectError::Refused(io::ErrorKind::ConnectionRefused.into());
        let cases = [
            (
                Refusal::Upstream(upstream::Error::Connect(refused)),
                503,
                "upstream_refused",
            ),
            (
                Refusal::Upstream(upstream::Error::Closed("reset".into())),
                502,
                "upstream_closed",
            ),
            (
                Refusal::Upstream(upstream::Error::ResponseTimeout),
                504,
                "upstream_response_timeout",
            ),
            (
                Refusal::Upstream(upstream::Error::Busy),
                503,
                "upstream_busy",
            ),
            (
                Refusal::Body(RequestBodyFailure::ClientGone),
                400,
                "client_gone",
            ),
            (
                Refusal::Body(RequestBodyFailure::Timeout),
                408,
                "request_body_timeout",
            ),
            (
                Refusal::Body(RequestBodyFailure::TooLarge),
                413,
                "request_body_too_large",
            ),
            (
                Refusal::Head(HeadFault::TOO_MANY),
                431,
                "request_headers_too_many",
            ),
            (
                Refusal::Body(RequestBodyFailure::Malformed),
                400,
                "bad_framing",
            ),
            (Refusal::MethodNotAllowed, 405, "method_not_allowed"),
            (Refusal::ExpectationFailed, 417, "expectation_failed"),
            (Refusal::UnaskedSwitch, 502, "upstream_unasked_switch"),
        ];
        for (refusal, status, flag) in cases {
            let answer = Answer::to(&refusal);
            assert_eq!(
                (answer.status.as_u16(), answer.flag),
                (status, flag),
                "{refusal:?}"
            );
        }
    }
}
