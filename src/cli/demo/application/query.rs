//! Values in a query or a path: whole numbers, sizes, times.
//!
//! Strict on purpose: an unknown key, a missing unit or a value out of bounds is a [`BadValue`]
//! that names the value and the mend, never a silent default. Nothing is percent-decoded; no
//! accepted value needs it.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A value that is not accepted; displays as one line with its mend.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadValue {
    name: String,
    value: String,
    mend: String,
}

impl BadValue {
    /// `value` of `name` is not accepted; `mend` says what would be.
    pub(super) fn new(name: &str, value: &str, mend: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} {:?} is not accepted: {}",
            self.name, self.value, self.mend
        )
    }
}

/// The pairs of a query string whose keys are all known.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    /// Splits `raw`; a key outside `known` is an error that lists them.
    pub(super) fn parse(raw: Option<&'a str>, known: &[&str]) -> Result<Self, BadValue> {
        let pairs = raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        match pairs.iter().find(|(key, _)| !known.contains(key)) {
            Some((key, _)) => {
                let mend = format!("known keys are {}", known.join(", "));
                Err(BadValue::new("query key", key, mend))
            }
            None => Ok(Self(pairs)),
        }
    }

    /// The first value of `key`.
    pub(super) fn value(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// A whole number within `bounds`, `default` when there is none.
    pub(super) fn count(
        &self,
        key: &str,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, BadValue> {
        let Some(value) = self.value(key) else {
            return Ok(default);
        };
        number(value)
            .filter(|count| bounds.contains(count))
            .ok_or_else(|| {
                let (least, most) = (bounds.start(), bounds.end());
                let mend =
                    format!("give a whole number from {least} to {most}, such as {key}={default}");
                BadValue::new(key, value, mend)
            })
    }

    /// `value` as a time within `bounds`; `mend` is for the one who wrote something else.
    pub(super) fn time(
        name: &str,
        value: &str,
        bounds: RangeInclusive<Duration>,
        mend: &str,
    ) -> Result<Duration, BadValue> {
        duration(value)
            .filter(|time| bounds.contains(time))
            .ok_or_else(|| BadValue::new(name, value, mend))
    }
}

/// Decimal digits and nothing else: no sign, no blank.
pub(super) fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Bytes: `4096`, `64KiB`, `100MiB`, `2GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
        ("", 1),
    ];
    let (digits, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    number(digits)?.checked_mul(unit)
}

/// `250ms`, `10s`, `5m`; the unit is never guessed.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let (digits, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    Some(Duration::from_millis(number(digits)?.checked_mul(unit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_a_binary_unit_or_none() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("512B"), Some(512));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("100MiB"), Some(104_857_600));
        assert_eq!(size("100GiB"), Some(107_374_182_400));
    }

    #[test]
    fn other_sizes_are_refused() {
        for text in [
            "",
            "KiB",
            "-1",
            "+1",
            "1.5MiB",
            "1 MiB",
            "1MB",
            "1mib",
            "99999999999GiB",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_their_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        for text in ["", "5", "s", "1h", "-1s", "0.5s", "18446744073709551615m"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn missing_value_is_the_default_and_a_bad_one_is_named() {
        let query = Query::parse(Some("chunks=abc&&interval"), &["chunks", "interval"]).unwrap();
        assert_eq!(query.value("interval"), Some(""));
        let bad = query.count("chunks", 10, 1..=20).unwrap_err().to_string();
        let mend = "give a whole number from 1 to 20, such as chunks=10";
        assert_eq!(bad, format!("chunks \"abc\" is not accepted: {mend}"));
        assert_eq!(
            Query::parse(None, &[]).unwrap().count("chunks", 10, 1..=20),
            Ok(10)
        );
    }

    #[test]
    fn unknown_key_is_refused_with_the_known_ones() {
        let bad = Query::parse(Some("chunk=1"), &["chunks", "interval"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            bad,
            "query key \"chunk\" is not accepted: known keys are chunks, interval"
        );
    }
}
