//! An access record as one line, in JSON or for a person.

use std::fmt::Write as _;

use serde::Serialize;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime, time::SystemTime};

use crate::telemetry::log::Format;

/// What the line says; `None` is left out.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) timestamp: &'a str,
    pub(super) message: &'a str,
    #[serde(
        rename = "http.request.method",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) method: Option<&'a str>,
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<&'a str>,
    #[serde(
        rename = "http.response.status_code",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) status: Option<u16>,
    #[serde(rename = "client.address")]
    pub(super) client: String,
    #[serde(rename = "server.address")]
    pub(super) server: String,
    #[serde(rename = "network.protocol.version")]
    pub(super) protocol: &'a str,
    #[serde(rename = "tls.protocol.version", skip_serializing_if = "str::is_empty")]
    pub(super) tls_version: &'a str,
    #[serde(rename = "tls.cipher", skip_serializing_if = "str::is_empty")]
    pub(super) cipher: &'a str,
    #[serde(rename = "tls.server_name", skip_serializing_if = "Option::is_none")]
    pub(super) server_name: Option<&'a str>,
    #[serde(rename = "tls.resumed", skip_serializing_if = "Option::is_none")]
    pub(super) resumed: Option<bool>,
    #[serde(rename = "tls.client.subject", skip_serializing_if = "Option::is_none")]
    pub(super) client_subject: Option<&'a str>,
    #[serde(
        rename = "tls.client.hash.sha256",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) client_sha256: Option<&'a str>,
    pub(super) duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream_ms: Option<f64>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flag: Option<&'a str>,
}

impl Line<'_> {
    /// The line as bytes, its end included.
    pub(super) fn render(&self, format: Format) -> Vec<u8> {
        let mut line = match format {
            Format::Json => serde_json::to_vec(self).unwrap_or_default(),
            Format::Text => self.text().into_bytes(),
        };
        line.push(b'\n');
        line
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(160);
        let _ = write!(text, "{} {} ", self.timestamp, self.client);
        let _ = match (self.method, self.path, self.status) {
            (Some(method), path, Some(status)) => {
                let (path, protocol) = (path.unwrap_or("-"), self.protocol);
                let (mark, query) = self.query.map_or(("", ""), |query| ("?", query));
                write!(
                    text,
                    "\"{method} {path}{mark}{query} HTTP/{protocol}\" {status}"
                )
            }
            _ => write!(text, "session"),
        };
        let _ = write!(
            text,
            " {}ms in={} out={}",
            self.duration_ms, self.bytes_in, self.bytes_out
        );
        if let Some(flag) = self.flag {
            let _ = write!(text, " flag={flag}");
        }
        text
    }
}

/// The time now in RFC 3339.
pub(super) fn timestamp() -> String {
    let mut timestamp = String::with_capacity(32);
    // Formatting the time into a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    timestamp
}
