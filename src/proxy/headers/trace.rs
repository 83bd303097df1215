//! `traceparent` and `tracestate` on their way to the application.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::TraceStart;
use crate::telemetry::trace::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that the request belongs to.
///
/// A valid one passes untouched, its `tracestate` too. An invalid one, or two of them, is removed
/// together with the `tracestate`, which means nothing without (W3C trace context, section 4.3).
pub(in crate::proxy) fn continue_trace(
    headers: &mut HeaderMap,
    start: TraceStart,
) -> Option<TraceContext> {
    // One pass over the names spares two look-ups: most requests have neither.
    let is_any = |name: &HeaderName| *name == TRACEPARENT || *name == TRACESTATE;
    if start == TraceStart::Never && !headers.keys().any(is_any) {
        return None;
    }
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let (first, second) = (lines.next(), lines.next());
    let is_there = first.is_some();
    let given = match (first, second) {
        (Some(value), None) => TraceContext::parse(value.as_bytes()),
        _ => None,
    };
    if given.is_some() {
        return given;
    }
    if is_there {
        headers.remove(&TRACEPARENT);
    }
    headers.remove(&TRACESTATE);
    if start == TraceStart::Never {
        return None;
    }
    let own = TraceContext::start();
    hand_on(headers, own);
    Some(own)
}

/// Tells the application that it is asked from within `context`.
pub(in crate::proxy) fn hand_on(headers: &mut HeaderMap, context: TraceContext) {
    if let Ok(value) = HeaderValue::try_from(context.to_string()) {
        headers.insert(TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_valid_trace_passes_untouched() {
        for start in [TraceStart::Never, TraceStart::Here] {
            let given = headers(&[
                ("traceparent", GOOD),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ]);
            let mut passed = given.clone();
            let context = continue_trace(&mut passed, start).unwrap();
            assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
            assert_eq!(passed, given);
        }
    }

    #[test]
    fn what_is_no_trace_is_removed_with_its_state() {
        for lines in [
            vec![("traceparent", "00-<script>-1-01"), ("tracestate", "a=1")],
            vec![("traceparent", GOOD), ("traceparent", GOOD)],
            vec![("tracestate", "a=1")],
        ] {
            let mut passed = headers(&lines);
            assert_eq!(continue_trace(&mut passed, TraceStart::Never), None);
            assert!(passed.is_empty(), "{passed:?}");
            let mut passed = headers(&lines);
            let own = continue_trace(&mut passed, TraceStart::Here).unwrap();
            assert_eq!(passed[TRACEPARENT], own.to_string());
            assert_eq!(passed.len(), 1);
        }
    }
}
