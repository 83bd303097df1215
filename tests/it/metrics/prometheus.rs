//! A real Prometheus scrapes the sidecar and loads the shipped rules.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::admin::{ask, until};
use crate::support::hyper_application::Hyper;
use crate::support::ports;
use crate::support::requests::get;
use crate::support::sidecar::{ADMIN, Served};
use crate::support::wait::{PATIENCE, eventually};

use super::RULES;

/// Killed when the test ends.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `target` four times a second; `None`, and a line that says so, where it is missing.
    fn scraping(target: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 250ms, evaluation_interval: 250ms}}\n\
             rule_files: [{RULES}]\n\
             scrape_configs:\n- job_name: sidecar\n  static_configs:\n  - targets: [\"{target}\"]\n"
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let address = ports::unused();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = writeln!(std::io::stderr(), "SKIPPED: prometheus is not installed");
                return None;
            }
            Err(error) => panic!("cannot start prometheus: {error}"),
        };
        Some(Self {
            process,
            address,
            _folder: folder,
        })
    }

    /// What an expression comes to: the value of its first sample.
    fn value(&self, expression: &str) -> Option<f64> {
        let answer = self.api(&format!("query?query={expression}"))?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        value.parse().ok()
    }

    fn api(&self, what: &str) -> Option<Value> {
        // Prometheus answers one request with a body of known length, so a plain client will do.
        let url = format!("http://{}/api/v1/{what}", self.address);
        let output = Command::new("curl")
            .args(["--silent", "--globoff", "--max-time", "5", &url])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_it_and_takes_the_rules() {
    let application = Hyper::saying("hello");
    let served = Served::start(application.upstream(), &ADMIN);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    let Some(prometheus) = Prometheus::scraping(admin) else {
        return;
    };
    let mut wire = served.client().http1(served.address()).await.unwrap();
    for _ in 0..3 {
        wire.write(get("/")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let is = |expression: &str, value: f64| {
        // Its own start takes a while.
        eventually(expression, 2 * PATIENCE, || {
            prometheus.value(expression) == Some(value)
        });
    };
    is("up{job=\"sidecar\"}", 1.0);
    is(
        "tls_sidecar_requests_total{code=\"200\",method=\"GET\",protocol=\"http/1.1\"}",
        3.0,
    );
    is("tls_sidecar_request_duration_seconds_count", 3.0);
    is("tls_sidecar_ready", 1.0);
    // OpenMetrics is what it asks for, and the time of a counter's start is not lost on it.
    is("count(tls_sidecar_handshakes_total{result=\"ok\"})", 4.0);
    let is_healthy = |rule: &Value| rule["health"] == "ok";
    eventually("the rules", PATIENCE, || {
        let Some(answer) = prometheus.api("rules") else {
            return false;
        };
        let groups = answer["data"]["groups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let rules: Vec<_> = groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .collect();
        rules.len() > 5 && rules.into_iter().all(is_healthy)
    });
    // Nothing fires for a sidecar that is well.
    let firing = prometheus.api("alerts").unwrap();
    let is_firing = |alert: &Value| alert["state"] == "firing";
    let alerts = firing["data"]["alerts"].as_array().unwrap();
    assert!(!alerts.iter().any(is_firing), "{firing}");
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
}
