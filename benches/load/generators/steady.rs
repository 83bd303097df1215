//! HTTP/1.1 requests at a pace, on connections that are opened anew when they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pace::{self, Beats, Pace, Tally};
use crate::client;
use crate::credentials::server_name;

const PATIENCE: Duration = Duration::from_secs(5);

/// Clients that each have a connection and ask the same.
pub(crate) struct Clients {
    server: Server,
    streams: Vec<TlsStream<TcpStream>>,
}

/// Where to connect to, and what to ask.
struct Server {
    connector: TlsConnector,
    address: SocketAddr,
    request: String,
}

impl Clients {
    /// Connects so many, one after the other.
    pub(crate) async fn connect(
        config: ClientConfig,
        address: SocketAddr,
        connections: u32,
        path: &str,
    ) -> Result<Self> {
        let server = Server {
            connector: TlsConnector::from(Arc::new(config)),
            address,
            request: client::request_for(path),
        };
        let mut streams = Vec::new();
        for _ in 0..connections {
            streams.push(server.connect().await?);
        }
        Ok(Self { server, streams })
    }
}

impl pace::Clients for Clients {
    async fn ask(&mut self, pace: Pace) -> Result<Tally> {
        let beats = pace::begin(pace, self.streams.len());
        let server = &self.server;
        let clients = self.streams.iter_mut().zip(beats);
        let asking = clients.map(|(stream, beats)| server.ask(stream, beats));
        Tally::sum(join_all(asking).await)
    }
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

impl Server {
    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        connect(&self.connector, self.address).await
    }

    async fn ask(&self, stream: &mut TlsStream<TcpStream>, mut beats: Beats) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut received = Vec::with_capacity(16 * 1024);
        while let Some(due) = beats.next().await? {
            // A careful client looks before it sends.
            if let Some(read) = stream.read(&mut [0]).now_or_never() {
                if read.is_ok_and(|count| count > 0) {
                    bail!("an answer that nobody asked for");
                }
                tally.closed += 1;
                *stream = self.connect().await?;
            }
            let last = match timeout(PATIENCE, self.exchange(stream, &mut received)).await {
                Ok(Ok(last)) => {
                    tally.answered(due, &beats);
                    last
                }
                Ok(Err(_)) | Err(_) => {
                    tally.lost += 1;
                    true
                }
            };
            if last {
                *stream = self.connect().await?;
            }
        }
        Ok(tally)
    }

    /// One request; whether the connection ends with its answer.
    async fn exchange(
        &self,
        stream: &mut TlsStream<TcpStream>,
        received: &mut Vec<u8>,
    ) -> Result<bool> {
        stream.write_all(self.request.as_bytes()).await?;
        stream.flush().await?;
        received.clear();
        loop {
            if stream.read_buf(received).await? == 0 {
                bail!("closed before its answer");
            }
            if let Some(head) = client::head(received)?
                && received.len() >= head.length + head.body
            {
                return Ok(head.last);
            }
        }
    }
}
