#![no_main]
//! Frames of an application, for several requests at once.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::application::hold(input));
