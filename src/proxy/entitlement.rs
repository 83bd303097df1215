//! Whether the client may still be here, when clients are asked for certificates.
//!
//! A request is answered 403 by what was last found of its connection's client, and 421 for a
//! name whose rules are those of another certificate. A connection whose client is no longer good
//! ends: what is in flight has `--revoked-grace`. Invariant: without `--client-auth` none of this
//! costs more than a look at an `Option`.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use super::connection::Context;
use super::error::Refusal;
use crate::tls::ClientFault;

/// Ready when the client of a connection is no longer good.
pub(super) type Vigil<'a> = Pin<Box<dyn Future<Output = ClientFault> + Send + 'a>>;

/// Judges a request for `host`.
///
/// # Errors
/// 403 or 421.
pub(super) fn check(context: &Context, host: Option<&str>) -> Result<(), Refusal> {
    if context.worker.policy.headers.identity.is_none() {
        return Ok(());
    }
    let session = &context.facts.session;
    if let Some(client) = &session.client
        && let Err(fault) = client.standing()
    {
        context.worker.telemetry.metrics.clients.refused.increment();
        return Err(Refusal::Client(fault));
    }
    match host {
        Some(host) if is_elsewhere(context, host) => Err(Refusal::Misdirected),
        _ => Ok(()),
    }
}

/// Whether the client of this connection is no longer good.
pub(super) fn is_lost(context: &Context) -> bool {
    let client = context.facts.session.client.as_ref();
    client.is_some_and(|client| client.standing().is_err())
}

/// Whether another certificate would be shown for `host` than for the name that was asked for.
fn is_elsewhere(context: &Context, host: &str) -> bool {
    let asked = context.facts.session.server_name.as_deref();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_end_matches('.');
    if asked.is_some_and(|asked| asked.eq_ignore_ascii_case(name)) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let (acceptor, address) = (&context.worker.acceptor, context.facts.server.ip());
    let shown = match name.trim_matches(['[', ']']).parse() {
        Ok(literal) => acceptor.shown(None, literal),
        Err(_) => acceptor.shown(Some(&name), address),
    };
    shown != acceptor.shown(asked, address)
}

/// What tells when the client of this connection is no longer good; `None` without a certificate.
pub(super) fn vigil(context: &Context) -> Option<Vigil<'_>> {
    let client = context.facts.session.client.as_ref()?;
    Some(Box::pin(client.lost()))
}

/// Returns when the time of a client that is no longer good is over.
pub(super) async fn over(context: &Context) {
    let Some(vigil) = vigil(context) else {
        return std::future::pending().await;
    };
    note(context, vigil.await);
    tokio::time::sleep(context.worker.policy.http.revoked_grace).await;
}

/// Tells, once for a connection, that its client is no longer good.
pub(super) fn note(context: &Context, fault: ClientFault) {
    if context.is_told.swap(true, Ordering::Relaxed) {
        return;
    }
    let metrics = &context.worker.telemetry.metrics;
    metrics.clients.count_end(fault);
    let client = context.facts.session.client.as_ref();
    tracing::info!(
        client.address = %context.facts.client,
        tls.client.subject = client.map(|client| client.holder().subject.as_str()),
        reason = fault.as_str(),
        grace = ?context.worker.policy.http.revoked_grace,
        "a client's certificate is no longer good: its connection ends"
    );
}
