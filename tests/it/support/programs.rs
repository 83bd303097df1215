//! Programs of others as clients: what they accept, the world accepts.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// `curl` with these arguments, quiet but for errors; `None`, and a line that says so, where it is missing.
pub(crate) fn curl(arguments: &[&str]) -> Option<Output> {
    let quiet = ["--silent", "--show-error", "--max-time", "20"];
    run("curl", &[&quiet, arguments].concat(), b"")
}

/// `openssl` with these arguments and standard input; `None`, and a line that says so, where it is missing.
pub(crate) fn openssl(arguments: &[&str], stdin: &[u8]) -> Option<Output> {
    run("openssl", arguments, stdin)
}

/// `h2load` with these arguments; `None`, and a line that says so, where it is missing.
pub(crate) fn h2load(arguments: &[&str]) -> Option<Output> {
    run("h2load", arguments, b"")
}

/// `promtool` with these arguments and standard input; `None`, and a line that says so, where it is missing.
pub(crate) fn promtool(arguments: &[&str], stdin: &[u8]) -> Option<Output> {
    run("promtool", arguments, stdin)
}

/// Runs `program` to its end with `stdin`, which is closed after it.
/// Whether this can be run here to a good end; a line says so where not.
pub(crate) fn can_run(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {command:?} is not possible here"
        );
    }
    can
}

fn run(program: &str, arguments: &[impl AsRef<OsStr>], stdin: &[u8]) -> Option<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove("SSLKEYLOGFILE")
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("HTTPS_PROXY")
        .env_remove("ALL_PROXY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Straight to the descriptor: the test harness shows what is printed only on failure.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {program} is not installed");
            return None;
        }
        Err(error) => panic!("cannot start {program}: {error}"),
    };
    // It may end without reading all of it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    Some(child.wait_with_output().unwrap())
}

#[test]
fn a_missing_program_is_none() {
    assert!(run("no-such-program-for-sure", &["x"], b"").is_none());
}
