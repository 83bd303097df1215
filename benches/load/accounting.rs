//! What a proxy used: CPU time by the scheduler's own accounting, and memory.
//!
//! `/proc/PID/task/*/schedstat` counts nanoseconds on a CPU for every thread, so a proxy that
//! wakes a thousand times for a microsecond is charged for it, as it is not by clock ticks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// CPU time of every thread in the process group so far, in nanoseconds.
pub(crate) fn cpu(group: u32) -> Result<u64> {
    let mut total = 0;
    for thread in threads(group)? {
        total += on_cpu(&thread)?.unwrap_or_default();
    }
    Ok(total)
}

/// CPU time of each worker of this proxy so far, in nanoseconds, by its thread's name.
pub(crate) fn workers(group: u32) -> Result<BTreeMap<String, u64>> {
    let mut workers = BTreeMap::new();
    for thread in threads(group)? {
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        if name.starts_with("worker-")
            && let Some(on_cpu) = on_cpu(&thread)?
        {
            workers.insert(name, on_cpu);
        }
    }
    Ok(workers)
}

/// A thread or process may end between listing and reading: then there is nothing of it.
fn threads(group: u32) -> Result<Vec<PathBuf>> {
    let mut threads = Vec::new();
    for id in members(group)? {
        if let Ok(listed) = fs::read_dir(format!("/proc/{id}/task")) {
            threads.extend(listed.flatten().map(|thread| thread.path()));
        }
    }
    Ok(threads)
}

fn on_cpu(thread: &Path) -> Result<Option<u64>> {
    let path = thread.join("schedstat");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let on_cpu = text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    let on_cpu = on_cpu.with_context(|| format!("no number in {}", path.display()))?;
    Ok(Some(on_cpu))
}

/// Memory of the process group in bytes, what processes share counted once (`Pss`).
pub(crate) fn memory(group: u32) -> Result<f64> {
    let mut total = 0.0;
    for id in members(group)? {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        total += kibibytes.context("no Pss in smaps_rollup")? * 1024.0;
    }
    Ok(total)
}

fn members(group: u32) -> Result<Vec<u32>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name, in brackets, may hold anything; after it come state, parent and group.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        if fields.split_whitespace().nth(2) == Some(group.to_string().as_str()) {
            members.push(id);
        }
    }
    Ok(members)
}
