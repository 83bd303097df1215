//! From an accepted socket to a session: who the client is, and TLS where there is some. The caller
//! sets the deadline.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Worker;
use super::downstream::Transport;
use super::headers::Trust;
use crate::config::ProxyProtocolIn;
use crate::net::{ProxyHeaderError, Sniffed, read_proxy_header};
use crate::tls::{HandshakeFailure, Session};

/// A session ready to be served.
pub(super) struct Established {
    pub(super) stream: Transport,
    pub(super) session: Session,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// Takes a socket through TLS; `client` becomes whom a PROXY header names.
pub(super) async fn with_tls(
    worker: &Worker,
    mut socket: TcpStream,
    client: &mut SocketAddr,
) -> Result<Established, HandshakeFailure> {
    let server = address_of(&socket).map_err(|_| HandshakeFailure::Io)?;
    *client = client_address(worker, &mut socket, *client).await?;
    // Until there is a hello, a client costs its socket and no TLS state.
    socket.readable().await.map_err(|_| HandshakeFailure::Io)?;
    let handshake = Box::pin(worker.acceptor.accept(Sniffed::new(socket), server.ip()));
    let (stream, session) = worker.handshakes.run(handshake).await?;
    Ok(Established {
        stream: Transport::Tls(stream),
        session,
        client: *client,
        server,
    })
}

/// A connection of the redirect listener, once there is something to read.
pub(super) async fn in_clear(
    worker: &Worker,
    mut socket: TcpStream,
    peer: SocketAddr,
) -> Result<Established, HandshakeFailure> {
    let server = address_of(&socket).map_err(|_| HandshakeFailure::Io)?;
    let client = client_address(worker, &mut socket, peer).await?;
    // Readiness alone may be of the connect.
    let peeked = socket.peek(&mut [0]).await;
    peeked.map_err(|_| HandshakeFailure::Io)?;
    Ok(Established {
        stream: Transport::Clear(socket),
        session: Session::in_clear(),
        client,
        server,
    })
}

/// The address that the client connected to.
fn address_of(socket: &TcpStream) -> io::Result<SocketAddr> {
    // A socket pair stands for the client there, and knows no addresses.
    if cfg!(fuzzing) {
        return Ok(([192, 0, 2, 1], 443).into());
    }
    socket.local_addr()
}

/// The client: the peer, or whom a trusted peer's PROXY header names.
async fn client_address(
    worker: &Worker,
    socket: &mut TcpStream,
    peer: SocketAddr,
) -> Result<SocketAddr, HandshakeFailure> {
    let listen = &worker.policy.listen;
    let trust = Trust::of(peer, &listen.trusted_proxies);
    match (listen.proxy_protocol, trust) {
        (ProxyProtocolIn::Off, _) | (ProxyProtocolIn::Optional, Trust::Stranger) => Ok(peer),
        (ProxyProtocolIn::Required, Trust::Stranger) => Err(HandshakeFailure::ProxyHeader),
        (expected, Trust::Proxy) => match read_proxy_header(socket).await {
            Ok(client) => Ok(client.unwrap_or(peer)),
            Err(ProxyHeaderError::Missing) if expected == ProxyProtocolIn::Optional => Ok(peer),
            Err(ProxyHeaderError::Io(_)) => Err(HandshakeFailure::ClosedBeforeHello),
            Err(error) => {
                tracing::debug!(%peer, %error, "PROXY header refused");
                Err(HandshakeFailure::ProxyHeader)
            }
        },
    }
}
