//! From an accepted socket to a TLS session, or to a named failure.
//!
//! The caller sets the one deadline that covers the PROXY header and this. After a failure the
//! alert that rustls wrote must arrive: the write side is shut and what the client still sends is
//! read and thrown away for a moment, because closing over unread bytes answers with a reset that
//! destroys the alert on its way.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;

use super::cert_set::Asked;
use super::client::{Arrival, ClientFault};
use super::step::{self, Handshake};
use super::suites::Choice;
use super::terms::Terms;
use super::{CertSet, Client, HandshakeFailure};
use crate::config::ClientAuthMode;
use crate::live::Live;
use crate::net::{Sniffed, linger};

/// A TLS session over an accepted socket.
pub type Stream = tokio_rustls::server::TlsStream<Sniffed<TcpStream>>;

/// What a client in clear is told; it fits one packet.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 69\r\n\
    Connection: close\r\n\r\n\
    This port speaks TLS and the request came in clear; use https:// here";

/// Takes connections through the handshake.
#[derive(Clone)]
pub struct Acceptor {
    terms: Live<Terms>,
    set: Live<CertSet>,
    changed: watch::Receiver<u64>,
}

/// What a handshake settled, for log, metrics and headers.
#[derive(Debug, Clone)]
pub struct Session {
    /// `1.2` or `1.3`; empty in clear.
    pub version: &'static str,
    /// Cipher suite by its IANA name; empty in clear.
    pub cipher: &'static str,
    /// The name asked for (RFC 6066), lower case.
    pub server_name: Option<Box<str>>,
    /// Whether a ticket spared the full handshake.
    pub resumed: bool,
    /// The certificate that was shown, as [`Acceptor::shown`] numbers it.
    pub certificate: u64,
    /// The protocol to speak.
    pub alpn: Alpn,
    /// Who the client is, when it was asked for a certificate and has shown one.
    pub client: Option<Arc<Client>>,
}

/// The application protocol that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2.
    H2,
    /// HTTP/1.1, also when the client has no ALPN.
    Http1,
}

impl Acceptor {
    pub(super) fn new(
        terms: Live<Terms>,
        set: Live<CertSet>,
        changed: watch::Receiver<u64>,
    ) -> Self {
        Self {
            terms,
            set,
            changed,
        }
    }

    /// What is shown now to whoever asks for `name`, or connects to `address` without one, as a
    /// number that changes with it.
    pub fn shown(&self, name: Option<&str>, address: IpAddr) -> u64 {
        let address = Some(address);
        self.set.load().identity(Asked { name, address })
    }

    /// Runs the handshake of a client that connected to `address`; it has been told when this fails.
    ///
    /// # Errors
    /// The reason, under the name that log and metric use.
    pub async fn accept(
        &self,
        socket: Sniffed<TcpStream>,
        address: IpAddr,
    ) -> Result<(Box<Stream>, Session), HandshakeFailure> {
        // Of before the handshake: what is replaced during it counts as old.
        let (set, terms) = (self.set.load(), self.terms.load());
        let address = Some(address);
        let mut handshake = Handshake {
            address,
            ..Handshake::default()
        };
        let mut accept = pin!(handshake_under(&terms.tls, socket));
        let accepted = poll_fn(|cx| step::run(&mut handshake, || accept.as_mut().poll(cx))).await;
        match accepted {
            Ok(stream) => {
                let mut session = Session::of(&stream, &set, address);
                match self.client(&stream, &terms, &set, &handshake) {
                    Ok(client) => session.client = client,
                    Err(fault) => return Err(refuse(stream, fault).await),
                }
                Ok((Box::new(stream), session))
            }
            Err((error, socket)) => {
                let Some(mut socket) = socket else {
                    return Err(HandshakeFailure::Io);
                };
                let failure = HandshakeFailure::classify(&error, socket.first_bytes());
                if failure == HandshakeFailure::PlainHttp {
                    // Failing to tell a client that already left is no event.
                    let _ = socket.write_all(PLAIN_HTTP_ANSWER).await;
                }
                if !failure.is_quiet() {
                    linger(socket.into_inner()).await;
                }
                Err(failure)
            }
        }
    }
}

impl Acceptor {
    /// Who the client is. What a ticket says of it was found in another handshake, and is judged
    /// again.
    fn client(
        &self,
        stream: &Stream,
        terms: &Terms,
        set: &CertSet,
        handshake: &Handshake,
    ) -> Result<Option<Arc<Client>>, ClientFault> {
        let Some(trust) = &terms.trust else {
            return Ok(None);
        };
        let (_, connection) = stream.get_ref();
        let chain = match connection.peer_certificates() {
            Some(chain) if !chain.is_empty() => chain,
            _ if trust.mode() == ClientAuthMode::Required => {
                return Err(ClientFault::NoCertificate);
            }
            _ => return Ok(None),
        };
        let judged = match handshake.judged {
            Some(judged) => judged,
            None => terms.judge(chain)?,
        };
        if let Some(authority) = judged.authority.and_then(|at| trust.authorities().get(at)) {
            authority.count_handshake();
        }
        let asked = Asked {
            name: connection.server_name(),
            address: handshake.address,
        };
        let arrival = Arrival {
            terms,
            judged,
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            server_uris: set.uris(asked),
        };
        arrival.client(&self.terms, &self.changed).map(Some)
    }
}

/// Reads the hello, and goes on as the suites in it say.
///
/// # Errors
/// The reason, and the socket to say it on.
async fn handshake_under(
    choice: &Choice,
    socket: Sniffed<TcpStream>,
) -> Result<Stream, (io::Error, Option<Sniffed<TcpStream>>)> {
    let mut hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket);
    let started = match (&mut hello).await {
        Ok(started) => started,
        Err(error) => return Err((error, hello.take_io())),
    };
    let config = choice.config(&started.client_hello());
    let accept = started.into_stream(config).into_fallible();
    accept
        .await
        .map_err(|(error, socket)| (error, Some(socket)))
}

/// Ends a session whose client is not good enough for it.
async fn refuse(mut stream: Stream, fault: ClientFault) -> HandshakeFailure {
    // Failing to tell a client that already left is no event.
    let _ = stream.shutdown().await;
    linger(stream.into_inner().0.into_inner()).await;
    HandshakeFailure::Client(fault)
}

/// Queues a TLS 1.3 key update (RFC 8446 section 4.6.3), which a living client swallows and a
/// closed socket answers with a reset; `false` where the protocol version has none.
pub fn request_sign_of_life(stream: &mut Stream) -> bool {
    let (_, connection) = stream.get_mut();
    connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
        && connection.refresh_traffic_keys().is_ok()
}

/// The socket below.
pub fn socket(stream: &Stream) -> &TcpStream {
    stream.get_ref().0.socket()
}

/// Has `stream` take no more than about `bytes` that its socket does not take.
pub fn hold_at_most(stream: &mut Stream, bytes: usize) {
    stream.get_mut().1.set_buffer_limit(Some(bytes));
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Session {
    /// No session: what came in on a listener without TLS.
    pub fn in_clear() -> Self {
        Self {
            client: None,
            version: "",
            cipher: "",
            server_name: None,
            resumed: false,
            certificate: 0,
            alpn: Alpn::Http1,
        }
    }

    /// Whether there is no TLS.
    pub fn is_in_clear(&self) -> bool {
        self.version.is_empty()
    }

    fn of(stream: &Stream, set: &CertSet, address: Option<IpAddr>) -> Self {
        let (_, connection) = stream.get_ref();
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            server_name: connection.server_name().map(Into::into),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: set.identity(Asked {
                name: connection.server_name(),
                address,
            }),
            alpn: match connection.alpn_protocol() {
                Some(b"h2") => Alpn::H2,
                _ => Alpn::Http1,
            },
            client: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PLAIN_HTTP_ANSWER;

    #[test]
    fn plain_http_answer_declares_its_own_length() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
