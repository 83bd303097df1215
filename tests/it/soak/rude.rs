//! Clients that break off, babble, dawdle and never read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::requests::get;
use crate::support::sidecar::Served;
use crate::tally::Tally;

/// Between two of them; a few of a hundred clients are rude.
const PAUSE: Duration = Duration::from_millis(20);

/// One after the other until `end`; each is gone when the next comes, but for one who dawdles.
pub(crate) async fn clients(served: Arc<Served>, tally: Arc<Tally>, end: Instant) {
    let mut kind = 0;
    while Instant::now() < end {
        // What comes of it is no matter: the others must not notice.
        let _ = rude(&served, kind % 9).await;
        kind += 1;
        tally.rude();
        tokio::time::sleep(PAUSE).await;
    }
}

async fn rude(served: &Served, kind: usize) -> std::io::Result<()> {
    let client = served.client();
    match kind {
        // Connect and go, with a FIN and with a RST.
        0 => drop(TcpStream::connect(served.address()).await?),
        1 => abort(&TcpStream::connect(served.address()).await?),
        // Garbage, clear HTTP, half a ClientHello.
        2 => {
            let mut stream = TcpStream::connect(served.address()).await?;
            let garbage: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
                .take(500)
                .collect();
            stream.write_all(&garbage).await?;
        }
        3 => {
            let mut stream = TcpStream::connect(served.address()).await?;
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await?;
        }
        4 => {
            let mut stream = TcpStream::connect(served.address()).await?;
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await?;
            abort(&stream);
        }
        // Asks for much and goes; half a head; half a body.
        5 => {
            let mut wire = client.http1(served.address()).await?;
            wire.write(get("/large")).await?;
            wire.read_exact(1000).await?;
            abort(wire.stream().get_ref().0);
        }
        6 => {
            let mut wire = client.http1(served.address()).await?;
            wire.write("GET / HTTP/1.1\r\nHost: loc").await?;
        }
        7 => {
            let mut wire = client.http1(served.address()).await?;
            wire.write("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
                .await?;
        }
        // Opens streams, resets some of them, and goes.
        _ => {
            let h2 = client.h2(served.address()).await?;
            for n in 0..10 {
                let ready = h2.send.clone().ready().await;
                let mut ready = ready.map_err(std::io::Error::other)?;
                let request = Request::get("https://localhost/slow").body(()).unwrap();
                let sent = ready.send_request(request, true);
                let (answer, mut stream) = sent.map_err(std::io::Error::other)?;
                if n % 2 == 0 {
                    stream.send_reset(h2::Reason::CANCEL);
                }
                drop(answer);
            }
        }
    }
    Ok(())
}

/// Goes with a RST.
fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
