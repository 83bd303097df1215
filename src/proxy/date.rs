//! The time, as answers tell it (RFC 9110 section 6.6.1): formatted once a second and thread, and read
//! four times, because that costs as much as reading a head.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use httpdate::HttpDate;

/// The year 10000, which this form cannot tell.
const END: u64 = 253_402_300_800;

/// What was told is told again for so long: the clock may be set, and is heard then.
const WHILE: Duration = Duration::from_millis(250);

struct Told {
    value: HeaderValue,
    since: Instant,
    until: Instant,
    second: u64,
}

thread_local! {
    static TOLD: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// Gives `tell` the time at `now`, a moment ago, unless the clock stands where it cannot: who has no clock
/// tells no time.
pub(super) fn with(now: Instant, tell: impl FnOnce(&HeaderValue)) {
    TOLD.with_borrow_mut(|told| {
        let is_known = told.as_ref().is_some_and(|told| told.is_for(now));
        if !is_known {
            *told = Told::read(now, told.take());
        }
        if let Some(told) = told {
            tell(&told.value);
        }
    });
}

impl Told {
    fn is_for(&self, now: Instant) -> bool {
        (self.since..self.until).contains(&now)
    }

    /// Reads the clock; what was told `before` need not be formatted again.
    fn read(now: Instant, before: Option<Self>) -> Option<Self> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let second = Some(clock.as_secs()).filter(|second| *second < END)?;
        let rest = Duration::from_secs(1) - Duration::from_nanos(clock.subsec_nanos().into());
        Some(Self {
            value: match before {
                Some(before) if before.second == second => before.value,
                _ => formatted(second),
            },
            since: now,
            until: now + rest.min(WHILE),
            second,
        })
    }
}

fn formatted(second: u64) -> HeaderValue {
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)).to_string();
    // Letters, digits and blanks: always a value.
    HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_the_form_that_http_has_for_it() {
        assert_eq!(formatted(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(formatted(END - 1), "Fri, 31 Dec 9999 23:59:59 GMT");
        let mut told = Vec::new();
        let now = Instant::now();
        for now in [now, now, now + WHILE, now] {
            with(now, |date| told.push(date.clone()));
        }
        assert_eq!(told.len(), 4);
        assert!(told[0].to_str().unwrap().ends_with(" GMT"));
    }
}
