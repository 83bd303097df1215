//! What came of a run: every number of every round, medians, and ratios to the best of the others.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::peers::Peer;
use crate::sample::{Better, Metric, Sample};

/// What came of a case.
#[derive(Debug)]
pub(crate) struct CaseResult {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// One a proxy that took part, in the order of the run.
    pub(crate) proxies: Vec<ProxyResult>,
    /// Proxies that were left out, and why.
    pub(crate) left_out: BTreeMap<String, String>,
}

/// What came of it at one proxy.
#[derive(Debug)]
pub(crate) struct ProxyResult {
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) passes_bytes: bool,
    samples: Vec<Sample>,
}

impl CaseResult {
    /// Nothing yet.
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            name: case.name,
            title: case.title.to_owned(),
            proxies: Vec::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, peer: &Peer, sample: Sample) {
        let known = self
            .proxies
            .iter_mut()
            .find(|proxy| proxy.name == peer.name);
        match known {
            Some(proxy) => proxy.samples.push(sample),
            None => self.proxies.push(ProxyResult {
                name: peer.name.clone(),
                ours: peer.is_ours(),
                passes_bytes: peer.passes_bytes(),
                samples: vec![sample],
            }),
        }
    }

    /// Leaves a proxy out, with what it did so far.
    pub(crate) fn leave_out(&mut self, peer: &Peer, reason: String) {
        self.proxies.retain(|proxy| proxy.name != peer.name);
        self.left_out.insert(peer.name.clone(), reason);
    }

    /// What is measured, the leading number first.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let sample = self.proxies.iter().find_map(|proxy| proxy.samples.first());
        let values = sample.map(|sample| sample.values.as_slice());
        values
            .unwrap_or_default()
            .iter()
            .map(|(metric, _)| *metric)
            .collect()
    }

    /// The first build of this proxy, against the best proxy of others that reads HTTP and did all
    /// that was asked: the ratio of medians, and whose.
    pub(crate) fn ratio(&self, metric: Metric) -> Option<(f64, &str)> {
        let ours = self
            .proxies
            .iter()
            .find(|proxy| proxy.ours)?
            .median(metric)?;
        let equals = self
            .proxies
            .iter()
            .filter(|proxy| !proxy.ours && !proxy.passes_bytes && !proxy.short());
        let best = equals
            .filter_map(|proxy| Some((proxy.median(metric)?, proxy.name.as_str())))
            .min_by(|(a, _), (b, _)| match metric.better {
                Better::Lower => a.total_cmp(b),
                Better::Higher => b.total_cmp(a),
            })?;
        (best.0 > 0.0).then_some((ours / best.0, best.1))
    }

    /// For the results.
    pub(crate) fn json(&self) -> Value {
        let metrics = self.metrics().into_iter().map(|metric| {
            let proxies = self.proxies.iter().map(|proxy| {
                let value = json!({
                    "median": proxy.median(metric),
                    "rounds": proxy.values(metric),
                    "rate_not_held": proxy.short(),
                });
                (proxy.name.clone(), value)
            });
            json!({
                "key": metric.key,
                "label": metric.label,
                "lower_is_better": metric.better == Better::Lower,
                "ratio": self.ratio(metric).map(|(ratio, _)| ratio),
                "best_of_others": self.ratio(metric).map(|(_, best)| best),
                "proxies": proxies.collect::<serde_json::Map<_, _>>(),
            })
        });
        json!({
            "name": self.name,
            "title": self.title,
            "metrics": metrics.collect::<Vec<_>>(),
            "left_out": self.left_out,
        })
    }
}

impl ProxyResult {
    /// The middle of all rounds.
    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        let mut values = self.values(metric);
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            count if count % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// Whether it did less than was asked in most rounds.
    pub(crate) fn short(&self) -> bool {
        let short = self.samples.iter().filter(|sample| sample.short).count();
        short * 2 > self.samples.len()
    }

    fn values(&self, metric: Metric) -> Vec<f64> {
        let of = |sample: &Sample| {
            let found = sample.values.iter().find(|(name, _)| *name == metric);
            found.map(|(_, value)| *value)
        };
        self.samples.iter().filter_map(of).collect()
    }
}

/// A number with the three digits that mean something.
pub(crate) fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if !v.is_finite() => return "-".to_owned(),
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}
