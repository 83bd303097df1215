//! Where lines leave the process: standard output, many at a time, each whole.
//!
//! Runs on a writer's own thread. A disk that is full or a pipe that nobody holds is no reason to
//! stop: what cannot be written is counted as lost and the next lines are tried again. Invariant:
//! after a line that broke off, the next one begins on a line of its own.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes written with one call, at most about.
const BATCH: usize = 64 * 1024;

/// One stream of lines on their way to what it shares with others.
#[derive(Debug)]
pub(super) struct Output<W> {
    sink: Sink<W>,
    batch: Vec<u8>,
    unwritten: Arc<AtomicU64>,
}

/// Where several streams end up, a batch of whole lines of one of them at a time.
#[derive(Debug)]
pub(super) struct Sink<W>(Arc<Mutex<Shared<W>>>);

#[derive(Debug)]
struct Shared<W> {
    inner: W,
    /// The last byte that got out was not the end of a line.
    is_torn: bool,
}

impl<W> Sink<W> {
    /// A sink that ends in `inner`.
    pub(super) fn new(inner: W) -> Self {
        let is_torn = false;
        Self(Arc::new(Mutex::new(Shared { inner, is_torn })))
    }
}

impl<W> Clone for Sink<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Output<W> {
    /// Writes to `sink` and counts in `unwritten` what that does not take.
    pub(super) fn new(sink: Sink<W>, unwritten: Arc<AtomicU64>) -> Self {
        Self {
            sink,
            batch: Vec::new(),
            unwritten,
        }
    }

    fn send(&mut self) {
        let rest = {
            // Held over the write: a pipe takes a large batch in parts, and another's would
            // come between them. Only the threads that write ever wait here.
            let mut shared = self.sink.0.lock().unwrap_or_else(PoisonError::into_inner);
            shared.send(&self.batch)
        };
        let lines = rest.iter().filter(|byte| **byte == b'\n').count();
        self.unwritten.fetch_add(lines as u64, Ordering::Relaxed);
        self.batch.clear();
    }
}

impl<W: Write> Shared<W> {
    /// Writes `batch` and gives back what could not be written.
    fn send<'b>(&mut self, batch: &'b [u8]) -> &'b [u8] {
        if self.is_torn && !batch.is_empty() && self.inner.write_all(b"\n").is_ok() {
            self.is_torn = false;
        }
        let mut rest = batch;
        while !rest.is_empty() {
            match self.inner.write(rest) {
                Ok(0) => break,
                Ok(n) => {
                    self.is_torn = rest.get(n - 1) != Some(&b'\n');
                    rest = &rest[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        rest
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.batch.len() + bytes.len() > BATCH {
            self.send();
        }
        self.batch.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        written: Vec<u8>,
        calls: usize,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            let n = bytes.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.written.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn many_lines_are_one_write() {
        let mut disk = Disk {
            room: usize::MAX,
            written: Vec::new(),
            calls: 0,
        };
        let mut output = Output::new(Sink::new(&mut disk), Arc::default());
        for _ in 0..100 {
            output.write_all(b"line\n").unwrap();
        }
        output.flush().unwrap();
        drop(output);
        assert_eq!((disk.calls, disk.written.len()), (1, 500));
    }

    // RES-07
    #[test]
    fn a_full_disk_loses_counted_lines_and_the_next_one_begins_anew() {
        let mut disk = Disk {
            room: 7,
            written: Vec::new(),
            calls: 0,
        };
        let unwritten = Arc::new(AtomicU64::new(0));
        let mut output = Output::new(Sink::new(&mut disk), Arc::clone(&unwritten));
        output.write_all(b"first\nsecond\nthird\n").unwrap();
        output.flush().unwrap();
        output.write_all(b"fourth\n").unwrap();
        output.flush().unwrap();
        assert_eq!(unwritten.load(Ordering::Relaxed), 3);
        output.sink.0.lock().unwrap().inner.room = usize::MAX;
        output.write_all(b"fifth\n").unwrap();
        output.flush().unwrap();
        drop(output);
        assert_eq!(disk.written, b"first\ns\nfifth\n");
    }
}
