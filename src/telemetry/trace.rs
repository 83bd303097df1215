//! W3C trace context: where a request stands among those of other services.
//!
//! <https://www.w3.org/TR/trace-context/>, level 1, section 3.2. Invariant: a context that exists is
//! valid; nothing else of a client's header gets into a log.

use std::fmt;

/// Bytes of a `traceparent` of version 00, and of the part of any later one that is known.
const LENGTH: usize = 55;
/// The one flag of level 1: the caller may have recorded this.
pub const SAMPLED: u8 = 0x01;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace; never 0.
    pub trace_id: u128,
    /// The caller's span; never 0.
    pub parent_id: u64,
    /// Flags; those beyond [`SAMPLED`] are left out.
    pub flags: u8,
    /// Whether the caller said so; else the trace begins here.
    pub is_remote: bool,
}

impl TraceContext {
    /// Reads the value of a `traceparent` header; `None` where the specification calls it invalid.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let known = value.get(..LENGTH)?;
        let version = hex(&known[..2])?;
        let is_longer = value.len() > LENGTH;
        let rest_is_right = match version {
            0xff => false,
            0 => !is_longer,
            // Later versions may add fields, behind one more dash.
            _ => !is_longer || value[LENGTH] == b'-',
        };
        if !rest_is_right || [known[2], known[35], known[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = hex(&known[3..35])?;
        let parent_id = u64::try_from(hex(&known[36..52])?).ok()?;
        let flags = u8::try_from(hex(&known[53..])?).ok()? & SAMPLED;
        (trace_id != 0 && parent_id != 0).then_some(Self {
            trace_id,
            parent_id,
            flags,
            is_remote: true,
        })
    }

    /// Begins a trace that is to be recorded.
    pub fn start() -> Self {
        Self {
            trace_id: fastrand::u128(1..),
            parent_id: fastrand::u64(1..),
            flags: SAMPLED,
            is_remote: false,
        }
    }

    /// Whether whoever is asked next should record what it does.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The value of a `traceparent` header of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, parent, flags) = (self.trace_id, self.parent_id, self.flags);
        write!(f, "00-{trace:032x}-{parent:016x}-{flags:02x}")
    }
}

/// At most 32 lower-case hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert!(context.is_sampled());
        let flags = GOOD.replace("-01", "-02");
        assert!(!TraceContext::parse(flags.as_bytes()).unwrap().is_sampled());
        for later in [
            GOOD.replacen("00", "cc", 1),
            GOOD.replacen("00", "cc", 1) + "-what-the-future-will-be-like",
            GOOD.replacen("00", "01", 1) + "-",
        ] {
            let read = TraceContext::parse(later.as_bytes()).unwrap();
            assert_eq!(read, context, "{later}");
        }
    }

    #[test]
    fn what_the_specification_calls_invalid_is_none() {
        for bad in [
            String::new(),
            "00".to_owned(),
            GOOD[..54].to_owned(),
            format!("{GOOD}0"),
            format!("{GOOD}-what-the-future-will-not-be-like"),
            format!(" {GOOD}"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "cc", 1) + ".x",
            GOOD.replacen("00", "0g", 1),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("-01", "-0x"),
            GOOD.replace("0af7", "<ht>"),
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_trace_of_our_own_is_one_that_others_accept() {
        for _ in 0..1000 {
            let own = TraceContext::start();
            let text = own.to_string();
            let read = TraceContext::parse(text.as_bytes()).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!((read.trace_id, read.is_remote), (own.trace_id, true));
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_and_what_is_read_is_written_alike(
            value in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?|\\PC{0,60}"
        ) {
            if let Some(context) = TraceContext::parse(value.as_bytes()) {
                let again = TraceContext::parse(context.to_string().as_bytes());
                prop_assert_eq!(again, Some(context));
            }
        }
    }
}
