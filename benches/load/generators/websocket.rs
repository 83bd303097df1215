//! Messages to and fro over WebSockets: as fast as they come back, or at a pace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::pace::{self, Beats, Pace, Tally};
use super::steady;

const PATIENCE: Duration = Duration::from_secs(5);
const TEXT: &str = "Hello, world";

/// Whoever talks.
pub(crate) struct Clients(Vec<Socket>);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

impl Clients {
    /// Connects so many, one after the other.
    pub(crate) async fn connect(
        config: ClientConfig,
        address: SocketAddr,
        connections: u32,
    ) -> Result<Self> {
        let connector = TlsConnector::from(Arc::new(config));
        let mut sockets = Vec::new();
        for _ in 0..connections {
            let stream = steady::connect(&connector, address).await?;
            let asking = tokio_tungstenite::client_async("wss://localhost/", stream);
            let (socket, _) = timeout(PATIENCE, asking).await.context("no upgrade")??;
            sockets.push(socket);
        }
        Ok(Self(sockets))
    }
}

impl pace::Clients for Clients {
    async fn ask(&mut self, pace: Pace) -> Result<Tally> {
        let beats = pace::begin(pace, self.0.len());
        let clients = self.0.iter_mut().zip(beats);
        let talks = clients.map(|(socket, beats)| converse(socket, beats));
        Tally::sum(join_all(talks).await)
    }
}

async fn converse(socket: &mut Socket, mut beats: Beats) -> Result<Tally> {
    let mut tally = Tally::default();
    while let Some(due) = beats.next().await? {
        socket.send(Message::text(TEXT)).await?;
        let answer = timeout(PATIENCE, socket.next()).await.context("no echo")?;
        match answer.context("closed before its echo")?? {
            Message::Text(text) if text.as_str() == TEXT => {}
            other => bail!("an echo that is none: {other:?}"),
        }
        tally.answered(due, &beats);
    }
    Ok(tally)
}
