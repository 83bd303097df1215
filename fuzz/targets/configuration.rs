#![no_main]
//! Flags, variables and file, through the resolver.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::settings::hold(input));
