//! In the place of TLS when the proxy is fuzzed: the same names, in clear.
//!
//! What is held to account there is what comes out of TLS; a handshake for each input would make
//! the search a hundred times slower. Built under `cfg(fuzzing)` alone: no product has it.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::terms::Terms;
use super::{Alpn, CertSet, HandshakeFailure, Session};
use crate::live::Live;
use crate::net::Sniffed;

/// A session in clear over an accepted socket.
#[derive(Debug)]
pub struct Stream(TcpStream);

/// Takes connections without a handshake.
#[derive(Debug, Clone)]
pub struct Acceptor(Alpn);

impl Acceptor {
    pub(super) fn new(_: Live<Terms>, _: Live<CertSet>, _: watch::Receiver<u64>) -> Self {
        Self(Alpn::Http1)
    }

    /// An acceptor whose every client has settled on `alpn`.
    pub fn settled_on(alpn: Alpn) -> Self {
        Self(alpn)
    }

    /// There is no certificate, and so never another one.
    pub fn shown(&self, _: Option<&str>, _: IpAddr) -> u64 {
        0
    }

    /// The session as if its handshake were over.
    ///
    /// # Errors
    /// None.
    pub async fn accept(
        &self,
        socket: Sniffed<TcpStream>,
        _: IpAddr,
    ) -> Result<(Box<Stream>, Session), HandshakeFailure> {
        let session = Session {
            version: "1.3",
            cipher: "none",
            server_name: None,
            resumed: false,
            certificate: 0,
            alpn: self.0,
            client: None,
        };
        Ok((Box::new(Stream(socket.into_inner())), session))
    }
}

/// There is nothing in clear by which to ask.
pub fn request_sign_of_life(_: &mut Stream) -> bool {
    false
}

/// The socket below.
pub fn socket(stream: &Stream) -> &TcpStream {
    &stream.0
}

/// There is nothing that holds anything.
pub fn hold_at_most(_: &mut Stream, _: usize) {}

impl Stream {
    /// The socket, and nothing in the place of a TLS session.
    pub fn into_inner(self) -> (Sniffed<TcpStream>, ()) {
        (Sniffed::new(self.0), ())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
