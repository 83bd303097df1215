//! The results as text: a block for each case, a line for each number, a column for each proxy.

use std::fmt::Write;

use crate::results::{CaseResult, short};

/// All of it.
pub(crate) fn render(results: &[CaseResult]) -> String {
    let mut text = String::new();
    for result in results {
        block(&mut text, result);
    }
    text
}

fn block(text: &mut String, result: &CaseResult) {
    let _ = writeln!(text, "\n{}: {}", result.name, result.title);
    let metrics = result.metrics();
    let label = metrics
        .iter()
        .map(|metric| metric.label.chars().count())
        .max();
    let label = label.unwrap_or(0);
    let _ = write!(text, "  {:label$}", "");
    for proxy in &result.proxies {
        let mark = if proxy.short() { "*" } else { "" };
        let _ = write!(text, "  {:>11}", format!("{}{mark}", proxy.name));
    }
    let _ = writeln!(text, "  ours/best");
    for metric in metrics {
        let _ = write!(text, "  {:label$}", metric.label);
        for proxy in &result.proxies {
            let value = proxy.median(metric).map_or_else(|| "-".to_owned(), short);
            let _ = write!(
                text,
                "  {value:>w$}",
                w = (proxy.name.len() + usize::from(proxy.short())).max(11)
            );
        }
        let _ = match result.ratio(metric) {
            Some((ratio, best)) => writeln!(text, "  {ratio:.2} ({best})"),
            None => writeln!(text, "  -"),
        };
    }
    if result.proxies.iter().any(|proxy| proxy.short()) {
        let _ = writeln!(
            text,
            "  * did not hold the rate: a figure of saturation, no match for the others"
        );
    }
    for (name, reason) in &result.left_out {
        let _ = writeln!(text, "  without {name}: {reason}");
    }
}
