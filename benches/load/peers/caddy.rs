//! Caddy: one thread of Go, certificates from files, reloaded through its API.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, place: &Place) -> Result<Command> {
    let config = place.write("caddy.json", &config(place).to_string())?;
    let mut command = Command::new(program);
    command
        .args(["run", "--config"])
        .arg(config)
        .env("GOMAXPROCS", "1")
        .env("HOME", &place.directory)
        .env("XDG_DATA_HOME", &place.directory)
        .env("XDG_CONFIG_HOME", &place.directory);
    Ok(command)
}

fn config(place: &Place) -> Value {
    let mut transport = json!({ "protocol": "http" });
    if place.setup.application == Application::Grpc {
        transport["versions"] = json!(["h2c", "2"]);
    }
    let mut policy = json!({});
    if place.requires_clients() {
        policy["client_authentication"] = json!({
            "ca": { "provider": "file", "pem_files": [place.authority] },
            "mode": "require_and_verify",
        });
    }
    json!({
        "admin": {
            "listen": format!("127.0.0.1:{}", place.control),
            "config": { "persist": false },
        },
        "logging": { "logs": { "default": { "level": "WARN" } } },
        "apps": {
            "http": { "servers": { "tls": {
                "listen": [format!("127.0.0.1:{}", place.port)],
                "protocols": ["h1", "h2"],
                "automatic_https": { "disable": true },
                "tls_connection_policies": [policy],
                "routes": [{ "handle": [{
                    "handler": "reverse_proxy",
                    "transport": transport,
                    "upstreams": [{ "dial": place.upstream.to_string() }],
                }] }],
            } } },
            "tls": { "certificates": { "load_files": [{
                "certificate": place.certificate("tls.crt"),
                "key": place.certificate("tls.key"),
            }] } },
        },
    })
}

pub(super) fn reload(place: &Place) -> Result<()> {
    let body = config(place).to_string();
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, place.control))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    // Without `must-revalidate` an unchanged configuration is not loaded again.
    write!(
        socket,
        "POST /load HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
         Cache-Control: must-revalidate\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        place.control,
        body.len(),
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("Caddy did not reload: {answer}");
    }
    Ok(())
}
