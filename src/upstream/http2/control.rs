//! Frames that carry nothing of an answer (RFC 9113 sections 6.4, 6.5, 6.8 and 6.9): what the application
//! lets us do, and what it ends.

use super::core::Core;
use super::failure::Failure;
use crate::http2::frame::{self, ACK, Fault, Header, Kind, Reason};
use crate::http2::settings::Change;
use crate::upstream::RequestBody;

/// The application ends stream `id`.
pub(super) fn reset<B: RequestBody>(
    core: &mut Core<B>,
    id: u32,
    payload: &[u8],
) -> Result<(), Fault> {
    if !core.is_known(id) {
        return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
    }
    core.fail(id, Failure::Reset(Reason(word(payload))));
    Ok(())
}

/// The application takes no more streams.
pub(super) fn go_away<B: RequestBody>(core: &mut Core<B>, payload: &[u8]) {
    let last = frame::identifier(word(payload).to_be_bytes());
    let reason = Reason(payload.get(4..).map_or(0, word));
    core.goes_away(last, reason);
}

/// The application says what it lets us do.
pub(super) fn settings<B: RequestBody>(
    core: &mut Core<B>,
    header: Header,
    payload: &[u8],
) -> Result<(), Fault> {
    if header.has(ACK) {
        return Ok(());
    }
    let (streams, encoder) = (&mut core.streams, &mut core.sender.encoder);
    let (mut most, mut protocols) = (None, None);
    let taken = core.theirs.take(payload, |change| {
        match change {
            Change::Table(size) => encoder.limit(size),
            Change::Streams(streams) => most = Some(streams),
            Change::ConnectProtocol(is_taken) => protocols = Some(is_taken),
            Change::Window(by) => streams.change_windows(by)?,
        }
        Ok(())
    });
    taken.map_err(Fault::Connection)?;
    core.sender.output.frame(Kind::Settings, ACK, 0, &[]);
    core.takes_protocols = protocols.unwrap_or(core.takes_protocols);
    core.allow(most);
    Ok(())
}

/// The application widens a window.
pub(super) fn window_update<B: RequestBody>(
    core: &mut Core<B>,
    id: u32,
    payload: &[u8],
) -> Result<(), Fault> {
    let by = frame::identifier(word(payload).to_be_bytes());
    if id == 0 {
        if by == 0 {
            return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
        }
        let widened = core.sender.window.change(i64::from(by));
        widened.map_err(Fault::Connection)?;
        core.streams.widened();
        return Ok(());
    }
    if !core.is_known(id) {
        return Err(Fault::Connection(Reason::PROTOCOL_ERROR));
    }
    if let Some(stream) = core.streams.find(id).filter(|stream| !stream.is_closed) {
        if by == 0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let widened = stream.request.window.change(i64::from(by));
        widened.map_err(|reason| Fault::Stream(id, reason))?;
        core.streams.claim_turn(id);
    }
    Ok(())
}

/// The first four bytes of a payload, whose length was found right.
fn word(payload: &[u8]) -> u32 {
    payload
        .first_chunk()
        .map_or(0, |word| u32::from_be_bytes(*word))
}
