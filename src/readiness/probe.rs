//! The look at the application: a connection, or an answer below 500 to `--upstream-health-path`.
//!
//! A few times a second while it is away; while it is there twice a second, and less of it when
//! requests show that it answers. One failure is looked at again before it counts. Invariant:
//! an application that closes its port is known to be away within a second.

mod http2;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use super::Application;
use crate::config::{self, Address, Protocol, ProxyProtocolOut};
use crate::net::{ConnectError, Connector, Stream, encode_unknown_proxy_header};

/// Between two looks at an application that is there.
const WHILE_UP: Duration = Duration::from_millis(500);
/// When requests took the place of a look: that costs nothing, and is the older the longer we wait.
const WHILE_BUSY: Duration = Duration::from_millis(250);
/// Between two looks at an application that is away.
const WHILE_DOWN: Duration = Duration::from_millis(250);
/// From a look that failed to the one that decides.
const SECOND_LOOK: Duration = Duration::from_millis(100);
/// A connection on loopback is there at once; only a full accept queue makes it wait.
const CONNECT_AT_MOST: Duration = Duration::from_millis(500);
/// What the kubelet gives a probe.
const ANSWER_AT_MOST: Duration = Duration::from_secs(1);

/// Who asks.
const USER_AGENT: &str = "tls-sidecar-probe";

/// How to look at the application.
#[derive(Debug, Clone)]
pub struct Probe {
    connector: Connector,
    protocol: Protocol,
    proxy_protocol: ProxyProtocolOut,
    health_path: Option<PathAndQuery>,
    host: String,
}

/// Why the application was not reached.
#[derive(Debug)]
pub enum ProbeError {
    /// No connection.
    Connect(ConnectError),
    /// Connected, and no HTTP answer came.
    NoAnswer(String),
    /// Connected, and no answer came in time.
    TooSlow,
    /// An answer of 500 or above.
    Status(StatusCode),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::NoAnswer(error) => write!(f, "no answer to --upstream-health-path: {error}"),
            Self::TooSlow => write!(
                f,
                "no answer to --upstream-health-path within {ANSWER_AT_MOST:?}"
            ),
            Self::Status(status) => write!(
                f,
                "--upstream-health-path was answered {}; below 500 would do",
                status.as_u16()
            ),
        }
    }
}

impl std::error::Error for ProbeError {}

impl Probe {
    /// The look at `section`'s application.
    pub fn new(section: &config::Upstream) -> Self {
        let address = section.target.address.clone();
        let host = match &address {
            Address::Ip(address) => address.to_string(),
            Address::Name { host, port } => format!("{host}:{port}"),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let patience = section.connect_timeout.min(CONNECT_AT_MOST);
        Self {
            connector: Connector::new(address, patience, section.keepalive_interval),
            protocol: section.target.protocol,
            proxy_protocol: section.proxy_protocol,
            health_path: section.health_path.clone(),
            host,
        }
    }

    /// Looks at the application for ever and tells `application`; `answers` counts what requests
    /// have shown so far of its being there.
    pub async fn run(self, application: Application, answers: impl Fn() -> u64) {
        let mut seen = answers();
        loop {
            let now = answers();
            // An answer may come from an application whose health is bad: then only health counts.
            let is_busy = self.health_path.is_none() && now != seen;
            seen = now;
            if is_busy {
                application.saw(Ok(()));
                sleep(WHILE_BUSY).await;
                continue;
            }
            let was_up = matches!(application.seen().reached, Some(Ok(())));
            let mut looked = self.look().await;
            if looked.is_err() && was_up {
                sleep(SECOND_LOOK).await;
                looked = self.look().await;
            }
            let pause = match &looked {
                Ok(()) => WHILE_UP,
                Err(_) => WHILE_DOWN,
            };
            application.saw(looked.map_err(|error| error.to_string()));
            sleep(pause).await;
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Why it was not reached.
    pub async fn look(&self) -> Result<(), ProbeError> {
        let mut stream = self
            .connector
            .connect()
            .await
            .map_err(ProbeError::Connect)?;
        let Some(path) = &self.health_path else {
            return Ok(());
        };
        let ask = async {
            let prologue = encode_unknown_proxy_header(self.proxy_protocol);
            stream.write_all(prologue).await.map_err(no_answer)?;
            self.ask(stream, path).await
        };
        let status = timeout(ANSWER_AT_MOST, ask)
            .await
            .unwrap_or(Err(ProbeError::TooSlow))?;
        match status.is_server_error() {
            true => Err(ProbeError::Status(status)),
            false => Ok(()),
        }
    }

    async fn ask(&self, stream: Stream, path: &PathAndQuery) -> Result<StatusCode, ProbeError> {
        if self.protocol == Protocol::H2c {
            return http2::ask(stream, &self.host, path.as_str()).await;
        }
        let request = Request::get(path.as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::HOST, &self.host)
            .header(header::CONNECTION, "close")
            .body(String::new())
            .map_err(no_answer)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(no_answer)?;
        Ok(first_of(sender.send_request(request), connection)
            .await?
            .status())
    }
}

/// The answer, for which the connection has to be driven; it may end before.
async fn first_of<T>(
    answer: impl Future<Output = hyper::Result<T>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> Result<T, ProbeError> {
    let mut answer = std::pin::pin!(answer);
    let ended = tokio::select! {
        biased;
        answer = &mut answer => return answer.map_err(no_answer),
        ended = connection => ended,
    };
    ended.map_err(no_answer)?;
    // What it brought with its end is there by now.
    answer.await.map_err(no_answer)
}

fn no_answer(error: impl fmt::Display) -> ProbeError {
    ProbeError::NoAnswer(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What is known of an application that nobody can connect to, after some time with answers.
    async fn seen_with_answers(health_path: Option<&str>) -> Option<bool> {
        let settings = Settings {
            // Reserved, and no program of ours listens there.
            upstream: Some("http://127.0.0.1:1".to_owned()),
            upstream_health_path: health_path.map(str::to_owned),
            ..Settings::default()
        };
        let section = Config::resolve(settings).unwrap().upstream;
        let (application, answers) = (Application::default(), AtomicU64::new(0));
        let count = || answers.fetch_add(1, Ordering::Relaxed);
        let run = Probe::new(&section).run(application.clone(), count);
        assert!(timeout(Duration::from_secs(5), run).await.is_err());
        application.seen().reached.map(|reached| reached.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn answered_requests_are_proof_unless_health_is_asked_for() {
        assert_eq!(seen_with_answers(None).await, Some(true));
        assert_eq!(seen_with_answers(Some("/healthz")).await, Some(false));
    }
}
