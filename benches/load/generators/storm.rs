//! New clients without end, some dozens at a time, in a process that goes last on its CPU.
//!
//! They verify nothing, so that they are cheaper than any proxy and its queue is never empty.

use std::cell::Cell;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::steady;
use crate::credentials::careless_client;
use crate::process::{Process, itself};

const CLIENTS: usize = 48;
const LAST: i32 = 19;

/// Whom a storm is about, as this binary's arguments say it to itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Storm {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    milliseconds: u64,
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
    Ok(Raging(Process::speaking(&command, LAST)?))
}

impl Raging {
    /// Waits for its end; handshakes that it came to.
    pub(crate) fn handshakes(mut self) -> Result<f64> {
        let mut said = String::new();
        self.0.output()?.read_to_string(&mut said)?;
        self.0.wait().context("the storm")?;
        Ok(said.trim().parse()?)
    }
}

impl Storm {
    /// Rages, and prints the number of handshakes.
    pub(crate) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let connector = TlsConnector::from(Arc::new(careless_client()));
        let end = Instant::now() + Duration::from_millis(self.milliseconds);
        let count = Cell::new(0_u64);
        let client = async || {
            while Instant::now() < end {
                // One that is turned away comes again: that is what a storm is made of.
                if let Ok(mut stream) = steady::connect(&connector, self.address).await {
                    count.set(count.get() + 1);
                    let _ = stream.shutdown().await;
                }
            }
        };
        runtime.block_on(join_all((0..CLIENTS).map(|_| client())));
        println!("{}", count.get());
        Ok(())
    }
}
