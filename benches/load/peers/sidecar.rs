//! This proxy, at its defaults.

use std::path::Path;
use std::process::Command;

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, place: &Place) -> Command {
    let scheme = match place.setup.application {
        Application::Http | Application::WebSocket => "http",
        Application::Grpc => "h2c",
    };
    let mut command = Command::new(program);
    command
        .args(["--listen", &format!("127.0.0.1:{}", place.port)])
        .args(["--admin-listen", &format!("127.0.0.1:{}", place.control)])
        .args(["--upstream", &format!("{scheme}://{}", place.upstream)])
        .arg("--cert-dir")
        .arg(&place.certificates)
        .args(["--workers", &place.setup.workers.to_string()]);
    if place.requires_clients() {
        command
            .args(["--client-auth", "required", "--client-ca-file"])
            .arg(&place.authority);
    }
    command
}
