//! Flow control (RFC 9113 section 5.2): how much each side may send of bodies.

use super::frame::Reason;

/// What either side may send before anything else was said (RFC 9113 section 6.9.2).
pub const INITIAL: u32 = 65_535;
/// RFC 9113 section 6.9.1.
const LARGEST: i64 = (1 << 31) - 1;

/// What we may send, on a stream or on all together: below nothing when a setting shrank it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendWindow(i64);

/// What the peer may send, on a stream or on all together.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceiveWindow {
    size: u32,
    /// What it may send now.
    open: u32,
    /// What was taken and is not granted anew yet.
    taken: u32,
}

impl SendWindow {
    /// One of `size` bytes.
    pub fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// How many of `wanted` bytes may be sent.
    pub fn allows(self, wanted: usize) -> usize {
        usize::try_from(self.0).map_or(0, |open| open.min(wanted))
    }

    /// `n` bytes that it allowed are sent.
    pub fn sent(&mut self, n: usize) {
        self.0 -= n as i64;
    }

    /// The peer widens it, or a setting changes it.
    ///
    /// # Errors
    /// When it would be larger than a window may be.
    pub fn change(&mut self, by: i64) -> Result<(), Reason> {
        let changed = self.0.saturating_add(by);
        if changed > LARGEST {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        self.0 = changed;
        Ok(())
    }
}

impl ReceiveWindow {
    /// One of `size` bytes, which is what the peer knows.
    pub fn new(size: u32) -> Self {
        Self {
            size,
            open: size,
            taken: 0,
        }
    }

    /// Widens it to `size`; what the peer has to be told.
    pub fn widen(&mut self, size: u32) -> u32 {
        let by = size.saturating_sub(self.size);
        self.size += by;
        self.open += by;
        by
    }

    /// `n` bytes have come.
    ///
    /// # Errors
    /// When they are more than was granted.
    pub fn arrived(&mut self, n: usize) -> Result<(), Reason> {
        let open = u32::try_from(n).ok().and_then(|n| self.open.checked_sub(n));
        self.open = open.ok_or(Reason::FLOW_CONTROL_ERROR)?;
        Ok(())
    }

    /// `n` bytes that had come were taken, or thrown away. What the peer has to be told of it, if
    /// anything: half a window at once, as every word costs both sides something.
    pub fn taken(&mut self, n: usize) -> Option<u32> {
        self.taken += n as u32;
        if self.taken < self.size / 2 {
            return None;
        }
        self.open += self.taken;
        Some(std::mem::take(&mut self.taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_shrank_below_nothing_has_to_be_made_up_for() {
        let mut window = SendWindow::new(10);
        assert_eq!(window.allows(20), 10);
        window.sent(10);
        assert_eq!(window.change(-5), Ok(()));
        assert_eq!(window.change(5), Ok(()));
        assert_eq!(window.allows(1), 0);
        assert_eq!(window.change(3), Ok(()));
        assert_eq!(window.allows(20), 3);
        assert_eq!(window.change(LARGEST), Err(Reason::FLOW_CONTROL_ERROR));
    }

    #[test]
    fn what_was_taken_is_granted_anew_by_halves_and_no_more_than_that() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.widen(200), 100);
        assert_eq!(window.arrived(200), Ok(()));
        assert_eq!(window.arrived(1), Err(Reason::FLOW_CONTROL_ERROR));
        assert_eq!(window.taken(99), None);
        assert_eq!(window.taken(2), Some(101));
        assert_eq!(window.arrived(102), Err(Reason::FLOW_CONTROL_ERROR));
        assert_eq!(window.arrived(101), Ok(()));
    }
}
