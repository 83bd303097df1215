//! The table of pages: what the home page lists, routing looks up and a 404 names.
//!
//! One entry per page, so that a page cannot exist without an explanation or be explained without
//! existing. Paths match exactly, those with an argument by their first segment.

use http::{HeaderValue, Method, StatusCode, header};

use super::answer::{self, Answer};

/// Which page answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The HTML page.
    Home,
    /// What was received, as JSON.
    Echo,
    /// Lines at an interval.
    Stream,
    /// Server-sent events.
    Events,
    /// WebSocket echo.
    WebSocket,
    /// Counts a request body.
    Upload,
    /// Sends a body of the size asked for.
    Download,
    /// Answers the status asked for.
    Status,
    /// Answers late.
    Delay,
    /// An answer with trailers.
    Trailers,
    /// Is the application there?
    Health,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    /// Which page answers.
    pub(super) route: Route,
    /// Its path, without the argument.
    pub(super) path: &'static str,
    /// A link that shows it.
    pub(super) example: &'static str,
    /// Methods it answers; none listed means any.
    pub(super) methods: &'static [&'static str],
    /// One line about what it shows.
    pub(super) about: &'static str,
}

const READ: &[&str] = &["GET", "HEAD"];
const ANY: &[&str] = &[];

/// Every page there is.
pub(super) static PAGES: [Page; 12] = [
    page(Route::Home, "/", "/", READ, "this page"),
    page(
        Route::Echo,
        "/headers",
        "/headers",
        ANY,
        "what the application received, as JSON: X-Forwarded-*, X-Request-Id and the rest",
    ),
    page(
        Route::Echo,
        "/echo",
        "/echo",
        ANY,
        "the same under another name, for any method",
    ),
    page(
        Route::Stream,
        "/stream",
        "/stream?chunks=10&interval=500ms",
        READ,
        "a slow chunked answer; each line must arrive as it is sent",
    ),
    page(
        Route::Events,
        "/events",
        "/events",
        READ,
        "server-sent events, one a second; ends when you leave",
    ),
    page(
        Route::WebSocket,
        "/ws",
        "/ws",
        &["GET"],
        "a WebSocket that sends back what it gets",
    ),
    page(
        Route::Upload,
        "/upload",
        "/upload",
        &["POST", "PUT"],
        "takes a body of any size without keeping it and answers its size and speed",
    ),
    page(
        Route::Download,
        "/download",
        "/download?bytes=100MiB",
        READ,
        "a body of the size you ask for, up to 100GiB",
    ),
    page(
        Route::Status,
        "/status/",
        "/status/418",
        ANY,
        "the status code you ask for, to tell the application's errors from the sidecar's",
    ),
    page(
        Route::Delay,
        "/delay/",
        "/delay/250ms",
        ANY,
        "an answer that takes its time",
    ),
    page(
        Route::Trailers,
        "/trailers",
        "/trailers",
        READ,
        "a chunked answer with trailers, for a client that sends TE: trailers",
    ),
    page(
        Route::Health,
        "/healthz",
        "/healthz",
        READ,
        "200 while the application runs",
    ),
];

const fn page(
    route: Route,
    path: &'static str,
    example: &'static str,
    methods: &'static [&'static str],
    about: &'static str,
) -> Page {
    Page {
        route,
        path,
        example,
        methods,
        about,
    }
}

impl Page {
    /// Whether the page answers `method`.
    pub(super) fn allows(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(&method.as_str())
    }
}

/// A page and what its path says beyond its name.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The page.
    pub(super) page: &'static Page,
    /// `418` of `/status/418`; empty for a page without an argument.
    pub(super) argument: &'a str,
}

/// The page of `path`.
pub(super) fn find(path: &str) -> Option<Found<'_>> {
    PAGES.iter().find_map(|page| {
        let argument = path.strip_prefix(page.path)?;
        let takes_argument = page.path.len() > 1 && page.path.ends_with('/');
        (takes_argument || argument.is_empty()).then_some(Found { page, argument })
    })
}

/// One line for each page, without a last line feed.
pub(super) fn listing() -> String {
    let lines = PAGES
        .iter()
        .map(|page| format!("  {:<34}{}", page.example, page.about));
    lines.collect::<Vec<_>>().join("\n")
}

/// 404 with the list of what there is.
pub(super) fn unknown(path: &str) -> Answer {
    let lines = format!(
        "no page {path:?} in this application; there are:\n\n{}",
        listing()
    );
    answer::text(StatusCode::NOT_FOUND, lines)
}

/// 405 with `Allow`.
pub(super) fn wrong_method(page: &Page, method: &Method) -> Answer {
    let allowed = page.methods.join(", ");
    let line = format!(
        "{} does not answer {method}; it answers {allowed}",
        page.path
    );
    let mut answer = answer::text(StatusCode::METHOD_NOT_ALLOWED, line);
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_leads_to_its_page() {
        for page in &PAGES {
            let path = page.example.split('?').next().unwrap();
            assert!(
                std::ptr::eq(find(path).unwrap().page, page),
                "{}",
                page.example
            );
        }
    }

    #[test]
    fn argument_is_what_follows_the_name() {
        assert_eq!(find("/status/418").unwrap().argument, "418");
        assert_eq!(find("/delay/").unwrap().argument, "");
    }

    #[test]
    fn longer_or_shorter_paths_are_other_pages() {
        for path in ["/headers/", "/status", "/healthz2", "//", "*", ""] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
