//! The trust in clients as a part of the page.

use std::fmt;
use std::time::Duration;

use super::Escaped;
use super::parts::bar;
use crate::admin::moment;
use crate::admin::report::{ClientTrust, TrustedAuthority};

/// The trust in clients, and what came of it.
pub(super) fn section(f: &mut fmt::Formatter<'_>, trust: &ClientTrust) -> fmt::Result {
    write!(
        f,
        "<section class=\"wide\"><h2>Client trust</h2><p>Certificates are <b>{}</b>; loaded {} from \
         <code>{}</code></p>",
        trust.mode,
        trust.loaded_at,
        Escaped(trust.files.join(", "))
    )?;
    if let Some(error) = &trust.last_error {
        write!(
            f,
            "<p class=\"bad\">{} <span class=\"note\">since {}</span></p>",
            Escaped(&error.words),
            error.since
        )?;
    }
    if let Some(mount) = &trust.frozen_by {
        write!(
            f,
            "<p class=\"warn\">Never changes here: {} is a subPath mount.</p>",
            Escaped(mount)
        )?;
    }
    trust
        .authorities
        .iter()
        .try_for_each(|one| authority(f, one))?;
    for list in &trust.revocations {
        let class = if list.state == "valid" { "good" } else { "bad" };
        write!(
            f,
            "<p>Revocation list of {}: <span class=\"{class}\">{}</span>, {} revoked \
             <span class=\"note\">next update {}</span></p>",
            Escaped(&list.issuer),
            list.state,
            list.revoked,
            list.next_update.as_deref().unwrap_or("never")
        )?;
    }
    match trust.allow.is_empty() {
        true => {
            f.write_str("<p class=\"note\">Everybody with a good certificate may come in.</p>")?
        }
        false => write!(
            f,
            "<p>May come in: <code>{}</code></p>",
            Escaped(trust.allow.join(", "))
        )?,
    }
    f.write_str("</section>")
}

fn authority(f: &mut fmt::Formatter<'_>, one: &TrustedAuthority) -> fmt::Result {
    let class = if one.state == "valid" { "good" } else { "bad" };
    write!(
        f,
        "<div class=\"certificate\"><p><b>{}</b> <span class=\"{class}\">{}</span></p>",
        Escaped(&one.subject),
        one.state
    )?;
    bar(f, class, one.seconds_left, one.lifetime_seconds)?;
    write!(
        f,
        "<p>{} handshakes <span class=\"note\">{} left · until {} · SHA-256 <code>{}…</code></span></p>",
        one.handshakes,
        moment::span(Duration::from_secs(one.seconds_left)),
        one.not_after,
        one.sha256.get(..16).unwrap_or_default()
    )?;
    if one.lacks_revocation_list {
        f.write_str("<p class=\"bad\">No revocation list: its clients are refused.</p>")?;
    }
    f.write_str("</div>")
}
