//! A request that asks to leave HTTP: `Upgrade` over HTTP/1.1, extended CONNECT over HTTP/2
//! (RFC 8441), and each bridged to the other where the application speaks the other.
//!
//! Bytes behind such a request stay HTTP until the application has granted the switch; an answer
//! that grants nothing is an ordinary answer.

use std::sync::Arc;

use http::{Method, StatusCode, Version};

use super::body::{Exchange, Incoming, RequestBody, ResponseBody};
use super::connection::Context;
use super::error::Refusal;
use super::{headers, http1, http2, relay, websocket};
use crate::fields::{Fields, Name, Value, name};
use crate::message::{Protocol, Request, Response, is_option};
use crate::telemetry::record::CLIENT_GONE;
use crate::upstream;

/// The protocol of a granted switch, when the downstream side is HTTP/2.
const WEBSOCKET: &str = "websocket";

/// A switch that the client asked for.
pub(super) struct Switch {
    client: Promise,
    /// As it was asked for.
    protocol: Vec<u8>,
    via: Via,
    /// The protocol in HTTP/2's terms; over HTTP/2 to the application hyper carries no other.
    extended: Option<Protocol>,
    /// The key to prove the handshake with: the client's over HTTP/1.1, ours over HTTP/2.
    key: Option<Vec<u8>>,
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
    if let Some(extended) = request.extensions.get::<Protocol>().cloned() {
        let protocol = extended.as_str().as_bytes().to_vec();
        let Incoming::Http2(body) = &mut request.body else {
            return None;
        };
        let client = Promise::Http2(std::mem::take(body));
        let is_websocket = protocol == WEBSOCKET.as_bytes();
        let key = is_websocket.then(|| websocket::new_key().into_bytes());
        let via = Via::ExtendedConnect;
        return Some(Switch {
            client,
            protocol,
            via,
            extended: Some(extended),
            key,
        });
    }
    let Incoming::Http1(body) = &mut request.body else {
        return None;
    };
    let client = Promise::Http1(body.take_promise()?);
    let fields = &request.fields;
    let protocol = fields.get(name::UPGRADE)?.to_vec();
    if protocol.to_ascii_lowercase().starts_with(b"h2c") || !asks(fields) {
        return None;
    }
    let key = fields.get(name::SEC_WEBSOCKET_KEY).map(|key| key.to_vec());
    let is_websocket = protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    let extended = is_websocket.then(|| Protocol::from_static(WEBSOCKET));
    Some(Switch {
        client,
        protocol,
        via: Via::Upgrade,
        extended,
        key,
    })
}

/// Whether a `Connection` line names `upgrade` (RFC 9110 section 7.8).
fn asks(fields: &Fields) -> bool {
    let mut lines = fields.all(name::CONNECTION);
    lines.any(|line| is_option(&line, "upgrade"))
}

/// Leaves one field with this name and what was a value before.
fn set(fields: &mut Fields, name: Name<'_>, value: &[u8]) {
    if let Some(value) = Value::new(value) {
        fields.set(name, value);
    }
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
            request.fields.remove(name::SEC_WEBSOCKET_KEY);
            request.method = Method::CONNECT;
            request.extensions.insert(extended);
            return Ok(());
        }
        if self.via == Via::ExtendedConnect {
            request.method = Method::GET;
        }
        let fields = &mut request.fields;
        fields.set(name::CONNECTION, Value::from_static("upgrade"));
        set(fields, name::UPGRADE, &self.protocol);
        if let (Via::ExtendedConnect, Some(key)) = (self.via, &self.key) {
            set(fields, name::SEC_WEBSOCKET_KEY, key);
            if !fields.has(name::SEC_WEBSOCKET_VERSION) {
                fields.append_number(name::SEC_WEBSOCKET_VERSION, 13);
            }
        }
        Ok(())
    }

    /// Whether the application switches.
    pub(super) fn is_granted<B>(&self, response: &Response<B>) -> bool {
        match response.version {
            Version::HTTP_2 => response.status.is_success(),
            _ => response.status == StatusCode::SWITCHING_PROTOCOLS,
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
                answer.body = ResponseBody::tunnel(bytes);
                Err(tunnel)
            }
        };
        let (mut record, in_flight) = exchange.into_parts();
        // A tunnel over HTTP/2 shares its connection, which must not count as idle; one over
        // HTTP/1 has taken it, and the end of the client's bytes is the tunnel's own affair.
        let in_flight = (self.via == Via::ExtendedConnect).then_some(in_flight);
        record.status(answer.status);
        let tunnel_context = Arc::clone(context);
        context.spawn(async move {
            let _in_flight = in_flight;
            let application = match upstream::upgraded(response) {
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
        let from_http2 = response.version == Version::HTTP_2;
        if !from_http2 && !self.matches(response.fields.get(name::UPGRADE)) {
            return Err(Refusal::UnaskedSwitch);
        }
        let mut fields = response.fields.clone();
        headers::strip_hop_by_hop(&mut fields);
        let status = match self.via {
            Via::ExtendedConnect => {
                if !from_http2 && !self.is_proof(fields.get(name::SEC_WEBSOCKET_ACCEPT)) {
                    return Err(Refusal::UnaskedSwitch);
                }
                fields.remove(name::SEC_WEBSOCKET_ACCEPT);
                StatusCode::OK
            }
            Via::Upgrade => {
                fields.set(name::CONNECTION, Value::from_static("upgrade"));
                set(&mut fields, name::UPGRADE, &self.protocol);
                if let (true, Some(key)) = (from_http2, &self.key) {
                    let proof = websocket::accept(key);
                    set(&mut fields, name::SEC_WEBSOCKET_ACCEPT, proof.as_bytes());
                }
                StatusCode::SWITCHING_PROTOCOLS
            }
        };
        let mut answer = Response::new(status, ResponseBody::empty());
        answer.fields = fields;
        Ok(answer)
    }

    /// Whether the protocol switched to is one of those asked for.
    fn matches(&self, granted: Option<Value<'_>>) -> bool {
        let Some(granted) = granted else {
            return false;
        };
        let mut asked = self.protocol.split(|byte| *byte == b',');
        // The name of a protocol is a token; what is none is nobody's to grant.
        granted.is_ascii() && asked.any(|asked| asked.trim_ascii().eq_ignore_ascii_case(&granted))
    }

    fn is_proof(&self, proof: Option<Value<'_>>) -> bool {
        let is_right = |key| proof.is_some_and(|proof| proof == websocket::accept(key).as_str());
        self.key.as_deref().is_none_or(is_right)
    }
}
