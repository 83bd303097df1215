//! Frames as they are written (RFC 9113 sections 4 and 6): headers, types, flags and error codes.

use std::fmt;

/// A client's first bytes, before its first frame (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first bytes of a server that speaks HTTP/1.
pub const HTTP1: &[u8] = b"HTTP/1.";
/// Bytes of a frame header (RFC 9113 section 4.1).
pub const HEADER: usize = 9;
/// The largest payload that is taken: what RFC 9113 section 4.2 has where nothing else was said.
pub const LARGEST: usize = 16 * 1024;
/// All of a stream identifier but the reserved bit.
const STREAM: u32 = 0x7fff_ffff;

/// A flag of SETTINGS and PING.
pub const ACK: u8 = 0x01;
/// A flag of DATA and HEADERS.
pub const END_STREAM: u8 = 0x01;
/// A flag of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x04;
/// A flag of DATA and HEADERS.
pub const PADDED: u8 = 0x08;
/// A flag of HEADERS.
pub const PRIORITIZED: u8 = 0x20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A piece of a body.
    Data,
    /// A header section, or its beginning.
    Headers,
    /// Deprecated, and passed over.
    Priority,
    /// The end of a stream.
    RstStream,
    /// What its sender lets the peer do.
    Settings,
    /// What nobody is asked for here.
    PushPromise,
    /// A question whether somebody is there, or the answer.
    Ping,
    /// The end of new streams.
    GoAway,
    /// More that the peer may send.
    WindowUpdate,
    /// More of a header section.
    Continuation,
    /// To be ignored (RFC 9113 section 4.1).
    Unknown,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload.
    pub length: usize,
    /// What the frame is.
    pub kind: Kind,
    /// What its kind has flags for.
    pub flags: u8,
    /// The stream; 0 is all of the connection.
    pub stream: u32,
}

/// Why a stream or a connection ends (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub u32);

/// What is wrong, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// RFC 9113 section 5.4.1.
    Connection(Reason),
    /// RFC 9113 section 5.4.2.
    Stream(u32, Reason),
}

impl Kind {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }

    /// How it is written. Nothing of an unknown type ever is.
    fn code(self) -> u8 {
        self as u8
    }
}

impl Header {
    /// Reads one from the first bytes of `bytes`, if they are there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<HEADER>()?;
        Some(Self {
            length: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind: Kind::of(kind),
            flags,
            stream: identifier(stream),
        })
    }

    /// Writes one behind `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let [_, high, middle, low] = (self.length as u32).to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        let kind = self.kind.code();
        out.extend_from_slice(&[high, middle, low, kind, self.flags, a, b, c, d]);
    }

    /// Whether `flag` is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Holds what can be told from the header alone to RFC 9113 section 6.
    ///
    /// # Errors
    /// FRAME_SIZE_ERROR, and PROTOCOL_ERROR for a frame of a stream on none, or the other way round.
    pub fn check(self) -> Result<(), Fault> {
        let is_sized = self.length <= LARGEST
            && match self.kind {
                Kind::Priority => self.length == 5,
                Kind::RstStream | Kind::WindowUpdate => self.length == 4,
                Kind::Settings if self.has(ACK) => self.length == 0,
                Kind::Settings => self.length.is_multiple_of(6),
                Kind::Ping => self.length == 8,
                Kind::GoAway => self.length >= 8,
                _ => true,
            };
        if !is_sized {
            return Err(Fault::Connection(Reason::FRAME_SIZE_ERROR));
        }
        let is_placed = match self.kind {
            Kind::Data | Kind::Headers | Kind::Priority | Kind::RstStream | Kind::Continuation => {
                self.stream != 0
            }
            Kind::Settings | Kind::Ping | Kind::GoAway => self.stream == 0,
            Kind::WindowUpdate | Kind::Unknown => true,
            // RFC 9113 section 8.4: a client pushes nothing, and our own connections forbid it.
            Kind::PushPromise => false,
        };
        match is_placed {
            true => Ok(()),
            false => Err(Fault::Connection(Reason::PROTOCOL_ERROR)),
        }
    }
}

/// A stream identifier, or what else is written as one: 31 bits, and one that says nothing.
pub fn identifier(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & STREAM
}

/// Takes the padding off the payload of DATA or HEADERS.
///
/// # Errors
/// When there is more padding than payload.
pub fn unpadded(header: Header, payload: &[u8]) -> Result<&[u8], Fault> {
    if !header.has(PADDED) {
        return Ok(payload);
    }
    let unpadded = payload.split_first().and_then(|(padding, rest)| {
        let length = rest.len().checked_sub(usize::from(*padding))?;
        rest.get(..length)
    });
    unpadded.ok_or(Fault::Connection(Reason::PROTOCOL_ERROR))
}

impl Reason {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// What none of the others says.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Something went wrong on this side.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More than the windows allow.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// A frame on a stream that is over.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a size that its kind does not have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Nothing was done for the stream.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is not needed any more.
    pub const CANCEL: Self = Self(8);
    /// A header block that cannot be read.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// What a peer is told that sends too much of what moves nothing.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "NO_ERROR",
            1 => "PROTOCOL_ERROR",
            2 => "INTERNAL_ERROR",
            3 => "FLOW_CONTROL_ERROR",
            4 => "SETTINGS_TIMEOUT",
            5 => "STREAM_CLOSED",
            6 => "FRAME_SIZE_ERROR",
            7 => "REFUSED_STREAM",
            8 => "CANCEL",
            9 => "COMPRESSION_ERROR",
            10 => "CONNECT_ERROR",
            11 => "ENHANCE_YOUR_CALM",
            12 => "INADEQUATE_SECURITY",
            13 => "HTTP_1_1_REQUIRED",
            unknown => return write!(f, "error {unknown:#x}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_without_the_reserved_bit() {
        let header = Header {
            length: 0x01_02_03,
            kind: Kind::Continuation,
            flags: END_HEADERS,
            stream: 7,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 9, 4, 0, 0, 0, 7]);
        bytes[5] |= 0x80;
        assert_eq!(Header::read(&bytes), Some(header));
        assert_eq!(Header::read(&bytes[..8]), None);
    }

    #[test]
    fn padding_is_never_longer_than_what_it_is_in() {
        let header = Header {
            length: 0,
            kind: Kind::Data,
            flags: PADDED,
            stream: 1,
        };
        assert_eq!(unpadded(header, b"\x02ab\0\0"), Ok(&b"ab"[..]));
        assert_eq!(unpadded(header, b"\x02\0\0"), Ok(&b""[..]));
        for wrong in [&b""[..], b"\x01", b"\x03ab"] {
            assert!(unpadded(header, wrong).is_err(), "{wrong:?}");
        }
    }
}
