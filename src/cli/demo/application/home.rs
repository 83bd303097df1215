//! `/`: the page for a person, with the request that fetched it.
//!
//! The text is `home.html`, compiled in; this file fills its marks. All that a client can choose
//! is escaped, and the marks are comments, which escaped text cannot contain. A client that takes
//! anything but does not name HTML, as curl, gets the same in plain text.

use std::fmt::Write;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;

use super::answer::{self, Answer};
use super::pages::{self, PAGES};

const TEMPLATE: &str = include_str!("home.html");

/// Nothing from outside, connections back to here only.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Headers the sidecar sets or has checked; the page marks them.
const FROM_SIDECAR: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// The page with the pages' list and the request as received.
pub(super) fn page(request: &Request<Incoming>, peer: SocketAddr) -> Answer {
    let line = format!(
        "{} {} {:?}",
        request.method(),
        request.uri(),
        request.version()
    );
    let mut answer = match wants_text(request.headers()) {
        true => answer::text(StatusCode::OK, text(&line, request.headers(), peer)),
        false => html(&line, request.headers(), peer),
    };
    answer
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

/// curl says `Accept: */*`, a browser names HTML: markup on a terminal helps nobody.
fn wants_text(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    let names_html = |value: &HeaderValue| value.to_str().is_ok_and(|it| it.contains("text/html"));
    accepted.peek().is_some() && !accepted.any(names_html)
}

fn text(line: &str, headers: &HeaderMap, peer: SocketAddr) -> String {
    let mut text = String::from("It works: TLS in front, plain HTTP behind.\n\n");
    let _ = writeln!(text, "This application received, from {peer}:\n\n  {line}");
    for (name, value) in headers {
        let _ = writeln!(
            text,
            "  {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    let _ = write!(text, "\nPages to try:\n\n{}", pages::listing());
    text
}

fn html(line: &str, headers: &HeaderMap, peer: SocketAddr) -> Answer {
    let html = TEMPLATE
        .replace("<!--arrival-->", &arrival(headers, peer))
        .replace("<!--pages-->", &list())
        .replace("<!--line-->", &escaped(line))
        .replace("<!--headers-->", &rows(headers));
    let mut answer = answer::whole(StatusCode::OK, "text/html; charset=utf-8", html);
    let policy = HeaderValue::from_static(POLICY);
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

/// How the request came here, in a sentence or two.
fn arrival(headers: &HeaderMap, peer: SocketAddr) -> String {
    let text = |name: &str| {
        let value = headers.get(name)?;
        Some(format!(
            "<code>{}</code>",
            escaped(&String::from_utf8_lossy(value.as_bytes()))
        ))
    };
    match text("x-forwarded-proto") {
        Some(protocol) => {
            let client = text("x-forwarded-for").unwrap_or_else(|| "an unnamed client".to_owned());
            format!(
                "This request reached the sidecar over {protocol} from {client}. The sidecar took \
                 the encryption off, added the marked headers below and sent it on in plain \
                 HTTP from <code>{peer}</code>."
            )
        }
        None => format!(
            "This request came straight from <code>{peer}</code>, past the sidecar: there is no \
             <code>X-Forwarded-Proto</code>. Open the <code>https</code> address that \
             <code>tls-sidecar demo</code> printed to see the difference."
        ),
    }
}

fn list() -> String {
    let mut list = String::new();
    for page in &PAGES {
        let (example, about) = (escaped(page.example), escaped(page.about));
        // A link can only be a GET; what needs more is named and not linked.
        let name = match page.allows(&http::Method::GET) {
            true => format!("<a href=\"{example}\">{example}</a>"),
            false => format!("<code>{} {example}</code>", page.methods.join("|")),
        };
        let _ = writeln!(list, "<dt>{name}</dt><dd>{about}</dd>");
    }
    list
}

fn rows(headers: &HeaderMap) -> String {
    let mut rows = String::new();
    for (name, value) in headers {
        let mark = match FROM_SIDECAR.contains(&name.as_str()) {
            true => " class=\"sidecar\"",
            false => "",
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        let (name, value) = (escaped(name.as_str()), escaped(&value));
        let _ = writeln!(
            rows,
            "<tr{mark}><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    rows
}

/// Safe as text and between quotes in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escaped("<b a=\"1\" b='2'>&amp;</b>"),
            "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;"
        );
    }

    #[test]
    fn escaped_text_cannot_hold_a_mark() {
        assert!(!escaped("<!--headers-->").contains("<!--"));
    }

    #[test]
    fn template_has_each_mark_once() {
        for mark in [
            "<!--arrival-->",
            "<!--pages-->",
            "<!--line-->",
            "<!--headers-->",
        ] {
            assert_eq!(TEMPLATE.matches(mark).count(), 1, "{mark}");
        }
    }

    #[test]
    fn only_a_client_that_does_not_name_html_gets_text() {
        let accept =
            |value| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
        assert!(wants_text(&accept("*/*")));
        assert!(!wants_text(&accept(
            "text/html,application/xhtml+xml,*/*;q=0.8"
        )));
        assert!(!wants_text(&HeaderMap::new()));
    }

    #[test]
    fn template_needs_nothing_from_outside() {
        assert!(!TEMPLATE.contains("://"));
    }

    #[test]
    fn header_of_the_sidecar_is_marked() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("accept", HeaderValue::from_static("<b>"));
        let rows = rows(&headers);
        assert!(rows.contains("<tr class=\"sidecar\"><th scope=\"row\">x-forwarded-proto</th>"));
        assert!(rows.contains("<tr><th scope=\"row\">accept</th><td>&lt;b&gt;</td></tr>"));
    }
}
