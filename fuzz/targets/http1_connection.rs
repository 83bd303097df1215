#![no_main]
//! Raw bytes on an HTTP/1 connection, through the whole proxy.

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar_fuzz::http1::hold(input));
