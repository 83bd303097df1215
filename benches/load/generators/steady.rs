//! Small HTTP/1.1 requests at a pace, on connections that are opened anew when they end.
//!
//! A latency counts from when a request was due: one that waits for the one before it is late, and
//! its time says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client;
use crate::credentials::server_name;

const PATIENCE: Duration = Duration::from_secs(5);

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) connections: u32,
    /// Requests a second over all of them.
    pub(crate) rate: f64,
    pub(crate) time: Duration,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In microseconds.
    pub(crate) latencies: Vec<u32>,
    /// Requests that were sent and got no answer.
    pub(crate) lost: u64,
    /// Connections that the proxy closed between two requests.
    pub(crate) closed: u64,
}

/// Asks at this pace.
pub(crate) async fn run(config: ClientConfig, address: SocketAddr, pace: Pace) -> Result<Tally> {
    let connector = TlsConnector::from(Arc::new(config));
    let mut streams = Vec::new();
    for _ in 0..pace.connections {
        streams.push(connect(&connector, address).await?);
    }
    let start = Instant::now();
    let period = Duration::from_secs_f64(f64::from(pace.connections) / pace.rate);
    let clients = streams.into_iter().zip(0..).map(|(stream, number)| {
        let first = start + period * number / pace.connections;
        let times = (first, period, start + pace.time);
        ask(&connector, address, stream, times)
    });
    let mut total = Tally::default();
    for tally in join_all(clients).await {
        let tally = tally?;
        total.latencies.extend(tally.latencies);
        total.lost += tally.lost;
        total.closed += tally.closed;
    }
    Ok(total)
}

/// Connects and shakes hands.
pub(crate) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> Result<TlsStream<TcpStream>> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        connector.connect(server_name(), stream).await
    };
    Ok(timeout(PATIENCE, connecting)
        .await
        .context("no handshake")??)
}

async fn ask(
    connector: &TlsConnector,
    address: SocketAddr,
    mut stream: TlsStream<TcpStream>,
    (mut due, period, end): (Instant, Duration, Instant),
) -> Result<Tally> {
    let mut tally = Tally::default();
    while due < end {
        let mut from = due;
        if Instant::now() < due {
            sleep_until(due).await;
            // Not the proxy's: timers tick by the millisecond.
            from = Instant::now();
        }
        // A careful client looks before it sends.
        if let Some(read) = stream.read(&mut [0]).now_or_never() {
            if read.is_ok_and(|count| count > 0) {
                bail!("an answer that nobody asked for");
            }
            tally.closed += 1;
            stream = connect(connector, address).await?;
        }
        match timeout_at(Instant::now() + PATIENCE, exchange(&mut stream)).await {
            Ok(Ok(last)) => {
                let took = from.elapsed().as_micros();
                tally
                    .latencies
                    .push(u32::try_from(took).unwrap_or(u32::MAX));
                if last {
                    stream = connect(connector, address).await?;
                }
            }
            Ok(Err(_)) | Err(_) => {
                tally.lost += 1;
                stream = connect(connector, address).await?;
            }
        }
        due += period;
    }
    Ok(tally)
}

/// One request; whether the connection ends with its answer.
async fn exchange(stream: &mut TlsStream<TcpStream>) -> Result<bool> {
    stream.write_all(client::REQUEST).await?;
    stream.flush().await?;
    let mut received = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            bail!("closed before its answer");
        }
        if let Some(head) = client::head(&received)?
            && received.len() >= head.length + head.body
        {
            return Ok(head.last);
        }
    }
}
