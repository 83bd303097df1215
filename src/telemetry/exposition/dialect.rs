//! The two languages of a scrape: OpenMetrics, and Prometheus's older text.
//!
//! prometheus-client writes OpenMetrics. Prometheus understands both and asks for the one; tools
//! around it, promtool among them, read only the other, which names a counter's family with its
//! `_total`, has no info type, no units and no end mark.

use std::fmt::Write as _;

/// A language that a scraper understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4, for whoever does not ask for the other.
    Prometheus,
}

impl Dialect {
    /// The one that an `Accept` header asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        let accepts = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next() == Some("application/openmetrics-text");
            is_it && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0"))
        };
        match accept.unwrap_or_default().split(',').any(accepts) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The `Content-Type` of an answer in it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What `open_metrics` says, in this language.
    pub(super) fn translate(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => to_prometheus(&open_metrics),
        }
    }
}

fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(words) = line.strip_prefix("# HELP ") {
            help = words.split_once(' ').map(|(_, help)| help);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = help.take().unwrap_or_default();
            // Writing into a string cannot fail.
            let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5";
        for (accept, dialect) in [
            (Some(prometheus), Dialect::OpenMetrics),
            (
                Some("text/plain, application/openmetrics-text"),
                Dialect::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;q=0"),
                Dialect::Prometheus,
            ),
            (Some("*/*"), Dialect::Prometheus),
            (Some(""), Dialect::Prometheus),
            (None, Dialect::Prometheus),
        ] {
            assert_eq!(Dialect::accepted(accept), dialect, "{accept:?}");
        }
    }

    #[test]
    fn the_older_text_names_a_family_as_its_samples_are_named() {
        let open_metrics = "# HELP a_bytes Bytes.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
             a_bytes_total{x=\"# HELP\"} 7\n# HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n# EOF\n";
        assert_eq!(
            to_prometheus(open_metrics),
            "# HELP a_bytes_total Bytes.\n# TYPE a_bytes_total counter\n\
             a_bytes_total{x=\"# HELP\"} 7\n# HELP b_info What.\n# TYPE b_info gauge\n\
             b_info{v=\"1\"} 1\n"
        );
    }
}
