//! Why a workload cannot take the sidecar, or what will go wrong when it does, each with its mend.
//!
//! Invariant: an error means that the Pod would be refused or would not serve; what serves and is
//! not as it should be is a warning, and what is only good to know a note.

use super::annotations::Mode;
use super::application::Container;
use super::node::Node;
use super::plan::Plan;
use super::record::{OWN, SYSCTL};
use super::workload::{PREFIX, Workload};
use crate::check::Finding;

/// The first port that every user may listen on by default.
const UNPRIVILEGED: u16 = 1024;
/// What a Pod has to end when it does not say.
const GRACE: u64 = 30;

/// What stands in the way of any sidecar.
pub(super) fn of_pod(workload: &Workload<'_>, containers: &[Container<'_>]) -> Vec<Finding> {
    let spec = workload.spec;
    let mut found = Vec::new();
    let line = |key: &str| {
        workload
            .value(spec, key)
            .map_or(spec.line, |node| node.line)
    };
    if !containers.iter().any(|one| one.is_main) {
        let words = "the Pod has no containers, and so no application; write them";
        found.push(workload.error("no_containers", spec.line, words));
    }
    if workload.word(spec, "hostNetwork") == Some("true") {
        let words = "hostNetwork: true: the sidecar would listen on the node itself, where the \
                     sysctl for low ports is forbidden; remove hostNetwork";
        found.push(workload.error("host_network", line("hostNetwork"), words));
    }
    if is_windows(workload) {
        let words = "the Pod is for Windows nodes, and the sidecar runs on Linux alone; leave it \
                     out with the annotation tls-sidecar.dev/inject: \"false\"";
        found.push(workload.error("windows", spec.line, words));
    }
    for (list, what) in [
        ("initContainers", "container"),
        ("containers", "container"),
        ("volumes", "volume"),
    ] {
        let mut items = workload.list(list).into_iter();
        if let Some(item) = items.find(|item| workload.word(item, "name") == Some(OWN)) {
            let words =
                format!("there is a {what} {OWN} that was not injected; remove it, or rename it");
            found.push(workload.error("name_clash", item.line, &words));
        }
    }
    found
}

fn is_windows(workload: &Workload<'_>) -> bool {
    let spec = workload.spec;
    let os = workload
        .value(spec, "os")
        .and_then(|os| workload.word(os, "name"));
    let selector = workload.value(spec, "nodeSelector");
    let mut labels = ["kubernetes.io/os", "beta.kubernetes.io/os"].into_iter();
    let label = selector.and_then(|map| labels.find_map(|label| workload.word(map, label)));
    [os, label].contains(&Some("windows"))
}

/// What stands in the way of this sidecar, and what is to be known about it.
pub(super) fn of_plan(
    workload: &Workload<'_>,
    plan: &Plan,
    containers: &[Container<'_>],
) -> Vec<Finding> {
    let mut found = taken_ports(workload, plan, containers);
    found.extend(sysctl(workload, plan));
    if plan.sidecar.mode == Mode::Classic && workload.ends() {
        let words = format!(
            "a classic sidecar never ends, and so its Pod would not either; take a native one: \
             {PREFIX}native: \"true\", without --classic (Kubernetes 1.29)"
        );
        found.push(workload.error("never_ends", workload.line, &words));
    }
    found.extend(host_ports(workload, containers));
    found.extend(sub_paths(workload, plan, containers));
    found.extend(grace(workload, plan));
    found.extend(stops_first(workload, plan, containers));
    found
}

fn taken_ports(workload: &Workload<'_>, plan: &Plan, containers: &[Container<'_>]) -> Vec<Finding> {
    let mend = |port: u16| match port == plan.sidecar.admin_port {
        true => {
            format!("give the sidecar's admin port another with {PREFIX}admin-listen: \"9902\"")
        }
        false => format!(
            "have the application listen in clear elsewhere, e.g. on 8080, or give the sidecar \
             another port with {PREFIX}listen: \"8443\""
        ),
    };
    let mut found = Vec::new();
    for container in containers {
        for port in container
            .ports
            .iter()
            .filter(|port| plan.ports.contains(&port.number))
        {
            let (name, number) = (container.name, port.number);
            let words = format!(
                "container {name} has port {number}, which the sidecar is to listen on; {}",
                mend(number)
            );
            found.push(workload.error("port_taken", port.line, &words));
        }
    }
    let own = plan
        .application_port()
        .filter(|port| plan.ports.contains(port));
    if let Some(port) = own.filter(|_| found.is_empty()) {
        let words = format!(
            "the application is said to be on port {port}, which the sidecar is to listen on; {}",
            mend(port)
        );
        found.push(workload.error("port_taken", workload.line, &words));
    }
    found
}

/// The lowest port, where listening on it takes the sysctl.
pub(super) fn low_port(plan: &Plan) -> Option<u16> {
    let lowest = plan.ports.iter().copied().min();
    lowest.filter(|port| *port < UNPRIVILEGED)
}

/// The item of the sysctl, where the Pod sets it.
pub(super) fn sysctl_of<'a>(workload: &Workload<'a>) -> Option<&'a Node> {
    let security = workload.value(workload.spec, "securityContext")?;
    let items = workload.value(security, "sysctls")?.items().iter();
    let mut items = items.map(|item| workload.seen(item));
    items.find(|item| workload.word(item, "name") == Some(SYSCTL))
}

fn sysctl(workload: &Workload<'_>, plan: &Plan) -> Option<Finding> {
    let port = low_port(plan)?;
    let item = sysctl_of(workload)?;
    let value = workload.word(item, "value").unwrap_or_default();
    if value.parse::<u16>().is_ok_and(|first| first <= port) {
        return None;
    }
    let words = format!(
        "sysctl {SYSCTL} is {value:?} and keeps the sidecar off port {port}; set it to \"0\", or \
         give the sidecar a higher port with {PREFIX}listen: \"8443\""
    );
    Some(workload.error("sysctl", item.line, &words))
}

fn host_ports(workload: &Workload<'_>, containers: &[Container<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    for container in containers {
        for port in &container.ports {
            if let Some(on_host) = port.on_host.filter(|on_host| *on_host != "0") {
                let words = format!(
                    "container {}: hostPort {on_host} reaches port {} in clear, past the sidecar; \
                     remove it, and let clients come through the Service",
                    container.name, port.number
                );
                found.push(workload.warning("host_port", port.line, &words));
            }
        }
    }
    found
}

/// The certificate in a mount that never sees a renewal.
fn sub_paths(workload: &Workload<'_>, plan: &Plan, containers: &[Container<'_>]) -> Vec<Finding> {
    let volumes = workload.list("volumes");
    let is_secret = |name: Option<&str>| {
        volumes.iter().any(|volume| {
            let secret = workload.value(volume, "secret");
            let secret = secret.and_then(|secret| workload.word(secret, "secretName"));
            secret == Some(&plan.sidecar.secret) && workload.word(volume, "name") == name
        })
    };
    let mut found = Vec::new();
    for container in containers {
        let mounts = workload.value(container.node, "volumeMounts");
        for mount in mounts.map(Node::items).unwrap_or_default() {
            let mount = workload.seen(mount);
            let part = workload.word(mount, "subPath");
            if let Some(part) = part.filter(|_| is_secret(workload.word(mount, "name"))) {
                let words = format!(
                    "container {} mounts {part} of Secret {} by subPath and never sees a renewal; \
                     remove the mount, which the sidecar makes needless, or mount the directory",
                    container.name, plan.sidecar.secret
                );
                found.push(workload.warning("sub_path", mount.line, &words));
            }
        }
    }
    found
}

fn grace(workload: &Workload<'_>, plan: &Plan) -> Option<Finding> {
    let written = workload.value(workload.spec, "terminationGracePeriodSeconds");
    let seconds = written
        .and_then(|node| node.text()?.parse().ok())
        .unwrap_or(GRACE);
    let needed = plan.config.drain.whole_seconds();
    (needed > seconds).then(|| {
        let words = format!(
            "terminationGracePeriodSeconds is {seconds}, and the sidecar may need {needed} s to \
             drain; set it to {needed}, or drain faster with {PREFIX}args: \"--drain-timeout=5s\""
        );
        let line = written.map_or(workload.spec.line, |node| node.line);
        workload.warning("grace_period", line, &words)
    })
}

/// An application that is gone while the sidecar still takes requests for it.
fn stops_first(
    workload: &Workload<'_>,
    plan: &Plan,
    containers: &[Container<'_>],
) -> Option<Finding> {
    let port = plan.application_port()?;
    let mut main = containers.iter().filter(|one| one.is_main);
    let application = main.find(|one| one.ports.iter().any(|other| other.number == port))?;
    let lifecycle = workload.value(application.node, "lifecycle");
    if workload.ends() || lifecycle.is_some_and(|map| workload.value(map, "preStop").is_some()) {
        return None;
    }
    let delay = plan.config.drain.delay.as_secs();
    let words = format!(
        "container {} has no preStop: it is told to end at once, while the sidecar takes new \
         requests for another {delay} s; give it lifecycle.preStop.sleep.seconds: {} unless it \
         waits by itself",
        application.name,
        delay + 1
    );
    Some(workload.note("stops_first", application.node.line, &words))
}
