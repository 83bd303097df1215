//! `GET /`: the state of the sidecar on one page, for whoever is woken at night.
//!
//! Whole in itself: nothing is loaded from elsewhere, and every figure is in the page without a
//! script; the script only fetches the page again. Invariant: whatever came from a file, a
//! certificate or a peer is escaped.

mod parts;
mod plot;
mod trust;

use std::fmt;

use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};

use super::routes::{Answer, typed};
use super::{Admin, report};
use crate::config::Shown;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/live.js");

/// Text that may hold anything, as a part of the page.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // Direction marks and other controls could make a name look like another.
                c if is_invisible(c) => write!(self.0, "\\u{{{:x}}}", u32::from(c))?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn is_invisible(character: char) -> bool {
    let is_format = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    is_format || (character.is_control() && character != '\n')
}

pub(super) fn answer(admin: &Admin) -> Answer {
    // What is written into the page cannot know it before, so no other script or style runs.
    let nonce = format!("{:032x}", fastrand::u128(..));
    let mut answer = typed(
        StatusCode::OK,
        "text/html; charset=utf-8",
        page(admin, &nonce),
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn page(admin: &Admin, nonce: &str) -> String {
    let report = report::Report::of(admin);
    let settings = admin.serving.get().map(|serving| &serving.settings[..]);
    let series = plot::Series::of(admin);
    let state = match report.ready {
        true => "ready",
        false => "not ready",
    };
    let main = parts::Main {
        report: &report,
        series: &series,
        settings: settings.unwrap_or_default(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\">\
         <link rel=\"icon\" href=\"data:,\">\
         <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\
         <title>{state} · tls-sidecar</title><style nonce=\"{nonce}\">{STYLE}</style></head>\n\
         <body>{main}\n<script nonce=\"{nonce}\">{SCRIPT}</script></body></html>\n"
    )
}

/// The values of a setting, one a line.
fn values(shown: &Shown) -> String {
    match shown {
        Shown::One(value) => value.clone(),
        Shown::Many(values) if values.is_empty() => "none".to_owned(),
        Shown::Many(values) => values.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_can_leave_its_place() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}\0";
        let escaped = Escaped(hostile).to_string();
        assert_eq!(
            escaped,
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\\u{202e}\\u{0}"
        );
        assert_eq!(Escaped("Zürich.example").to_string(), "Zürich.example");
    }
}
