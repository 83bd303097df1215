//! What the kernel says of this process, under the names that every Prometheus client uses.
//!
//! Read from `/proc/self` when somebody asks. Invariant: what cannot be read is 0, never an error:
//! a scrape tells what it can.

use std::fs;

/// Ticks of a second in `/proc/self/stat`: fixed at 100 in what Linux tells programs, whatever the
/// kernel's own clock does.
const TICKS: f64 = 100.0;

/// The process as it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// CPU time used, user and system.
    pub cpu_seconds: f64,
    /// Start, Unix time.
    pub start_time_seconds: f64,
    /// Resident memory.
    pub resident_bytes: i64,
    /// Virtual memory.
    pub virtual_bytes: i64,
    /// Threads.
    pub threads: i64,
    /// Open descriptors.
    pub open_fds: i64,
    /// The limit of open descriptors.
    pub max_fds: i64,
}

impl Process {
    /// Asks the kernel.
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
        // Behind the name in brackets, which may itself hold brackets; field 3 comes first.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let field = |number: usize| -> f64 {
            let text = fields.split_ascii_whitespace().nth(number - 3);
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let boot = value(&read("/proc/stat"), "btime");
        let started = field(22) / TICKS;
        Self {
            cpu_seconds: (field(14) + field(15)) / TICKS,
            start_time_seconds: if boot > 0 { boot as f64 + started } else { 0.0 },
            resident_bytes: value(&status, "VmRSS:") * 1024,
            virtual_bytes: value(&status, "VmSize:") * 1024,
            threads: value(&status, "Threads:"),
            // One of them is the directory that is being read.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as i64 - 1),
            max_fds: value(&read("/proc/self/limits"), "Max open files"),
        }
    }
}

/// The first number behind `name` at the start of a line.
fn value(text: &str, name: &str) -> i64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_ascii_whitespace().next());
    match number {
        Some("unlimited") => i64::MAX,
        number => number.and_then(|text| text.parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_process_is_as_the_kernel_sees_it() {
        let process = Process::now();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(
            process.virtual_bytes >= process.resident_bytes,
            "{process:?}"
        );
        assert!(process.threads >= 1 && process.open_fds >= 3, "{process:?}");
        assert!(process.max_fds >= process.open_fds, "{process:?}");
        assert!(process.cpu_seconds >= 0.0);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(process.start_time_seconds);
        let age = SystemTime::now().duration_since(start).unwrap_or_default();
        assert!(age < Duration::from_secs(24 * 60 * 60), "{age:?}");
    }

    #[test]
    fn a_number_is_found_behind_its_name() {
        let text = "VmSizeOther:\t1 kB\nVmSize:\t  20 kB\nMax open files   unlimited  x\n";
        assert_eq!(value(text, "VmSize:"), 20);
        assert_eq!(value(text, "Max open files"), i64::MAX);
        assert_eq!(value(text, "btime"), 0);
    }
}
