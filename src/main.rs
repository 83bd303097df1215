//! The `tls-sidecar` program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tls_sidecar::cli::main()
}
