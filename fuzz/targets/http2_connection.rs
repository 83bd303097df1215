#![no_main]
//! HTTP/2 frames, raw or built, through the whole proxy.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::http2::hold(input));
