//! HTTP/2 requests at a pace, several at a time on a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::client::SendRequest;
use http::{Method, Request};
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::h2load::Requests;
use super::pace::{self, Beats, Pace, Tally};
use super::steady;

const PATIENCE: Duration = Duration::from_secs(5);
/// No answer here is longer, so that none has to wait for the client.
const WINDOW: u32 = 1024 * 1024;

/// Connections, and what is asked on each.
pub(crate) struct Clients {
    connections: Vec<SendRequest<Bytes>>,
    call: Call,
    /// At a time on one connection.
    streams: usize,
}

/// A request, and what is sent with it.
struct Call {
    head: Request<()>,
    body: Option<Bytes>,
}

impl Clients {
    /// Connects, one after the other.
    pub(crate) async fn connect(
        mut config: ClientConfig,
        address: SocketAddr,
        requests: &Requests,
    ) -> Result<Self> {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut connections = Vec::new();
        for _ in 0..requests.connections {
            let stream = steady::connect(&connector, address).await?;
            let (client, connection) = h2::client::Builder::new()
                .initial_window_size(WINDOW)
                .initial_connection_window_size(16 * WINDOW)
                .enable_push(false)
                .handshake(stream)
                .await?;
            // How it ends is told by the requests on it.
            tokio::spawn(connection);
            connections.push(client);
        }
        Ok(Self {
            connections,
            call: Call::new(requests)?,
            streams: requests.streams as usize,
        })
    }

    async fn ask_one(&self, client: &SendRequest<Bytes>, mut beats: Beats) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut open = FuturesUnordered::new();
        let mut more = true;
        while more || !open.is_empty() {
            tokio::select! {
                due = beats.next(), if more && open.len() < self.streams => match due? {
                    Some(due) => open.push(async move {
                        let answer = timeout(PATIENCE, self.call.exchange(client.clone()));
                        answer.await.context("no answer")?.map(|()| due)
                    }),
                    None => more = false,
                },
                Some(answered) = open.next() => tally.answered(answered?, &beats),
            }
        }
        Ok(tally)
    }
}

impl pace::Clients for Clients {
    async fn ask(&mut self, pace: Pace) -> Result<Tally> {
        let beats = pace::begin(pace, self.connections.len());
        let clients = self.connections.iter().zip(beats);
        let asking = clients.map(|(client, beats)| self.ask_one(client, beats));
        Tally::sum(join_all(asking).await)
    }
}

impl Call {
    fn new(requests: &Requests) -> Result<Self> {
        let body = requests.upload.as_ref().map(std::fs::read).transpose()?;
        let method = match &body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut head = Request::builder()
            .method(method)
            .uri(format!("https://localhost{}", requests.path))
            .header("user-agent", "load")
            .header("accept", "*/*");
        for header in requests.headers {
            let (name, value) = header.split_once(": ").context("a header without value")?;
            head = head.header(name, value);
        }
        Ok(Self {
            head: head.body(())?,
            body: body.map(Bytes::from),
        })
    }

    /// Sends it and reads its answer to the end.
    async fn exchange(&self, client: SendRequest<Bytes>) -> Result<()> {
        let mut client = client.ready().await?;
        let (response, mut sending) =
            client.send_request(self.head.clone(), self.body.is_none())?;
        if let Some(body) = &self.body {
            sending.send_data(body.clone(), true)?;
        }
        let response = response.await?;
        if response.status() != 200 {
            bail!("answered `{}`", response.status());
        }
        let mut body = response.into_body();
        while let Some(piece) = body.data().await {
            body.flow_control().release_capacity(piece?.len())?;
        }
        body.trailers().await?;
        Ok(())
    }
}
