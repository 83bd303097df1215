//! The parts of the page, from the most urgent to the least.

use std::fmt;
use std::time::Duration;

use super::plot::{Plot, Series, Short};
use super::{Escaped, trust, values};
use crate::admin::moment;
use crate::admin::report::{Certificate, Facts, Reload, Report, Traffic};
use crate::config::Shown;

/// Reloads that are shown.
const RELOADS: usize = 8;

/// Everything between the body's tags but the script.
pub(super) struct Main<'a> {
    pub(super) report: &'a Report,
    pub(super) series: &'a Series,
    pub(super) settings: &'a [(&'static str, Shown)],
}

impl fmt::Display for Main<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<main>")?;
        self.heading(f)?;
        self.conditions(f)?;
        if let Some(known) = &self.report.certificates {
            f.write_str("<section class=\"wide\"><h2>Certificates</h2>")?;
            known
                .certificates
                .iter()
                .try_for_each(|one| certificate(f, one))?;
            write!(
                f,
                "<p class=\"note\">Changes: {}</p></section>",
                Escaped(&known.changes)
            )?;
            if let Some(known) = &known.client_trust {
                trust::section(f, known)?;
            }
        }
        if let Some(traffic) = &self.report.traffic {
            self.plots(f, traffic)?;
            self.application(f, traffic)?;
            connections(f, traffic)?;
            handshakes(f, traffic)?;
        }
        if let Some(known) = &self.report.certificates {
            reloads(f, &known.reloads)?;
        }
        self.configuration(f)?;
        f.write_str("</main>")
    }
}

impl Main<'_> {
    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let (class, words) = match report.ready {
            true => ("good", "ready"),
            false => ("bad", "not ready"),
        };
        write!(
            f,
            "<header><h1>tls-sidecar</h1><span class=\"badge {class}\">{words}</span>\
             <span>{}</span><span class=\"note\">up {} · {}</span></header>",
            report.stage,
            moment::span(Duration::from_secs(report.uptime_seconds)),
            report.now
        )
    }

    fn conditions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<section class=\"wide\"><h2>Readiness</h2><ul class=\"conditions\">")?;
        for found in &self.report.conditions {
            let (class, sign) = match found.holds {
                true => ("good", "✓"),
                false => ("bad", "✗"),
            };
            write!(
                f,
                "<li><span class=\"{class}\">{sign}</span> <b>{}</b> {}</li>",
                found.name,
                Escaped(&found.words)
            )?;
        }
        f.write_str("</ul></section>")
    }

    fn plots(&self, f: &mut fmt::Formatter<'_>, traffic: &Traffic) -> fmt::Result {
        let figures = &traffic.last_minute;
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| Short(ms).to_string());
        write!(
            f,
            "<section class=\"wide\"><h2>Traffic</h2><p>Last minute: <b>{}</b> requests/s, half \
             within <b>{}</b> ms, 90 % within <b>{}</b> ms, 99 % within <b>{}</b> ms; \
             <b>{}</b> requests since the start.</p><div class=\"plots\">",
            Short(figures.per_second),
            ms(figures.p50_ms),
            ms(figures.p90_ms),
            ms(figures.p99_ms),
            traffic.requests_total
        )?;
        let series = self.series;
        for plot in [
            Plot {
                title: "Requests",
                unit: "/s",
                line: &series.rate,
                second: None,
            },
            Plot {
                title: "Latency, 99 % and half",
                unit: "ms",
                line: &series.p99,
                second: Some(&series.p50),
            },
            Plot {
                title: "Requests in flight",
                unit: "",
                line: &series.in_flight,
                second: None,
            },
            Plot {
                title: "Connections",
                unit: "",
                line: &series.connections,
                second: None,
            },
        ] {
            write!(f, "{plot}")?;
        }
        f.write_str("</div></section>")
    }

    fn application(&self, f: &mut fmt::Formatter<'_>, traffic: &Traffic) -> fmt::Result {
        let upstream = &self.report.upstream;
        let (class, words) = match upstream.reached {
            Some(true) => ("good", "reached"),
            Some(false) => ("bad", "not reached"),
            None => ("", "not looked at yet"),
        };
        write!(
            f,
            "<section><h2>Application</h2><p><code>{}</code> <span class=\"{class}\">{words}</span>",
            Escaped(&upstream.target)
        )?;
        if let Some(since) = &upstream.since {
            write!(f, " <span class=\"note\">since {since}</span>")?;
        }
        f.write_str("</p>")?;
        if let Some(error) = &upstream.error {
            write!(f, "<p class=\"bad\">{}</p>", Escaped(error))?;
        }
        for socket in &upstream.exposed_at {
            let words = "Also reached in clear, past TLS, at";
            write!(f, "<p class=\"bad\">{words} {}</p>", Escaped(socket))?;
        }
        let open = &traffic.upstream_connections;
        table(
            f,
            &[
                ("connections in use", open.active.to_string()),
                ("connections waiting", open.idle.to_string()),
                ("opened so far", open.opened_total.to_string()),
                ("could not be opened", open.failed_total.to_string()),
                ("requests sent again", open.retries_total.to_string()),
            ],
        )?;
        f.write_str("</section>")
    }

    fn configuration(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        write!(
            f,
            "<section class=\"wide\"><h2>Build and configuration</h2><p>Version <b>{}</b>, revision \
             <code>{}</code>, TLS by {}, started {}, log level {}.</p>\
             <details><summary>Settings in force</summary><table>",
            report.version,
            Escaped(report.revision),
            report.tls_provider,
            report.started,
            report.log_level.as_deref().unwrap_or("not ours")
        )?;
        for (flag, shown) in self.settings {
            let value = values(shown);
            write!(f, "<tr><th>--{flag}</th><td>{}</td></tr>", Escaped(value))?;
        }
        f.write_str(
            "</table></details><p class=\"note\">Also: /readyz?verbose /certs /config /status \
             /metrics</p></section>",
        )
    }
}

fn certificate(f: &mut fmt::Formatter<'_>, one: &Certificate) -> fmt::Result {
    let class = match one.state {
        "valid" => "good",
        "expired" | "about to expire" | "not yet valid" => "bad",
        _ => "warn",
    };
    f.write_str("<div class=\"certificate\">")?;
    match &one.in_service {
        Some(facts) => life(f, facts, class, one.state)?,
        None => f.write_str("<p class=\"bad\">Never loaded; others are served.</p>")?,
    }
    write!(f, "<p class=\"note\"><code>{}</code>", Escaped(&one.file))?;
    if let Some(loaded) = &one.loaded_at {
        write!(f, " loaded {loaded}")?;
    }
    f.write_str("</p>")?;
    if let Some(error) = &one.last_error {
        write!(
            f,
            "<p class=\"bad\">{} <span class=\"note\">since {}</span></p>",
            Escaped(&error.words),
            error.since
        )?;
    }
    if !one.names_lost.is_empty() {
        let names = one.names_lost.join(", ");
        write!(
            f,
            "<p class=\"warn\">Lost by its last rotation: {}</p>",
            Escaped(names)
        )?;
    }
    if let Some(mount) = &one.frozen_by {
        write!(
            f,
            "<p class=\"warn\">Never renewed here: {} is a subPath mount.</p>",
            Escaped(mount)
        )?;
    }
    f.write_str("</div>")
}

fn life(f: &mut fmt::Formatter<'_>, facts: &Facts, class: &str, state: &str) -> fmt::Result {
    let left = moment::span(Duration::from_secs(facts.seconds_left));
    write!(
        f,
        "<p><b>{}</b> <span class=\"{class}\">{state}</span></p>",
        Escaped(facts.names.join(", "))
    )?;
    bar(f, class, facts.seconds_left, facts.lifetime_seconds)?;
    write!(
        f,
        "<p>{left} left <span class=\"note\">until {} · {} · issued by {} · serial {} · SHA-256 \
         <code>{}…</code></span></p>",
        facts.not_after,
        facts.key,
        Escaped(&facts.issuer),
        facts.serial,
        facts.sha256.get(..16).unwrap_or_default()
    )
}

/// What is left of a lifetime, drawn.
pub(super) fn bar(
    f: &mut fmt::Formatter<'_>,
    class: &str,
    left: u64,
    lifetime: u64,
) -> fmt::Result {
    let percent = left.saturating_mul(100).checked_div(lifetime);
    let percent = percent.unwrap_or_default().min(100);
    write!(
        f,
        "<svg class=\"life {class}\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{percent} % of its life are left\"><rect class=\"all\" width=\"100\" height=\"4\"/>\
         <rect class=\"left\" width=\"{percent}\" height=\"4\"/></svg>"
    )
}

fn connections(f: &mut fmt::Formatter<'_>, traffic: &Traffic) -> fmt::Result {
    let open = &traffic.connections;
    f.write_str("<section><h2>Connections</h2>")?;
    table(
        f,
        &[
            ("in the handshake", open.handshaking.to_string()),
            ("HTTP/1", open.http1.to_string()),
            ("HTTP/2", open.http2.to_string()),
            ("raw", open.raw.to_string()),
            ("at most", open.most.to_string()),
            ("requests in flight", traffic.requests_in_flight.to_string()),
        ],
    )?;
    f.write_str("</section>")
}

fn handshakes(f: &mut fmt::Formatter<'_>, traffic: &Traffic) -> fmt::Result {
    f.write_str("<section class=\"wide\"><h2>Handshakes</h2><p>")?;
    for (at, (kind, count)) in traffic.handshakes.iter().enumerate() {
        let separator = if at == 0 { "" } else { " · " };
        let kind = kind.replace("tls", "TLS ").replace('_', ", ");
        write!(f, "{separator}{kind} <b>{count}</b>")?;
    }
    f.write_str("</p>")?;
    for (reason, count) in &traffic.clients.connections_ended {
        let words = "connections ended because their client was no longer good";
        write!(f, "<p><b>{count}</b> {words}: <code>{reason}</code></p>")?;
    }
    if traffic.handshake_failures.is_empty() {
        return f.write_str("<p class=\"note\">None has failed.</p></section>");
    }
    f.write_str("<table class=\"failures\"><tr><th>failed</th><th>why</th><th>label</th></tr>")?;
    for failure in &traffic.handshake_failures {
        write!(
            f,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            failure.count,
            Escaped(&failure.words),
            failure.reason
        )?;
    }
    f.write_str("</table></section>")
}

fn reloads(f: &mut fmt::Formatter<'_>, reloads: &[Reload]) -> fmt::Result {
    f.write_str("<section class=\"wide\"><h2>Last reloads</h2><table class=\"reloads\">")?;
    for reload in reloads.iter().take(RELOADS) {
        let class = match reload.result {
            "published" => "good",
            "unchanged" => "",
            _ => "warn",
        };
        write!(
            f,
            "<tr><td>{}</td><td class=\"{class}\">{}</td><td><code>{}</code></td><td>{}</td></tr>",
            reload.at,
            reload.result,
            Escaped(&reload.file),
            Escaped(&reload.words)
        )?;
    }
    f.write_str("</table></section>")
}

fn table(f: &mut fmt::Formatter<'_>, rows: &[(&str, String)]) -> fmt::Result {
    f.write_str("<table>")?;
    for (name, value) in rows {
        write!(f, "<tr><th>{name}</th><td>{value}</td></tr>")?;
    }
    f.write_str("</table>")
}
