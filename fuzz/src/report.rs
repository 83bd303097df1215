//! What becomes of a finding: a panic, which libFuzzer keeps with its input.
//!
//! With `SURVEY=DIR` in the environment the search goes on instead, and DIR gets the smallest
//! input of each class of finding; that is for looking at many of them at once.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What is wrong, by class, and what was seen.
#[derive(Debug)]
pub struct Finding {
    /// The same for all inputs that show the same fault.
    pub class: String,
    /// What was seen.
    pub seen: String,
}

impl Finding {
    /// A finding of `class`, with what was seen.
    pub fn new(class: impl Into<String>, seen: impl Into<String>) -> Self {
        let (class, seen) = (class.into(), seen.into());
        Self { class, seen }
    }
}

static SMALLEST: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

/// Ends the process on a finding, or notes it down.
pub fn report(input: &[u8], result: Result<(), Finding>) {
    let Err(finding) = result else { return };
    let Some(directory) = std::env::var_os("SURVEY").map(PathBuf::from) else {
        panic!("{}\n{}", finding.class, finding.seen);
    };
    let mut smallest = SMALLEST.lock().unwrap_or_else(PoisonError::into_inner);
    let smallest = smallest.get_or_insert_default();
    let known = smallest.get(&finding.class).copied();
    if known.is_some_and(|known| known <= input.len()) {
        return;
    }
    smallest.insert(finding.class.clone(), input.len());
    let name: String = finding
        .class
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(&name), input).unwrap();
    let text = format!("{}\n{}\n", finding.class, finding.seen);
    fs::write(directory.join(format!("{name}.txt")), text).unwrap();
}
