//! A program beside this one: on a CPU of its own or several, in a process group of its own, and gone when dropped.
//!
//! This binary starts itself first, which takes the CPU and the signal of a parent's death for
//! itself and then becomes the program, without unsafe code. Only the main thread may start one,
//! because the death signal is about the thread that did.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;

/// Where proxies run.
pub(crate) const PROXY_CPU: usize = 0;
/// Where everything else runs.
pub(crate) const LOAD_CPU: usize = 1;

/// How often a program is asked to end.
const ASKED: usize = 40;
/// Between two times that it is asked.
const PATIENCE: Duration = Duration::from_millis(25);

/// When a program that makes load has its turn on its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As everybody.
    Fair,
    /// While nobody else has anything to do (sched(7), SCHED_IDLE): a low priority alone would still
    /// be given its slice before whoever wakes.
    Last,
}

/// A running program; it and all it started are ended on drop.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// How a program is run, as this binary's arguments say it to itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Launch {
    #[arg(long = "cpu", required = true)]
    cpus: Vec<usize>,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

impl Launch {
    /// Becomes the program.
    pub(crate) fn run(self) -> Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        pin(&self.cpus)?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            bail!("no program");
        };
        let error = Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("cannot run {}", program.display()))
    }
}

impl Process {
    /// Starts `command` on `cpus`, its words in `log`.
    pub(crate) fn start(command: &Command, cpus: &[usize], log: PathBuf) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut launched = launched(command, cpus, Turn::Fair)?;
        let child = launched
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Starts a program that makes load, whose words can be read as they come.
    pub(crate) fn speaking(command: &Command, turn: Turn) -> Result<Self> {
        let mut launched = launched(command, &[LOAD_CPU], turn)?;
        let child = launched
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            log: PathBuf::new(),
        })
    }

    /// What it says, when it was started as [`Process::speaking`].
    pub(crate) fn output(&mut self) -> Result<std::process::ChildStdout> {
        self.child.stdout.take().context("its output is taken")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("ended with {status}");
        }
        Ok(())
    }

    /// The process group of it and all it starts.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with its last words.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("ended with {status}: {}", self.last_words()),
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    /// Ends it and all it started: asked until it does, so that it can write what it counted, and
    /// killed when that takes too long.
    pub(crate) fn stop(&mut self) {
        let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        // Of a group whose last process has ended there is nothing to signal.
        let signal = |signal| {
            let _ = rustix::process::kill_process_group(group, signal);
        };
        // Asked once more, whoever waits for the last connection ends at once.
        for _ in 0..ASKED {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            signal(Signal::TERM);
            std::thread::sleep(PATIENCE);
        }
        signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Keeps this thread and all that it starts on these CPUs.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("CPUs {cpus:?} are not to be had; the suite needs two"))
}

/// Raises the limit of open files to what is allowed, for this process and all it starts.
pub(crate) fn raise_descriptors() -> Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The first file called `name` in `directories`, then on the path.
pub(crate) fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian has servers, which is not on every user's path.
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = directories
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .chain(system);
    places
        .find_map(|place| Some(place.join(name)).filter(|file| file.is_file()))
        .map(|file| std::path::absolute(&file).unwrap_or(file))
}

fn launched(command: &Command, cpus: &[usize], turn: Turn) -> Result<Command> {
    let mut launched = itself("launch")?;
    for cpu in cpus {
        launched.args(["--cpu", &cpu.to_string()]);
    }
    launched.arg("--");
    if turn == Turn::Last {
        launched.args(["chrt", "--idle", "0"]);
    }
    launched
        .arg(command.get_program())
        .args(command.get_args())
        .process_group(0);
    if let Some(directory) = command.get_current_dir() {
        launched.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        launched.env(name, value.unwrap_or_default());
    }
    Ok(launched)
}

/// This program in another role.
pub(crate) fn itself(role: &str) -> Result<Command> {
    let program: &Path = &std::env::current_exe()?;
    let mut command = Command::new(program);
    command.arg(role);
    Ok(command)
}
