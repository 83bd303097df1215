//! What an operator asks of a running sidecar, beside the path of requests.

pub mod app_metrics;
