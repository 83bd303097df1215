#![no_main]
//! Headers on their way to the application and back.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::heads::hold_rewriting(input));
