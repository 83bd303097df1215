//! What one round of a case says of one proxy: numbers with their names.

/// A number's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) key: &'static str,
    /// For people, unit included.
    pub(crate) label: &'static str,
    pub(crate) better: Better,
}

/// Which of two numbers is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// Numbers of one round, the one that matters most first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) values: Vec<(Metric, f64)>,
    /// Whether the proxy did less than was asked of it, so that its numbers are those of saturation.
    pub(crate) short: bool,
}

/// A metric of which less is better.
pub(crate) const fn lower(key: &'static str, label: &'static str) -> Metric {
    let better = Better::Lower;
    Metric { key, label, better }
}

/// A metric of which more is better.
pub(crate) const fn higher(key: &'static str, label: &'static str) -> Metric {
    let better = Better::Higher;
    Metric { key, label, better }
}

/// Half of the answers come sooner.
pub(crate) const P50: Metric = lower("p50_us", "p50, µs");
/// All but one in a hundred come sooner.
pub(crate) const P99: Metric = lower("p99_us", "p99, µs");
/// All but one in a thousand come sooner.
pub(crate) const P999: Metric = lower("p999_us", "p99.9, µs");

impl Sample {
    /// With this number.
    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.values.push((metric, value));
        self
    }

    /// With the percentiles of `latencies`, in microseconds.
    pub(crate) fn with_latencies(self, mut latencies: Vec<u32>) -> Self {
        latencies.sort_unstable();
        let at = |part: f64| {
            let last = latencies.len().saturating_sub(1);
            let index = (last as f64 * part).round() as usize;
            latencies
                .get(index)
                .map_or(f64::NAN, |&value| f64::from(value))
        };
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        self.with(P50, p50).with(P99, p99).with(P999, p999)
    }

    /// With this of its numbers before the others.
    pub(crate) fn led_by(mut self, first: Metric) -> Self {
        self.values.sort_by_key(|(metric, _)| *metric != first);
        self
    }
}
