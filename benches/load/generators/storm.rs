//! New clients by the dozen, as when every client of a service comes back at once, in a process
//! that goes last on its CPU: what is measured beside it is the proxy, not the clients' CPU.
//!
//! They come at moments that no proxy has a say in: a quicker one has no more of them. They verify
//! nothing, so that they are cheaper than any proxy and a dozen waits for it, not for itself.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

use super::steady;
use crate::credentials::careless_client;
use crate::process::{Process, Turn, itself};

/// Who comes at once, and after which time the next do.
const CLIENTS: u32 = 50;
const PERIOD: Duration = Duration::from_millis(50);
/// After the end, for those who came last: a proxy that keeps up has no more than a dozen waiting.
const GRACE: Duration = Duration::from_millis(100);

/// Whom a storm is about, as this binary's arguments say it to itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Storm {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    milliseconds: u64,
}

/// New clients a second.
pub(crate) fn rate() -> f64 {
    f64::from(CLIENTS) / PERIOD.as_secs_f64()
}

/// A storm that runs.
pub(crate) struct Raging(Process);

/// Starts a storm of `time`.
pub(crate) fn start(address: SocketAddr, time: Duration) -> Result<Raging> {
    let role = itself("storm")?;
    let mut command = Command::new(role.get_program());
    command
        .args(role.get_args())
        .args(["--address", &address.to_string()])
        .args(["--milliseconds", &time.as_millis().to_string()]);
    Ok(Raging(Process::speaking(&command, Turn::Last)?))
}

impl Raging {
    /// Waits for its end; the part of its clients that were served in time.
    pub(crate) fn served(mut self) -> Result<f64> {
        let mut said = String::new();
        self.0.output()?.read_to_string(&mut said)?;
        self.0.wait().context("the storm")?;
        Ok(said.trim().parse()?)
    }
}

impl Storm {
    /// Rages, and prints the part of its clients that had their handshake in time.
    pub(crate) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let connector = TlsConnector::from(Arc::new(careless_client()));
        let time = Duration::from_millis(self.milliseconds);
        let bursts = u32::try_from(time.as_millis() / PERIOD.as_millis())?;
        let start = Instant::now();
        let end = start + PERIOD * bursts;
        let client = async |number: u32| -> Result<u32> {
            sleep_until(start + PERIOD * (number / CLIENTS)).await;
            let mut stream = steady::connect(&connector, self.address).await?;
            let timely = Instant::now() < end + GRACE;
            let _ = stream.shutdown().await;
            Ok(u32::from(timely))
        };
        let clients = bursts * CLIENTS;
        let served = runtime.block_on(join_all((0..clients).map(client)));
        let served: u32 = served.into_iter().flatten().sum();
        println!("{}", f64::from(served) / f64::from(clients));
        Ok(())
    }
}
