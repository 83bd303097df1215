#![no_main]
//! Host, authority and target of a parsed request.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::heads::hold_authority(input));
