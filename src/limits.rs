//! What the container allows: CPUs, descriptors and memory.
//!
//! Read once at start from `/proc` and the control group files. Every reader has a fallback:
//! a container without these files still starts.

mod memory;

use std::num::NonZeroUsize;
use std::path::Path;

pub use memory::{AnswerRoom, Http2Room, SMALLEST_PIECE, Shares, Windows, limit as memory};

/// Descriptors kept back for listeners, logs, certificate reads and the runtime itself.
const RESERVED_DESCRIPTORS: usize = 64;

/// Descriptor limit assumed when `/proc` cannot be read: the POSIX shell default.
const FALLBACK_DESCRIPTORS: usize = 1024;

/// CPUs this container may use, rounded up: a quota of 1.5 CPUs gives 2.
pub fn cpus() -> NonZeroUsize {
    let visible = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let quota = std::fs::read_to_string("/sys/fs/cgroup/cpu.max")
        .ok()
        .and_then(|text| quota_v2(&text))
        .or_else(quota_v1);
    // available_parallelism rounds a quota down; affinity it knows exactly.
    let affinity = allowed_cpus().unwrap_or(visible);
    let cpus = quota.map_or(visible, |quota| quota.min(affinity));
    NonZeroUsize::new(cpus).unwrap_or(NonZeroUsize::MIN)
}

/// Connections that fit the descriptor limit: each may need a second descriptor to the application.
pub fn connections() -> NonZeroUsize {
    let descriptors = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| open_files(&text))
        .unwrap_or(FALLBACK_DESCRIPTORS);
    let connections = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2;
    NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN)
}

/// cgroup v2 `cpu.max`: `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota_v2(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    round_up(quota.parse().ok()?, period.parse().ok()?)
}

fn quota_v1() -> Option<usize> {
    let folder = Path::new("/sys/fs/cgroup/cpu");
    let read = |name| std::fs::read_to_string(folder.join(name)).ok();
    round_up(
        read("cpu.cfs_quota_us")?.trim().parse().ok()?,
        read("cpu.cfs_period_us")?.trim().parse().ok()?,
    )
}

fn round_up(quota: u64, period: u64) -> Option<usize> {
    if period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period))
        .ok()
        .filter(|cpus| *cpus > 0)
}

/// `Cpus_allowed:` in `/proc/self/status`, a comma-separated hexadecimal mask.
fn allowed_cpus() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
    let bits: u32 = mask
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(u32::count_ones)
        .sum();
    usize::try_from(bits).ok().filter(|bits| *bits > 0)
}

/// The soft limit of `Max open files` in `/proc/self/limits`.
fn open_files(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_one_and_a_half_cpus_gives_two_workers() {
        assert_eq!(quota_v2("150000 100000\n"), Some(2));
        assert_eq!(quota_v2("50000 100000"), Some(1));
        assert_eq!(quota_v2("max 100000"), None);
        assert_eq!(quota_v2("100 0"), None);
    }

    #[test]
    fn the_soft_descriptor_limit_is_read() {
        let text = "Limit  Soft  Hard  Units\nMax open files            20000                40000                files\n";
        assert_eq!(open_files(text), Some(20000));
        assert_eq!(open_files("nonsense"), None);
    }
}
