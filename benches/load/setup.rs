//! What a case needs of the proxies before its first request.

use crate::credentials::Key;

/// Proxies of equal setup serve several cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) key: Key,
    pub(crate) clients: Clients,
    pub(crate) application: Application,
    /// Connections that a proxy is sized for, where it has to be told.
    pub(crate) connections: u32,
    /// Of a proxy, each with a CPU.
    pub(crate) workers: u8,
}

/// Whom a proxy lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    Anonymous,
    /// With a certificate of the run's authority.
    Certified,
}

/// What the application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Application {
    Http,
    WebSocket,
    Grpc,
}

/// HTTP/1.1 before the application, a P-256 key, anonymous clients, one worker.
pub(crate) const USUAL: Setup = Setup {
    key: Key::P256,
    clients: Clients::Anonymous,
    application: Application::Http,
    connections: 4096,
    workers: 1,
};
