//! Long uploads are gathered by the kernel, which spares a wake-up for each TLS record of a client that is
//! quick.
//!
//! Only where the client has said how much comes, and only up to a part of that, so that what is waited for
//! is never what does not come. Invariant: what a client that stops in between has sent is told of when
//! [`PATIENCE`] is over, as closely as the runtime's timers go.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::net;

/// What is gathered of a client that pauses is waited for no longer.
const PATIENCE: Duration = Duration::from_millis(2);
/// Less spares nothing.
const LEAST: usize = 32 * 1024;
/// So many times what is gathered has to be known to come: some of that may wait as half a record already.
const KNOWN_TO_COME: u64 = 4;
/// Read of a client before it is taken for a quick one, at first: each pause doubles it.
const PROVEN: u64 = 256 * 1024;

/// What is gathered of one client.
#[derive(Default)]
pub(super) struct Gather {
    /// What is gathered now; 0 is nothing.
    mark: usize,
    /// What may be gathered.
    most: usize,
    /// Read since the last pause.
    run: u64,
    /// Pauses so far.
    pauses: u32,
    timer: Option<Alarm>,
    is_waiting: bool,
}

impl Gather {
    /// At least `left` bytes are still to come, of which about `most` may be gathered.
    pub(super) fn expect(&mut self, socket: &TcpStream, left: u64, most: usize) {
        let is_known = most >= LEAST && left >= most as u64 * KNOWN_TO_COME;
        self.most = if is_known { most } else { 0 };
        if self.mark > self.most {
            self.stop(socket);
        }
    }

    /// `n` bytes were read.
    pub(super) fn read(&mut self, socket: &TcpStream, n: usize) {
        self.is_waiting = false;
        if self.most == 0 {
            return;
        }
        self.run += n as u64;
        let proof = PROVEN << self.pauses.min(16);
        if self.mark != self.most && self.run >= proof {
            let is_set = net::tell_from(socket, self.most).is_ok();
            self.mark = if is_set { self.most } else { 0 };
        }
    }

    /// Nothing was there to be read.
    pub(super) fn wait(&mut self, socket: &TcpStream, cx: &mut Context<'_>) {
        if self.mark == 0 {
            return;
        }
        let until = || Instant::now() + PATIENCE;
        let timer = self.timer.get_or_insert_with(|| Alarm::new(until()));
        if !std::mem::replace(&mut self.is_waiting, true) {
            timer.set(until());
        }
        if let Poll::Ready(()) = timer.poll(cx) {
            self.pauses += 1;
            self.stop(socket);
        }
    }

    fn stop(&mut self, socket: &TcpStream) {
        // What there is wakes the connection's task.
        let _ = net::tell_from(socket, 1);
        (self.mark, self.run, self.timer) = (0, 0, None);
        self.is_waiting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::GetSockOpt as _;
    use nix::sys::socket::sockopt::GetUsize;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt as _;

    #[derive(Clone, Copy)]
    struct LowWater;

    nix::getsockopt_impl!(
        LowWater,
        libc::SOL_SOCKET,
        libc::SO_RCVLOWAT,
        usize,
        GetUsize
    );

    const MOST: usize = 64 * 1024;
    const PLENTY: u64 = 10 * 1024 * 1024;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    fn mark(socket: &TcpStream) -> usize {
        LowWater.get(socket).unwrap()
    }

    #[tokio::test]
    async fn a_quick_client_is_gathered_from_and_no_longer_than_enough_is_known_to_come() {
        let (socket, _client) = pair().await;
        let mut gather = Gather::default();
        gather.expect(&socket, PLENTY, MOST);
        gather.read(&socket, PROVEN as usize - 1);
        assert_eq!(mark(&socket), 1);
        gather.read(&socket, 1);
        assert_eq!(mark(&socket), MOST);
        gather.expect(&socket, MOST as u64 * KNOWN_TO_COME, MOST);
        assert_eq!(mark(&socket), MOST);
        gather.expect(&socket, MOST as u64 * KNOWN_TO_COME - 1, MOST);
        assert_eq!(mark(&socket), 1);
        // Nor where there is no memory for it, or nothing is known.
        for (left, most) in [(PLENTY, LEAST - 1), (0, MOST), (0, 0)] {
            gather.expect(&socket, left, most);
            gather.read(&socket, PROVEN as usize);
            assert_eq!(mark(&socket), 1);
        }
    }

    #[tokio::test]
    async fn what_a_client_has_sent_that_pauses_is_told_of_and_it_has_to_prove_itself_anew() {
        let (socket, mut client) = pair().await;
        let mut gather = Gather::default();
        gather.expect(&socket, PLENTY, MOST);
        gather.read(&socket, PROVEN as usize);
        client.write_all(b"not much").await.unwrap();
        poll_fn(|cx| match socket.poll_read_ready(cx) {
            Poll::Ready(ready) => {
                ready.unwrap();
                Poll::Ready(())
            }
            Poll::Pending => {
                gather.wait(&socket, cx);
                Poll::Pending
            }
        })
        .await;
        assert_eq!((mark(&socket), gather.pauses), (1, 1));
        gather.read(&socket, PROVEN as usize);
        assert_eq!(mark(&socket), 1);
        gather.read(&socket, PROVEN as usize);
        assert_eq!(mark(&socket), MOST);
    }
}
