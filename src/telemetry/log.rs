//! Diagnostics and the writers: JSON lines, or text on a terminal, on stdout.
//!
//! Writing happens on threads of their own behind bounded queues. A reader that is slow never
//! slows a request: when a queue is full, lines are dropped and counted.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, filter::LevelFilter, fmt};

use crate::config::{AccessLog, Log, LogFormat};

/// Lines that wait for the reader, at most.
const QUEUE_LINES: usize = 16 * 1024;

/// Keeps the writers alive; dropping it writes what is queued.
#[derive(Debug)]
pub struct LogGuard {
    _writer: WorkerGuard,
}

/// Where access records go.
#[derive(Debug, Clone)]
pub struct AccessWriter {
    policy: AccessLog,
    format: Format,
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

/// Sets up diagnostics for the process and returns where access records go.
///
/// A second call in one process (tests do that) leaves the first subscriber in place.
pub fn init(section: &Log) -> (AccessWriter, LogGuard) {
    let format = match section.format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
        LogFormat::Auto if io::stdout().is_terminal() => Format::Text,
        LogFormat::Auto => Format::Json,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(io::stdout());
    let level = LevelFilter::from_level(section.level);
    let layer = match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(writer.clone())
            .with_filter(level)
            .boxed(),
        Format::Text => fmt::layer()
            .with_target(false)
            .with_ansi(io::stdout().is_terminal())
            .with_writer(writer.clone())
            .with_filter(level)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    // Fails only when a subscriber is set already, which then stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    (
        AccessWriter {
            policy: section.access,
            format,
            writer: Some(writer),
        },
        LogGuard { _writer: guard },
    )
}

impl AccessWriter {
    /// A writer that keeps nothing.
    pub fn off() -> Self {
        Self {
            policy: AccessLog::Off,
            format: Format::Json,
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
