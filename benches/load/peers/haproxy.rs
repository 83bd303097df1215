//! HAProxy: one thread, connections to the application shared, certificates replaced through its
//! runtime API, which drops nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, place: &Place) -> Result<Command> {
    let config = place.write("haproxy.cfg", &config(place))?;
    let mut command = Command::new(program);
    command.arg("-f").arg(config);
    Ok(command)
}

fn config(place: &Place) -> String {
    let clients = if place.requires_clients() {
        format!("ca-file {} verify required", place.authority.display())
    } else {
        String::new()
    };
    let protocol = match place.setup.application {
        Application::Http | Application::WebSocket => "",
        Application::Grpc => "proto h2",
    };
    format!(
        "global
  nbthread 1
  maxconn {connections}
  stats socket {socket} level admin
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout tunnel 300s
  http-reuse always
frontend tls
  bind 127.0.0.1:{port} ssl crt {certificate} alpn h2,http/1.1 {clients}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  default_backend application
backend application
  server application {upstream} {protocol}
",
        connections = place.setup.connections,
        socket = socket(place),
        port = place.port,
        certificate = place.certificate("both.pem"),
        upstream = place.upstream,
    )
}

pub(super) fn reload(place: &Place) -> Result<()> {
    let certificate = place.certificate("both.pem");
    let pem = std::fs::read_to_string(&certificate)?;
    say(place, &format!("set ssl cert {certificate} <<\n{pem}\n"))?;
    let answer = say(place, &format!("commit ssl cert {certificate}\n"))?;
    if !answer.contains("Success") {
        bail!("HAProxy did not take the certificate: {}", answer.trim());
    }
    Ok(())
}

fn say(place: &Place, words: &str) -> Result<String> {
    let mut socket = UnixStream::connect(socket(place))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(words.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn socket(place: &Place) -> String {
    place.directory.join("control").display().to_string()
}
