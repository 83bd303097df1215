//! Durations: `250ms`, `10s`, `5m`, `1h`.
//!
//! A unit is required, because `10` means seconds to one person and milliseconds to another; only
//! a bare `0` is the same in every unit. [`LONGEST`] keeps deadlines far from the end of the clock.

use std::fmt;
use std::time::Duration;

/// The longest duration accepted, one year: more is a slip of the keyboard, and a deadline this
/// far away can still be added to any clock without overflow.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why a text is not the duration asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationError {
    /// Not a number directly followed by a unit.
    NotADuration,
    /// Neither a duration nor `off`.
    NotADurationOrOff,
    /// `off` where the setting has no such state.
    NeverOff,
    /// Zero where nothing could ever finish in time.
    Zero,
    /// Longer than [`LONGEST`].
    TooLong,
    /// Outside of the bounds of this setting.
    OutOfBounds(Duration, Duration),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADuration => {
                f.write_str("not a duration; write a number with ms, s, m or h, e.g. 75s")
            }
            Self::NotADurationOrOff => f.write_str(
                "not a duration; write a number with ms, s, m or h, e.g. 75s, or off for no limit",
            ),
            Self::NeverOff => f.write_str(
                "cannot be off; write a duration, e.g. 75s, a long one where it should not matter",
            ),
            Self::Zero => f.write_str("must be longer than nothing; write a duration, e.g. 75s"),
            Self::TooLong => f.write_str("too long; write at most one year, 8760h"),
            Self::OutOfBounds(low, high) => write!(
                f,
                "out of bounds; write {} to {}",
                Shown(*low),
                Shown(*high)
            ),
        }
    }
}

impl std::error::Error for DurationError {}

/// A duration in the largest unit that shows it exactly, as the parsers read it.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

/// Parses a duration that may be zero.
pub fn from_zero(text: &str) -> Result<Duration, DurationError> {
    if is_off(text) {
        return Err(DurationError::NeverOff);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    if digits.is_empty() {
        return Err(DurationError::NotADuration);
    }
    let scale: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if digits.bytes().all(|digit| digit == b'0') => 1,
        _ => return Err(DurationError::NotADuration),
    };
    // Only digits are left, so a failure to parse can only be an overflow.
    let count: u64 = digits.parse().map_err(|_| DurationError::TooLong)?;
    let millis = count.checked_mul(scale).ok_or(DurationError::TooLong)?;
    let duration = Duration::from_millis(millis);
    if duration > LONGEST {
        return Err(DurationError::TooLong);
    }
    Ok(duration)
}

/// Parses a duration longer than zero.
pub fn positive(text: &str) -> Result<Duration, DurationError> {
    match from_zero(text)? {
        Duration::ZERO => Err(DurationError::Zero),
        duration => Ok(duration),
    }
}

/// Parses a duration longer than zero, or `off`, which is `None`.
pub fn or_off(text: &str) -> Result<Option<Duration>, DurationError> {
    if is_off(text) {
        return Ok(None);
    }
    match positive(text) {
        Err(DurationError::NotADuration) => Err(DurationError::NotADurationOrOff),
        other => other.map(Some),
    }
}

/// Parses a duration from `low` to `high`, both included.
pub fn between(text: &str, low: Duration, high: Duration) -> Result<Duration, DurationError> {
    let duration = from_zero(text)?;
    if duration < low || duration > high {
        return Err(DurationError::OutOfBounds(low, high));
    }
    Ok(duration)
}

/// Whether the text switches a setting off; `false` is how a file without quotes may say it.
pub(crate) fn is_off(text: &str) -> bool {
    text.eq_ignore_ascii_case("off") || text == "false"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_of_the_contract_is_read() {
        assert_eq!(positive("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(positive("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(positive("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(positive("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(from_zero("0"), Ok(Duration::ZERO));
        assert_eq!(or_off("off"), Ok(None));
        assert_eq!(or_off("false"), Ok(None));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "10", "s", "10x", "1.5s", "-1s", "+1s", "10 s", "1h30m", "١s",
        ] {
            assert_eq!(positive(text), Err(DurationError::NotADuration), "{text:?}");
            assert_eq!(
                or_off(text),
                Err(DurationError::NotADurationOrOff),
                "{text:?}"
            );
        }
        assert_eq!(positive("0s"), Err(DurationError::Zero));
        assert_eq!(or_off("0s"), Err(DurationError::Zero));
        assert_eq!(positive("off"), Err(DurationError::NeverOff));
    }

    #[test]
    fn overflow_and_absurd_lengths_are_refused() {
        for text in [
            "8761h",
            "18446744073709551615h",
            "99999999999999999999999ms",
        ] {
            assert_eq!(positive(text), Err(DurationError::TooLong), "{text:?}");
        }
        assert_eq!(positive("8760h"), Ok(LONGEST));
    }

    #[test]
    fn bounds_are_part_of_the_range() {
        let (low, high) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(between("1s", low, high), Ok(low));
        assert_eq!(between("1h", low, high), Ok(high));
        let error = between("999ms", low, high).unwrap_err();
        assert_eq!(error.to_string(), "out of bounds; write 1s to 1h");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 0u64..=31_536_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(from_zero(&Shown(duration).to_string()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (from_zero(&text), positive(&text), or_off(&text));
        }

        #[test]
        fn no_number_with_a_unit_panics(count in any::<u128>(), unit in "ms|s|m|h|d|") {
            if let Ok(duration) = from_zero(&format!("{count}{unit}")) {
                prop_assert!(duration <= LONGEST);
            }
        }
    }
}
