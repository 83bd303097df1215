//! `tcp://`: bytes, not HTTP. One session is one record.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{self, Context};
use super::downstream::Downstream;
use super::{http, relay};
use crate::telemetry::metrics::Gauge;
use crate::telemetry::record::Record;
use crate::tls::HandshakeFailure;

/// Joins the client with a connection of its own to the application.
pub(super) async fn serve(context: &Arc<Context>, stream: Box<Downstream>) {
    if let Some(client) = &context.facts.session.client
        && let Err(fault) = client.standing()
    {
        let failure = HandshakeFailure::Client(fault);
        connection::failed(&context.worker.telemetry, failure, context.facts.client);
        return connection::goodbye(stream, b"").await;
    }
    let _gauge = Gauge::enter(Arc::clone(&context.worker.telemetry), |t| {
        &t.metrics.connections.raw
    });
    let mut record = Record::open_raw(&context.facts);
    record.sent();
    match context.worker.upstream.open(http::prologue(context)).await {
        Ok(application) => {
            record.answered(Instant::now());
            let ended = relay::relay(context, stream, application, record).await;
            context.count_raw_end(ended);
        }
        Err(error) => {
            tracing::debug!(%error, "no application for a raw session");
            record.flag("upstream_not_reached");
            context.count_raw_end(relay::Ended::Broken);
            let mut stream = stream;
            // Nothing to tell a client whose protocol is unknown, except goodbye.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
        }
    }
}
