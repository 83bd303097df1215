//! The time, as answers tell it (RFC 9110 section 6.6.1): formatted once a second and thread.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use httpdate::HttpDate;

/// The year 10000, which this form cannot tell.
const END: u64 = 253_402_300_800;

struct Told {
    second: u64,
    value: HeaderValue,
}

thread_local! {
    static TOLD: RefCell<Told> = const {
        RefCell::new(Told { second: u64::MAX, value: HeaderValue::from_static("") })
    };
}

/// Gives `tell` the time, unless the clock stands where it cannot: who has no clock tells no time.
pub(super) fn with(tell: impl FnOnce(&HeaderValue)) {
    let second = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() < END => since.as_secs(),
        _ => return,
    };
    TOLD.with_borrow_mut(|told| {
        if told.second != second {
            told.value = formatted(second);
            told.second = second;
        }
        tell(&told.value);
    });
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
        let mut told = None;
        with(|date| told = Some(date.clone()));
        assert!(told.unwrap().to_str().unwrap().ends_with(" GMT"));
    }
}
