//! Messages to and fro over WebSockets: as fast as they come back, or at a pace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::steady;
use crate::accounting;

const PATIENCE: Duration = Duration::from_secs(5);
const TEXT: &str = "Hello, world";

/// What became of it.
pub(crate) struct Tally {
    /// In microseconds.
    pub(crate) latencies: Vec<u32>,
    /// On a CPU, of the proxy.
    pub(crate) nanoseconds: u64,
}

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) connections: u32,
    /// Messages a second over all connections.
    pub(crate) rate: Option<f64>,
    pub(crate) time: Duration,
}

/// Talks, and counts after the handshakes.
pub(crate) async fn run(
    config: ClientConfig,
    target: (SocketAddr, u32),
    talk: Talk,
) -> Result<Tally> {
    let connector = TlsConnector::from(Arc::new(config));
    let (address, group) = target;
    let mut sockets = Vec::new();
    for _ in 0..talk.connections {
        let stream = steady::connect(&connector, address).await?;
        let asking = tokio_tungstenite::client_async("wss://localhost/", stream);
        let (socket, _) = timeout(PATIENCE, asking).await.context("no upgrade")??;
        sockets.push(socket);
    }
    let before = accounting::cpu(group)?;
    let start = Instant::now();
    let period = talk
        .rate
        .map(|rate| Duration::from_secs_f64(f64::from(talk.connections) / rate));
    let talks = sockets.iter_mut().zip(0..).map(|(socket, number)| {
        let first = start + period.unwrap_or_default() * number / talk.connections;
        converse(socket, first, period, start + talk.time)
    });
    let mut latencies = Vec::new();
    for each in join_all(talks).await {
        latencies.extend(each?);
    }
    Ok(Tally {
        latencies,
        nanoseconds: accounting::cpu(group)?.saturating_sub(before),
    })
}

async fn converse(
    socket: &mut WebSocketStream<TlsStream<TcpStream>>,
    mut due: Instant,
    period: Option<Duration>,
    end: Instant,
) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    while due.max(Instant::now()) < end {
        let mut from = Instant::now();
        if let Some(period) = period {
            if from < due {
                sleep_until(due).await;
                from = Instant::now();
            } else {
                from = due;
            }
            due += period;
        }
        socket.send(Message::text(TEXT)).await?;
        let answer = timeout(PATIENCE, socket.next()).await.context("no echo")?;
        match answer.context("closed before its echo")?? {
            Message::Text(text) if text.as_str() == TEXT => {}
            other => bail!("an echo that is none: {other:?}"),
        }
        let took = from.elapsed().as_micros();
        latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}
