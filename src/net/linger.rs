//! Closing so that the last words arrive.
//!
//! A socket closed over unread bytes answers with a reset, and a reset overtakes what was written.
//! So: shut the write side, then read and throw away, within bounds (RFC 9112 section 9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AT_MOST: Duration = Duration::from_secs(1);
const AT_MOST_BYTES: u64 = 1024 * 1024;
/// A client that reads its answer only after its upload gets it when it is done by then.
const UPLOAD_AT_MOST: Duration = Duration::from_secs(5);
const UPLOAD_AT_MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Ends the write side and discards what still arrives, for one second or 1 MiB at most.
pub async fn linger(socket: TcpStream) {
    discard(socket, AT_MOST, AT_MOST_BYTES).await;
}

/// [`linger`] for a client whose upload was answered early: five seconds or 64 MiB at most.
pub async fn linger_upload(socket: TcpStream) {
    discard(socket, UPLOAD_AT_MOST, UPLOAD_AT_MOST_BYTES).await;
}

async fn discard(mut socket: TcpStream, at_most: Duration, at_most_bytes: u64) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let discard = async {
        // On the heap: in the future it would be part of every connection from its first moment.
        let mut bytes = vec![0; 4096];
        let mut total = 0;
        while total < at_most_bytes {
            match socket.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
        }
    };
    // Out of time is the expected end for a peer that neither reads nor closes.
    let _ = tokio::time::timeout(at_most, discard).await;
}
