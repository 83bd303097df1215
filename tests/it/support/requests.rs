//! Requests as tests write them most often, curl pointed at a sidecar, and measures of what a
//! request does to those it passes.

use std::io::Write;
use std::process::Output;

use tempfile::NamedTempFile;

use super::programs::curl;
use super::sidecar::Served;
use super::wait::{PATIENCE, eventually_async};

/// Looks without a change after which something is still; half a second.
const STILL: u32 = 250;

/// A GET for `path`, written by hand.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A POST of `body` to `path`, written by hand.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The head of a POST whose body comes in chunks.
pub(crate) fn post_chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// One chunk of a chunked body.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// `curl` with `arguments` for `path` of this sidecar, whose certificate it checks; `None` where
/// it is missing.
pub(crate) fn curl_at(served: &Served, path: &str, arguments: &[&str]) -> Option<Output> {
    let mut authority = NamedTempFile::new().unwrap();
    authority.write_all(served.ca.pem().as_bytes()).unwrap();
    let url = format!("https://localhost:{}{path}", served.address().port());
    let own = [
        "--ipv4",
        "--cacert",
        authority.path().to_str().unwrap(),
        &url,
    ];
    curl(&[&own, arguments].concat())
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// The value of `measure` once it is above zero and has stopped changing.
pub(crate) async fn once_still(what: &str, mut measure: impl FnMut() -> u64) -> u64 {
    let mut last = 0;
    let mut same = 0;
    eventually_async(what, PATIENCE, || {
        let now = measure();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same >= STILL
    })
    .await;
    last
}
