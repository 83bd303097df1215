//! What a plan adds to a workload, part by part, and the record of it.
//!
//! Invariant: the record is written last and names every map and list that had to be made.

use super::annotations::Mode;
use super::insertion::Insertion;
use super::node::{Node, Pair};
use super::obstacles;
use super::piece::Piece;
use super::plan::Plan;
use super::record::{ANNOTATION, Record, SYSCTL};
use super::workload::Workload;

/// Which end of a list is extended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// Everything that `plan` adds to `workload`.
pub(super) fn insertions<'a>(
    text: &str,
    workload: &Workload<'a>,
    plan: &Plan,
) -> Vec<Insertion<'a>> {
    let mut addition = Addition {
        text,
        record: Record::new(),
        insertions: Vec::new(),
    };
    let spec = workload.spec;
    let mut new = Vec::new();
    let (list, end) = match plan.sidecar.mode {
        // What starts first is there for every other container, and ends last.
        Mode::Native => ("initContainers", End::First),
        Mode::Classic => ("containers", End::Last),
    };
    new.extend(addition.item(spec, list, plan.sidecar.container(), end));
    new.extend(addition.item(spec, "volumes", plan.sidecar.volume(), End::Last));
    if obstacles::low_port(plan).is_some() && obstacles::sysctl_of(workload).is_none() {
        new.extend(addition.sysctl(spec));
    }
    if !new.is_empty() {
        addition.insertions.push(Insertion::Pairs(spec, new));
    }
    addition.note(workload.home);
    addition.insertions
}

struct Addition<'a, 't> {
    text: &'t str,
    record: Record,
    insertions: Vec<Insertion<'a>>,
}

impl<'a> Addition<'a, '_> {
    /// Adds an item to the list of `key`, or returns the pair that `map` needs for it.
    fn item(
        &mut self,
        map: &'a Node,
        key: &'static str,
        item: Piece,
        end: End,
    ) -> Option<(&'static str, Piece)> {
        let Some(pair) = map.pair(key) else {
            self.record.add(key);
            return Some((key, Piece::List(vec![item])));
        };
        if pair.value.is_null() {
            self.value(pair, key, Piece::List(vec![item]));
        } else {
            self.insertions.push(match end {
                End::First => Insertion::First(pair, item),
                End::Last => Insertion::Last(&pair.value, item),
            });
        }
        None
    }

    /// Gives a pair without a value one.
    fn value(&mut self, pair: &'a Pair, key: &str, piece: Piece) {
        if !pair.value.is_absent() {
            let written = &self.text[pair.value.start..pair.value.end];
            self.record.add_instead(key, written);
        }
        self.insertions.push(Insertion::Value(pair, piece));
    }

    fn sysctl(&mut self, spec: &'a Node) -> Option<(&'static str, Piece)> {
        self.record.add("sysctl");
        let sysctl = Piece::Map(vec![
            ("name", Piece::text(SYSCTL)),
            ("value", Piece::text("0")),
        ]);
        let key = "securityContext";
        let Some(security) = spec.pair(key) else {
            self.record.add(key);
            self.record.add("sysctls");
            let sysctls = ("sysctls", Piece::List(vec![sysctl]));
            return Some((key, Piece::Map(vec![sysctls])));
        };
        if security.value.is_null() {
            self.record.add("sysctls");
            let sysctls = ("sysctls", Piece::List(vec![sysctl]));
            self.value(security, key, Piece::Map(vec![sysctls]));
        } else if let Some(sysctls) = self.item(&security.value, "sysctls", sysctl, End::Last) {
            let pairs = vec![sysctls];
            self.insertions
                .push(Insertion::Pairs(&security.value, pairs));
        }
        None
    }

    /// Writes the record into the annotations of the Pod.
    fn note(&mut self, home: &'a Node) {
        let metadata = home.pair("metadata");
        let annotations = metadata.and_then(|pair| pair.value.pair("annotations"));
        if let Some(pair) = annotations {
            match pair.value.is_null() {
                true => {
                    let written = &self.text[pair.value.start..pair.value.end];
                    if !written.is_empty() {
                        self.record.add_instead("annotations", written);
                    }
                    let record = self.annotation();
                    self.insertions
                        .push(Insertion::Value(pair, Piece::Map(vec![record])));
                }
                false => {
                    let record = self.annotation();
                    self.insertions
                        .push(Insertion::Pairs(&pair.value, vec![record]));
                }
            }
            return;
        }
        self.record.add("annotations");
        match metadata {
            Some(pair) if !pair.value.is_null() => {
                let annotations = self.annotations();
                self.insertions
                    .push(Insertion::Pairs(&pair.value, vec![annotations]));
            }
            Some(pair) => {
                let written = &self.text[pair.value.start..pair.value.end];
                if !written.is_empty() {
                    self.record.add_instead("metadata", written);
                }
                let annotations = self.annotations();
                self.insertions
                    .push(Insertion::Value(pair, Piece::Map(vec![annotations])));
            }
            None => {
                self.record.add("metadata");
                let metadata = ("metadata", Piece::Map(vec![self.annotations()]));
                self.insertions.push(Insertion::Pairs(home, vec![metadata]));
            }
        }
    }

    fn annotations(&self) -> (&'static str, Piece) {
        ("annotations", Piece::Map(vec![self.annotation()]))
    }

    fn annotation(&self) -> (&'static str, Piece) {
        (ANNOTATION, Piece::text(self.record.text()))
    }
}
