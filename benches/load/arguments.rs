//! The command line of the suite.

use std::path::PathBuf;

use crate::application::Ports;
use crate::generators::storm::Storm;
use crate::process::Launch;

/// Measures this proxy beside others: CPU time per unit of work, throughput, latency, memory.
#[derive(Debug, clap::Parser)]
#[command(name = "load")]
pub(crate) struct Arguments {
    /// See that everything works, in about a minute; figures mean nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only cases whose name begins so; repeatable.
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// Only this proxy beside ours; repeatable.
    #[arg(long = "peer", value_name = "NAME")]
    pub(crate) peers: Vec<String>,
    /// No proxy beside ours.
    #[arg(long, conflicts_with = "peers")]
    pub(crate) alone: bool,
    /// Rounds, in each of which every proxy has its turn [default: 5, quick 1].
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<u32>,
    /// Length of one measurement in seconds [default: 1, quick 0.25].
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<f64>,
    /// A build of this proxy, instead of the one made with the suite; repeatable, to compare two.
    #[arg(long = "binary", value_name = "[NAME=]PATH")]
    pub(crate) binaries: Vec<String>,
    /// Where other proxies are looked for before the path; repeatable.
    #[arg(long, value_name = "DIR", default_value = "target/peers/bin")]
    pub(crate) programs: Vec<PathBuf>,
    /// Where results go [default: benches/results; target/load for a part of the cases or proxies].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the cases and do nothing.
    #[arg(long)]
    pub(crate) list: bool,
    // Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What this binary is to itself.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Role {
    #[command(hide = true)]
    Launch(Launch),
    #[command(hide = true)]
    Application(Ports),
    #[command(hide = true)]
    Storm(Storm),
}

impl Arguments {
    /// Where results go: only of a whole run where they are published from.
    pub(crate) fn results(&self) -> PathBuf {
        let whole = !self.quick && !self.alone && self.cases.is_empty() && self.peers.is_empty();
        let usual = if whole {
            "benches/results"
        } else {
            "target/load"
        };
        self.out.clone().unwrap_or_else(|| usual.into())
    }
}
