//! The facts that `tls-sidecar` is held to, one file a topic, in one binary.
//!
//! A test is named as the fact it checks; an ID in its comment (`LIFE-01`) is the fault it stands
//! for. Nothing sleeps for a fixed time: a test waits for what it needs to see.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking, and owns its tasks and threads"
)]

mod admin;
mod adversary;
mod certificates;
mod check;
mod drain;
mod early_answers;
mod grpc;
mod headers;
mod house;
mod http1;
mod http2;
mod inject;
mod leaving;
mod life;
mod limits;
mod logs;
mod metrics;
mod mtls;
mod outages;
mod pool;
mod redirect;
mod rolling;
mod streaming;
mod strict;
mod support;
mod tls;
mod tracing;
mod upgrade;
mod websocket;
