//! The containers of a Pod, and which of their ports is the application's.
//!
//! Invariant: a port is found or it is not; of several that it could be none is taken.

use super::annotations::{Defaults, Said};
use super::node::Node;
use super::workload::{PREFIX, Workload};
use crate::check::Finding;

/// Names that say that a port is the one for clients.
const FOR_CLIENTS: [&str; 4] = ["http", "web", "h2c", "grpc"];
/// Names that say that a port is for those who look after the application.
const FOR_KEEPERS: [&str; 8] = [
    "metrics",
    "prometheus",
    "health",
    "probe",
    "probes",
    "debug",
    "admin",
    "management",
];

/// A container as far as it matters here.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) node: &'a Node,
    pub(super) name: &'a str,
    pub(super) ports: Vec<Port<'a>>,
    /// Whether it is one of those that the Pod is there for.
    pub(super) is_main: bool,
}

/// A port that a container says it has.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub(super) number: u16,
    pub(super) name: Option<&'a str>,
    /// Its port on the node.
    pub(super) on_host: Option<&'a str>,
    pub(super) line: usize,
}

/// Every container of the Pod but `own`, in the order in which they start.
pub(super) fn containers<'a>(workload: &Workload<'a>, own: &str) -> Vec<Container<'a>> {
    let mut found = Vec::new();
    for (list, is_main) in [("initContainers", false), ("containers", true)] {
        for node in workload.list(list) {
            let name = workload.word(node, "name").unwrap_or("without a name");
            if name != own {
                let ports = ports(workload, node);
                found.push(Container {
                    node,
                    name,
                    ports,
                    is_main,
                });
            }
        }
    }
    found
}

fn ports<'a>(workload: &Workload<'a>, container: &'a Node) -> Vec<Port<'a>> {
    let items = workload
        .value(container, "ports")
        .map(Node::items)
        .unwrap_or_default();
    let port = |item: &'a Node| {
        let item = workload.seen(item);
        let tcp = workload
            .word(item, "protocol")
            .is_none_or(|protocol| protocol == "TCP");
        let number = workload
            .word(item, "containerPort")?
            .parse()
            .ok()
            .filter(|_| tcp)?;
        Some(Port {
            number,
            name: workload.word(item, "name"),
            on_host: workload.word(item, "hostPort"),
            line: item.line,
        })
    };
    items.iter().filter_map(port).collect()
}

/// Where the application is, as `--upstream` has it.
pub(super) fn upstream(
    workload: &Workload<'_>,
    said: &Said<'_>,
    defaults: &Defaults,
    containers: &[Container<'_>],
) -> Result<String, Finding> {
    if let Some((upstream, _)) = said.value("upstream") {
        return Ok(upstream.to_owned());
    }
    let candidates = candidates(workload, said, containers)?;
    let asked = said.value("port").map(|(port, _)| port);
    match asked.or(defaults.port.as_deref()) {
        Some(port) => asked_for(workload, port, &candidates),
        None => {
            let ports = candidates.iter().flat_map(|one| &one.ports).collect();
            only(workload, &likely(ports), &candidates)
        }
    }
}

/// The containers that may be the application.
fn candidates<'a, 'b>(
    workload: &Workload<'_>,
    said: &Said<'_>,
    containers: &'b [Container<'a>],
) -> Result<Vec<&'b Container<'a>>, Finding> {
    let main: Vec<_> = containers.iter().filter(|one| one.is_main).collect();
    let Some((name, line)) = said.value("container") else {
        return Ok(main);
    };
    match main.iter().find(|one| one.name == name) {
        Some(one) => Ok(vec![one]),
        None => {
            let words = format!(
                "annotation {PREFIX}container {name:?}: there is no such container; there is {}",
                names(&main)
            );
            Err(workload.error("no_such_container", line, &words))
        }
    }
}

fn asked_for(
    workload: &Workload<'_>,
    port: &str,
    candidates: &[&Container<'_>],
) -> Result<String, Finding> {
    match port.parse::<u16>() {
        Ok(0) => {}
        Ok(number) => {
            let mut declared = candidates.iter().flat_map(|one| &one.ports);
            let name = declared
                .find(|one| one.number == number)
                .and_then(|one| one.name);
            return Ok(url(number, name));
        }
        Err(_) => {
            let declared = candidates.iter().flat_map(|one| &one.ports);
            let named: Vec<_> = declared.filter(|one| one.name == Some(port)).collect();
            if !named.is_empty() {
                return only(workload, &named, candidates);
            }
        }
    }
    let words = format!(
        "port {port:?}: neither a number from 1 to 65535 nor the name of a TCP port of {}; say \
         which it is with the annotation {PREFIX}port",
        names(candidates)
    );
    Err(workload.error("port_unclear", workload.spec.line, &words))
}

/// The ports that clients may be meant to use: those named so, else all that are not for others.
fn likely<'a, 'b>(ports: Vec<&'b Port<'a>>) -> Vec<&'b Port<'a>> {
    let is_named = |port: &&&Port<'_>, words: &[&str]| {
        let name = port.name.unwrap_or_default();
        words.iter().any(|word| {
            let rest = name.strip_prefix(word);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let has = |word: &str| ports.iter().any(|port| port.name == Some(word));
    if let Some(word) = FOR_CLIENTS.into_iter().find(|word| has(word)) {
        return ports
            .into_iter()
            .filter(|port| port.name == Some(word))
            .collect();
    }
    let some: Vec<_> = ports
        .iter()
        .filter(|p| is_named(p, &FOR_CLIENTS))
        .copied()
        .collect();
    match some.is_empty() {
        false => some,
        true => ports
            .iter()
            .filter(|p| !is_named(p, &FOR_KEEPERS))
            .copied()
            .collect(),
    }
}

fn only(
    workload: &Workload<'_>,
    ports: &[&Port<'_>],
    candidates: &[&Container<'_>],
) -> Result<String, Finding> {
    match ports {
        [port] => Ok(url(port.number, port.name)),
        [] => {
            let words = format!(
                "no application port: {} names no TCP port for clients; add it to its ports as \
                 containerPort, or say it with the annotation {PREFIX}port or {PREFIX}upstream",
                names(candidates)
            );
            Err(workload.error("no_port", workload.spec.line, &words))
        }
        several => {
            let shown = |port: &&Port<'_>| match port.name {
                Some(name) => format!("{} ({name})", port.number),
                None => port.number.to_string(),
            };
            let shown: Vec<_> = several.iter().map(shown).collect();
            let words = format!(
                "the application port may be {} of {}; say which with the annotation \
                 {PREFIX}port or {PREFIX}container",
                shown.join(" or "),
                names(candidates)
            );
            Err(workload.error("port_unclear", several[0].line, &words))
        }
    }
}

/// A port that is called after HTTP/2 without TLS is spoken to so.
fn url(port: u16, name: Option<&str>) -> String {
    let h2 = matches!(name, Some("grpc" | "h2c"));
    let scheme = if h2 { "h2c" } else { "http" };
    format!("{scheme}://127.0.0.1:{port}")
}

fn names(containers: &[&Container<'_>]) -> String {
    let kind = if containers.len() == 1 {
        "container"
    } else {
        "containers"
    };
    let names: Vec<_> = containers.iter().map(|one| one.name).collect();
    format!("{kind} {}", names.join(", "))
}
