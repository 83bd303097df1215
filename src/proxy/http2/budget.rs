//! A budget for frames that move nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty
//! DATA and frames nobody knows.
//!
//! Each is answered or passed over for ever, so a client could keep a worker busy with frames that
//! cost it next to nothing (CVE-2019-9512, 9513, 9515, 9518). What moves data earns: answers taken by
//! the client, requests, uploads. Invariant: a client that moves nothing is heard out at most
//! [`RESERVE`] frames, and [`A_SECOND`] a second.

use tokio::time::Instant;

use crate::http2::frame::{Header, Kind, Reason};

/// What a client may spend before it has earned anything.
const RESERVE: i64 = 1000;
/// What it gets back a second, up to the reserve.
const A_SECOND: i64 = 100;
/// A request pays for the frames that usually go with it.
const REQUEST_EARNS: i64 = 4;
/// A reset costs more than its request earned: rapid reset, CVE-2023-44487. So does one that the
/// client makes us say: MadeYouReset, CVE-2025-8671.
const RESET_COSTS: i64 = 8;
/// Resets that a client may make us say in all.
const MOST_FAULTS: usize = 64;
/// Bytes of an answer that pay for one frame, and of an upload's DATA frame that do.
const BYTES_PER_FRAME: usize = 1024;

/// What a client may still send that moves nothing.
#[derive(Debug)]
pub(super) struct Budget {
    credit: i64,
    since: Instant,
    earned: usize,
    /// Streams that had to be reset for what came on them.
    faults: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            credit: RESERVE,
            since: Instant::now(),
            earned: 0,
            faults: 0,
        }
    }

    /// The client has taken `n` bytes.
    pub(super) fn wrote(&mut self, n: usize) {
        self.earned += n;
        if self.earned >= BYTES_PER_FRAME {
            self.earn((self.earned / BYTES_PER_FRAME) as i64);
            self.earned %= BYTES_PER_FRAME;
        }
    }

    /// A frame has come.
    ///
    /// # Errors
    /// When there was one too many.
    pub(super) fn frame(&mut self, header: Header) -> Result<(), Reason> {
        match header.kind {
            Kind::Data if header.length >= BYTES_PER_FRAME => self.earn(1),
            // What carries nothing is told by whoever looks behind the padding.
            Kind::Data => {}
            Kind::Headers => self.earn(REQUEST_EARNS),
            // Counted by the header block that they are of.
            Kind::Continuation => {}
            Kind::RstStream => return self.spend(RESET_COSTS),
            _ => return self.spend(1),
        }
        Ok(())
    }

    /// A stream has to be reset for what came on it.
    ///
    /// # Errors
    /// When there was one too many.
    pub(super) fn reset(&mut self) -> Result<(), Reason> {
        self.faults += 1;
        match self.faults > MOST_FAULTS {
            true => Err(Reason::ENHANCE_YOUR_CALM),
            false => self.spend(RESET_COSTS),
        }
    }

    /// A header section has come that nobody will look at, and has earned nothing.
    ///
    /// # Errors
    /// When there was one too many.
    pub(super) fn in_vain(&mut self) -> Result<(), Reason> {
        self.spend(REQUEST_EARNS + 1)
    }

    /// A DATA frame has come that carries nothing and ends nothing.
    ///
    /// # Errors
    /// When there was one too many.
    pub(super) fn empty_data(&mut self) -> Result<(), Reason> {
        self.spend(1)
    }

    fn earn(&mut self, frames: i64) {
        self.credit = self.credit.saturating_add(frames);
    }

    fn spend(&mut self, cost: i64) -> Result<(), Reason> {
        self.credit -= cost;
        if self.credit < 0 {
            let now = Instant::now();
            let back = i64::try_from((now - self.since).as_millis())
                .map_or(RESERVE * 1000, |ms| ms.min(RESERVE * 1000));
            self.since = now;
            self.credit = self
                .credit
                .saturating_add(back * A_SECOND / 1000)
                .min(RESERVE);
        }
        match self.credit < 0 {
            true => Err(Reason::ENHANCE_YOUR_CALM),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(kind: Kind, length: usize) -> Header {
        Header {
            length,
            kind,
            flags: 0,
            stream: 1,
        }
    }

    const PING: fn() -> Header = || frame(Kind::Ping, 8);

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_stopped_at_the_frame_that_is_one_too_many() {
        let mut budget = Budget::new();
        for _ in 0..RESERVE {
            assert_eq!(budget.frame(PING()), Ok(()));
        }
        let calm = Err(Reason::ENHANCE_YOUR_CALM);
        assert_eq!(budget.frame(PING()), calm);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_now_and_then_goes_on_for_ever() {
        let mut budget = Budget::new();
        for _ in 0..20_000 {
            tokio::time::advance(Duration::from_millis(20)).await;
            assert_eq!(budget.frame(PING()), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_pays_for_its_window_updates() {
        let mut budget = Budget::new();
        for _ in 0..20_000 {
            budget.wrote(4096);
            for _ in 0..2 {
                assert_eq!(budget.frame(frame(Kind::WindowUpdate, 4)), Ok(()));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_pieces_cost_nothing_and_empty_ones_something() {
        let mut budget = Budget::new();
        for _ in 0..20_000 {
            assert_eq!(budget.frame(frame(Kind::Data, 1)), Ok(()));
        }
        let all = (0..=RESERVE).try_for_each(|_| budget.empty_data());
        assert!(all.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_pay_for_pings_but_not_for_their_own_resets() {
        let mut budget = Budget::new();
        for _ in 0..20_000 {
            assert_eq!(budget.frame(frame(Kind::Headers, 20)), Ok(()));
            assert_eq!(budget.frame(PING()), Ok(()));
        }
        let mut budget = Budget::new();
        let vain = (0..=RESERVE).try_for_each(|_| {
            budget.frame(frame(Kind::Headers, 20))?;
            budget.in_vain()
        });
        assert!(vain.is_err());
        let mut budget = Budget::new();
        let rapid = (0..RESERVE).try_for_each(|_| {
            budget.frame(frame(Kind::Headers, 20))?;
            budget.frame(frame(Kind::RstStream, 4))
        });
        assert!(rapid.is_err());
    }
}
