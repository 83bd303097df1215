//! Taking out what was put in: by what it is, wherever and however it is written now.
//!
//! Each removal is the step of `insertion` backwards, so that a file whose lines were left alone
//! comes out byte for byte. Invariant: nothing goes that the record and the names do not claim.

use super::insertion::OddLayout;
use super::node::{Node, Pair};
use super::record::{ANNOTATION, OWN, Record, SYSCTL};
use super::text::{Edit, dash, end_of_line_before, line_end, line_start};
use super::workload::Workload;

/// The edits that free `workload` of what `record` tells.
pub(super) fn edits(
    text: &str,
    workload: &Workload<'_>,
    record: &Record,
) -> Result<Vec<Edit>, OddLayout> {
    let removal = Removal { text, record };
    let spec = workload.spec;
    let mut edits = Vec::new();
    let mut pairs = Vec::new();
    for list in ["initContainers", "containers", "volumes"] {
        if let Some(pair) = spec.pair(list) {
            let own = |item: &Node| item.at("name").and_then(Node::text) == Some(OWN);
            removal.items(pair, &own, &mut pairs, &mut edits)?;
        }
    }
    if let Some(security) = spec.pair("securityContext") {
        let sysctls = security.value.pair("sysctls");
        let own = |item: &Node| item.at("name").and_then(Node::text) == Some(SYSCTL);
        let mut inner = Vec::new();
        if let Some(sysctls) = sysctls.filter(|_| record.has("sysctl")) {
            removal.items(sysctls, &own, &mut inner, &mut edits)?;
        }
        removal.pairs(security, &inner, &mut pairs, &mut edits)?;
    }
    removal.some(spec, &pairs, &mut edits)?;
    let home = workload.home;
    let metadata = home.pair("metadata");
    let annotations = metadata.and_then(|metadata| metadata.value.pair("annotations"));
    if let (Some(metadata), Some(annotations)) = (metadata, annotations) {
        let own = annotations.value.pairs().iter();
        let own: Vec<_> = own
            .filter(|pair| pair.key.text() == Some(ANNOTATION))
            .collect();
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        removal.pairs(annotations, &own, &mut inner, &mut edits)?;
        removal.pairs(metadata, &inner, &mut outer, &mut edits)?;
        removal.some(home, &outer, &mut edits)?;
    }
    Ok(edits)
}

struct Removal<'a> {
    text: &'a str,
    record: &'a Record,
}

/// An item of a list, or a pair of a map.
struct Child<'a> {
    /// The item, or the key.
    node: &'a Node,
    start: usize,
    end: usize,
    /// The place from which on its lines are its own; `None` where it shares the first.
    begins: Option<usize>,
    is_own: bool,
}

impl Removal<'_> {
    /// Removes the items of a list that are `own`; when none is left and the list was made for
    /// them, the pair of the list joins `gone` instead.
    fn items<'n>(
        &self,
        pair: &'n Pair,
        own: &dyn Fn(&Node) -> bool,
        gone: &mut Vec<&'n Pair>,
        edits: &mut Vec<Edit>,
    ) -> Result<(), OddLayout> {
        let items = pair.value.items();
        let own = |item: &Node| own(item);
        if !items.iter().any(own) {
            return Ok(());
        }
        if self.whole(pair, items.iter().all(own), gone, edits) {
            return Ok(());
        }
        let children = items.iter().map(|item| Child {
            node: item,
            start: item.start,
            end: item.end,
            begins: dash(self.text, item),
            is_own: own(item),
        });
        self.children(&pair.value, &children.collect::<Vec<_>>(), edits)
    }

    /// The same for the pairs `own` of the map that `pair` has.
    fn pairs<'n>(
        &self,
        pair: &'n Pair,
        own: &[&Pair],
        gone: &mut Vec<&'n Pair>,
        edits: &mut Vec<Edit>,
    ) -> Result<(), OddLayout> {
        let all = own.len() == pair.value.pairs().len();
        if own.is_empty() || self.whole(pair, all, gone, edits) {
            return Ok(());
        }
        self.some(&pair.value, own, edits)
    }

    /// Whether the pair goes as a whole, because all of it does and it was made or replaced.
    fn whole<'n>(
        &self,
        pair: &'n Pair,
        all: bool,
        gone: &mut Vec<&'n Pair>,
        edits: &mut Vec<Edit>,
    ) -> bool {
        let name = pair.key.text().unwrap_or_default();
        if all && self.record.has(name) {
            gone.push(pair);
            return true;
        }
        let instead = self
            .record
            .instead(name)
            .filter(|_| all && pair.value.is_flow());
        if let Some(text) = instead {
            edits.push(Edit {
                range: pair.value.start..pair.value.end,
                text: text.to_owned(),
                of: pair.value.start,
            });
        }
        instead.is_some()
    }

    /// Removes the pairs `own` of a map.
    fn some(&self, map: &Node, own: &[&Pair], edits: &mut Vec<Edit>) -> Result<(), OddLayout> {
        let children = map.pairs().iter().map(|Pair { key, value }| {
            let before = &self.text[line_start(self.text, key.start)..key.start];
            Child {
                node: key,
                start: key.start,
                end: value.end,
                begins: before.trim().is_empty().then_some(key.start),
                is_own: own.iter().any(|own| own.key.start == key.start),
            }
        });
        self.children(map, &children.collect::<Vec<_>>(), edits)
    }

    /// Removes what is own of the children of a map or list.
    fn children(
        &self,
        around: &Node,
        children: &[Child<'_>],
        edits: &mut Vec<Edit>,
    ) -> Result<(), OddLayout> {
        let first_kept = children.iter().position(|child| !child.is_own);
        for (at, child) in children.iter().enumerate().filter(|(_, c)| c.is_own) {
            let line = child.node.line;
            let range = match first_kept {
                _ if !around.is_flow() => {
                    let begins = child.begins.ok_or(OddLayout { line })?;
                    end_of_line_before(self.text, begins)..line_end(self.text, child.end)
                }
                // With its comma: for the first ones that behind it, else that before it.
                Some(kept) if at < kept => child.start..children[at + 1].start,
                _ if at > 0 => children[at - 1].end..child.end,
                _ => child.start..child.end,
            };
            edits.push(Edit {
                range,
                text: String::new(),
                of: child.start,
            });
        }
        Ok(())
    }
}
