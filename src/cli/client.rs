//! Questions to the admin port of a running sidecar, each on a connection of its own.
//!
//! Invariant: an answer comes within seconds or is an error that says what to look at.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A process on the same machine answers in milliseconds; one that has no CPU may take longer.
const AT_MOST: Duration = Duration::from_secs(3);
/// More than a thousand certificates need.
const BODY_AT_MOST: usize = 4 << 20;

/// Where a sidecar's admin port may be, in the order in which it is tried.
pub(super) type Addresses = Vec<SocketAddr>;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// Nobody is there.
    Unreachable(SocketAddr, io::Error),
    /// Somebody is there and does not answer as an admin port does.
    NoAnswer(SocketAddr, String),
    /// No answer in time.
    TooSlow(SocketAddr),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(address, error) => write!(
                f,
                "no sidecar answers at {address}: {error}; name its admin port with --admin-address"
            ),
            Self::NoAnswer(address, error) => write!(
                f,
                "no admin port answers at {address}: {error}; name it with --admin-address"
            ),
            Self::TooSlow(address) => {
                write!(
                    f,
                    "the admin port at {address} gave no answer within {AT_MOST:?}"
                )
            }
        }
    }
}

impl std::error::Error for AskError {}

/// Asks the first of `addresses` where somebody is.
pub(super) async fn ask(
    addresses: &[SocketAddr],
    method: Method,
    path: &str,
) -> Result<Answer, AskError> {
    let mut last = None;
    for address in addresses {
        let asked = timeout(AT_MOST, once(*address, method.clone(), path)).await;
        match asked.unwrap_or(Err(AskError::TooSlow(*address))) {
            // Of several the first is the one that people recognise.
            Err(error @ AskError::Unreachable(..)) => last = last.or(Some(error)),
            answered => return answered,
        }
    }
    Err(last.unwrap_or_else(|| {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        AskError::Unreachable(nowhere, io::ErrorKind::NotFound.into())
    }))
}

async fn once(address: SocketAddr, method: Method, path: &str) -> Result<Answer, AskError> {
    let no_answer = |error: &dyn fmt::Display| AskError::NoAnswer(address, error.to_string());
    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| AskError::Unreachable(address, error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .body(String::new())
        .map_err(|error| no_answer(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| no_answer(&error))?;
    let answer = async {
        let response = sender.send_request(request).await;
        whole(response.map_err(|error| error.to_string())?).await
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer.map_err(|error| no_answer(&error)),
        ended = connection => ended.map_err(|error| no_answer(&error))?,
    }
    // What the connection brought with its end is there by now.
    answer.await.map_err(|error| no_answer(&error))
}

async fn whole(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| error.to_string())?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > BODY_AT_MOST {
            return Err("the answer is too long".to_owned());
        }
    }
    let body = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok(Answer {
        status: head.status,
        body,
    })
}
