//! The admin port's connections: few, short and strict, so that a probe always gets its answer.
//!
//! One request each, a head within seconds, an end within ten. When all places are taken the
//! oldest connection gives way to the newest: who has waited longest is a slow client, and a probe
//! that has just come is answered at once. Invariant: neither slow nor many clients hold up a probe.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{Admin, routes};
use crate::drain::Drain;
use crate::net::{AcceptBackoff, Listener, linger};

/// Connections at a time: kubelet, Prometheus, a few people, and room.
const PLACES: usize = 64;
/// From accept to the end of the head.
const HEAD_AT_MOST: Duration = Duration::from_secs(3);
/// From accept to the end of the answer.
const LIFE_AT_MOST: Duration = Duration::from_secs(10);
/// Bytes of a head.
const HEAD_BYTES: usize = 16 * 1024;
/// Fields of a head.
const FIELDS: usize = 64;

/// Answers on `socket` for ever.
pub(super) async fn run(admin: &Arc<Admin>, socket: TcpListener) {
    let listener = match Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "admin port lost");
            return std::future::pending().await;
        }
    };
    let connections = Drain::default();
    let places = Places::default();
    let mut backoff = AcceptBackoff::default();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                backoff.reset();
                let (place, gives_way) = places.take();
                let admin = Arc::clone(admin);
                let connection = async move {
                    let _place = place;
                    tokio::select! {
                        // Its sender is dropped when a newer connection needs the place.
                        _ = gives_way => {}
                        // On the heap: most of what a connection holds is its parser.
                        _ = timeout(LIFE_AT_MOST, Box::pin(serve(admin, socket, peer))) => {}
                    }
                };
                connections.spawn(connection, || {
                    tracing::error!("an answer of the admin port ended in a panic");
                });
            }
            Err(error) => {
                if let Some(pause) = backoff.pause(&error) {
                    sleep(pause).await;
                }
            }
        }
    }
}

async fn serve(admin: Arc<Admin>, socket: TcpStream, peer: SocketAddr) {
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        // Pinned, because the connection is taken apart again.
        Box::pin(async move { Ok::<_, Infallible>(routes::answer(&admin, peer, request).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_AT_MOST)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    // An error is the peer's, and it has its answer: hyper writes 400, 408 and 431 itself.
    let _ = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    linger(connection.into_parts().io.into_inner()).await;
}

/// Who holds a place, the oldest first.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    next: u64,
    taken: VecDeque<(u64, oneshot::Sender<Infallible>)>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Place {
    number: u64,
    places: Places,
}

impl Places {
    /// A place, if need be that of the oldest connection, and what ends when it is to be left.
    fn take(&self) -> (Place, oneshot::Receiver<Infallible>) {
        let (leave, gives_way) = oneshot::channel();
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        if held.taken.len() >= PLACES {
            held.taken.pop_front();
        }
        held.taken.push_back((number, leave));
        let places = self.clone();
        (Place { number, places }, gives_way)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.number;
        self.places
            .lock()
            .taken
            .retain(|(taken, _)| *taken != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    // RES-08
    #[test]
    fn the_oldest_connection_gives_way_to_the_newest() {
        let places = Places::default();
        let mut held: Vec<_> = (0..PLACES).map(|_| places.take()).collect();
        assert_eq!(held[0].1.try_recv(), Err(TryRecvError::Empty));
        let mut newest = places.take();
        assert_eq!(held[0].1.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(held[1].1.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(newest.1.try_recv(), Err(TryRecvError::Empty));
        // Who has left makes room for somebody else.
        drop(held.pop());
        let _another = places.take();
        assert_eq!(held[1].1.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(places.lock().taken.len(), PLACES);
    }
}
