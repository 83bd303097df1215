//! Closing so that the last words arrive.
//!
//! A socket closed over unread bytes answers with a reset, and a reset overtakes what was written.
//! So: shut the write side, then read and throw away, within bounds (RFC 9112 section 9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const AT_MOST: Duration = Duration::from_secs(1);
const AT_MOST_BYTES: u64 = 1024 * 1024;

/// Ends the write side and discards what still arrives, for one second or 1 MiB at most.
pub async fn linger(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let discard = async {
        let mut bytes = [0; 4096];
        let mut total = 0;
        while total < AT_MOST_BYTES {
            match socket.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(n) => total += n as u64,
            }
        }
    };
    // Out of time is the expected end for a peer that neither reads nor closes.
    let _ = tokio::time::timeout(AT_MOST, discard).await;
}
