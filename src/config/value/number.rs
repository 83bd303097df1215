//! Counts: of threads, connections, header fields.
//!
//! Plain decimal digits without sign or separator; every count here is at least one.

use std::fmt;
use std::num::NonZeroUsize;

/// Why a text is not the count asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// Not a whole number of at least one.
    NotACount,
    /// Outside of `1..=high`.
    OutOfBounds(usize),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotACount => f.write_str("not a count; write a whole number of at least 1"),
            Self::OutOfBounds(high) => write!(f, "out of bounds; write a number from 1 to {high}"),
        }
    }
}

impl std::error::Error for NumberError {}

/// Parses a count from 1 to `high`.
pub fn count(text: &str, high: usize) -> Result<NonZeroUsize, NumberError> {
    // `+5` would pass the standard parser.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::NotACount);
    }
    let number: usize = text.parse().map_err(|_| NumberError::OutOfBounds(high))?;
    match NonZeroUsize::new(number) {
        Some(count) if number <= high => Ok(count),
        Some(_) => Err(NumberError::OutOfBounds(high)),
        None => Err(NumberError::NotACount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_numbers_from_one_count() {
        assert_eq!(count("12", 12).map(NonZeroUsize::get), Ok(12));
        for text in ["", "0", "00", "-1", "+1", "1.0", "two", " 1", "1_000"] {
            assert_eq!(count(text, 100), Err(NumberError::NotACount), "{text:?}");
        }
        for text in ["13", "99999999999999999999999999"] {
            assert_eq!(
                count(text, 12),
                Err(NumberError::OutOfBounds(12)),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(number in 1usize..) {
            prop_assert_eq!(
                count(&number.to_string(), usize::MAX).map(NonZeroUsize::get),
                Ok(number)
            );
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = count(&text, 7);
        }
    }
}
