//! What a client is told that it may do, and what it says that we may (RFC 9113 section 6.5).

use super::STREAM_WINDOW;
use crate::http2::settings::{self, Settings as Theirs};

/// The settings of a connection.
#[derive(Debug)]
pub(super) struct Settings {
    /// Ours: streams that the client may have open at once.
    pub(super) most_streams: usize,
    /// Ours: bytes of a header section.
    pub(super) most_header_bytes: usize,
    /// The client's.
    pub(super) theirs: Theirs,
}

impl Settings {
    pub(super) fn new(most_streams: u32, most_header_bytes: u32) -> Self {
        Self {
            most_streams: most_streams as usize,
            most_header_bytes: most_header_bytes as usize,
            theirs: Theirs::default(),
        }
    }

    /// What the client is told.
    pub(super) fn told(&self) -> Vec<u8> {
        settings::payload(&[
            (settings::MAX_CONCURRENT_STREAMS, self.most_streams as u32),
            (settings::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (
                settings::MAX_HEADER_LIST_SIZE,
                self.most_header_bytes as u32,
            ),
            (settings::ENABLE_CONNECT_PROTOCOL, 1),
        ])
    }
}
