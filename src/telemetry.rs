//! What is told to the outside: numbers, the access record, diagnostics.
//!
//! [`metrics`] holds one set of handles per worker, [`record`] is one request from its first
//! instant to its last, [`log`] sets the writers up. Invariant: nothing here waits for a reader.

pub mod certificates;
pub mod log;
pub mod metrics;
pub mod record;
