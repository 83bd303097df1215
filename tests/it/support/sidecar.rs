//! The real binary as a process: its ports, its log, its signals, its exit.
//!
//! Methods that wait block the calling thread and panic with the whole log when patience runs out.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use super::certs::Ca;
use super::clients::Client;
use super::secret_dir::SecretDir;
use super::wait::{PATIENCE, eventually};

/// Turns the admin port on, at a port of the kernel's choice.
pub(crate) const ADMIN: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];

/// Lines of its log that a test which fails shows.
const LAST_WORDS: usize = 20;

/// Given unless the test gives the flag itself: ports of the kernel's choice and a log a test can read.
const BASE: [(&str, &str); 4] = [
    ("--listen", "127.0.0.1:0"),
    // Its look at the application is a connection that tests of connections would count.
    ("--admin-listen", "off"),
    ("--log-format", "json"),
    ("--access-log", "all"),
];

/// A running sidecar; killed when dropped.
#[derive(Debug)]
pub(crate) struct Sidecar {
    process: Process,
    address: SocketAddr,
}

/// A sidecar that may not listen yet.
#[derive(Debug)]
pub(crate) struct Starting(Process);

impl Starting {
    /// Where the admin port is; it must be on.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.0.admin()
    }
}

/// A sidecar with the authority and the Secret mount it serves from.
pub(crate) struct Served {
    /// The process.
    pub(crate) sidecar: Sidecar,
    /// Who signed its certificate, which is for `localhost` and 127.0.0.1.
    pub(crate) ca: Ca,
    /// Where it reads its certificate.
    pub(crate) secret: SecretDir,
}

/// A process that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All it wrote to stdout.
    pub(crate) stdout: String,
    /// All it wrote to stderr.
    pub(crate) stderr: String,
}

/// The child and all it wrote so far.
#[derive(Debug)]
struct Process {
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Output {
    text: Mutex<Text>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    /// One entry a line, `Null` for what is not JSON.
    log: Vec<Value>,
    stdout: String,
    stderr: String,
    stdout_ended: bool,
}

impl Served {
    /// Starts a sidecar before the application at `upstream`, with a fresh certificate.
    pub(crate) fn start(upstream: &str, arguments: &[&str]) -> Self {
        let ca = Ca::new();
        let secret = SecretDir::new(&ca.leaf(&["localhost", "127.0.0.1"]).files());
        let own = ["--cert-dir", secret.as_str(), "--upstream", upstream];
        let sidecar = Sidecar::start(&[&own, arguments].concat());
        Self {
            sidecar,
            ca,
            secret,
        }
    }

    /// Where it accepts TLS.
    pub(crate) fn address(&self) -> SocketAddr {
        self.sidecar.address()
    }

    /// A client that trusts its certificate.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.ca)
    }
}

impl Sidecar {
    /// Starts `tls-sidecar` with `arguments` and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::listening(Process::spawn(&[], arguments))
    }

    /// Starts it through another program, such as `unshare`; `None`, and a line that says so, where
    /// that program cannot do here what it is asked to.
    pub(crate) fn start_under(program: &[&str], arguments: &[&str]) -> Option<Self> {
        let mut trial = Command::new(program[0]);
        // Up to the last word, which is what runs the sidecar.
        let is_possible = trial
            .args(&program[1..program.len() - 1])
            .arg("true")
            .status();
        if !is_possible.is_ok_and(|status| status.success()) {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: {program:?} is not possible here"
            );
            return None;
        }
        Some(Self::listening(Process::spawn(program, arguments)))
    }

    /// Starts it and waits for nothing: it may not listen yet.
    pub(crate) fn start_early(arguments: &[&str]) -> Starting {
        Starting(Process::spawn(&[], arguments))
    }

    fn listening(process: Process) -> Self {
        let line = process.wait_for_log("the line that says it listens", |line| {
            line["message"] == "listening"
        });
        let address = line["address"].as_str().and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line}"));
        Self { process, address }
    }

    /// Runs `tls-sidecar` with `arguments` to its end, which must come by itself.
    pub(crate) fn run_to_end(arguments: &[&str]) -> Ended {
        Process::spawn(&[], arguments).ended()
    }

    /// Runs `tls-sidecar` with `arguments` until its log has `words`, then sends `signal` and waits
    /// for its end.
    pub(crate) fn run_until(arguments: &[&str], words: &str, signal: Signal) -> Ended {
        let process = Process::spawn(&[], arguments);
        process.wait_for_log(words, |line| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains(words))
        });
        // The line comes before the handler does: until then the default ends it by the signal.
        eventually("the signal handled", PATIENCE, || process.handles(signal));
        kill_process(Pid::from_child(&process.child), signal).unwrap();
        process.ended()
    }

    /// Where it accepts TLS: the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port is; it must be on.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.process.admin()
    }

    /// The process ID.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// How many sockets it has open.
    pub(crate) fn open_sockets(&self) -> usize {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// The log so far, one entry a line.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        self.process.output.text.lock().unwrap().log.clone()
    }

    /// Blocks until a log line, past or to come, fits; `what` names it when none does.
    pub(crate) fn wait_for_log(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.process.wait_for_log(what, fits)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// Blocks until the kernel refuses connections on its port: the drain delay is over.
    pub(crate) fn wait_until_closed(&self) {
        eventually("the listener closed", PATIENCE, || {
            std::net::TcpStream::connect(self.address).is_err()
        });
    }

    /// Blocks until it has ended by itself.
    pub(crate) fn wait_exit(self) -> Ended {
        self.process.ended()
    }
}

impl Process {
    /// Starts it, by itself or as the last argument of `under`.
    fn spawn(under: &[&str], arguments: &[&str]) -> Self {
        let sidecar = env!("CARGO_BIN_EXE_tls-sidecar");
        let mut command = match under {
            [] => Command::new(sidecar),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(sidecar);
                command
            }
        };
        for (flag, value) in BASE {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TLS_SIDECAR_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Output::default());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        let readers = vec![
            std::thread::spawn({
                let output = Arc::clone(&output);
                move || output.follow_stdout(stdout)
            }),
            std::thread::spawn({
                let output = Arc::clone(&output);
                move || output.follow_stderr(stderr)
            }),
        ];
        Self {
            child,
            output,
            readers,
        }
    }

    /// Whether it has a handler of its own for `signal`.
    fn handles(&self, signal: Signal) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught >> (signal.as_raw() - 1) & 1 == 1
    }

    fn wait_for_log(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut text = self.output.text.lock().unwrap();
        let mut looked_at = 0;
        loop {
            if let Some(line) = text.log[looked_at..].iter().find(|line| fits(line)) {
                return line.clone();
            }
            looked_at = text.log.len();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || text.stdout_ended {
                let (log, stderr) = (text.stdout.clone(), text.stderr.clone());
                // A panic with the lock held would turn the reader's next line into a second one.
                drop(text);
                panic!("not in the log: {what}\nstdout:\n{log}\nstderr:\n{stderr}");
            }
            text = self.output.grown.wait_timeout(text, left).unwrap().0;
        }
    }

    fn admin(&self) -> SocketAddr {
        let line = self.wait_for_log("the line with the admin port", |line| {
            line["message"] == "admin port listening"
        });
        line["address"].as_str().unwrap().parse().unwrap()
    }

    fn ended(mut self) -> Ended {
        let mut status = None;
        let end = Instant::now() + PATIENCE;
        eventually("exit", PATIENCE + PATIENCE, || {
            status = self.child.try_wait().unwrap();
            if status.is_none() && Instant::now() > end {
                let text = self.output.text.lock().unwrap();
                let log = text.stdout.clone() + &text.stderr;
                drop(text);
                panic!("the sidecar has not ended by itself:\n{log}");
            }
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let text = self.output.text.lock().unwrap();
        Ended {
            status: status.unwrap(),
            stdout: text.stdout.clone(),
            stderr: text.stderr.clone(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(text) = self.output.text.lock()
        {
            let last = text.log.iter().rev().take(LAST_WORDS).rev();
            last.for_each(|line| eprintln!("sidecar {}: {line}", self.child.id()));
        }
    }
}

impl Output {
    fn follow_stdout(&self, stdout: impl BufRead) {
        for line in stdout.lines() {
            let Ok(line) = line else { break };
            let mut text = self.text.lock().unwrap();
            text.log
                .push(serde_json::from_str(&line).unwrap_or_default());
            text.stdout.push_str(&line);
            text.stdout.push('\n');
            self.grown.notify_all();
        }
        self.text.lock().unwrap().stdout_ended = true;
        self.grown.notify_all();
    }

    fn follow_stderr(&self, stderr: impl Read) {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            let mut text = self.text.lock().unwrap();
            text.stderr.push_str(&line);
            text.stderr.push('\n');
        }
    }
}
