//! What the fuzz target of PEM reading calls; built under `cfg(fuzzing)` alone.

use super::pem::{self, PemError};

/// The certificates of a PEM text as DER, in the order they stand.
///
/// # Errors
/// What stands in their place.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let found = pem::certificates(text)?;
    Ok(found.iter().map(|der| der.to_vec()).collect())
}

/// The one private key of a PEM text as DER.
///
/// # Errors
/// What stands in its place.
pub fn private_key(text: &[u8]) -> Result<Vec<u8>, PemError> {
    pem::private_key(text).map(|key| key.secret_der().to_vec())
}
