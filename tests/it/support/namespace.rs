//! A network of a test's own, where it may take what all tests of this machine share.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::programs::can_run;

/// Set for the process that runs inside.
const INSIDE: &str = "IT_INSIDE_A_NETWORK_NAMESPACE";

/// Brings the loopback up, with no program but `mount`, and goes on with what follows.
const BEGIN: &str =
    "mount -t sysfs none /sys && echo 9 >/sys/class/net/lo/flags && exec \"$0\" \"$@\"";

/// Becomes root of a namespace first: its files belong to whoever is root when they are made.
const UNDER: [&str; 7] = ["unshare", "-Ur", "unshare", "-nm", "sh", "-c", BEGIN];

/// Whether this process is inside a network namespace with nothing but a loopback.
///
/// If not, runs the test that `here`, an empty closure, stands in once more in a process that is, and
/// asserts that it passes there; where that is not possible, a line says so.
pub(crate) fn is_inside<F: Fn()>(_here: F) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !can_run(
        &[
            &UNDER[..],
            &["test", "-w", "/proc/sys/net/ipv4/ip_local_port_range"],
        ]
        .concat(),
    ) {
        return false;
    }
    // Without the name of the binary, and of what is inside the test.
    let (_, test) = std::any::type_name::<F>().split_once("::").unwrap();
    let test = test.split("::{{").next().unwrap();
    let run = Command::new(UNDER[0])
        .args(&UNDER[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let has_passed = run.status.success() && said.contains("1 passed");
    if !has_passed {
        let _ = std::io::stderr().write_all(&run.stderr);
    }
    assert!(has_passed, "{test} in a namespace: {}\n{said}", run.status);
    false
}
