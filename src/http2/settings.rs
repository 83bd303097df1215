//! What both sides let each other do (RFC 9113 section 6.5).

use super::frame::Reason;
use super::window;

/// Codes of settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
const HEADER_TABLE_SIZE: u16 = 1;
/// Whether a server may push.
pub const ENABLE_PUSH: u16 = 2;
/// Streams that the peer may have open at once.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// What the peer may send on a new stream, in bytes.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
/// Bytes of a header section, as RFC 9113 section 6.5.2 counts them.
pub const MAX_HEADER_LIST_SIZE: u16 = 6;
/// Whether a client may ask for another protocol.
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What the peer lets us do.
#[derive(Debug)]
pub struct Settings {
    /// What we may send on a new stream.
    pub initial_window: u32,
    /// Whether they have come, without which nothing else may.
    pub is_opened: bool,
}

/// What a setting of the peer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// By how much each stream's window is wider, or narrower.
    Window(i64),
    /// How large the table for header fields may be.
    Table(u32),
    /// Streams that may be open at once.
    Streams(u32),
    /// Whether another protocol may be asked for.
    ConnectProtocol(bool),
}

impl Default for Settings {
    /// Those of a peer that has said nothing.
    fn default() -> Self {
        Self {
            initial_window: window::INITIAL,
            is_opened: false,
        }
    }
}

impl Settings {
    /// Takes what the peer says, and gives each change to `change` in its order.
    ///
    /// # Errors
    /// When a value is none that the setting has.
    pub fn take(
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
                MAX_CONCURRENT_STREAMS => change(Change::Streams(value))?,
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
                ENABLE_CONNECT_PROTOCOL => change(Change::ConnectProtocol(value == 1))?,
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                // Larger frames than every peer takes spare nothing; a list that is larger than its
                // peer takes is for the peer to refuse.
                _ => {}
            }
        }
        Ok(())
    }
}

/// The payload of a SETTINGS frame with `values`.
pub fn payload(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(values.len() * 6);
    for (code, value) in values {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_of_a_setting_counts_in_its_order() {
        let mut settings = Settings::default();
        let mut changes = Vec::new();
        let values = [
            (INITIAL_WINDOW_SIZE, 100),
            (INITIAL_WINDOW_SIZE, 1),
            (HEADER_TABLE_SIZE, 0),
            (0xffff, 7),
            (MAX_CONCURRENT_STREAMS, 3),
        ];
        let taken = settings.take(&payload(&values), |change| {
            changes.push(change);
            Ok(())
        });
        assert_eq!(taken, Ok(()));
        let changed = [
            Change::Window(100 - 65_535),
            Change::Window(-99),
            Change::Table(0),
            Change::Streams(3),
        ];
        assert_eq!(changes, changed);
        assert_eq!(settings.initial_window, 1);
    }

    #[test]
    fn values_that_a_setting_does_not_have_are_refused() {
        for (code, value, reason) in [
            (ENABLE_PUSH, 2, Reason::PROTOCOL_ERROR),
            (ENABLE_CONNECT_PROTOCOL, 2, Reason::PROTOCOL_ERROR),
            (INITIAL_WINDOW_SIZE, 1 << 31, Reason::FLOW_CONTROL_ERROR),
            (MAX_FRAME_SIZE, 16_383, Reason::PROTOCOL_ERROR),
            (MAX_FRAME_SIZE, 1 << 24, Reason::PROTOCOL_ERROR),
        ] {
            let taken = Settings::default().take(&payload(&[(code, value)]), |_| Ok(()));
            assert_eq!(taken, Err(reason), "{code}");
        }
    }
}
