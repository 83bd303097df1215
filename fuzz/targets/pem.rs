#![no_main]
//! A PEM text: certificates and keys.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::certificates::hold_pem(input));
