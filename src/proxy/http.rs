//! One request, read top to bottom.
//!
//! record -> trace -> checks -> upgrade -> body -> headers to the application -> send -> relay, or headers
//! to the client -> body that carries the record. An error at any step goes to
//! [`error::respond`]. Dropping the future is how a client's cancellation arrives: everything
//! below ends by `Drop`.

use std::future::Future;
use std::sync::Arc;

use http::{Method, StatusCode, Version};

use super::body::{self, Exchange, Fate, Incoming, RequestBody, ResponseBody};
use super::connection::Context;
use super::error::{self, Refusal, Shape, Unanswered};
use super::http1::HeadFault;
use super::upgrade::{self, Switch};
use super::{checks, entitlement, headers, redirect};
use crate::config::ProxyProtocolOut;
use crate::fields::{Value, name};
use crate::message::{Request, Response};
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
    let record = open(&context, &request);
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
    request.version = version;
    request.method = unknown_method();
    let mut record = open(context, &request);
    record.forget_target();
    let exchange = Box::new(Exchange::new(record, &context.activity));
    let shape = Shape::of(&request);
    let mut response = error::respond(&Refusal::Head(fault), shape, exchange);
    finish_head(context, shape, &mut response);
    response
}

fn open<B>(context: &Context, request: &Request<B>) -> Record {
    Record::open(
        &context.facts,
        &request.method,
        &request.uri,
        request.version,
    )
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
    if request.version == Version::HTTP_2 {
        let in_flight = context.worker.telemetry.metrics.requests_in_flight.value();
        let room = &context.worker.http2;
        let is_upload = || !request.body.is_end_stream();
        if room.is_exceeded(in_flight) || room.is_overfull() && is_upload() {
            return Err(Refusal::NoRoom);
        }
    }
    let start = context.worker.policy.headers.trace_start;
    if let Some(trace) = headers::continue_trace(&mut request.fields, start)
        && let Some(own) = exchange.record.belongs_to(trace)
    {
        headers::hand_on(&mut request.fields, own);
    }
    checks::number_of_fields(&request, context.worker.policy.http.max_headers)?;
    let host = checks::request(&request)?;
    entitlement::check(context, host.as_deref())?;
    let policy = &context.worker.policy;
    if context.is_in_clear() {
        redirect::admit(&policy.listen.redirect, &request, host.as_deref())?;
    }
    let switch = match context.is_in_clear() {
        true => None,
        false => upgrade::take(&mut request).map(Box::new),
    };
    let limits = &policy.http;
    let (mut request, fate) =
        body::incoming(request, &mut exchange.record, &context.activity, limits)
            .map_err(Refusal::Body)?;
    to_upstream(context, &mut request, host.as_deref());
    if let Some(switch) = &switch {
        switch.ask(&mut request, context.worker.upstream.is_http2())?;
    }
    exchange.record.sent();
    let lines = context.forwarding.lines(host.as_deref());
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
    exchange.record.answered(response.body.arrived());
    if let Some(fate) = &fate {
        fate.answered();
    }
    match switch {
        Some(switch) if switch.is_granted(&response) => {
            switch.complete(context, response, exchange)
        }
        _ if response.status == StatusCode::SWITCHING_PROTOCOLS => {
            Err((Refusal::UnaskedSwitch, exchange))
        }
        _ => {
            exchange.record.status(response.status);
            Ok(to_downstream(context, response, exchange))
        }
    }
}

/// Makes the head of `request` what the application is to see.
fn to_upstream(context: &Context, request: &mut Request<RequestBody>, host: Option<&str>) {
    let fields = &mut request.fields;
    let takes_trailers = headers::strip_hop_by_hop(fields);
    headers::set_forwarded(fields, &context.forwarding, host);
    headers::ensure_request_id(fields);
    // An HTTP/1.0 client may name no host; the application must hear one.
    let host = host.unwrap_or("localhost");
    if !fields.has(name::HOST)
        && let Some(host) = Value::new(host.as_bytes())
    {
        fields.append(name::HOST, host);
    }
    if context.worker.upstream.is_http2() {
        request.version = Version::HTTP_2;
        return;
    }
    headers::join_cookies(fields);
    if takes_trailers {
        // RFC 9110 section 10.1.4: TE is for this hop, and has to say so.
        fields.set(name::CONNECTION, Value::from_static("te"));
    }
    request.version = Version::HTTP_11;
}

fn to_downstream(
    context: &Context,
    response: Response<upstream::Body<RequestBody>>,
    exchange: Box<Exchange>,
) -> Response<ResponseBody> {
    let idle = context.worker.policy.http.stream_idle_timeout;
    let mut response = response.map(|body| ResponseBody::upstream(body, exchange, idle));
    if headers::strip_hop_by_hop(&mut response.fields) {
        response.fields.remove(name::TE);
    }
    response
}

/// What every answer gets, the application's and our own.
fn finish_head(context: &Context, shape: Shape, response: &mut Response<ResponseBody>) {
    // The client's own version is written.
    response.version = Version::HTTP_11;
    let fields = &mut response.fields;
    headers::apply_policy(fields, &context.worker.policy.headers);
    if context.is_in_clear() {
        // RFC 6797 section 7.2: never over a transport that is not secure.
        fields.remove(name::STRICT_TRANSPORT_SECURITY);
    }
    let is_switch = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if shape.is_http1() && !is_switch && context.is_closing() {
        fields.set(name::CONNECTION, Value::from_static("close"));
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
