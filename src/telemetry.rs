//! What is told to the outside: numbers, the access record, diagnostics.
//!
//! [`metrics`] holds one set of handles per worker and [`exposition`] is what a scrape reads,
//! [`record`] is one request from its first instant to its last, [`log`] sets the writers up.
//! Invariant: nothing here waits for a reader.

pub mod certificates;
pub mod exposition;
pub mod failures;
pub mod log;
pub mod metrics;
pub mod process;
pub mod record;
pub mod spans;
pub mod trace;
