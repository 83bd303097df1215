//! What came of every request, what explains it, and what the process takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::requests::resident_memory;
use crate::support::wait::{PATIENCE, eventually};

/// After the application is back, what was under way is still failing, and the probe that finds it
/// back comes four times a second.
const AFTERMATH: Duration = Duration::from_millis(600);
/// Enough to read; the rest is counted.
const SHOWN: usize = 20;

/// Counts of outcomes by kind of request.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kinds: BTreeMap<&'static str, Kind>,
    outages: Vec<Outage>,
    unexplained: Vec<String>,
    rude: usize,
    rotations: usize,
}

#[derive(Debug, Default)]
struct Kind {
    good: usize,
    explained: usize,
    unexplained: usize,
}

#[derive(Debug)]
struct Outage {
    application: &'static str,
    from: Instant,
    to: Option<Instant>,
}

impl Tally {
    /// What came of a request of this kind to this application that began then.
    pub(crate) fn count(
        &self,
        kind: &'static str,
        application: &'static str,
        begun: Instant,
        outcome: Result<(), String>,
    ) {
        let now = Instant::now();
        let mut inner = self.0.lock().unwrap();
        let is_explained = inner.outages.iter().any(|outage| {
            outage.application == application
                && outage.from <= now
                && outage.to.is_none_or(|to| begun <= to + AFTERMATH)
        });
        let counts = inner.kinds.entry(kind).or_default();
        match outcome {
            Ok(()) => counts.good += 1,
            Err(_) if is_explained => counts.explained += 1,
            Err(error) => {
                counts.unexplained += 1;
                inner.unexplained.push(format!("{kind}: {error}"));
            }
        }
    }

    /// The application goes away.
    pub(crate) fn down(&self, application: &'static str) {
        self.0.lock().unwrap().outages.push(Outage {
            application,
            from: Instant::now(),
            to: None,
        });
    }

    /// It is back.
    pub(crate) fn up(&self, application: &'static str) {
        let mut inner = self.0.lock().unwrap();
        let last = inner.outages.iter_mut().rev();
        let mut open = last.filter(|outage| outage.application == application);
        open.next().unwrap().to = Some(Instant::now());
    }

    /// A rude client has been.
    pub(crate) fn rude(&self) {
        self.0.lock().unwrap().rude += 1;
    }

    /// A certificate has been replaced and was served.
    pub(crate) fn rotated(&self) {
        self.0.lock().unwrap().rotations += 1;
    }

    /// Why the run has failed.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        let mut reasons: Vec<_> = inner.unexplained.iter().take(SHOWN).cloned().collect();
        for (kind, counts) in &inner.kinds {
            let all = counts.good + counts.explained + counts.unexplained;
            if counts.good * 10 < all * 8 {
                reasons.push(format!("{kind}: only {} of {all} were good", counts.good));
            }
        }
        for (what, count) in [
            ("kinds of request", inner.kinds.len() / 5),
            ("rotations", inner.rotations),
            ("outages", inner.outages.len()),
            ("rude clients", inner.rude),
        ] {
            if count == 0 {
                reasons.push(format!("no {what}: nothing was tried"));
            }
        }
        reasons
    }

    /// One line a kind.
    pub(crate) fn print(&self) {
        let inner = self.0.lock().unwrap();
        println!(
            "\n{:<16}{:>10}{:>11}{:>13}",
            "request", "good", "explained", "unexplained"
        );
        for (kind, counts) in &inner.kinds {
            let Kind {
                good,
                explained,
                unexplained,
            } = counts;
            println!("{kind:<16}{good:>10}{explained:>11}{unexplained:>13}");
        }
        let down: Duration = inner
            .outages
            .iter()
            .filter_map(|outage| Some(outage.to? - outage.from))
            .sum();
        println!(
            "explained: the application was away ({} times, {down:.1?}). rude clients: {}. rotations: {}.",
            inner.outages.len(),
            inner.rude,
            inner.rotations
        );
    }
}

/// What a process takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    resident: u64,
    pub(crate) descriptors: usize,
    threads: usize,
}

impl Measure {
    /// Idle connections to the application, at most.
    pub(crate) const SLACK: usize = 4;

    /// Of the process `id`, now.
    pub(crate) fn of(id: u32) -> Self {
        let count = |what| {
            std::fs::read_dir(format!("/proc/{id}/{what}"))
                .unwrap()
                .count()
        };
        Self {
            resident: resident_memory(id),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// Of the process `id`, once all of its workers have begun.
    pub(crate) fn once_still(id: u32) -> Self {
        let (mut last, mut same) = (Self::of(id), 0);
        eventually("as many descriptors as before", PATIENCE, || {
            let now = Self::of(id);
            same = if now.descriptors == last.descriptors {
                same + 1
            } else {
                0
            };
            last = now;
            same > 100
        });
        last
    }

    /// What has grown, for a process that is quiet now and was `loaded` before.
    pub(crate) fn grown_from(self, start: Self, warm: Self, loaded: Self) -> Vec<String> {
        const MIB: u64 = 1024 * 1024;
        let mut reasons = Vec::new();
        if loaded.resident > warm.resident + warm.resident / 4 + 8 * MIB {
            reasons.push(format!(
                "memory: {} then {}",
                warm.resident, loaded.resident
            ));
        }
        if self.descriptors > start.descriptors + Self::SLACK {
            let (before, now) = (start.descriptors, self.descriptors);
            reasons.push(format!("descriptors: {before} then {now}"));
        }
        if self.threads > start.threads {
            reasons.push(format!("threads: {} then {}", start.threads, self.threads));
        }
        reasons
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resident,
            descriptors,
            threads,
        } = self;
        write!(f, "{:>12}{descriptors:>14}{threads:>10}", resident / 1024)
    }
}
