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

/// Keeps the writers alive; dropping it writes what is queued, as far as the reader takes it.
#[derive(Debug)]
pub struct LogGuard {
    writer: Option<WorkerGuard>,
    queue: NonBlocking,
}

impl Drop for LogGuard {
    /// A full queue means that nobody reads. The writer's own end would then print to the very
    /// stdout that is stuck, and the process would never end.
    fn drop(&mut self) {
        let dropped = self.queue.error_counter();
        let before = dropped.dropped_lines();
        let _ = self.queue.write(b"");
        if dropped.dropped_lines() > before {
            std::mem::forget(self.writer.take());
        }
    }
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
    let queue = writer.clone();
    (
        AccessWriter {
            policy: section.access,
            format,
            writer: Some(writer),
        },
        LogGuard {
            writer: Some(guard),
            queue,
        },
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

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

    // RES-07
    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_hold_up_no_end() {
        const LINES: usize = 100;
        const SENT: usize = 1000;
        let stuck = Stuck::default();
        let (queue, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES)
            .lossy(true)
            .finish(stuck.clone());
        let access = AccessWriter {
            policy: AccessLog::All,
            format: Format::Json,
            writer: Some(queue.clone()),
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
        drop(LogGuard {
            writer: Some(guard),
            queue,
        });
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        *stuck.0.0.lock().unwrap() = true;
        stuck.0.1.notify_all();
    }
}
