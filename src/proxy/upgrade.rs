//! A request that asks to leave HTTP: `Upgrade` over HTTP/1.1, extended CONNECT over HTTP/2
//! (RFC 8441), and each bridged to the other where the application speaks the other.
//!
//! Bytes behind such a request stay HTTP until the application has granted the switch; an answer
//! that grants nothing is an ordinary answer.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;

use super::body::{Exchange, Incoming, RequestBody, ResponseBody};
use super::connection::Context;
use super::error::Refusal;
use super::{headers, http1, http2, relay, websocket};
use crate::message::is_option;
use crate::telemetry::record::CLIENT_GONE;
use crate::upstream;

/// The protocol of a granted switch, when the downstream side is HTTP/2.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A switch that the client asked for.
pub(super) struct Switch {
    client: Promise,
    protocol: HeaderValue,
    via: Via,
    /// The protocol in HTTP/2's terms; over HTTP/2 to the application hyper carries no other.
    extended: Option<Protocol>,
    /// The key to prove the handshake with: the client's over HTTP/1.1, ours over HTTP/2.
    key: Option<HeaderValue>,
}

/// Where the client's stream comes when it has left HTTP.
enum Promise {
    Http1(http1::Promise),
    /// It is there: what comes on it is no body any more.
    Http2(http2::Body),
}

/// How the client asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Upgrade,
    ExtendedConnect,
}

/// Takes the wish for a switch out of `request`, if there is one.
///
/// An upgrade to `h2c` is no wish of anybody behind TLS; it is dropped like any hop-by-hop header
/// (RFC 9113 section 3.1).
pub(super) fn take(request: &mut Request<Incoming>) -> Option<Switch> {
    if let Some(extended) = request.extensions().get::<Protocol>().cloned() {
        let protocol = HeaderValue::from_str(extended.as_str()).ok()?;
        let Incoming::Http2(body) = request.body_mut() else {
            return None;
        };
        let client = Promise::Http2(std::mem::take(body));
        let key = (protocol == WEBSOCKET).then(websocket::new_key);
        let via = Via::ExtendedConnect;
        return Some(Switch {
            client,
            protocol,
            via,
            extended: Some(extended),
            key,
        });
    }
    let Incoming::Http1(body) = request.body_mut() else {
        return None;
    };
    let client = Promise::Http1(body.take_promise()?);
    let protocol = request.headers().get(header::UPGRADE)?.clone();
    if protocol.as_bytes().to_ascii_lowercase().starts_with(b"h2c") || !asks(request.headers()) {
        return None;
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    let extended = protocol
        .as_bytes()
        .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
        .then(|| Protocol::from_static("websocket"));
    Some(Switch {
        client,
        protocol,
        via: Via::Upgrade,
        extended,
        key,
    })
}

/// Whether a `Connection` line names `upgrade` (RFC 9110 section 7.8).
fn asks(headers: &http::HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .any(|line| is_option(line.as_bytes(), "upgrade"))
}

impl Switch {
    /// Puts the wish into the request for the application, in the application's protocol.
    ///
    /// # Errors
    /// When that protocol cannot carry it.
    pub(super) fn ask(
        &self,
        request: &mut Request<RequestBody>,
        is_http2: bool,
    ) -> Result<(), Refusal> {
        if is_http2 {
            let extended = self.extended.clone().ok_or(Refusal::NoExtendedConnect)?;
            request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(extended);
            return Ok(());
        }
        *request.method_mut() = match self.via {
            Via::ExtendedConnect => Method::GET,
            Via::Upgrade => request.method().clone(),
        };
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, self.protocol.clone());
        if let (Via::ExtendedConnect, Some(key)) = (self.via, &self.key) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
            headers
                .entry(header::SEC_WEBSOCKET_VERSION)
                .or_insert(HeaderValue::from_static("13"));
        }
        Ok(())
    }

    /// Whether the application switches.
    pub(super) fn is_granted<B>(&self, response: &Response<B>) -> bool {
        match response.version() {
            Version::HTTP_2 => response.status().is_success(),
            _ => response.status() == StatusCode::SWITCHING_PROTOCOLS,
        }
    }

    /// Answers the client and joins both sides in a task of their own.
    ///
    /// # Errors
    /// When what the application switches to is not what was asked for.
    pub(super) fn complete(
        self,
        context: &Arc<Context>,
        response: Response<upstream::Body<RequestBody>>,
        exchange: Box<Exchange>,
    ) -> Result<Response<ResponseBody>, (Refusal, Box<Exchange>)> {
        let mut answer = match self.answer(&response) {
            Ok(answer) => answer,
            Err(refusal) => return Err((refusal, exchange)),
        };
        let client = match self.client {
            Promise::Http1(client) => Ok(client),
            Promise::Http2(body) => {
                let (tunnel, bytes) = http2::Tunnel::new(body);
                *answer.body_mut() = ResponseBody::tunnel(bytes);
                Err(tunnel)
            }
        };
        let (mut record, in_flight) = exchange.into_parts();
        // A tunnel over HTTP/2 shares its connection, which must not count as idle; one over
        // HTTP/1 has taken it, and the end of the client's bytes is the tunnel's own affair.
        let in_flight = (self.via == Via::ExtendedConnect).then_some(in_flight);
        record.status(answer.status());
        let tunnel_context = Arc::clone(context);
        context.spawn(async move {
            let _in_flight = in_flight;
            let application = match upstream::upgraded(response).await {
                Ok(application) => application,
                Err(error) => {
                    tracing::debug!(%error, "application left before the switch");
                    record.flag("upstream_closed");
                    return;
                }
            };
            let context = &tunnel_context;
            match client {
                Err(tunnel) => _ = relay::relay(context, tunnel, application, record).await,
                Ok(promised) => match promised.await {
                    Ok(client) => _ = relay::relay(context, client, application, record).await,
                    Err(error) => {
                        tracing::debug!(%error, "client left before the switch");
                        record.flag(CLIENT_GONE);
                    }
                },
            }
        });
        Ok(answer)
    }

    /// The head that tells the client of the switch, in the client's protocol.
    fn answer<B>(&self, response: &Response<B>) -> Result<Response<ResponseBody>, Refusal> {
        let from_http2 = response.version() == Version::HTTP_2;
        if !from_http2 && !self.matches(response.headers().get(header::UPGRADE)) {
            return Err(Refusal::UnaskedSwitch);
        }
        let mut answer = Response::new(ResponseBody::empty());
        *answer.headers_mut() = response.headers().clone();
        let headers = answer.headers_mut();
        headers::strip_hop_by_hop(headers);
        match self.via {
            Via::ExtendedConnect => {
                let proof = headers.remove(header::SEC_WEBSOCKET_ACCEPT);
                if !from_http2 && !self.is_proof(proof.as_ref()) {
                    return Err(Refusal::UnaskedSwitch);
                }
                *answer.status_mut() = StatusCode::OK;
            }
            Via::Upgrade => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, self.protocol.clone());
                if let (true, Some(key)) = (from_http2, &self.key) {
                    headers.insert(header::SEC_WEBSOCKET_ACCEPT, websocket::accept(key));
                }
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            }
        }
        Ok(answer)
    }

    /// Whether the protocol switched to is one of those asked for.
    fn matches(&self, granted: Option<&HeaderValue>) -> bool {
        let (Some(granted), Ok(asked)) = (granted, self.protocol.to_str()) else {
            return false;
        };
        asked.split(',').any(|asked| {
            asked
                .trim()
                .as_bytes()
                .eq_ignore_ascii_case(granted.as_bytes())
        })
    }

    fn is_proof(&self, proof: Option<&HeaderValue>) -> bool {
        self.key
            .as_ref()
            .is_none_or(|key| proof == Some(&websocket::accept(key)))
    }
}
