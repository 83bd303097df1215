//! What both sides let each other do (RFC 9113 section 6.5).

use super::STREAM_WINDOW;
use super::frame::Reason;
use super::window;

/// Codes of settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The settings of a connection.
#[derive(Debug)]
pub(super) struct Settings {
    /// Ours: streams that the client may have open at once.
    pub(super) most_streams: usize,
    /// Ours: bytes of a header section.
    pub(super) most_header_bytes: usize,
    /// The client's: what we may send on a new stream.
    pub(super) initial_window: u32,
    /// Whether the client's have come, without which nothing else may.
    pub(super) is_opened: bool,
}

/// What a setting of the client changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// By how much each stream's window is wider, or narrower.
    Window(i64),
    /// How large the table for header fields may be.
    Table(u32),
}

impl Settings {
    pub(super) fn new(most_streams: u32, most_header_bytes: u32) -> Self {
        Self {
            most_streams: most_streams as usize,
            most_header_bytes: most_header_bytes as usize,
            initial_window: window::INITIAL,
            is_opened: false,
        }
    }

    /// What the client is told.
    pub(super) fn payload(&self) -> Vec<u8> {
        let ours = [
            (MAX_CONCURRENT_STREAMS, self.most_streams as u32),
            (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (MAX_HEADER_LIST_SIZE, self.most_header_bytes as u32),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ];
        let mut payload = Vec::with_capacity(ours.len() * 6);
        for (code, value) in ours {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        payload
    }

    /// Takes what the client says, and gives each change to `change` in its order.
    ///
    /// # Errors
    /// When a value is none that the setting has.
    pub(super) fn take(
        &mut self,
        payload: &[u8],
        mut change: impl FnMut(Change) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        for setting in payload.chunks_exact(6) {
            let &[a, b, ref value @ ..] = setting else {
                break;
            };
            let value = value.first_chunk().map_or(0, |v| u32::from_be_bytes(*v));
            match u16::from_be_bytes([a, b]) {
                HEADER_TABLE_SIZE => change(Change::Table(value))?,
                INITIAL_WINDOW_SIZE if value > i32::MAX as u32 => {
                    return Err(Reason::FLOW_CONTROL_ERROR);
                }
                INITIAL_WINDOW_SIZE => {
                    let by = i64::from(value) - i64::from(self.initial_window);
                    self.initial_window = value;
                    change(Change::Window(by))?;
                }
                ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL if value > 1 => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                // Larger frames than every client takes spare nothing; a list that is larger than
                // its client takes is for the client to refuse.
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_setting_counts_in_its_order() {
        let mut settings = Settings::new(100, 16_384);
        let mut changes = Vec::new();
        let payload = [
            &[0, 4, 0, 0, 0, 100][..],
            &[0, 4, 0, 0, 0, 1],
            &[0, 1, 0, 0, 0, 0],
            &[0xff, 0xff, 1, 2, 3, 4],
        ];
        let taken = settings.take(&payload.concat(), |change| {
            changes.push(change);
            Ok(())
        });
        assert_eq!(taken, Ok(()));
        let changed = [
            Change::Window(100 - 65_535),
            Change::Window(-99),
            Change::Table(0),
        ];
        assert_eq!(changes, changed);
        assert_eq!(settings.initial_window, 1);
    }
}
