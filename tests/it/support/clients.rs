//! A TLS client that trusts one authority and then speaks whatever a test writes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certs::{Ca, Pair};
use super::h1::Wire;
use super::h2::{H2, Tunnels};
use super::wait::within;

/// How a client connects; reusable, and then it resumes sessions if told to.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    roots: RootCertStore,
    identity: Option<Pair>,
    alpn: Vec<Vec<u8>>,
    versions: &'static [&'static SupportedProtocolVersion],
    name: ServerName<'static>,
    sends_name: Sni,
    sessions: Option<Resumption>,
    configs: Configs,
}

/// One configuration for each list of protocols: rustls resumes a session only under the
/// configuration that it came from.
type Configs = Arc<Mutex<Vec<Arc<ClientConfig>>>>;

/// Whether the ClientHello carries the server's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sni {
    /// It does, when the name is a DNS name.
    Sent,
    /// It does not.
    Left,
}

impl Client {
    /// Trusts `ca`, asks for `localhost`, offers no ALPN, never resumes.
    pub(crate) fn new(ca: &Ca) -> Self {
        Self {
            roots: ca.roots(),
            identity: None,
            alpn: Vec::new(),
            versions: rustls::ALL_VERSIONS,
            name: "localhost".try_into().unwrap(),
            sends_name: Sni::Sent,
            sessions: None,
            configs: Configs::default(),
        }
    }

    /// Offers these protocols, such as `h2`.
    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|&name| name.into()).collect();
        self
    }

    /// Speaks only these versions, such as `&[&rustls::version::TLS12]`.
    pub(crate) fn versions(
        mut self,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> Self {
        self.versions = versions;
        self.changed()
    }

    /// Asks for this name and checks the certificate against it.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.name = ServerName::try_from(name.to_owned()).unwrap();
        self
    }

    /// Whether the ClientHello carries the name.
    pub(crate) fn sni(mut self, sni: Sni) -> Self {
        self.sends_name = sni;
        self.changed()
    }

    /// Shows this certificate when asked for one.
    pub(crate) fn identity(mut self, pair: &Pair) -> Self {
        self.identity = Some(pair.clone());
        self.changed()
    }

    /// Resumes sessions between the connections of this client and its clones.
    pub(crate) fn resuming(mut self) -> Self {
        self.sessions = Some(Resumption::in_memory_sessions(16));
        self.changed()
    }

    /// Connects and completes the handshake.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        self.handshake(stream).await
    }

    /// Completes the handshake on a stream that is already open.
    pub(crate) async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.config());
        let handshake = connector.connect(self.name.clone(), stream);
        within("a TLS handshake", handshake).await
    }

    /// A session without a socket, for a test that moves its bytes itself.
    pub(crate) fn session(&self) -> ClientConnection {
        ClientConnection::new(self.config(), self.name.clone()).unwrap()
    }

    /// Connects for HTTP/1 written by hand; offers `http/1.1` unless told otherwise.
    pub(crate) async fn http1(
        &self,
        address: SocketAddr,
    ) -> io::Result<Wire<TlsStream<TcpStream>>> {
        let stream = self.offering("http/1.1").connect(address).await?;
        Ok(Wire::new(stream))
    }

    /// Connects for HTTP/2; offers `h2` unless told otherwise.
    pub(crate) async fn h2(&self, address: SocketAddr) -> io::Result<H2> {
        let stream = self.offering("h2").connect(address).await?;
        H2::handshake(stream).await.map_err(io::Error::other)
    }

    /// Connects for tunnels over HTTP/2, which hyper's own client makes.
    pub(crate) async fn tunnels(&self, address: SocketAddr) -> Tunnels {
        let stream = self.offering("h2").connect(address).await.unwrap();
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (send, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        send
    }

    fn offering(&self, protocol: &str) -> Self {
        match self.alpn.is_empty() {
            true => self.clone().alpn(&[protocol]),
            false => self.clone(),
        }
    }

    /// Forgets what was built from the settings before.
    fn changed(mut self) -> Self {
        self.configs = Configs::default();
        self
    }

    fn config(&self) -> Arc<ClientConfig> {
        let mut configs = self.configs.lock().unwrap();
        if let Some(config) = configs.iter().find(|c| c.alpn_protocols == self.alpn) {
            return Arc::clone(config);
        }
        let config = Arc::new(self.build());
        configs.push(Arc::clone(&config));
        config
    }

    fn build(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let keys = provider.key_provider;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            Some(pair) => {
                let key = keys.load_private_key(pair.key()).unwrap();
                // Whether it is that of the certificate is for the sidecar to find.
                let identity = CertifiedKey::new(pair.chain(), key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.enable_sni = self.sends_name == Sni::Sent;
        config.resumption = self.sessions.clone().unwrap_or_else(Resumption::disabled);
        config
    }
}
