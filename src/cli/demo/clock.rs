//! Calendar time in UTC, as far as the demo needs it.
//!
//! Names the timestamped directory of the secret and stamps server-sent events. The proxy does
//! not use it. Any `SystemTime` before 1970 reads as 1970.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A moment taken apart into calendar fields; displays as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Utc {
    /// Year of the Gregorian calendar.
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    /// 0 to 23.
    pub(crate) hour: u64,
    /// 0 to 59.
    pub(crate) minute: u64,
    /// 0 to 59.
    pub(crate) second: u64,
    /// 0 to 999.
    pub(crate) millisecond: u32,
}

impl Utc {
    /// The moment of the call.
    pub(crate) fn now() -> Self {
        Self::from(SystemTime::now())
    }

    fn since_epoch(elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs();
        // Counting from 1 March of year 0 puts the leap day at the end of a year, so that neither
        // months nor centuries need a special case.
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millisecond: elapsed.subsec_millis(),
        }
    }
}

impl From<SystemTime> for Utc {
    fn from(moment: SystemTime) -> Self {
        Self::since_epoch(
            moment
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millisecond,
        } = self;
        write!(
            out,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: u64) -> String {
        Utc::since_epoch(Duration::from_secs(seconds)).to_string()
    }

    #[test]
    fn known_moments_read_as_the_calendar_says() {
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(shown(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(shown(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(shown(1_795_482_123), "2026-11-24T01:02:03.000Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn time_before_the_epoch_reads_as_the_epoch() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Utc::from(early).to_string(), "1970-01-01T00:00:00.000Z");
    }
}
