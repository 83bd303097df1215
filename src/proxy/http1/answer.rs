//! The answer to a request: its head as the client is to see it, and how its body is framed.
//!
//! What stands in the head of a body's length is true: a length that the body has, chunks, or the
//! end of the connection (RFC 9112 section 6). Invariant: no byte follows an answer that has no body.

use std::time::Instant;

use http::{StatusCode, Version};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;

use super::head::Terms;
use crate::fields::{Value, name};
use crate::message::{Coding, Outgoing, Response, encode_field, is_option};
use crate::proxy::body::ResponseBody;
use crate::proxy::date;
use crate::syntax::may_have_body;

/// What a head has beside its fields, at most, unless its reason phrase is long.
const START: usize = 64;
/// What is added to the fields of an answer.
const ADDED_BYTES: usize = 96;

/// What an answer depends on beside itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) persists: bool,
    pub(super) takes_trailers: bool,
}

impl Asked {
    pub(super) fn of(terms: Terms, is_head: bool) -> Self {
        Self {
            version: terms.version,
            is_head,
            persists: terms.persists,
            takes_trailers: terms.takes_trailers,
        }
    }

    /// Of a head that was refused, which may have said anything.
    pub(super) const REFUSED: Self = Self {
        version: Version::HTTP_11,
        is_head: false,
        persists: false,
        takes_trailers: false,
    };
}

/// Encodes `response`; whether another may follow it on the connection.
pub(super) fn encode(
    response: Response<ResponseBody>,
    asked: Asked,
) -> (Outgoing<ResponseBody>, bool) {
    let Response {
        status,
        mut fields,
        extensions,
        body,
        ..
    } = response;
    let is_old = asked.version == Version::HTTP_10;
    let has_body = !asked.is_head && may_have_body(status);
    let answered = body.answered();
    let body = Some(body).filter(|body| has_body && !body.is_end_stream());
    let mut coding = match &body {
        None => Coding::Length(0),
        Some(body) => match body.size_hint().exact() {
            Some(length) => Coding::Length(length),
            None if is_old => Coding::UntilClose,
            None => Coding::Chunked(Vec::new()),
        },
    };
    fields.remove(name::TRANSFER_ENCODING);
    // The length of what is not sent is told where it was asked for (RFC 9110 section 8.6).
    let keeps_length = matches!((&body, &coding), (Some(_), Coding::Length(_))) || asked.is_head;
    if !keeps_length {
        fields.remove(name::CONTENT_LENGTH);
    }
    if !has_body || is_old {
        fields.remove(name::TRAILER);
    }
    let mut options = fields.all(name::CONNECTION).peekable();
    let has_connection = options.peek().is_some();
    let persists = asked.persists
        && !matches!(coding, Coding::UntilClose)
        && !options.any(|line| is_option(&line, "close"));
    drop(options);
    match coding {
        _ if fields.has(name::CONTENT_LENGTH) || status == StatusCode::SWITCHING_PROTOCOLS => {}
        Coding::Length(0) if !has_body => {}
        Coding::Length(length) => fields.append_number(name::CONTENT_LENGTH, length),
        Coding::Chunked(_) => {
            fields.append(name::TRANSFER_ENCODING, Value::from_static("chunked"));
        }
        Coding::UntilClose => {}
    }
    if !has_connection && !persists && !is_old {
        fields.append(name::CONNECTION, Value::from_static("close"));
    } else if !has_connection && persists && is_old {
        fields.append(name::CONNECTION, Value::from_static("keep-alive"));
    }
    let mut head = Vec::with_capacity(START + fields.encoded_length() + ADDED_BYTES);
    start_line(&mut head, status, extensions.get(), is_old);
    fields.encode(&mut head);
    if !fields.has(name::DATE) {
        date::with(answered.unwrap_or_else(Instant::now), |date| {
            encode_field(name::DATE, date.into(), &mut head);
        });
    }
    head.extend_from_slice(b"\r\n");
    if let Coding::Chunked(_) = coding
        && asked.takes_trailers
    {
        coding = Coding::chunked(&fields);
    }
    (Outgoing::new(head, body, coding), persists)
}

fn start_line(head: &mut Vec<u8>, status: StatusCode, reason: Option<&ReasonPhrase>, is_old: bool) {
    head.extend_from_slice(if is_old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(match reason {
        Some(reason) => reason.as_bytes(),
        None => status.canonical_reason().unwrap_or("Unknown").as_bytes(),
    });
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fixtures;

    const ASKED: Asked = Asked {
        version: Version::HTTP_11,
        is_head: false,
        persists: true,
        takes_trailers: false,
    };
    const TO_HEAD: Asked = Asked {
        is_head: true,
        ..ASKED
    };
    const OLD: Asked = Asked {
        version: Version::HTTP_10,
        ..ASKED
    };

    /// The head of an answer without a body to `asked`, and whether another may follow.
    fn encoded(
        status: u16,
        fields: &[(&'static str, &'static str)],
        asked: Asked,
    ) -> (String, bool) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut response = Response::new(status, ResponseBody::empty());
        response.fields = fixtures::fields(fields);
        response
            .fields
            .append(name::DATE, Value::from_static("now"));
        let (outgoing, persists) = encode(response, asked);
        let head = String::from_utf8(outgoing.head().to_vec()).unwrap();
        (head.replace("date: now\r\n", ""), persists)
    }

    #[test]
    fn a_length_is_told_where_it_is_true() {
        for (status, fields, asked, head) in [
            (200, &[][..], ASKED, "200 OK\r\ncontent-length: 0\r\n\r\n"),
            (
                200,
                &[("content-length", "0")],
                ASKED,
                "200 OK\r\ncontent-length: 0\r\n\r\n",
            ),
            (200, &[], TO_HEAD, "200 OK\r\n\r\n"),
            (
                200,
                &[("content-length", "5")],
                TO_HEAD,
                "200 OK\r\ncontent-length: 5\r\n\r\n",
            ),
            (
                204,
                &[("content-length", "0")],
                ASKED,
                "204 No Content\r\n\r\n",
            ),
            (
                304,
                &[("content-length", "5")],
                ASKED,
                "304 Not Modified\r\n\r\n",
            ),
            (799, &[], ASKED, "799 Unknown\r\ncontent-length: 0\r\n\r\n"),
        ] {
            let (found, persists) = encoded(status, fields, asked);
            assert_eq!(found, format!("HTTP/1.1 {head}"));
            assert!(persists);
        }
    }

    #[test]
    fn what_becomes_of_the_connection_is_told_in_the_terms_of_its_version() {
        let close = [("connection", "close")];
        let leaving = Asked {
            persists: false,
            ..ASKED
        };
        for (fields, asked, told, persists) in [
            (&[][..], ASKED, "", true),
            (&close, ASKED, "connection: close\r\n", false),
            (&[], leaving, "connection: close\r\n", false),
            (&close, leaving, "connection: close\r\n", false),
            (&[], OLD, "connection: keep-alive\r\n", true),
            (&close, OLD, "connection: close\r\n", false),
        ] {
            let (head, found) = encoded(204, fields, asked);
            let version = if asked.version == Version::HTTP_10 {
                "1.0"
            } else {
                "1.1"
            };
            assert_eq!(head, format!("HTTP/{version} 204 No Content\r\n{told}\r\n"));
            assert_eq!(found, persists);
        }
        let upgrade = [("connection", "upgrade"), ("upgrade", "x")];
        let (head, _) = encoded(101, &upgrade, leaving);
        assert_eq!(
            head,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        );
    }
}
