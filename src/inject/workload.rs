//! Which parts of a document are workloads, and where their Pods are described.
//!
//! Invariant: a kind counts with its API group alone, so that a `Job` of somebody else's group stays
//! as it is; and what is to be changed stands where it takes effect, not behind an alias.

use super::node::{Kind, Node};
use crate::check::Finding;

/// What stands before the name of every annotation that means something here.
pub(super) const PREFIX: &str = "tls-sidecar.dev/";

/// The kinds, their API groups, and the way from the root to what has the Pod's `spec`.
const KINDS: [(&str, &str, &[&str]); 7] = [
    ("Deployment", "apps", &["spec", "template"]),
    ("StatefulSet", "apps", &["spec", "template"]),
    ("DaemonSet", "apps", &["spec", "template"]),
    ("ReplicaSet", "apps", &["spec", "template"]),
    ("Job", "batch", &["spec", "template"]),
    (
        "CronJob",
        "batch",
        &["spec", "jobTemplate", "spec", "template"],
    ),
    ("Pod", "", &[]),
];

/// A workload and the parts of it that may be changed.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    pub(super) kind: &'static str,
    /// Its namespace and name, as far as they are written.
    pub(super) name: String,
    /// The document it is in, from 1.
    pub(super) document: usize,
    /// The line it begins in.
    pub(super) line: usize,
    /// The root of the document, where anchors are looked for.
    root: &'a Node,
    /// Annotations of the workload itself, where that is not the Pod.
    pub(super) outer_annotations: Option<&'a Node>,
    /// What has the Pod's `metadata` and `spec`.
    pub(super) home: &'a Node,
    /// The Pod's `spec`.
    pub(super) spec: &'a Node,
}

/// A part of a document that is, or should have been, a workload.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Workload(Workload<'a>),
    /// Somebody else's business, with what a person may want to know about it.
    Passed(Finding),
    /// A workload that cannot be read.
    Unclear(Finding),
}

impl<'a> Workload<'a> {
    /// An error about this workload.
    pub(super) fn error(&self, code: &'static str, line: usize, words: &str) -> Finding {
        Finding::error(code, self.sentence(line, words))
    }

    /// A warning about this workload.
    pub(super) fn warning(&self, code: &'static str, line: usize, words: &str) -> Finding {
        Finding::warning(code, self.sentence(line, words))
    }

    /// Something to know about this workload.
    pub(super) fn note(&self, code: &'static str, line: usize, words: &str) -> Finding {
        Finding::note(code, self.sentence(line, words))
    }

    fn sentence(&self, line: usize, words: &str) -> String {
        let (kind, name, document) = (self.kind, &self.name, self.document);
        format!("{kind} {name} (document {document}, line {line}): {words}")
    }

    /// The Pod's annotations.
    pub(super) fn annotations(&self) -> Option<&'a Node> {
        self.home.at("metadata")?.at("annotations")
    }

    /// The node that an alias stands for, and any other node itself.
    pub(super) fn seen(&self, node: &'a Node) -> &'a Node {
        let Kind::Alias(anchor) = node.kind else {
            return node;
        };
        let mut found = node;
        self.root.walk(0, &mut |_, other| {
            if other.anchor == anchor {
                found = other;
            }
        });
        found
    }

    /// The value of `key` as Kubernetes sees it: through aliases and merge keys.
    pub(super) fn value(&self, map: &'a Node, key: &str) -> Option<&'a Node> {
        let map = self.seen(map);
        let own = map.at(key).map(|value| self.seen(value));
        own.or_else(|| {
            let merged = self.seen(map.at("<<")?);
            let lists = merged.items().iter().map(|item| self.seen(item));
            let maps = lists.chain([merged]);
            maps.filter_map(|map| map.at(key))
                .map(|value| self.seen(value))
                .next()
        })
    }

    /// The same, as text.
    pub(super) fn word(&self, map: &'a Node, key: &str) -> Option<&'a str> {
        self.value(map, key)?.text()
    }

    /// The items of a list of the Pod's `spec`, as Kubernetes sees them.
    pub(super) fn list(&self, key: &str) -> Vec<&'a Node> {
        let items = self
            .value(self.spec, key)
            .map(Node::items)
            .unwrap_or_default();
        items.iter().map(|item| self.seen(item)).collect()
    }

    /// Whether the Pods of this workload come to an end by themselves.
    pub(super) fn ends(&self) -> bool {
        let policy = self.word(self.spec, "restartPolicy");
        ["Job", "CronJob"].contains(&self.kind) || policy.is_some_and(|policy| policy != "Always")
    }

    /// What stands in the way of changing the text, in the parts that are changed.
    pub(super) fn knots(&self) -> Option<Finding> {
        let keys = ["initContainers", "containers", "volumes", "securityContext"];
        let metadata = self.home.at("metadata");
        let security = self.spec.at("securityContext");
        let maps = [
            Some(self.home),
            metadata,
            self.annotations(),
            Some(self.spec),
            security,
        ];
        let maps = maps.into_iter().flatten();
        let merging = maps.clone().find_map(|map| map.at("<<"));
        let lists = keys.iter().filter_map(|key| self.spec.at(key));
        let sysctls = security.and_then(|map| map.at("sysctls"));
        let mut touched: Vec<_> = maps.chain(lists).chain(sysctls).collect();
        touched.extend(self.way());
        let alias = |node: &&&Node| matches!(node.kind, Kind::Alias(_)) || self.is_shared(node);
        let knot = merging.or_else(|| touched.iter().find(alias).copied())?;
        Some(self.shared(knot))
    }

    fn shared(&self, knot: &Node) -> Finding {
        let words = "a part that is to be changed is shared with others by an anchor, an alias or \
                     a merge key (<<); write it out there";
        self.error("shared_part", knot.line, words)
    }

    fn is_shared(&self, node: &Node) -> bool {
        let mut shared = false;
        if node.anchor != 0 {
            self.root.walk(0, &mut |_, other| {
                shared |= matches!(other.kind, Kind::Alias(anchor) if anchor == node.anchor);
            });
        }
        shared
    }

    /// The nodes that `home` is inside of.
    fn way(&self) -> Vec<&'a Node> {
        let mut around = Vec::new();
        let home = self.home;
        self.root.walk(0, &mut |_, node| {
            let holds = node.start <= home.start && node.end >= home.end;
            if holds && !matches!(node.kind, Kind::Scalar { .. }) {
                around.push(node);
            }
        });
        around
    }
}

/// The workloads of one document and what is to be said about the others.
pub(super) fn parts(root: &Node, document: usize) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let kind = root.at("kind").and_then(Node::text).unwrap_or_default();
    match (kind.strip_suffix("List"), root.at("items")) {
        (Some(kind), Some(items)) => {
            for item in items.items() {
                // Items of a `DeploymentList` need not say what they are.
                let kind = item.at("kind").and_then(Node::text).unwrap_or(kind);
                let version = item.at("apiVersion").or_else(|| root.at("apiVersion"));
                parts.extend(part(item, (kind, version), root, document));
            }
        }
        _ => parts.extend(part(root, (kind, root.at("apiVersion")), root, document)),
    }
    parts
}

fn part<'a>(
    node: &'a Node,
    (kind, version): (&str, Option<&Node>),
    root: &'a Node,
    document: usize,
) -> Option<Part<'a>> {
    let version = version.and_then(Node::text).unwrap_or_default();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let (kind, _, way) = KINDS.iter().find(|(known, its, _)| {
        // Where Deployments came from, and where old manifests still have them.
        *known == kind && (group == *its || (group == "extensions" && *its == "apps"))
    })?;
    let metadata = node.at("metadata");
    let mut workload = Workload {
        kind,
        name: name(metadata),
        document,
        line: node.line,
        root,
        outer_annotations: metadata.and_then(|metadata| metadata.at("annotations")),
        home: node,
        spec: node,
    };
    if way.is_empty() {
        workload.outer_annotations = None;
    }
    if let Some(owner) = metadata.and_then(controller) {
        let words =
            format!("is made by {owner} and left as it is; give the sidecar to what makes it");
        return Some(Part::Passed(workload.note("owned", node.line, &words)));
    }
    let mut so_far = Vec::new();
    for key in way.iter().chain(&["spec"]) {
        so_far.push(*key);
        workload.home = workload.spec;
        let here = workload.spec;
        let Some(next) = here.at(key).filter(|next| !next.is_null()) else {
            if matches!(here.kind, Kind::Alias(_)) || here.at("<<").is_some() {
                return Some(Part::Unclear(workload.shared(here)));
            }
            let words = format!("has no {}; write it", so_far.join("."));
            let finding = workload.error("no_containers", workload.spec.line, &words);
            return Some(Part::Unclear(finding));
        };
        workload.spec = next;
    }
    Some(Part::Workload(workload))
}

fn name(metadata: Option<&Node>) -> String {
    let word = |key: &str| metadata?.at(key)?.text();
    let name = match (word("name"), word("generateName")) {
        (Some(name), _) => name.to_owned(),
        (None, Some(begin)) => format!("{begin}*"),
        (None, None) => "without a name".to_owned(),
    };
    match word("namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

/// Who makes the object and would make it anew.
fn controller(metadata: &Node) -> Option<String> {
    let owners = metadata.at("ownerReferences")?.items();
    let owner = owners
        .iter()
        .find(|owner| owner.at("controller").and_then(Node::text) == Some("true"))?;
    let word = |key: &str| owner.at(key).and_then(Node::text).unwrap_or("?");
    Some(format!("{} {}", word("kind"), word("name")))
}
