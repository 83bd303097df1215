//! `traceparent` and `tracestate` on their way to the application.

use crate::config::TraceStart;
use crate::fields::{Fields, Value, name};
use crate::telemetry::trace::TraceContext;

/// The trace that the request belongs to.
///
/// A valid one passes untouched, its `tracestate` too. An invalid one, or two of them, is removed
/// together with the `tracestate`, which means nothing without (W3C trace context, section 4.3).
pub(in crate::proxy) fn continue_trace(
    fields: &mut Fields,
    start: TraceStart,
) -> Option<TraceContext> {
    let given = fields.only(name::TRACEPARENT);
    if let Some(given) = given.and_then(|value| TraceContext::parse(&value)) {
        return Some(given);
    }
    fields.remove(name::TRACEPARENT);
    fields.remove(name::TRACESTATE);
    if start == TraceStart::Never {
        return None;
    }
    let own = TraceContext::start();
    hand_on(fields, own);
    Some(own)
}

/// Tells the application that it is asked from within `context`.
pub(in crate::proxy) fn hand_on(fields: &mut Fields, context: TraceContext) {
    if let Some(value) = Value::new(context.to_string().as_bytes()) {
        fields.set(name::TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fixtures::fields;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_trace_passes_untouched() {
        for start in [TraceStart::Never, TraceStart::Here] {
            let given = fields(&[
                ("traceparent", GOOD),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ]);
            let mut passed = given.clone();
            let context = continue_trace(&mut passed, start).unwrap();
            assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
            assert!(passed.iter().eq(given.iter()));
        }
    }

    #[test]
    fn what_is_no_trace_is_removed_with_its_state() {
        for lines in [
            vec![("traceparent", "00-<script>-1-01"), ("tracestate", "a=1")],
            vec![("traceparent", GOOD), ("traceparent", GOOD)],
            vec![("tracestate", "a=1")],
        ] {
            let mut passed = fields(&lines);
            assert_eq!(continue_trace(&mut passed, TraceStart::Never), None);
            assert!(passed.is_empty(), "{passed:?}");
            let mut passed = fields(&lines);
            let own = continue_trace(&mut passed, TraceStart::Here).unwrap();
            let told = passed.only(name::TRACEPARENT).unwrap();
            assert_eq!(told, own.to_string().as_str());
            assert_eq!(passed.len(), 1);
        }
    }
}
