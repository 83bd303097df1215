//! One request, read top to bottom.
//!
//! record -> trace -> checks -> upgrade -> body -> headers to the application -> send -> relay, or headers
//! to the client -> body that carries the record. An error at any step goes to
//! [`error::respond`]. Dropping the future is how a client's cancellation arrives: everything
//! below ends by `Drop`.

use std::future::Future;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use super::body::{self, Exchange, Fate, Incoming, RequestBody, ResponseBody};
use super::connection::Context;
use super::error::{self, Refusal, Shape, Unanswered};
use super::http1::HeadFault;
use super::upgrade::{self, Switch};
use super::{checks, entitlement, headers, redirect};
use crate::config::ProxyProtocolOut;
use crate::net::encode_proxy_header;
use crate::telemetry::record::Record;
use crate::upstream::{self, Prologue};

/// What answers one request, at work.
pub(super) trait Handling: Future<Output = Handled> {}

impl<F: Future<Output = Handled>> Handling for F {}

/// What a request is answered with.
pub(super) type Handled = Result<Response<ResponseBody>, Unanswered>;

/// Answers one request.
///
/// What needs no waiting is done before the future exists, which keeps it small: it is moved.
pub(super) fn handle(context: Arc<Context>, request: Request<Incoming>) -> impl Handling {
    let record = Record::open(&context.facts, &request);
    let mut exchange = Box::new(Exchange::new(record, &context.activity));
    let shape = Shape::of(&request);
    let prepared = prepare(&context, request, &mut exchange);
    async move {
        let answered = match prepared {
            Ok(prepared) => answer(&context, prepared, exchange).await,
            Err(refusal) => Err((refusal, exchange)),
        };
        let mut response = match answered {
            Ok(response) => response,
            Err((refusal, mut exchange)) => {
                if error::is_unanswered(&refusal, &mut exchange) {
                    return Err(Unanswered);
                }
                error::respond(&refusal, shape, exchange)
            }
        };
        finish_head(&context, shape, &mut response);
        Ok(response)
    }
}

/// Answers a head that is refused; nothing that it says is known.
pub(super) fn refused(
    context: &Arc<Context>,
    fault: HeadFault,
    version: Version,
) -> Response<ResponseBody> {
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.method_mut() = unknown_method();
    let mut record = Record::open(&context.facts, &request);
    record.forget_target();
    let exchange = Box::new(Exchange::new(record, &context.activity));
    let shape = Shape::of(&request);
    let mut response = error::respond(&Refusal::Head(fault), shape, exchange);
    finish_head(context, shape, &mut response);
    response
}

/// What OpenTelemetry calls a method that is none it knows.
fn unknown_method() -> Method {
    Method::from_bytes(b"_OTHER").unwrap_or_default()
}

/// A request as the application is to see it, ready to be sent.
struct Prepared {
    sending: upstream::Sending<RequestBody>,
    fate: Option<Fate>,
    switch: Option<Box<Switch>>,
}

fn prepare(
    context: &Arc<Context>,
    mut request: Request<Incoming>,
    exchange: &mut Exchange,
) -> Result<Prepared, Refusal> {
    // Over HTTP/1 there are no more of them than connections.
    if request.version() == Version::HTTP_2 {
        let in_flight = context.worker.telemetry.metrics.requests_in_flight.value();
        let room = &context.worker.http2;
        let is_upload = || !request.body().is_end_stream();
        if room.is_exceeded(in_flight) || room.is_overfull() && is_upload() {
            return Err(Refusal::NoRoom);
        }
    }
    let added = headers::ADDED + context.forwarding.fields();
    let room = request.headers_mut().try_reserve(added);
    room.map_err(|_| Refusal::Head(HeadFault::TOO_MANY))?;
    let start = context.worker.policy.headers.trace_start;
    if let Some(trace) = headers::continue_trace(request.headers_mut(), start)
        && let Some(own) = exchange.record.belongs_to(trace)
    {
        headers::hand_on(request.headers_mut(), own);
    }
    checks::number_of_fields(&request, context.worker.policy.http.max_headers)?;
    let host = checks::request(&request)?;
    entitlement::check(context, host.as_ref())?;
    let policy = &context.worker.policy;
    if context.is_in_clear() {
        redirect::admit(&policy.listen.redirect, &request, host.as_ref())?;
    }
    let switch = match context.is_in_clear() {
        true => None,
        false => upgrade::take(&mut request).map(Box::new),
    };
    let limits = &policy.http;
    let (mut request, fate) =
        body::incoming(request, &mut exchange.record, &context.activity, limits)
            .map_err(Refusal::Body)?;
    to_upstream(context, &mut request, host.clone())?;
    if let Some(switch) = &switch {
        switch.ask(&mut request, context.worker.upstream.is_http2())?;
    }
    exchange.record.sent();
    let lines = context.forwarding.lines(host.as_ref());
    Ok(Prepared {
        sending: context
            .worker
            .upstream
            .send(request, &lines, prologue(context)),
        fate,
        switch,
    })
}

/// Sends the request and makes of the application's answer what the client is to see.
async fn answer(
    context: &Arc<Context>,
    prepared: Prepared,
    mut exchange: Box<Exchange>,
) -> Result<Response<ResponseBody>, (Refusal, Box<Exchange>)> {
    let Prepared {
        sending,
        fate,
        switch,
    } = prepared;
    let response = match sending.answer().await {
        Ok(response) => response,
        Err(error) => {
            let failure = fate.as_ref().and_then(Fate::failure);
            let refusal = failure.map_or(Refusal::Upstream(error), Refusal::Body);
            return Err((refusal, exchange));
        }
    };
    exchange.record.answered(response.body().arrived());
    if let Some(fate) = &fate {
        fate.answered();
    }
    match switch {
        Some(switch) if switch.is_granted(&response) => {
            switch.complete(context, response, exchange)
        }
        _ if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Err((Refusal::UnaskedSwitch, exchange))
        }
        _ => {
            exchange.record.status(response.status());
            Ok(to_downstream(context, response, exchange))
        }
    }
}

/// Makes the head of `request` what the application is to see.
fn to_upstream(
    context: &Context,
    request: &mut Request<RequestBody>,
    host: Option<HeaderValue>,
) -> Result<(), Refusal> {
    let is_http2 = context.worker.upstream.is_http2();
    let headers = request.headers_mut();
    let left = headers::strip_hop_by_hop(headers);
    headers::set_forwarded(headers, &context.forwarding, host.as_ref());
    headers::ensure_request_id(headers);
    // An HTTP/1.0 client may name no host; the application, asked in HTTP/1.1, must hear one.
    let host = host.unwrap_or_else(|| HeaderValue::from_static("localhost"));
    if is_http2 {
        headers.remove(header::HOST);
        set_target(request, Some(&host))?;
        *request.version_mut() = Version::HTTP_2;
    } else {
        if left.has_cookies {
            headers::join_cookies(headers);
        }
        if left.takes_trailers {
            // RFC 9110 section 10.1.4: TE is for this hop, and has to say so.
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        headers.insert(header::HOST, host);
        set_target(request, None)?;
        *request.version_mut() = Version::HTTP_11;
    }
    Ok(())
}

/// The request's target: the path alone, byte for byte, or with `authority` for HTTP/2.
fn set_target(
    request: &mut Request<RequestBody>,
    authority: Option<&HeaderValue>,
) -> Result<(), Refusal> {
    const WORDS: &str = "the request target cannot be passed on";
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = authority.map(|_| http::uri::Scheme::HTTP);
    parts.authority = authority
        .map(|host| host.as_bytes().try_into())
        .transpose()
        .map_err(|_| Refusal::BadRequest(WORDS))?;
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Refusal::BadRequest(WORDS))?;
    Ok(())
}

fn to_downstream(
    context: &Context,
    response: Response<upstream::Body<RequestBody>>,
    exchange: Box<Exchange>,
) -> Response<ResponseBody> {
    let idle = context.worker.policy.http.stream_idle_timeout;
    let mut response = response.map(|body| ResponseBody::upstream(body, exchange, idle));
    let headers = response.headers_mut();
    if headers::strip_hop_by_hop(headers).takes_trailers {
        headers.remove(header::TE);
    }
    response
}

/// What every answer gets, the application's and our own.
fn finish_head(context: &Context, shape: Shape, response: &mut Response<ResponseBody>) {
    // The client's own version is written.
    *response.version_mut() = Version::HTTP_11;
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers: &mut HeaderMap = response.headers_mut();
    headers::apply_policy(headers, &context.worker.policy.headers);
    if context.is_in_clear() {
        // RFC 6797 section 7.2: never over a transport that is not secure.
        headers.remove(header::STRICT_TRANSPORT_SECURITY);
    }
    if shape.is_http1() && !is_switch && context.is_closing() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The PROXY header for the application, when it wants one.
pub(super) fn prologue(context: &Context) -> Prologue {
    match context.worker.policy.proxy_protocol_out {
        ProxyProtocolOut::Off => None,
        version => Some(encode_proxy_header(
            version,
            context.facts.client,
            context.facts.server,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The future of every request is moved; what grows here is paid for by each of them.
    #[test]
    fn the_future_of_a_request_stays_small() {
        fn size<F, A, B>(_: fn(A, B) -> F) -> usize {
            std::mem::size_of::<F>()
        }
        assert!(size(handle) <= 640, "{}", size(handle));
    }
}
