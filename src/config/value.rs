//! Parsers of single values: from the text a person wrote to the type the proxy uses.
//!
//! One file per kind of value. Each parser is a pure function with a small error of its own, whose
//! text says what is wrong and, after a semicolon, how to mend it; the caller adds the setting's
//! name and the value. No parser panics on any text.

pub mod address;
pub mod app_metrics;
pub mod client;
pub mod duration;
pub mod header;
pub mod number;
pub mod path;
pub mod size;
pub mod target;
pub mod word;
