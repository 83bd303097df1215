//! What the fuzz targets of headers and authority call; built under `cfg(fuzzing)` alone.

use super::checks;
use super::headers::{self, ConnectionOptions};
pub use super::rewriting::{to_downstream, to_upstream};
use crate::fields::Fields;
use crate::message::Request;

/// The host that `request` is for, or the words of its refusal.
///
/// # Errors
/// Why it is refused.
pub fn check<B>(request: &Request<B>) -> Result<Option<String>, String> {
    checks::request(request).map_err(|refusal| format!("{refusal:?}"))
}

/// Whether `Connection` lists what it must not, or too much.
pub fn is_abusive(fields: &Fields) -> bool {
    headers::connection_options(fields) != ConnectionOptions::Fair
}
