//! `tls-sidecar check`: one test a finding, with the real binary in surroundings that have it.

mod clients;
mod codes;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::ports;
use crate::support::programs::can_run;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Served;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Somebody without rights.
const NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// An application, a Secret and the flags that name them: nothing is wrong.
struct Place {
    application: Raw,
    secret: SecretDir,
}

/// How a check ended.
struct Checked {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self::serving(&Ca::new().leaf(&["localhost"]))
    }

    fn serving(pair: &Pair) -> Self {
        Self {
            application: Raw::answering(OK),
            secret: SecretDir::new(&pair.files()),
        }
    }

    /// Checks this place; a flag of `more` takes the place of its own.
    fn check(&self, more: &[&str]) -> Checked {
        self.check_under(&[], more)
    }

    fn check_under(&self, under: &[&str], more: &[&str]) -> Checked {
        let own = [
            ("--listen", "127.0.0.1:8443"),
            ("--cert-dir", self.secret.as_str()),
            ("--upstream", self.application.upstream()),
        ];
        let mut arguments = Vec::new();
        for (flag, value) in own.into_iter().filter(|(flag, _)| !more.contains(flag)) {
            arguments.extend([flag, value]);
        }
        arguments.extend(more);
        check(under, &arguments)
    }
}

impl Checked {
    /// Asserts that this was found and nothing else, and returns its message.
    fn only(self, code: &str) -> String {
        assert_eq!(self.code, 1, "{}{}", self.stdout, self.stderr);
        let messages: Vec<_> = self.lines().map(str::to_owned).collect();
        assert_eq!(messages.len(), 1, "{messages:#?}");
        let middle = messages[0].split(": ").nth(1);
        assert_eq!(middle, Some(code), "{messages:#?}");
        messages[0].clone()
    }

    /// The findings without their YAML.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.stdout.lines();
        lines.filter(|line| !line.starts_with("    "))
    }

    fn clean(&self) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (0, ""),
            "{}",
            self.stderr
        );
    }
}

fn check(under: &[&str], arguments: &[&str]) -> Checked {
    let sidecar = env!("CARGO_BIN_EXE_tls-sidecar");
    let whole = [under, &[sidecar, "check"], arguments].concat();
    let mut command = Command::new(whole[0]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TLS_SIDECAR_") {
            command.env_remove(name);
        }
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(&whole[1..]).output().unwrap();
    Checked {
        code: status.code().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

#[test]
fn where_nothing_is_wrong_nothing_is_said() {
    let place = Place::new();
    place.check(&[]).clean();
    let checked = place.check(&["--output", "json"]);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(report, serde_json::json!({"ok": true, "findings": []}));
    assert_eq!(checked.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_sidecar_its_own_port_is_not_in_the_way() {
    let application = Raw::answering(OK);
    let served = Served::start(application.upstream(), &[]);
    let address = served.address().to_string();
    let own = ["--cert-dir", served.secret.as_str(), "--listen", &address];
    let upstream = ["--upstream", application.upstream()];
    check(&[], &[&own[..], &upstream].concat()).clean();
}

#[test]
fn every_mistake_in_the_settings_is_a_finding_of_its_own() {
    let place = Place::new();
    let wrong = ["--idle-timeout", "10x", "--workers", "0", "--hsts", "soon"];
    let checked = place.check(&wrong);
    assert_eq!((checked.code, checked.lines().count()), (1, 3));
    for flag in ["--idle-timeout", "--workers", "--hsts"] {
        let begin = format!("error: configuration: {flag} ");
        assert!(checked.stdout.contains(&begin), "{}", checked.stdout);
    }
}

#[test]
fn bad_usage_is_no_finding() {
    for arguments in [
        &["--output", "xml"][..],
        &["--grace-period", "long"],
        &["--no-such-flag"],
    ] {
        let checked = check(&[], arguments);
        assert_eq!((checked.code, checked.stdout.as_str()), (2, ""));
        assert_eq!(checked.stderr.lines().count(), 1, "{}", checked.stderr);
    }
}

#[test]
fn json_has_code_message_and_yaml() {
    let checked = Place::new().check(&["--drain-timeout", "60s", "--output", "json"]);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((report["ok"].as_bool(), checked.code), (Some(false), 1));
    assert_eq!(finding["code"], "grace_period");
    assert_eq!(finding["severity"], "warning");
    assert!(finding["message"].as_str().unwrap().contains("60s"));
    assert!(finding["yaml"].as_str().unwrap().starts_with("spec:"));
}

// CERT-09
#[test]
fn an_unreadable_key_is_found_with_the_lines_that_mend_it() {
    if !can_run(
        &[
            &NOBODY[..],
            &["test", "-x", env!("CARGO_BIN_EXE_tls-sidecar")],
        ]
        .concat(),
    ) {
        return;
    }
    let mut place = Place::new();
    let pair = Ca::new().leaf(&["localhost"]);
    // What a Secret with defaultMode 0400 is to a process that is not root.
    place.secret = SecretDir::with_mode(&pair.files(), 0o400);
    let checked = place.check_under(&NOBODY, &[]);
    assert!(
        checked.stdout.contains("fsGroup: 65534"),
        "{}",
        checked.stdout
    );
    assert!(checked.stdout.contains("defaultMode: 0440"));
    let message = checked.only("permission_denied");
    assert!(message.contains("tls.crt") && message.contains("uid 65534"));
}

#[test]
fn a_port_without_the_right_to_it_is_found_with_the_sysctl() {
    if !can_run(
        &[
            &NOBODY[..],
            &["test", "-x", env!("CARGO_BIN_EXE_tls-sidecar")],
        ]
        .concat(),
    ) {
        return;
    }
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if start.is_ok_and(|start| start.trim() == "0") {
        return;
    }
    let checked = Place::new().check_under(&NOBODY, &["--listen", "127.0.0.1:443"]);
    let yaml = "name: net.ipv4.ip_unprivileged_port_start";
    assert!(checked.stdout.contains(yaml), "{}", checked.stdout);
    let message = checked.only("privileged_port");
    assert!(message.contains("--listen 127.0.0.1:443"), "{message}");
}

// CERT-12
#[test]
fn a_sub_path_mount_is_found() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "tls.key"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let (from, to) = (place.secret.as_str(), folder.path().to_str().unwrap());
    let bind = format!(
        "for f in tls.crt tls.key; do mount --bind \"$(readlink -f {from}/$f)\" {to}/$f || exit 9; \
         done; exec \"$0\" \"$@\""
    );
    let under = ["unshare", "-Urm", "sh", "-c", bind.as_str()];
    if !can_run(&[&under[..], &["true"]].concat()) {
        return;
    }
    let checked = place.check_under(&under, &["--cert-dir", to]);
    assert!(checked.stdout.contains("mountPath:"), "{}", checked.stdout);
    let message = checked.only("sub_path");
    assert!(message.contains(&format!("{to}/tls.crt")), "{message}");
}

// CERT-04
#[test]
fn a_limit_of_inotify_is_found() {
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let under = ["unshare", "-Ur", "sh", "-c", limit];
    if !can_run(&[&under[..], &["true"]].concat()) {
        return;
    }
    let message = Place::new().check_under(&under, &[]).only("inotify");
    assert!(message.contains("max_user_instances"), "{message}");
}

#[test]
fn without_ipv6_every_address_is_a_note_and_one_of_it_an_error() {
    // Nothing is configured in a new network namespace, IPv6 least of all.
    let under = ["unshare", "-Urn"];
    if !can_run(&[&under[..], &["true"]].concat()) {
        return;
    }
    let place = Place::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("application.sock");
    let _application = Raw::unix(&path, |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    let upstream = format!("unix:{}", path.display());
    let own = ["--upstream", upstream.as_str(), "--listen"];
    let every = place.check_under(&under, &[&own[..], &["[::]:8443"]].concat());
    assert_eq!(
        (every.code, every.lines().count()),
        (0, 1),
        "{}",
        every.stdout
    );
    assert!(
        every
            .stdout
            .starts_with("note: ipv6_absent: --listen [::]:8443: ")
    );
    let one = place.check_under(&under, &[&own[..], &["[::1]:8443"]].concat());
    one.only("address_not_available");
}

#[test]
fn an_application_that_does_not_listen_is_found() {
    let place = Place::new();
    let upstream = format!("http://{}", ports::unused());
    let message = place.check(&["--upstream", &upstream]);
    let message = message.only("application_not_reached");
    assert!(message.contains("connection refused"), "{message}");
    let missing = ["--upstream", "unix:/nonexistent/application.sock"];
    place.check(&missing).only("application_not_reached");
}

#[test]
fn an_application_that_listens_beyond_loopback_is_found() {
    let place = Place::new();
    for every in ["0.0.0.0:0", "[::]:0"] {
        let every: SocketAddr = every.parse().unwrap();
        if std::net::TcpListener::bind(every).is_err() {
            continue;
        }
        let address = SocketAddr::new(every.ip(), ports::unused().port());
        let application = Raw::tcp_at(address, |mut conn| async move {
            let _ = conn.answer_all(OK).await;
        });
        let port = application.address().port();
        let upstream = port.to_string();
        let checked = place.check(&["--upstream", &upstream]);
        assert!(checked.stdout.contains("kind: NetworkPolicy"));
        let message = checked.only("application_exposed");
        assert!(
            message.contains(&format!("listens on {address}")),
            "{message}"
        );
        assert!(message.contains("reachable in clear at "), "{message}");
        assert!(message.contains(&format!(":{port}, ")), "{message}");
    }
}

// CERT-10
#[test]
fn what_is_wrong_with_the_time_of_a_certificate_is_found() {
    let now = SystemTime::now();
    let leaf = || Leaf::server(&["localhost"]);
    for (leaf, code) in [
        (leaf().expired(), "expired"),
        (leaf().not_yet_valid(), "not_yet_valid"),
        (leaf().valid(now - 85 * DAY, now + 5 * DAY), "expires_soon"),
        (
            leaf().valid(now - 70 * DAY, now + 20 * DAY),
            "renewal_overdue",
        ),
    ] {
        let place = Place::serving(&Ca::new().sign(leaf));
        let message = place.check(&[]).only(code);
        assert!(message.contains("tls.crt"), "{message}");
    }
}

#[test]
fn what_the_gate_dislikes_is_found() {
    let ca = Ca::new();
    let no_names = Place::serving(&ca.leaf(&[]));
    no_names.check(&[]).only("no_names");
    let client = Place::serving(&ca.sign(Leaf::client(&["localhost"])));
    client.check(&[]).only("not_server_auth");
    let (leaf, other) = (ca.leaf(&["localhost"]), Ca::named("another"));
    let stray = leaf.cert_pem.clone() + &other.pem();
    let files = [
        ("tls.crt", stray.as_bytes()),
        ("tls.key", leaf.key_pem.as_bytes()),
    ];
    let mut place = Place::new();
    place.secret = SecretDir::new(&files);
    place.check(&[]).only("stray_certificate");
    let leaf = ca.intermediate("between").leaf(&["localhost"]);
    let mut parts = leaf.cert_pem.split_inclusive("-----END CERTIFICATE-----\n");
    let (first, second) = (parts.next().unwrap(), parts.next().unwrap());
    let disordered = format!("{first}{}{second}", ca.pem());
    let files = [
        ("tls.crt", disordered.as_bytes()),
        ("tls.key", leaf.key_pem.as_bytes()),
    ];
    place.secret = SecretDir::new(&files);
    place.check(&[]).only("chain_order");
}

// CERT-06, CERT-07
#[test]
fn what_cannot_be_served_is_found_by_its_reason() {
    let (one, other) = (
        Ca::new().leaf(&["localhost"]),
        Ca::new().leaf(&["localhost"]),
    );
    let certificate = one.cert_pem.as_bytes();
    for (certificate, key, code) in [
        (certificate, other.key_pem.as_bytes(), "key_mismatch"),
        (&b"garbage"[..], one.key_pem.as_bytes(), "no_certificate"),
        (certificate, &b""[..], "empty"),
    ] {
        let mut place = Place::new();
        place.secret = SecretDir::new(&[("tls.crt", certificate), ("tls.key", key)]);
        place.check(&[]).only(code);
    }
    let missing = Place::new().check(&["--cert-dir", "/nonexistent"]);
    assert!(missing.stdout.contains("secretName:"), "{}", missing.stdout);
    missing.only("missing");
}

#[test]
fn a_certificate_that_is_never_served_is_found() {
    let (place, ca) = (Place::new(), Ca::new());
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let pair = ca.leaf(&["localhost"]);
        let path = |end| folder.path().join(format!("{name}.{end}"));
        fs::write(path("crt"), &pair.cert_pem).unwrap();
        fs::write(path("key"), &pair.key_pem).unwrap();
    }
    let checked = place.check(&["--cert-dir", folder.path().to_str().unwrap()]);
    let message = checked.only("names_taken");
    assert!(message.contains("b.crt is never served"), "{message}");
}

#[test]
fn secrets_for_tickets_are_loaded_too() {
    let directory = tempfile::tempdir().unwrap();
    let tickets = directory.path().join("none");
    let flag = ["--ticket-key-dir", tickets.to_str().unwrap()];
    Place::new().check(&flag).only("ticket_secrets");
}

#[test]
fn a_drain_longer_than_the_grace_period_is_found() {
    let place = Place::new();
    let checked = place.check(&["--drain-delay", "10s", "--drain-timeout", "40s"]);
    let yaml = "terminationGracePeriodSeconds: 53";
    assert!(checked.stdout.contains(yaml), "{}", checked.stdout);
    checked.only("grace_period");
    let longer = ["--drain-timeout", "40s", "--grace-period", "60s"];
    place.check(&longer).clean();
}

#[test]
fn more_connections_than_descriptors_are_found() {
    let place = Place::new();
    let many = ["--max-connections", "1000000000"];
    place.check(&many).only("too_few_descriptors");
}

#[test]
fn everything_is_found_at_once() {
    let place = Place::serving(&Ca::new().sign(Leaf::server(&["localhost"]).expired()));
    let wrong = [
        "--upstream",
        "unix:/nonexistent.sock",
        "--drain-timeout",
        "60s",
    ];
    let checked = place.check(&wrong);
    let codes: Vec<_> = checked.lines().map(|l| l.split(": ").nth(1)).collect();
    let expected = ["expired", "application_not_reached", "grace_period"].map(Some);
    assert_eq!(codes, expected, "{}", checked.stdout);
}

#[test]
fn nothing_is_left_behind() {
    let place = Place::new();
    let before = entries(place.secret.path());
    place.check(&[]).clean();
    assert_eq!(entries(place.secret.path()), before);
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}
