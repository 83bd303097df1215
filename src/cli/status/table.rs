//! The state as a table for a terminal.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::admin::span;

/// Reloads that are shown.
const RELOADS: usize = 5;

/// What `/status` answered.
pub(super) struct Table<'a>(pub(super) &'a Value);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let ready = match status["ready"].as_bool() {
            Some(true) => "ready",
            _ => "NOT READY",
        };
        writeln!(
            f,
            "tls-sidecar {} (revision {}): {ready}, {} for {}",
            Clean(&status["version"]),
            Clean(&status["revision"]),
            Clean(&status["stage"]),
            spanned(&status["uptime_seconds"])
        )?;
        heading(f, "READINESS")?;
        for found in items(&status["conditions"]) {
            let sign = if found["holds"] == true { '+' } else { '-' };
            let name = Clean(&found["name"]).to_string();
            writeln!(f, "  [{sign}] {name:<13} {}", Clean(&found["words"]))?;
        }
        certificates(f, &status["certificates"])?;
        trust(f, &status["certificates"]["client_trust"])?;
        upstream(f, status)?;
        traffic(f, &status["traffic"])?;
        reloads(f, &status["certificates"]["reloads"])
    }
}

fn certificates(f: &mut fmt::Formatter<'_>, known: &Value) -> fmt::Result {
    heading(f, "CERTIFICATES")?;
    for one in items(&known["certificates"]) {
        let names: Vec<_> = items(&one["names"])
            .map(|name| Clean(name).to_string())
            .collect();
        match names.is_empty() {
            true => writeln!(f, "  never loaded")?,
            false => writeln!(
                f,
                "  {}\n    {}, {} left, until {}, {}",
                names.join(", "),
                Clean(&one["state"]),
                spanned(&one["seconds_left"]),
                Clean(&one["not_after"]),
                Clean(&one["key"])
            )?,
        }
        writeln!(f, "    file {}", Clean(&one["file"]))?;
        if names.is_empty() {
            continue;
        }
        writeln!(f, "    issuer {}", Clean(&one["issuer"]))?;
        writeln!(f, "    sha256 {}", Clean(&one["sha256"]))?;
        if one["last_error"].is_object() {
            let (words, since) = (&one["last_error"]["words"], &one["last_error"]["since"]);
            writeln!(f, "    ERROR since {}: {}", Clean(since), Clean(words))?;
        }
    }
    writeln!(f, "  changes: {}", Clean(&known["changes"]))
}

/// Nothing where clients are not asked for certificates.
fn trust(f: &mut fmt::Formatter<'_>, trust: &Value) -> fmt::Result {
    if trust.is_null() {
        return Ok(());
    }
    heading(f, "CLIENT TRUST")?;
    let loaded = (Clean(&trust["mode"]), Clean(&trust["loaded_at"]));
    writeln!(f, "  {}, loaded {}", loaded.0, loaded.1)?;
    for one in items(&trust["authorities"]) {
        writeln!(
            f,
            "  {}\n    {}, {} left, until {}; {} handshakes\n    sha256 {}",
            Clean(&one["subject"]),
            Clean(&one["state"]),
            spanned(&one["seconds_left"]),
            Clean(&one["not_after"]),
            Clean(&one["handshakes"]),
            Clean(&one["sha256"])
        )?;
        if one["lacks_revocation_list"] == true {
            writeln!(
                f,
                "    WARNING: no revocation list, its clients are refused"
            )?;
        }
    }
    for list in items(&trust["revocations"]) {
        writeln!(
            f,
            "  revocation list of {}: {}, {} revoked, next update {}",
            Clean(&list["issuer"]),
            Clean(&list["state"]),
            Clean(&list["revoked"]),
            Clean(&list["next_update"])
        )?;
    }
    let allow: Vec<_> = items(&trust["allow"])
        .map(|p| Clean(p).to_string())
        .collect();
    match allow.is_empty() {
        true => writeln!(f, "  everybody with a good certificate may come in")?,
        false => writeln!(f, "  may come in: {}", allow.join(", "))?,
    }
    if trust["frozen_by"].is_string() {
        writeln!(
            f,
            "  WARNING: {} is a subPath mount and never changes",
            Clean(&trust["frozen_by"])
        )?;
    }
    if trust["last_error"].is_object() {
        let error = &trust["last_error"];
        let (since, words) = (Clean(&error["since"]), Clean(&error["words"]));
        writeln!(f, "  ERROR since {since}: {words}")?;
    }
    Ok(())
}

fn upstream(f: &mut fmt::Formatter<'_>, status: &Value) -> fmt::Result {
    let upstream = &status["upstream"];
    heading(f, "UPSTREAM")?;
    let reached = match upstream["reached"].as_bool() {
        Some(true) => "reached",
        Some(false) => "NOT REACHED",
        None => "not looked at yet",
    };
    write!(f, "  {} {reached}", Clean(&upstream["target"]))?;
    if upstream["since"].is_string() {
        write!(f, " since {}", Clean(&upstream["since"]))?;
    }
    writeln!(f)?;
    if upstream["error"].is_string() {
        writeln!(f, "  {}", Clean(&upstream["error"]))?;
    }
    for socket in items(&upstream["exposed_at"]) {
        writeln!(f, "  WARNING: also reached in clear at {}", Clean(socket))?;
    }
    let open = &status["traffic"]["upstream_connections"];
    writeln!(
        f,
        "  connections: {} in use, {} idle, {} opened, {} failed; {} requests sent again",
        Clean(&open["active"]),
        Clean(&open["idle"]),
        Clean(&open["opened_total"]),
        Clean(&open["failed_total"]),
        Clean(&open["retries_total"])
    )
}

fn traffic(f: &mut fmt::Formatter<'_>, traffic: &Value) -> fmt::Result {
    heading(f, "CONNECTIONS")?;
    let open = &traffic["connections"];
    writeln!(
        f,
        "  {} HTTP/1, {} HTTP/2, {} raw, {} in the handshake; at most {}",
        Clean(&open["http1"]),
        Clean(&open["http2"]),
        Clean(&open["raw"]),
        Clean(&open["handshaking"]),
        Clean(&open["most"])
    )?;
    heading(f, "REQUESTS")?;
    let minute = &traffic["last_minute"];
    let figure = |name: &str| match minute[name].as_f64() {
        Some(value) => format!("{value:.1}"),
        None => "-".to_owned(),
    };
    writeln!(
        f,
        "  {} in all, {} in flight; last minute {}/s, half within {} ms, 99 % within {} ms",
        Clean(&traffic["requests_total"]),
        Clean(&traffic["requests_in_flight"]),
        figure("per_second"),
        figure("p50_ms"),
        figure("p99_ms")
    )?;
    let ended = traffic["clients"]["connections_ended"].as_object();
    for (reason, count) in ended.into_iter().flatten() {
        let reason = Value::from(reason.as_str());
        let (count, reason) = (Clean(count), Clean(&reason));
        writeln!(f, "  {count} connections ended for their client: {reason}")?;
    }
    let mut failures = items(&traffic["handshake_failures"]).peekable();
    if failures.peek().is_some() {
        heading(f, "FAILED HANDSHAKES")?;
    }
    for failure in failures {
        let count = Clean(&failure["count"]).to_string();
        let (reason, words) = (Clean(&failure["reason"]), Clean(&failure["words"]));
        writeln!(f, "  {count:>7} {reason}: {words}")?;
    }
    Ok(())
}

fn reloads(f: &mut fmt::Formatter<'_>, reloads: &Value) -> fmt::Result {
    heading(f, "LAST RELOADS")?;
    for reload in items(reloads).take(RELOADS) {
        write!(
            f,
            "  {} {:<10} {}",
            Clean(&reload["at"]),
            Clean(&reload["result"]).to_string(),
            Clean(&reload["file"])
        )?;
        match reload["words"].as_str() {
            Some("") | None => writeln!(f)?,
            Some(_) => writeln!(f, ": {}", Clean(&reload["words"]))?,
        }
    }
    Ok(())
}

fn heading(f: &mut fmt::Formatter<'_>, words: &str) -> fmt::Result {
    writeln!(f, "{words}")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn spanned(seconds: &Value) -> String {
    span(Duration::from_secs(seconds.as_u64().unwrap_or_default()))
}

/// A value as text on one line, without anything that a terminal obeys.
struct Clean<'a>(&'a Value);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let text = match self.0 {
            Value::Null => return f.write_str("-"),
            Value::String(text) => text,
            other => return other.fmt(f),
        };
        text.chars()
            .try_for_each(|character| match character.is_control() {
                true => write!(f, "{}", character.escape_default()),
                false => f.write_char(character),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_is_shown_steers_the_terminal() {
        let status = json!({"stage": "\u{1b}[2Jserving\n", "certificates": {"certificates": [
            {"names": ["a\u{7}.example"], "file": "/etc/\u{9b}tls", "state": "valid"}]}});
        let table = Table(&status).to_string();
        let is_clean = |c: char| !c.is_control() || c == '\n';
        assert!(table.chars().all(is_clean), "{table:?}");
        assert!(table.contains("\\u{1b}[2Jserving\\n for"), "{table}");
    }
}
