//! The time, as answers tell it (RFC 9110 section 6.6.1): formatted once a second and thread.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

/// The year 10000, which this form cannot tell.
const END: u64 = 253_402_300_800;

struct Told {
    second: u64,
    text: [u8; LENGTH],
}

thread_local! {
    static TOLD: RefCell<Told> = const {
        RefCell::new(Told { second: u64::MAX, text: [0; LENGTH] })
    };
}

/// Gives `tell` the time, unless the clock stands where it cannot: who has no clock tells no time.
pub(super) fn with(tell: impl FnOnce(&[u8])) {
    let second = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() < END => since.as_secs(),
        _ => return,
    };
    TOLD.with_borrow_mut(|told| {
        if told.second != second {
            told.text = formatted(second);
            told.second = second;
        }
        tell(&told.text);
    });
}

fn formatted(second: u64) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
    // As long as every date before the end.
    let _ = write!(&mut text[..], "{date}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_the_form_that_http_has_for_it() {
        assert_eq!(&formatted(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&formatted(END - 1), b"Fri, 31 Dec 9999 23:59:59 GMT");
        let mut told = Vec::new();
        with(|date| told.extend_from_slice(date));
        assert!(told.ends_with(b" GMT"), "{}", told.escape_ascii());
    }
}
