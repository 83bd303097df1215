//! The clients' authority is replaced while they come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Door, GET};
use crate::support::certs::{Ca, Leaf};
use crate::support::clients::Client;
use crate::support::hyper_application::Hyper;
use crate::support::secret_dir::SecretDir;
use crate::support::wait::{PATIENCE, eventually_async};

/// Clients that come, ask once and go, with the certificate that they have at the time.
struct Load {
    clients: [Client; 2],
    /// Which of them is in use: each of two halves changes by itself.
    in_use: [AtomicUsize; 2],
    served: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    async fn run(&self, half: usize, address: std::net::SocketAddr) {
        while !self.is_over.load(Ordering::SeqCst) {
            let client = &self.clients[self.in_use[half].load(Ordering::SeqCst)];
            let mut wire = client.http1(address).await.unwrap();
            wire.write(GET).await.unwrap();
            assert_eq!(wire.response().await.unwrap().text(), "served");
            self.served.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns when some hundred more have come and gone.
    async fn more(&self) {
        let until = self.served.load(Ordering::SeqCst) + 100;
        let is_there = || self.served.load(Ordering::SeqCst) >= until;
        eventually_async("more handshakes", 3 * PATIENCE, is_there).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_replaced_under_load_without_one_failed_handshake() {
    let application = Hyper::saying("served");
    // Of one name, as when an authority renews itself with another key.
    let (old, new) = (Ca::named("clients"), Ca::named("clients"));
    let trust = SecretDir::new(&[("ca.crt", old.pem().as_bytes())]);
    let new_client = new.sign(Leaf::client(&["client"]));
    let (old_pem, new_pem) = (old.pem(), new.pem());
    let door = Door::trusting(
        "required",
        old,
        trust,
        &["--upstream", application.upstream()],
    );
    let load = Arc::new(Load {
        clients: [door.good().resuming(), door.client(&new_client).resuming()],
        in_use: [AtomicUsize::new(0), AtomicUsize::new(0)],
        served: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let address = door.served.address();
    let running: Vec<_> = (0..4)
        .map(|number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.run(number % 2, address).await })
        })
        .collect();
    load.more().await;
    door.trust
        .swap(&[("ca.crt", (old_pem + &new_pem).as_bytes())]);
    door.reloaded(1);
    load.more().await;
    load.in_use[0].store(1, Ordering::SeqCst);
    load.more().await;
    load.in_use[1].store(1, Ordering::SeqCst);
    load.more().await;
    door.trust.swap(&[("ca.crt", new_pem.as_bytes())]);
    door.reloaded(2);
    load.more().await;
    load.is_over.store(true, Ordering::SeqCst);
    for one in running {
        one.await.unwrap();
    }
    let failed = |line: &serde_json::Value| line["message"] == "handshake failed";
    assert!(!door.served.sidecar.log_lines().iter().any(failed));
    let refusal = door.refusal(&door.good()).await;
    assert!(refusal.contains("fatal alert"), "{refusal}");
}
