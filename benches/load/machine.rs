//! What the figures were measured on.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// The machine and the tools, as they are told beside every figure.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    memory_mib: u64,
    h2load: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let (family, model) = (field(&cpuinfo, "cpu family"), field(&cpuinfo, "model\t"));
        let memory = field(
            &fs::read_to_string("/proc/meminfo").unwrap_or_default(),
            "MemTotal",
        );
        let kibibytes = memory.split(' ').next().and_then(|n| n.parse::<u64>().ok());
        Self {
            cpu: format!(
                "{} (family {family}, model {model})",
                field(&cpuinfo, "model name")
            ),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned()),
            memory_mib: kibibytes.unwrap_or(0) / 1024,
            h2load: version_of_h2load(),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self {
            cpu, cpus, kernel, ..
        } = self;
        format!("{cpu}, {cpus} CPUs, Linux {kernel}, h2load {}", self.h2load)
    }

    /// For the results.
    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cpus": self.cpus,
            "kernel": self.kernel,
            "memory_mib": self.memory_mib,
            "h2load": self.h2load,
        })
    }
}

fn version_of_h2load() -> String {
    let output = Command::new("h2load").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let version = text.trim().rsplit('/').next().unwrap_or_default();
    if version.is_empty() {
        "missing".to_owned()
    } else {
        version.to_owned()
    }
}
