#![no_main]
//! A certificate directory, loaded as it is.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::certificates::hold_directory(input));
