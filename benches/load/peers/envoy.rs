//! Envoy: one worker, the certificate from a watched directory.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::Place;
use crate::setup::Application;

pub(super) fn command(program: &Path, place: &Place) -> Result<Command> {
    let secret = json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "server",
        "tls_certificate": {
            "certificate_chain": { "filename": place.certificate("tls.crt") },
            "private_key": { "filename": place.certificate("tls.key") },
            "watched_directory": { "path": place.certificates },
        },
    }] });
    let secret = place.write("secret.json", &secret.to_string())?;
    let config = place.write("envoy.json", &config(place, &secret).to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(config).args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        // What it reads secrets from files for, it wants to be called.
        "--service-node",
        "load",
        "--service-cluster",
        "load",
        "--log-level",
        "error",
    ]);
    Ok(command)
}

fn config(place: &Place, secret: &Path) -> Value {
    json!({ "static_resources": {
        "listeners": [{
            "name": "tls",
            "address": address("127.0.0.1", place.port),
            "filter_chains": [{
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": tls(place, secret),
                },
                "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager(),
                }],
            }],
        }],
        "clusters": [cluster(place)],
    } })
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

fn tls(place: &Place, secret: &Path) -> Value {
    let mut common = json!({
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
            "ecdh_curves": ["X25519MLKEM768", "X25519", "P-256"],
        },
        "tls_certificate_sds_secret_configs": [{
            "name": "server",
            "sds_config": { "path_config_source": { "path": secret } },
        }],
    });
    if place.requires_clients() {
        common["validation_context"] = json!({ "trusted_ca": { "filename": place.authority } });
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": place.requires_clients(),
        "common_tls_context": common,
    })
}

fn manager() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tls",
        "use_remote_address": true,
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "route_config": { "virtual_hosts": [{
            "name": "application",
            "domains": ["*"],
            "routes": [{
                "match": { "prefix": "/" },
                "route": { "cluster": "application", "timeout": "0s" },
            }],
        }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            },
        }],
    })
}

fn cluster(place: &Place) -> Value {
    let host = place.upstream.ip().to_string();
    let endpoint = json!({ "endpoint": { "address": address(&host, place.upstream.port()) } });
    let mut cluster = json!({
        "name": "application",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "application",
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
    });
    if place.setup.application == Application::Grpc {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
    }
    cluster
}
