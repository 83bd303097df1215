//! hitch: TLS alone, the bytes within passed on unread, so a lower bound and no equal.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, place: &Place) -> Result<Command> {
    let config = place.write("hitch.conf", &config(place))?;
    let mut command = Command::new(program);
    command.arg(format!("--config={}", config.display()));
    Ok(command)
}

fn config(place: &Place) -> String {
    let protocols = match place.setup.application {
        Application::Http | Application::WebSocket => "http/1.1",
        Application::Grpc => "h2",
    };
    let clients = if place.requires_clients() {
        format!(
            "client-verify = required\nclient-verify-ca = \"{}\"\n",
            place.authority.display()
        )
    } else {
        String::new()
    };
    // It refuses to work as root.
    let user = if rustix::process::geteuid().is_root() {
        "user = \"nobody\"\n"
    } else {
        ""
    };
    format!(
        "frontend = {{
  host = \"127.0.0.1\"
  port = \"{port}\"
}}
backend = \"[127.0.0.1]:{upstream}\"
pem-file = \"{certificate}\"
tls-protos = TLSv1.2 TLSv1.3
alpn-protos = \"{protocols}\"
workers = 1
daemon = off
syslog = off
log-level = 0
keepalive = 300
{user}{clients}",
        port = place.port,
        upstream = place.upstream.port(),
        certificate = place.certificate("both.pem"),
    )
}
