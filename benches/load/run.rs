//! The order of a run: cases of one setup together, and in each round every proxy in turn, so that
//! what the machine does meanwhile is shared by all.
//!
//! A proxy of others that fails is left out and named; when ours fails, the run has failed.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::application::Ports;
use crate::cases::{self, Bench, Case, Crowd, Work};
use crate::peers::{Peer, Running, Surroundings};
use crate::progress::Progress;
use crate::results::CaseResult;
use crate::sample::Sample;

/// A run.
pub(crate) struct Run<'a> {
    pub(crate) bench: Bench<'a>,
    pub(crate) peers: &'a [Peer],
    pub(crate) application: Ports,
    pub(crate) rounds: u32,
    pub(crate) progress: Progress,
    /// What of ours did not work.
    pub(crate) faults: Vec<String>,
}

/// Proxies that serve, and those that do not or have no part in it, with the reason.
type Started = (Vec<Running>, Vec<(Peer, String)>);

impl Run<'_> {
    /// Measures every case.
    pub(crate) fn all(&mut self, cases: &[Case]) -> Result<Vec<CaseResult>> {
        let together = |a: &Case, b: &Case| a.setup == b.setup && !a.alone() && !b.alone();
        let mut results = Vec::new();
        for group in cases.chunk_by(together) {
            let directory = tempfile::tempdir_in(self.bench.directory)?;
            let (mut running, failed) = self.start(group, directory.path())?;
            for case in group {
                let mut result = CaseResult::new(case);
                for (peer, reason) in &failed {
                    result.leave_out(peer, reason.clone());
                    self.progress.skip(case.rounds(self.rounds));
                }
                self.case(case, &mut running, &mut result);
                results.push(result);
            }
        }
        Ok(results)
    }

    fn start(&mut self, group: &[Case], directory: &Path) -> Result<Started> {
        let credentials = self.bench.credentials;
        credentials.write_authority(&directory.join("authority.pem"))?;
        let around = Surroundings {
            directory,
            credentials,
            application: self.application,
            setup: group[0].setup,
        };
        let mut running = Vec::new();
        let mut failed = Vec::new();
        for peer in self.peers {
            let lacks: Option<Vec<_>> = group.iter().map(|case| case.lacks(peer)).collect();
            if let Some(&[reason, ..]) = lacks.as_deref() {
                failed.push((peer.clone(), reason.to_owned()));
                continue;
            }
            match peer.start(&around) {
                Ok(proxy) => running.push(proxy),
                Err(error) => {
                    self.fault(peer, "start", &error);
                    failed.push((peer.clone(), format!("{error:#}")));
                }
            }
        }
        Ok((running, failed))
    }

    fn case(&mut self, case: &Case, running: &mut [Running], result: &mut CaseResult) {
        let rounds = case.rounds(self.rounds);
        let mut taking_part = Vec::new();
        for (at, proxy) in running.iter_mut().enumerate() {
            let alive = proxy.check().err();
            let reason = alive.map(|error| format!("failed before: {error}"));
            let lacks = || case.lacks(&proxy.peer).map(str::to_owned);
            match reason.or_else(lacks) {
                Some(reason) => {
                    result.leave_out(&proxy.peer, reason);
                    self.progress.skip(rounds);
                }
                None => taking_part.push(at),
            }
        }
        let proxies: Vec<&Running> = taking_part.iter().map(|&at| &running[at]).collect();
        let half = cases::calibrate(&self.bench, case, &proxies);
        if half > 0.0 {
            result.title = format!("{}: {half} requests/s", result.title);
        }
        if matches!(case.work, Work::Memory(Crowd::Peak)) {
            self.peak(case, running, &taking_part, result);
            return;
        }
        for round in 1..=rounds {
            // Not always the same one after the same other.
            if round > 1 {
                taking_part.rotate_left(1);
            }
            taking_part.retain(|&at| {
                let proxy = &mut running[at];
                self.progress.step(case.name, round, &proxy.peer.name);
                let sample = self.bench.measure(case, proxy, half);
                self.record(case, proxy, sample, result)
            });
        }
        self.order(result);
    }

    /// Every crowd comes and leaves before the first is waited for.
    fn peak(
        &mut self,
        case: &Case,
        running: &mut [Running],
        taking_part: &[usize],
        result: &mut CaseResult,
    ) {
        let mut left = Vec::new();
        for &at in taking_part {
            let proxy = &mut running[at];
            self.progress.step(case.name, 1, &proxy.peer.name);
            match self.bench.measure(case, proxy, 0.0) {
                Ok(sample) => left.push((at, sample, Instant::now())),
                Err(error) => {
                    self.record(case, proxy, Err(error), result);
                }
            }
        }
        for (at, sample, since) in left {
            let recovery = cases::recovery(self.bench.extent);
            std::thread::sleep(recovery.saturating_sub(since.elapsed()));
            let proxy = &mut running[at];
            let sample = cases::recovered(sample, proxy);
            self.record(case, proxy, sample, result);
        }
    }

    /// Whether the proxy stays in.
    fn record(
        &mut self,
        case: &Case,
        proxy: &mut Running,
        sample: Result<Sample>,
        result: &mut CaseResult,
    ) -> bool {
        // One that died says why, better than the connection that broke.
        let sample = proxy.check().and(sample);
        match sample {
            Ok(sample) => {
                result.add(&proxy.peer, sample);
                true
            }
            Err(error) if case.is_optional() && !proxy.peer.is_ours() => {
                let reason = format!("does not know it: {}", error.root_cause());
                result.leave_out(&proxy.peer, reason);
                false
            }
            Err(error) => {
                self.fault(&proxy.peer, case.name, &error);
                result.leave_out(&proxy.peer, format!("failed: {}", error.root_cause()));
                // It may use the CPU for ever; ours is to show what else does not work.
                if !proxy.peer.is_ours() {
                    proxy.stop();
                }
                false
            }
        }
    }

    fn fault(&mut self, peer: &Peer, at: &str, error: &anyhow::Error) {
        let words = format!("{at}: {}: {error:#}", peer.name);
        self.progress.say(&words);
        if peer.is_ours() {
            self.faults.push(words);
        }
    }

    /// As proxies are listed everywhere.
    fn order(&self, result: &mut CaseResult) {
        let place = |name: &str| self.peers.iter().position(|peer| peer.name == name);
        result.proxies.sort_by_key(|proxy| place(&proxy.name));
    }
}
