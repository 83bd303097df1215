//! nginx: one worker, its upstream connections kept.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, version: &str, place: &Place) -> Result<Command> {
    let config = place.write("nginx.conf", &config(version, place))?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(config)
        .arg("-p")
        .arg(&place.directory);
    Ok(command)
}

fn config(version: &str, place: &Place) -> String {
    let directory = place.directory.display();
    let (listen, http2) = if has_http2_directive(version) {
        ("ssl", "http2 on;")
    } else {
        ("ssl http2", "")
    };
    let clients = if place.requires_clients() {
        let authority = place.authority.display();
        format!("ssl_verify_client on; ssl_client_certificate {authority};")
    } else {
        String::new()
    };
    let pass = match place.setup.application {
        Application::Http => {
            "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";"
        }
        Application::WebSocket => {
            "proxy_pass http://app; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";"
        }
        Application::Grpc => "grpc_pass grpc://app;",
    };
    format!(
        "daemon off; user root root; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream app {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} {listen}; {http2}
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m; {clients}
    location / {{
      {pass}
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Request-Id $request_id;
      proxy_request_buffering off; proxy_max_temp_file_size 0; client_max_body_size 0;
    }}
  }}
}}
",
        connections = place.setup.connections,
        upstream = place.upstream,
        port = place.port,
        certificate = place.certificate("tls.crt"),
        key = place.certificate("tls.key"),
    )
}

/// From 1.25.1 on.
fn has_http2_directive(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) >= (1, 25, 1)
}
