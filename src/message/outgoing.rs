//! A message on its way: its head, and its body piece by piece behind it.
//!
//! What there is of the body goes in one system call, with the head where that waits. The next piece is
//! asked for when the stream has taken the last, and what the stream holds is sent when nothing comes at
//! once.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http_body::Body;
use tokio::io::AsyncWrite;

use crate::fields::{Fields, Name, Value, name};

/// Pieces and framing that are written at once behind the first piece, at most.
const MOST_AT_ONCE: usize = 29;

/// A message on its way.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// The head, and framing in front of `data`.
    before: Vec<u8>,
    /// A piece of the body.
    data: Bytes,
    /// Framing behind `data`.
    behind: &'static [u8],
    /// More pieces that came along, and their framing.
    more: Vec<Bytes>,
    /// Bytes of `more`.
    more_bytes: usize,
    /// Bytes of all of these that the stream has taken.
    written: usize,
    /// Whether it has ever taken one.
    has_left: bool,
    /// Whether it may hold some of them still.
    is_held: bool,
    /// `None` when all of it has been given.
    body: Option<B>,
    coding: Coding,
}

/// How a body is framed.
#[derive(Debug)]
pub enum Coding {
    /// Bytes still to come.
    Length(u64),
    /// With the trailer fields that were announced.
    Chunked(Vec<HeaderName>),
    /// Up to the end of the connection.
    UntilClose,
}

/// Why a message did not get out.
#[derive(Debug)]
pub enum Interrupted<E> {
    /// Its body failed.
    Body(E),
    /// Its body is not as long as its head says.
    WrongLength,
    /// The stream failed.
    Stream(io::Error),
}

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B> {
    /// A message with `head`, which says of `body` what `coding` is; `None` is no body at all.
    pub fn new(head: Vec<u8>, body: Option<B>, coding: Coding) -> Self {
        Self {
            before: head,
            data: Bytes::new(),
            behind: b"",
            more: Vec::new(),
            more_bytes: 0,
            written: 0,
            has_left: false,
            is_held: false,
            body,
            coding,
        }
    }

    /// Writes what there is and the stream takes; ready when it has taken, and sent, all of it.
    ///
    /// Pieces of the body are gathered up to about `most` bytes, because one long write costs less than
    /// many short ones; with 0 they go one by one.
    ///
    /// # Errors
    /// When it cannot be whole.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Interrupted<B::Error>>> {
        loop {
            let next = self.poll_body(most, cx)?;
            if self.left() > 0 {
                let n = ready!(self.poll_write_some(stream, cx)).map_err(Interrupted::Stream)?;
                if n == 0 {
                    let error = io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(Interrupted::Stream(error)));
                }
                self.written += n;
                (self.has_left, self.is_held) = (true, true);
                continue;
            }
            if self.is_held {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(Interrupted::Stream)?;
                self.is_held = false;
            }
            if self.is_out() {
                return Poll::Ready(Ok(()));
            }
            ready!(next);
        }
    }

    /// Whether the stream has all of it.
    pub fn is_out(&self) -> bool {
        self.body.is_none() && self.left() == 0 && !self.is_held
    }

    /// Whether there is a body of which not all was given.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether no byte of it has left.
    pub fn is_unsent(&self) -> bool {
        !self.has_left
    }

    /// Begins anew a message of which all was head.
    pub fn rewind(&mut self) {
        (self.written, self.has_left, self.is_held) = (0, false, false);
    }

    /// The head, and framing of what is written next.
    #[cfg(test)]
    pub fn head(&self) -> &[u8] {
        &self.before
    }

    fn left(&self) -> usize {
        self.before.len() + self.data.len() + self.behind.len() + self.more_bytes - self.written
    }

    fn poll_write_some<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.data.is_empty() && self.behind.is_empty() {
            return stream.poll_write(cx, &self.before[self.written..]);
        }
        let first = [&self.before, &*self.data, self.behind].into_iter();
        let mut slices = [IoSlice::new(b""); 3 + MOST_AT_ONCE];
        let all = first.chain(self.more.iter().map(|piece| &**piece));
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
        }
        let mut slices = &mut slices[..3 + self.more.len()];
        IoSlice::advance_slices(&mut slices, self.written);
        // What is empty is behind what is not, or was passed over.
        stream.poll_write_vectored(cx, slices)
    }

    /// Takes what there is of the body, when the last of it is out or the head still waits.
    fn poll_body(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Interrupted<B::Error>>> {
        if self.body.is_some() && self.left() == 0 {
            self.before.clear();
            self.data.clear();
            self.more.clear();
            (self.behind, self.more_bytes, self.written) = (b"", 0, 0);
        }
        while self.has_room(most)
            && let Some(body) = &mut self.body
        {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            let is_last = frame.is_none() || body.is_end_stream();
            match frame.transpose().map_err(Interrupted::Body)? {
                None => self.end(&HeaderMap::new())?,
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.piece(data, is_last)?,
                    Err(frame) => self.end(&frame.into_trailers().unwrap_or_default())?,
                },
            }
            if is_last {
                self.body = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a piece more may be written together with what waits.
    fn has_room(&self, most: usize) -> bool {
        if self.is_first() {
            return true;
        }
        // A piece in chunks takes three places.
        let is_begun = self.written > 0 || self.more.len() + 3 > MOST_AT_ONCE;
        !is_begun && self.data.len() + self.more_bytes < most
    }

    /// Whether nothing of the body waits.
    fn is_first(&self) -> bool {
        self.data.is_empty() && self.behind.is_empty() && self.more.is_empty()
    }

    fn piece(&mut self, data: Bytes, is_last: bool) -> Result<(), Interrupted<B::Error>> {
        match &mut self.coding {
            Coding::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                let rest = rest.filter(|rest| *rest == 0 || !is_last);
                *left = rest.ok_or(Interrupted::WrongLength)?;
                self.put(data, b"");
            }
            Coding::Chunked(_) => {
                if !data.is_empty() {
                    // Writing to memory does not fail.
                    let _ = self.framing(|out| write!(out, "{:x}\r\n", data.len()));
                }
                let behind: &[u8] = match (data.is_empty(), is_last) {
                    (false, false) => b"\r\n",
                    (false, true) => b"\r\n0\r\n\r\n",
                    (true, false) => b"",
                    (true, true) => b"0\r\n\r\n",
                };
                self.put(data, behind);
            }
            Coding::UntilClose => self.put(data, b""),
        }
        Ok(())
    }

    /// Has what `write` writes sent next, where the head is unless a piece waits already.
    fn framing<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.is_first() {
            return write(&mut self.before);
        }
        let mut framing = Vec::new();
        let written = write(&mut framing);
        self.push(framing.into());
        written
    }

    /// Has `data` sent next, and `behind` behind it.
    fn put(&mut self, data: Bytes, behind: &'static [u8]) {
        if self.is_first() {
            (self.data, self.behind) = (data, behind);
        } else {
            self.push(data);
            self.push(Bytes::from_static(behind));
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.more_bytes += bytes.len();
            self.more.push(bytes);
        }
    }

    /// Ends the body with those of `trailers` that were announced.
    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Interrupted<B::Error>> {
        self.body = None;
        match &self.coding {
            Coding::Length(0) | Coding::UntilClose => Ok(()),
            Coding::Length(_) => Err(Interrupted::WrongLength),
            Coding::Chunked(announced) => {
                let announced = trailers.iter().filter(|(name, _)| announced.contains(name));
                let mut section = b"0\r\n".to_vec();
                for (name, value) in announced {
                    encode_field(name.into(), value.into(), &mut section);
                }
                section.extend_from_slice(b"\r\n");
                self.framing(|out| out.extend_from_slice(&section));
                Ok(())
            }
        }
    }
}

impl Coding {
    /// Chunks, with those trailer fields behind them that `fields` announce.
    pub fn chunked(fields: &Fields) -> Self {
        Self::Chunked(
            fields
                .all(name::TRAILER)
                .flat_map(|line| line.as_bytes().split(|b| *b == b','))
                .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
                .collect(),
        )
    }
}

/// Writes one field of a head to its end.
pub fn encode_field(name: Name<'_>, value: Value<'_>, head: &mut Vec<u8>) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(&value);
    head.extend_from_slice(b"\r\n");
}

/// Whether `option` is among those that `line` lists, in any case.
pub fn is_option(line: &[u8], option: &str) -> bool {
    line.split(|b| *b == b',')
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use std::convert::Infallible;
    use tokio::io::AsyncReadExt as _;

    /// What is sent of a message with a body of `pieces`.
    async fn sent(
        pieces: &'static [&'static str],
        coding: Coding,
        most: usize,
    ) -> Result<String, String> {
        let frames = pieces
            .iter()
            .map(|piece| Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(*piece))));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut message = Outgoing::new(b"head\r\n\r\n".to_vec(), Some(body), coding);
        let (mut ours, mut theirs) = tokio::io::duplex(3);
        let mut text = String::new();
        let write = async move {
            let written = std::future::poll_fn(|cx| message.poll_write(&mut ours, most, cx)).await;
            assert!(message.is_out() || written.is_err());
            written
        };
        let (written, _) = tokio::join!(write, theirs.read_to_string(&mut text));
        written.map(|()| text).map_err(|why| format!("{why:?}"))
    }

    #[tokio::test]
    async fn a_body_has_its_length_or_chunks_or_ends_with_the_connection() {
        let pieces = &["hello", "", "world, and so on"];
        let chunks = "5\r\nhello\r\n10\r\nworld, and so on\r\n0\r\n\r\n";
        for (coding, body) in [
            (
                (|| Coding::Length(21)) as fn() -> Coding,
                "helloworld, and so on",
            ),
            (|| Coding::Chunked(Vec::new()), chunks),
            (|| Coding::UntilClose, "helloworld, and so on"),
        ] {
            for most in [0, 1000] {
                let sent = sent(pieces, coding(), most).await;
                assert_eq!(sent.as_deref(), Ok(&*format!("head\r\n\r\n{body}")));
            }
        }
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_its_head_says_is_an_error() {
        for length in [4, 6] {
            let sent = sent(&["hello"], Coding::Length(length), 0).await;
            assert_eq!(sent, Err("WrongLength".to_owned()), "{length}");
        }
    }
}
