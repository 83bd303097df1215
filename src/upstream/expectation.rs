//! `Expect: 100-continue` (RFC 9110 section 10.1.1): how whoever holds a body back learns that the
//! application wants it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Goes with a request, among its extensions, and tells of 100 (Continue).
#[derive(Debug, Clone)]
pub struct OnContinue(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl OnContinue {
    /// What goes with the request, and what is told. Where it is dropped no word will come.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (tell, told) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(tell)))), told)
    }

    /// The application has said 100 (Continue).
    pub(super) fn tell(&self) {
        let tell = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A body that was given up already is told in vain.
        let _ = tell.map(|tell| tell.send(()));
    }
}
