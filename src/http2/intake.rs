//! Where a connection is in what its peer sends, and what may come next (RFC 9113 sections 3.4, 6.1 and
//! 6.10).

use super::block::Begun;
use super::frame::{ACK, END_STREAM, Fault, HEADER, Header, Kind, PADDED, Reason};

/// What the next byte is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The preface of a client, of which so much has come.
    Preface(usize),
    /// A frame; its header if that has been looked at.
    Frame(Option<Header>),
    /// A body.
    Data(Data),
    /// So many bytes that say nothing.
    Nothing(usize),
}

/// A DATA frame of an open stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Its stream.
    pub stream: u32,
    /// Bytes of the body that have not come yet.
    pub left: usize,
    /// Bytes of padding behind them.
    pub padding: usize,
    /// Whether it ends the body.
    pub is_end: bool,
}

impl At {
    /// At so many bytes that say nothing, and then the next frame.
    pub fn nothing(bytes: usize) -> Self {
        match bytes {
            0 => Self::Frame(None),
            bytes => Self::Nothing(bytes),
        }
    }
}

impl Data {
    /// The frame with `header`, which `read` begins with, and how many bytes are before its data; `None`
    /// when too little has come.
    ///
    /// # Errors
    /// When it has more padding than payload.
    pub fn open(header: Header, read: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let (mut before, mut padding, mut left) = (HEADER, 0, header.length);
        if header.has(PADDED) {
            let wrong = Fault::Connection(Reason::PROTOCOL_ERROR);
            let behind = left.checked_sub(1).ok_or(wrong)?;
            let Some(length) = read.get(HEADER) else {
                return Ok(None);
            };
            padding = usize::from(*length);
            before += 1;
            left = behind.checked_sub(padding).ok_or(wrong)?;
        }
        let data = Self {
            stream: header.stream,
            left,
            padding,
            is_end: header.has(END_STREAM),
        };
        Ok(Some((data, before)))
    }
}

/// Whether a frame with `header` may come now.
///
/// # Errors
/// When it may not; the first is SETTINGS, and nothing is between the frames of the block that has
/// `begun`.
pub fn admit(header: Header, is_opened: &mut bool, begun: Option<&Begun>) -> Result<(), Fault> {
    header.check()?;
    let is_first = || header.kind == Kind::Settings && !header.has(ACK);
    let is_next = match begun {
        _ if !*is_opened => is_first(),
        Some(begun) => header.kind == Kind::Continuation && header.stream == begun.header.stream,
        None => header.kind != Kind::Continuation,
    };
    *is_opened = true;
    match is_next {
        true => Ok(()),
        false => Err(Fault::Connection(Reason::PROTOCOL_ERROR)),
    }
}
