//! Sizes in bytes: `512`, `64KiB`, `1MiB`, `10MB`.
//!
//! `KiB`, `MiB` and `GiB` count by 1024, `kB`, `MB` and `GB` by 1000; Kubernetes' short `Ki`, `Mi`
//! and `Gi` are read too. A bare `k` or `M` is refused: programs disagree on which of the two it is.

use std::fmt;

use super::duration::is_off;
use crate::config::Memory;

/// Why a text is not the size asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// Not a number, optionally followed by a unit.
    NotASize,
    /// Zero bytes, which would refuse everything.
    Zero,
    /// More bytes than a machine counts.
    TooLarge,
    /// Less than this setting can be, in bytes.
    TooLittle(u64),
    /// Outside of the bounds of this setting, in bytes.
    OutOfBounds(u32, u32),
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASize => f.write_str(
                "not a size; write bytes or a number with KiB, MiB, GiB, kB, MB or GB, e.g. 64KiB",
            ),
            Self::Zero => {
                f.write_str("would refuse every body; write a size, e.g. 1MiB, or off for no limit")
            }
            Self::TooLarge => f.write_str("too large; write off for no limit"),
            Self::TooLittle(least) => {
                write!(f, "too little; write {} or more, or off", Shown(*least))
            }
            Self::OutOfBounds(low, high) => {
                write!(
                    f,
                    "out of bounds; write {} to {}",
                    Shown(u64::from(*low)),
                    Shown(u64::from(*high))
                )
            }
        }
    }
}

impl std::error::Error for SizeError {}

/// A size in the largest binary unit that shows it exactly.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// Parses a number of bytes.
pub fn bytes(text: &str) -> Result<u64, SizeError> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    if digits.is_empty() {
        return Err(SizeError::NotASize);
    }
    let scale: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(SizeError::NotASize),
    };
    // Only digits are left, so a failure to parse can only be an overflow.
    let count: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
    count.checked_mul(scale).ok_or(SizeError::TooLarge)
}

/// Parses a size above zero, or `off` (also `unlimited`), which is `None`.
pub fn or_off(text: &str) -> Result<Option<u64>, SizeError> {
    if is_off(text) || text.eq_ignore_ascii_case("unlimited") {
        return Ok(None);
    }
    match bytes(text)? {
        0 => Err(SizeError::Zero),
        size => Ok(Some(size)),
    }
}

/// Below this no sidecar runs.
const LEAST_MEMORY: u64 = 16 << 20;

/// Parses what may be taken of memory, or `off`.
pub fn memory(text: &str) -> Result<Memory, SizeError> {
    match or_off(text)? {
        None => Ok(Memory::Off),
        Some(size) if size < LEAST_MEMORY => Err(SizeError::TooLittle(LEAST_MEMORY)),
        Some(size) => Ok(Memory::Bytes(size)),
    }
}

/// Parses a size from `low` to `high`, both included.
pub fn between(text: &str, low: u32, high: u32) -> Result<u32, SizeError> {
    let out = SizeError::OutOfBounds(low, high);
    match bytes(text) {
        Ok(size) => match u32::try_from(size) {
            Ok(size) if (low..=high).contains(&size) => Ok(size),
            _ => Err(out),
        },
        Err(SizeError::TooLarge) => Err(out),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("512B"), Ok(512));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("64Ki"), Ok(65_536));
        assert_eq!(bytes("1MiB"), Ok(1_048_576));
        assert_eq!(bytes("2GiB"), Ok(2_147_483_648));
        assert_eq!(bytes("10kB"), Ok(10_000));
        assert_eq!(bytes("10MB"), Ok(10_000_000));
        assert_eq!(bytes("1GB"), Ok(1_000_000_000));
        assert_eq!(or_off("off"), Ok(None));
        assert_eq!(or_off("unlimited"), Ok(None));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "", "k", "64k", "1M", "1.5MiB", "-1", "+1", "64 KiB", "64kib", "1TiBx",
        ] {
            assert_eq!(bytes(text), Err(SizeError::NotASize), "{text:?}");
        }
        assert_eq!(or_off("0"), Err(SizeError::Zero));
    }

    #[test]
    fn overflow_is_refused() {
        assert_eq!(bytes("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(bytes("18446744073709551616"), Err(SizeError::TooLarge));
        assert_eq!(bytes("18446744073709551615KiB"), Err(SizeError::TooLarge));
        let error = between("18446744073709551615KiB", 1024, 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "out of bounds; write 1KiB to 1MiB");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(size in any::<u32>()) {
            prop_assert_eq!(bytes(&Shown(u64::from(size)).to_string()), Ok(u64::from(size)));
        }

        #[test]
        fn bounds_hold_for_every_size(size in any::<u64>(), unit in "|KiB|MiB|GB") {
            if let Ok(size) = between(&format!("{size}{unit}"), 1024, 1 << 20) {
                prop_assert!((1024..=1 << 20).contains(&size));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (bytes(&text), or_off(&text), between(&text, 1, 2));
        }
    }
}
