//! The parts that every connection or request pays for, each measured alone, and at the end the
//! whole way of a request.
//!
//! `cargo bench --bench parts [-- NAME]`
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark without its inputs is to stop, and owns its tasks"
)]

mod certificates;
mod connections;
mod records;
mod rewriting;
mod small;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    parts,
    certificates::directory,
    certificates::lookup,
    rewriting::headers,
    records::counting,
    records::emission,
    small::published,
    small::proxy_header,
    connections::handshakes,
    connections::requests
);
criterion_main!(parts);
