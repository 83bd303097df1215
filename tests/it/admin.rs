//! The admin port as kubelet, Prometheus, an operator and a stranger meet it.

mod clients;
mod commands;
mod control;
mod exposure;
mod page;
mod readiness;
mod rolling;
mod routes;

use crate::support::hyper_application::Hyper;
use crate::support::sidecar::{ADMIN, Served};

/// A sidecar with an admin port, before an application that answers.
fn served(arguments: &[&str]) -> (Hyper, Served) {
    let application = Hyper::saying("hello");
    let served = Served::start(application.upstream(), &[&ADMIN, arguments].concat());
    (application, served)
}
