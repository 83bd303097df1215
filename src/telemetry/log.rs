//! Diagnostics and the writers: JSON lines, or text on a terminal, on stdout.
//!
//! Writing happens on two threads behind bounded queues, one for diagnostics and one for access
//! records, so that a flood of the one does not push out the other. A reader that is slow never
//! slows a request: when a queue is full, or writing fails, lines are dropped and counted. Without
//! access records there is no second thread.

mod output;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, filter::LevelFilter, fmt as lines, reload};

use crate::config::value::word::WordError;
use crate::config::{AccessLog, Log, LogFormat, LogQuery};
use output::{Output, Sink};

/// Diagnostics that wait for the reader, at most. A place in a queue costs 32 bytes from the start
/// on, used or not.
const DIAGNOSTICS: usize = 2 * 1024;
/// Records of failures that wait, at most: of an outage, for as long as a reader may pause.
const FAILURES: usize = 4 * 1024;
/// Records of all requests that wait, at most.
const RECORDS: usize = 16 * 1024;

/// Everything that [`init`] sets up.
#[derive(Debug)]
pub struct Logs {
    /// Where access records go.
    pub access: AccessWriter,
    /// What can be asked and changed later.
    pub control: LogControl,
    /// Keeps the writers alive.
    pub guard: LogGuard,
}

/// Keeps the writers alive; dropping it writes what is queued, as far as the reader takes it.
#[derive(Debug)]
pub struct LogGuard(#[expect(dead_code, reason = "held for its Drop")] (Writer, Option<Writer>));

/// One thread that writes, and the way to it.
#[derive(Debug)]
struct Writer {
    thread: Option<WorkerGuard>,
    queue: NonBlocking,
}

impl Drop for Writer {
    /// A full queue means that nobody reads. The writer's own end would then print to the very
    /// stdout that is stuck, and the process would never end.
    fn drop(&mut self) {
        let dropped = self.queue.error_counter();
        let before = dropped.dropped_lines();
        let _ = self.queue.write(b"");
        if dropped.dropped_lines() > before {
            std::mem::forget(self.thread.take());
        }
    }
}

/// What can be asked of the log and changed while the process runs.
#[derive(Debug, Clone)]
pub struct LogControl {
    level: reload::Handle<LevelFilter, Registry>,
    lost: Lost,
}

/// Why the level stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LevelError {
    /// No such level.
    Unknown(WordError),
    /// The log of this process was set up by somebody else.
    NotOurs,
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => error.fmt(f),
            Self::NotOurs => f.write_str("the log was set up elsewhere; change its level there"),
        }
    }
}

impl std::error::Error for LevelError {}

/// Lines that nobody got.
#[derive(Debug, Clone)]
pub struct Lost {
    diagnostics: Option<ErrorCounter>,
    access: Option<ErrorCounter>,
    unwritten_diagnostics: Arc<AtomicU64>,
    unwritten_access: Arc<AtomicU64>,
}

/// Where access records go.
#[derive(Debug, Clone)]
pub struct AccessWriter {
    policy: AccessLog,
    format: Format,
    query: LogQuery,
    writer: Option<NonBlocking>,
}

/// The format after `auto` was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}

/// Sets up diagnostics for the process and the writer of access records.
///
/// A second call in one process (tests do that) leaves the first subscriber in place.
pub fn init(section: &Log) -> Logs {
    let format = match section.format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
        LogFormat::Auto if io::stdout().is_terminal() => Format::Text,
        LogFormat::Auto => Format::Json,
    };
    let mut lost = Lost::none();
    let stdout = Sink::new(stdout());
    let diagnostics = writer("log", DIAGNOSTICS, &stdout, &lost.unwritten_diagnostics);
    let room = match section.access {
        AccessLog::Off => None,
        AccessLog::Errors => Some(FAILURES),
        AccessLog::All => Some(RECORDS),
    };
    let records = room.map(|lines| writer("access-log", lines, &stdout, &lost.unwritten_access));
    lost.diagnostics = Some(diagnostics.queue.error_counter());
    lost.access = records
        .as_ref()
        .map(|records| records.queue.error_counter());
    let (layer, level) = layer(format, section.level, diagnostics.queue.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    // Fails only when a subscriber is set already, which then stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Logs {
        access: AccessWriter {
            policy: section.access,
            format,
            query: section.query,
            writer: records.as_ref().map(|records| records.queue.clone()),
        },
        control: LogControl { level, lost },
        guard: LogGuard((diagnostics, records)),
    }
}

type Stdout = Box<dyn io::Write + Send>;

/// A descriptor of our own: the one of the standard library keeps a line that could not be written
/// and tries it before the next.
fn stdout() -> Stdout {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stdout()),
    }
}

fn writer(name: &str, lines: usize, stdout: &Sink<Stdout>, unwritten: &Arc<AtomicU64>) -> Writer {
    let (queue, thread) = NonBlockingBuilder::default()
        .buffered_lines_limit(lines)
        .lossy(true)
        .thread_name(name)
        .finish(Output::new(stdout.clone(), Arc::clone(unwritten)));
    Writer {
        thread: Some(thread),
        queue,
    }
}

type BoxedLayer = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// The layer that writes diagnostics, and the handle that changes its level.
fn layer(
    format: Format,
    level: Level,
    queue: NonBlocking,
) -> (BoxedLayer, reload::Handle<LevelFilter, Registry>) {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
    let layer = match format {
        Format::Json => lines::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(queue)
            .with_filter(filter)
            .boxed(),
        Format::Text => lines::layer()
            .with_target(false)
            .with_ansi(io::stdout().is_terminal())
            .with_writer(queue)
            .with_filter(filter)
            .boxed(),
    };
    (layer, handle)
}

impl LogControl {
    /// Writes diagnostics from the level called `name` on.
    ///
    /// # Errors
    /// When there is no such level, or the log is not ours.
    pub fn set_level(&self, name: &str) -> Result<Level, LevelError> {
        let level = crate::config::log_level(name.trim()).map_err(LevelError::Unknown)?;
        self.level
            .reload(LevelFilter::from_level(level))
            .map_err(|_| LevelError::NotOurs)?;
        Ok(level)
    }

    /// The lowest level that is written now; `None` when the log is not ours.
    pub fn level(&self) -> Option<Level> {
        self.level.clone_current()?.into_level()
    }

    /// Lines that nobody got.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }
}

impl Lost {
    /// None.
    pub(super) fn none() -> Self {
        Self {
            diagnostics: None,
            access: None,
            unwritten_diagnostics: Arc::default(),
            unwritten_access: Arc::default(),
        }
    }

    /// How many, by stream and reason.
    pub fn counts(&self) -> [([&'static str; 2], u64); 4] {
        let full = |counter: &Option<ErrorCounter>| {
            let lines = counter.as_ref().map_or(0, ErrorCounter::dropped_lines);
            u64::try_from(lines).unwrap_or(u64::MAX)
        };
        let failed = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            (["diagnostics", "queue_full"], full(&self.diagnostics)),
            (
                ["diagnostics", "write_failed"],
                failed(&self.unwritten_diagnostics),
            ),
            (["access", "queue_full"], full(&self.access)),
            (["access", "write_failed"], failed(&self.unwritten_access)),
        ]
    }
}

impl AccessWriter {
    /// A writer that keeps nothing.
    pub fn off() -> Self {
        Self {
            policy: AccessLog::Off,
            format: Format::Json,
            query: LogQuery::Left,
            writer: None,
        }
    }

    /// Which requests leave a record.
    pub fn policy(&self) -> AccessLog {
        self.policy
    }

    /// How a record is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether a record holds the query.
    pub fn query(&self) -> LogQuery {
        self.query
    }

    /// Queues one line, or counts it as dropped.
    pub fn write(&self, line: &[u8]) {
        if let Some(writer) = &self.writer {
            // Lossy: a full queue is counted, never an error and never a wait.
            let _ = writer.clone().write(line);
        }
    }

    /// Counts lines that no reader took in time.
    pub fn dropped(&self) -> Option<ErrorCounter> {
        self.writer.as_ref().map(NonBlocking::error_counter)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A reader that takes nothing until it is told to.
    #[derive(Clone, Default)]
    struct Stuck(Arc<(Mutex<bool>, Condvar)>);

    impl io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (open, opened) = &*self.0;
            let _open = opened
                .wait_while(open.lock().unwrap(), |open| !*open)
                .unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that keeps what it gets.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    // RES-07
    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_hold_up_no_end() {
        const LINES: usize = 100;
        const SENT: usize = 1000;
        let stuck = Stuck::default();
        let (queue, thread) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES)
            .lossy(true)
            .finish(stuck.clone());
        let access = AccessWriter {
            policy: AccessLog::All,
            writer: Some(queue.clone()),
            ..AccessWriter::off()
        };
        for _ in 0..SENT {
            access.write(b"{}\n");
        }
        let dropped = access.dropped().unwrap().dropped_lines();
        // One more may be with the reader.
        assert!(
            (SENT - LINES - 1..=SENT - LINES).contains(&dropped),
            "{dropped}"
        );
        let begun = std::time::Instant::now();
        drop(Writer {
            thread: Some(thread),
            queue,
        });
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        *stuck.0.0.lock().unwrap() = true;
        stuck.0.1.notify_all();
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let kept = Kept::default();
        let (queue, thread) = NonBlockingBuilder::default().finish(kept.clone());
        let (layer, level) = layer(Format::Json, Level::INFO, queue);
        let control = LogControl {
            level,
            lost: Lost::none(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let say = |number: u32| {
                tracing::debug!(number, "said");
                tracing::error!(number, "said");
            };
            say(1);
            assert_eq!(control.set_level("debug"), Ok(Level::DEBUG));
            say(2);
            assert_eq!(control.level(), Some(Level::DEBUG));
            assert_eq!(control.set_level(" ERROR\n"), Ok(Level::ERROR));
            say(3);
            let error = control.set_level("loud").unwrap_err();
            assert_eq!(
                error.to_string(),
                "not a choice; write error, warn, info, debug or trace"
            );
            assert_eq!(control.level(), Some(Level::ERROR));
        });
        assert_eq!(control.set_level("info"), Err(LevelError::NotOurs));
        drop(thread);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let said: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let said: Vec<_> = said
            .iter()
            .map(|line| {
                (
                    line["level"].as_str().unwrap(),
                    line["number"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [("ERROR", 1), ("DEBUG", 2), ("ERROR", 2), ("ERROR", 3)]
        );
    }
}
