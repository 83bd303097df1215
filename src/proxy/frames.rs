//! A budget for HTTP/2 frames that move nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
//! RST_STREAM and frames nobody knows.
//!
//! h2 answers or swallows them for ever, so a client can keep a worker busy with frames that cost
//! it next to nothing (CVE-2019-9512, 9513, 9515). Frame headers are read on their way to h2;
//! payloads are leapt over. What moves data earns: answers taken by the client, requests, uploads.
//! What RFC 9113 forbids and h2 allows, or calls by another name, is found here as well.
//! Invariant: h2 is stopped between two frames, by what makes it end a connection with the right
//! word, such as a header block that never ends for ENHANCE_YOUR_CALM.

use tokio::time::Instant;

/// RFC 9113 section 3.4: the client's first bytes, before its first frame.
const PREFACE: u64 = 24;
/// RFC 9113 section 4.1.
const HEADER: usize = 9;
/// What a client may spend before it has earned anything.
const RESERVE: i64 = 1000;
/// What it gets back a second, up to the reserve.
const A_SECOND: i64 = 100;
/// A request pays for the frames that usually go with it.
const REQUEST_EARNS: i64 = 4;
/// A reset costs more than its request earned: rapid reset, CVE-2023-44487.
const RESET_COSTS: i64 = 8;
/// Bytes of an answer that pay for one frame, and of an upload's DATA frame that do.
const BYTES_PER_FRAME: u64 = 1024;
/// Headers of h2's own frame size, which is never raised.
const FRAME_SIZE: u32 = 16 * 1024;
/// All but the reserved bit.
const STREAM: u32 = 0x7fff_ffff;

/// Frame types (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// A flag of SETTINGS and PING.
const ACK: u8 = 1;
/// Flags of HEADERS.
const PADDED: u8 = 0x08;
const PRIORITIZED: u8 = 0x20;
/// Where a header block begins behind padding and priority, and what tells its first field.
const OPENING: usize = 1 + 5 + 3;

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to leap over before the next frame header.
    left: u64,
    credit: i64,
    since: Instant,
    earned: u64,
    /// Length of the DATA frame that is leapt over.
    unfinished: u64,
    /// Bytes of whole DATA frames since they were last asked for.
    data: u64,
    /// The client's preface is whole: its SETTINGS have come.
    is_opened: bool,
    /// The highest stream with a header section; another one on it is of trailers.
    newest: u32,
}

/// What came of reading frame headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// h2 may see this many bytes; behind them is too little of a frame to tell.
    Passed(usize),
    /// h2 may see this many bytes, and the connection is over.
    Over(usize, Fault),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The budget is spent.
    Flood,
    /// A frame that is not as long as its type has to be.
    Size,
    /// A frame where there must be another, or none like it.
    Protocol,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            left: PREFACE,
            credit: RESERVE,
            since: Instant::now(),
            earned: 0,
            unfinished: 0,
            data: 0,
            is_opened: false,
            newest: 0,
        }
    }

    /// The client has taken `n` bytes.
    pub(super) fn wrote(&mut self, n: usize) {
        self.earned += n as u64;
        if self.earned >= BYTES_PER_FRAME {
            self.earn((self.earned / BYTES_PER_FRAME).cast_signed());
            self.earned %= BYTES_PER_FRAME;
        }
    }

    /// How many bytes of DATA have arrived since this was last asked: h2 gives away whole frames.
    pub(super) fn take_data(&mut self) -> u64 {
        std::mem::take(&mut self.data)
    }

    /// Reads the frame headers in `bytes`, which begin with what was kept back the last time.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Judged {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.len() - at;
            if self.left > 0 {
                let n = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                at += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.data += std::mem::take(&mut self.unfinished);
                }
                continue;
            }
            let Some(header) = bytes[at..].first_chunk::<HEADER>() else {
                break;
            };
            if self.is_of_trailers(*header) {
                match has_pseudo_header(*header, &bytes[at + HEADER..]) {
                    Some(true) => return Judged::Over(at, Fault::Protocol),
                    Some(false) => {}
                    None => break,
                }
            }
            if let Err(fault) = self.frame(*header) {
                return Judged::Over(at, fault);
            }
            at += HEADER;
        }
        Judged::Passed(at)
    }

    fn frame(&mut self, header: [u8; HEADER]) -> Result<(), Fault> {
        let [high, middle, low, kind, flags, ..] = header;
        let length = u32::from_be_bytes([0, high, middle, low]);
        if !is_sized(kind, flags, length) {
            return Err(Fault::Size);
        }
        if !self.is_opened {
            self.open(kind, flags)?;
        }
        self.left = u64::from(length);
        if kind == DATA {
            self.unfinished = self.left;
        }
        match kind {
            DATA if self.left >= BYTES_PER_FRAME => self.earn(1),
            // h2 has budgets of its own for small DATA frames and for CONTINUATION.
            DATA | CONTINUATION | GOAWAY => {}
            HEADERS => self.earn(REQUEST_EARNS),
            RST_STREAM => self.spend(RESET_COSTS),
            _ => self.spend(1),
        }
        if self.credit < 0 {
            return Err(Fault::Flood);
        }
        Ok(())
    }

    /// RFC 9113 section 3.4: SETTINGS come first; h2 takes anything.
    fn open(&mut self, kind: u8, flags: u8) -> Result<(), Fault> {
        self.is_opened = kind == SETTINGS && flags & ACK == 0;
        if !self.is_opened {
            return Err(Fault::Protocol);
        }
        Ok(())
    }

    /// Whether a frame begins a second header section; notes the stream of a first one.
    fn is_of_trailers(&mut self, header: [u8; HEADER]) -> bool {
        let [_, _, _, kind, _, stream @ ..] = header;
        if kind != HEADERS {
            return false;
        }
        let stream = u32::from_be_bytes(stream) & STREAM;
        let is_new = stream > self.newest;
        self.newest = self.newest.max(stream);
        !is_new
    }

    fn earn(&mut self, frames: i64) {
        self.credit = self.credit.saturating_add(frames);
    }

    fn spend(&mut self, cost: i64) {
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
    }
}

/// Whether a frame is as long as RFC 9113 section 6 has it, where h2 has only PROTOCOL_ERROR to say.
fn is_sized(kind: u8, flags: u8, length: u32) -> bool {
    match kind {
        PRIORITY => length == 5,
        RST_STREAM | WINDOW_UPDATE => length == 4,
        SETTINGS if flags & ACK != 0 => length == 0,
        SETTINGS => length.is_multiple_of(6),
        PING => length == 8,
        GOAWAY => length >= 8,
        _ => true,
    }
}

/// Whether the header block behind `header` begins with a pseudo-header field, which trailers must
/// not have (RFC 9113 section 8.1); `None` when that is still to come. h2 drops it without a word,
/// but refuses one behind another field. One that only the dynamic table names is not seen.
fn has_pseudo_header(header: [u8; HEADER], payload: &[u8]) -> Option<bool> {
    let [high, middle, low, _, flags, ..] = header;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let payload = payload.get(..length.min(OPENING))?;
    let padding = usize::from(flags & PADDED != 0);
    let priority = if flags & PRIORITIZED != 0 { 5 } else { 0 };
    let block = payload.get(padding + priority..).unwrap_or_default();
    Some(match block {
        // Entries 1 to 14 of the static table, as fields and as names (RFC 7541 section 6).
        [0x81..=0x8e | 0x41..=0x4e | 0x01..=0x0e | 0x11..=0x1e, ..] => true,
        // A new name that begins with a colon, in seven bits when it is Huffman's.
        [0x40 | 0x00 | 0x10, 0x80..=0xff, first, ..] => first >> 1 == 0b101_1100,
        [0x40 | 0x00 | 0x10, _, first, ..] => *first == b':',
        _ => false,
    })
}

impl Fault {
    /// Frames that make h2 end the connection with a GOAWAY that says what is wrong.
    pub(super) fn last_frames(self, max_header_list: u32) -> Vec<u8> {
        match self {
            Self::Flood => endless_header_block(max_header_list),
            // Longer than any frame may be.
            Self::Size => vec![0xff; HEADER],
            // DATA of no stream.
            Self::Protocol => vec![0; HEADER],
        }
    }
}

/// Frames that make h2 send GOAWAY with ENHANCE_YOUR_CALM, whatever its limit on header lists:
/// the beginning of a header block, and more continuations than the largest list could need.
fn endless_header_block(max_header_list: u32) -> Vec<u8> {
    const FIRST: [u8; 4] = [0, 0, 0, 1];
    let continuations = (max_header_list / FRAME_SIZE).max(1) as usize * 2 + 8;
    let frame = |kind| [[0, 0, 0, kind, 0].as_slice(), &FIRST].concat();
    let mut frames = frame(HEADERS);
    frames.extend(frame(CONTINUATION).repeat(continuations));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const A_PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn opened() -> Frames {
        let mut frames = Frames::new();
        assert!(passes(&mut frames, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert!(passes(&mut frames, &frame(SETTINGS, 0)));
        frames.credit = RESERVE;
        frames
    }

    fn passes(frames: &mut Frames, bytes: &[u8]) -> bool {
        frames.judge(bytes) == Judged::Passed(bytes.len())
    }

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [.., a, b, c] = (length as u32).to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0, 0, 0, 0, 1];
        frame.resize(HEADER + length, 0);
        frame
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_stopped_before_the_frame_that_is_one_too_many() {
        let mut frames = opened();
        let flood = A_PING.repeat(RESERVE as usize + 5);
        assert_eq!(
            frames.judge(&flood),
            Judged::Over(RESERVE as usize * A_PING.len(), Fault::Flood)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn frames_cut_anywhere_are_counted_all_the_same() {
        let mut frames = opened();
        let flood = A_PING.repeat(RESERVE as usize + 3);
        let (mut passed, mut kept) = (0, Vec::new());
        for piece in flood.chunks(7) {
            kept.extend_from_slice(piece);
            match frames.judge(&kept) {
                Judged::Passed(n) => {
                    passed += n;
                    kept.drain(..n);
                    assert!(kept.len() < HEADER);
                }
                Judged::Over(n, _) => {
                    passed += n;
                    break;
                }
            }
        }
        assert_eq!(passed, RESERVE as usize * A_PING.len());
    }

    // RFC 9113 section 8.1
    #[tokio::test(start_paused = true)]
    async fn trailers_that_begin_with_a_pseudo_header_field_are_told_from_others() {
        for (flags, block, is_wrong) in [
            (0, b"\x83".as_slice(), true),
            (0, b"\x44\x02/x", true),
            (0, b"\x00\x05:path\x02/x", true),
            (0, b"\x40\x84\xb9\x58\xd3\x3f\x00", true),
            (PADDED, b"\x01\x83\0", true),
            (PADDED | PRIORITIZED, b"\x01\0\0\0\0\x01\x83\0", true),
            (0, b"", false),
            (0, b"\xbe", false),
            (0, b"\x40\x01x\x01y", false),
            (0, b"\x40\x01:", true),
            (PADDED, b"\x83\x40\x01x\x01y", false),
        ] {
            let mut trailers = frame(HEADERS, block.len());
            trailers[4] = flags;
            trailers.truncate(HEADER);
            trailers.extend_from_slice(block);
            let mut frames = opened();
            assert!(passes(&mut frames, &frame(HEADERS, 20)));
            for end in HEADER..HEADER + block.len().min(OPENING) {
                assert_eq!(
                    frames.judge(&trailers[..end]),
                    Judged::Passed(0),
                    "{block:?}"
                );
            }
            let judged = frames.judge(&trailers);
            let wrong = Judged::Over(0, Fault::Protocol);
            assert_eq!(judged == wrong, is_wrong, "{block:?}: {judged:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_now_and_then_goes_on_for_ever() {
        let mut frames = opened();
        for _ in 0..20_000 {
            tokio::time::advance(Duration::from_millis(20)).await;
            assert!(passes(&mut frames, &A_PING));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_pays_for_its_window_updates() {
        let mut frames = opened();
        for _ in 0..20_000 {
            frames.wrote(4096);
            assert!(passes(&mut frames, &frame(8, 4)));
            assert!(passes(&mut frames, &frame(8, 4)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_pay_for_pings_but_not_for_their_own_resets() {
        let mut frames = opened();
        for _ in 0..20_000 {
            assert!(passes(&mut frames, &frame(HEADERS, 20)));
            assert!(passes(&mut frames, &A_PING));
        }
        let mut frames = opened();
        let rapid = [frame(HEADERS, 20), frame(RST_STREAM, 4)].concat();
        assert!(matches!(
            frames.judge(&rapid.repeat(1000)),
            Judged::Over(_, Fault::Flood)
        ));
    }
}
