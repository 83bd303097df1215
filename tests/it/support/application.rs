//! A plain-HTTP application whose every byte a test decides, on TCP or a Unix socket.
//!
//! Each connection is given to a script; what it reads is kept, so that a test can say exactly what
//! the application got. It runs on a thread of its own and goes on while a test blocks.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::background::Background;
use super::h1::{Transcript, Wire};
use super::wait::{PATIENCE, eventually};

/// The application: a listener and what its connections brought.
#[derive(Debug)]
pub(crate) struct Raw {
    upstream: String,
    address: Option<SocketAddr>,
    transcripts: Transcripts,
    _background: Background,
}

type Transcripts = Arc<Mutex<Vec<Transcript>>>;

/// One connection, in the hands of its script.
#[derive(Debug)]
pub(crate) struct Conn {
    /// 0 for the first connection.
    pub(crate) number: usize,
    wire: Wire<Stream>,
}

/// Where an application listens.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket.
    Unix(UnixListener),
}

/// A connection of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

impl Raw {
    /// Listens on a free port of 127.0.0.1 and runs `script` for each connection.
    pub(crate) fn tcp<F, Fut>(script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap());
        Self::serve_tcp(listener, script)
    }

    /// Listens on `address`, for an application that comes back where it was.
    pub(crate) fn tcp_at<F, Fut>(address: SocketAddr, script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::serve_tcp(bind_tcp(address), script)
    }

    /// Listens on a Unix socket at `path` and runs `script` for each connection.
    pub(crate) fn unix<F, Fut>(path: &Path, script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = format!("unix:{}", path.display());
        Self::serve(
            upstream,
            None,
            || Listener::Unix(UnixListener::from_std(listener).unwrap()),
            script,
        )
    }

    /// Answers every request with `answer` (a whole response) and keeps the connection.
    pub(crate) fn answering(answer: &'static str) -> Self {
        Self::tcp(move |mut conn| async move {
            // An error is the peer's end of the connection; what came before it is in the transcript.
            let _ = conn.answer_all(answer).await;
        })
    }

    /// The value for `--upstream`.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("a TCP listener")
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.transcripts.lock().unwrap().len()
    }

    /// What the script of connection `number` has read, byte for byte.
    pub(crate) fn received(&self, number: usize) -> String {
        let transcripts = self.transcripts.lock().unwrap();
        let bytes = transcripts[number].lock().unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What the scripts of all connections have read, one entry a connection.
    pub(crate) fn all_received(&self) -> Vec<String> {
        (0..self.connections())
            .map(|number| self.received(number))
            .collect()
    }

    fn serve_tcp<F, Fut>(listener: std::net::TcpListener, script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        Self::serve(
            format!("http://{address}"),
            Some(address),
            || Listener::Tcp(TcpListener::from_std(listener).unwrap()),
            script,
        )
    }

    /// `listener` is made on the thread whose runtime drives it.
    fn serve<F, Fut>(
        upstream: String,
        address: Option<SocketAddr>,
        listener: impl FnOnce() -> Listener + Send + 'static,
        script: F,
    ) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let transcripts = Transcripts::default();
        let recorded = Arc::clone(&transcripts);
        let background = Background::start("application", async move {
            let listener = listener();
            while let Ok(stream) = listener.accept().await {
                let transcript = Transcript::default();
                let number = {
                    let mut recorded = recorded.lock().unwrap();
                    recorded.push(Arc::clone(&transcript));
                    recorded.len() - 1
                };
                let wire = Wire::recorded(stream, transcript);
                tokio::spawn(script(Conn { number, wire }));
            }
        });
        Self {
            upstream,
            address,
            transcripts,
            _background: background,
        }
    }
}

impl Conn {
    /// A request head with its empty line; `None` when the peer closed before its first byte.
    pub(crate) async fn read_head(&mut self) -> io::Result<Option<String>> {
        self.wire.read_head().await
    }

    /// The body that belongs to `head`, without its chunked coding.
    pub(crate) async fn read_body(&mut self, head: &str) -> io::Result<Vec<u8>> {
        self.wire.read_request_body(head).await
    }

    /// Everything up to and with `end`.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        self.wire.read_until(end).await
    }

    /// Exactly `length` bytes.
    pub(crate) async fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wire.read_exact(length).await
    }

    /// Everything until the peer ends its half.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        self.wire.read_to_end().await
    }

    /// Writes these bytes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes).await
    }

    /// Ends the writing half (FIN) and goes on reading.
    pub(crate) async fn half_close(&mut self) -> io::Result<()> {
        self.wire.shutdown().await
    }

    /// Reads requests with their bodies and writes `answer` to each until the peer closes.
    pub(crate) async fn answer_all(&mut self, answer: &str) -> io::Result<()> {
        while let Some(head) = self.read_head().await? {
            self.read_body(&head).await?;
            self.write(answer).await?;
        }
        Ok(())
    }

    /// Ends the connection with a FIN; with unread data in the socket the kernel makes it a RST.
    pub(crate) fn close(self) {
        drop(self);
    }

    /// Ends a TCP connection with a RST.
    pub(crate) fn reset(self) {
        if let Stream::Tcp(stream) = self.wire.stream() {
            let socket = SockRef::from(stream);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

impl Listener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => listener.accept().await.map(|(s, _)| Stream::Unix(s)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Binds at once, so that the address is known and connections queue before the thread runs.
///
/// A listener closed a moment ago may still be open in a child that another test has forked and
/// that has not come to its `exec`: that is waited for.
pub(crate) fn bind_tcp(address: SocketAddr) -> std::net::TcpListener {
    let mut bound = None;
    eventually(
        "an address nobody listens on",
        PATIENCE,
        || match std::net::TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => false,
            listener => {
                bound = Some(listener.unwrap());
                true
            }
        },
    );
    let listener = bound.expect("waited for");
    listener.set_nonblocking(true).unwrap();
    listener
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_keeps_what_it_got_and_resets_when_told() {
    let application = Raw::tcp(|mut conn| async move {
        let head = conn.read_head().await.unwrap().unwrap();
        conn.read_body(&head).await.unwrap();
        conn.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        conn.read_head().await.unwrap();
        conn.reset();
    });
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let stream = TcpStream::connect(application.address()).await.unwrap();
    let mut client = Wire::new(stream);
    client.write(request).await.unwrap();
    assert_eq!(client.response().await.unwrap().text(), "ok");
    assert_eq!(application.all_received(), [request]);

    client.write("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = client.response().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(application.connections(), 1);
}
