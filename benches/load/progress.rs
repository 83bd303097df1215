//! How far it is: one line that is written anew on a terminal, one a case elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

const WIDTH: usize = 24;

/// The line.
pub(crate) struct Progress {
    steps: u32,
    done: u32,
    start: Instant,
    terminal: bool,
    last: String,
}

impl Progress {
    /// For this many steps of about equal length.
    pub(crate) fn new(steps: u32) -> Self {
        Self {
            steps,
            done: 0,
            start: Instant::now(),
            terminal: stderr().is_terminal(),
            last: String::new(),
        }
    }

    /// A step begins.
    pub(crate) fn step(&mut self, case: &str, round: u32, proxy: &str) {
        let done = f64::from(self.done) / f64::from(self.steps.max(1));
        let elapsed = self.start.elapsed().as_secs_f64();
        if self.terminal {
            let filled = (done * WIDTH as f64) as usize;
            let bar: String = (0..WIDTH)
                .map(|i| if i < filled { '#' } else { '.' })
                .collect();
            let left = if self.done > 0 {
                elapsed / done * (1.0 - done)
            } else {
                0.0
            };
            let (minutes, seconds) = ((left / 60.0) as u64, left as u64 % 60);
            // Back to the start of the line, and nothing left of the one before.
            let _ = write!(
                stderr(),
                "\r\x1b[K[{bar}] {:>3.0}% {minutes}:{seconds:02} left  {case} round {round} {proxy}",
                done * 100.0
            );
        } else if self.last != case {
            self.last = case.to_owned();
            let _ = writeln!(stderr(), "{elapsed:>6.1}s {:>3.0}% {case}", done * 100.0);
        }
        self.done += 1;
    }

    /// Steps that are not taken.
    pub(crate) fn skip(&mut self, steps: u32) {
        self.done += steps;
    }

    /// A line of its own.
    pub(crate) fn say(&self, words: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(stderr(), "{clear}{words}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
