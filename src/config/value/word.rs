//! Settings that are one of a few words, such as `off`, `optional` or `required`.
//!
//! The list of words with their meanings is given by the caller, so that the error can name them all.

use std::fmt;

/// A text that is none of the words it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordError {
    words: Vec<&'static str>,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a choice; write ")?;
        for (at, word) in self.words.iter().enumerate() {
            match at {
                0 => {}
                _ if at + 1 == self.words.len() => f.write_str(" or ")?,
                _ => f.write_str(", ")?,
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

impl std::error::Error for WordError {}

/// Parses one of `choices`, in any case.
pub fn one_of<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, WordError> {
    choices
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| WordError {
            words: choices.iter().map(|(word, _)| *word).collect(),
        })
}

/// Parses `on` or `off`; `true` and `false` are how a file without quotes may say it.
pub fn switch(text: &str) -> Result<bool, WordError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => one_of(text, &[("off", false), ("on", true)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHOICES: [(&str, u8); 3] = [("off", 0), ("v1", 1), ("v2", 2)];

    #[test]
    fn a_word_is_read_in_any_case() {
        assert_eq!(one_of("v2", &CHOICES), Ok(2));
        assert_eq!(one_of("OFF", &CHOICES), Ok(0));
        assert_eq!(switch("on"), Ok(true));
        assert_eq!(switch("false"), Ok(false));
    }

    #[test]
    fn every_word_is_in_the_error() {
        let error = one_of("v3", &CHOICES).unwrap_err();
        assert_eq!(error.to_string(), "not a choice; write off, v1 or v2");
        let error = switch("maybe").unwrap_err();
        assert_eq!(error.to_string(), "not a choice; write off or on");
    }

    proptest! {
        #[test]
        fn nothing_but_the_words_is_read(text in "\\PC*") {
            let known = CHOICES.iter().any(|(word, _)| word.eq_ignore_ascii_case(&text));
            prop_assert_eq!(one_of(&text, &CHOICES).is_ok(), known);
            let _ = switch(&text);
        }
    }
}
