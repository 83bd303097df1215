//! The heads of answers as they are written.

use std::time::Instant;

use http::StatusCode;
use http_body::Body as _;

use super::stream::AnswerHalf;
use crate::fields::{Field, name};
use crate::http2::OF_CONNECTION;
use crate::http2::frame::END_STREAM;
use crate::http2::sending::Sender;
use crate::message::Response;
use crate::proxy::body::ResponseBody;
use crate::proxy::date;
use crate::syntax::may_have_body;

/// Writes the head of `response`, and makes of its body what `answer` sends, unless the request was a HEAD.
pub(super) fn begin(
    sender: &mut Sender,
    id: u32,
    answer: &mut AnswerHalf,
    is_head: bool,
    response: Response<ResponseBody>,
) {
    let Response {
        status,
        mut fields,
        body,
        ..
    } = response;
    let has_body = !is_head && may_have_body(status) && !body.is_end_stream();
    if has_body
        && !fields.has(name::CONTENT_LENGTH)
        && let Some(length) = body.size_hint().exact()
    {
        fields.append_number(name::CONTENT_LENGTH, length);
    }
    // Not even where the operator's policy has them set.
    fields.remove_any(&OF_CONNECTION);
    let end = if has_body { 0 } else { END_STREAM };
    sender.section(id, end, |encoder, block| {
        encoder.status(status, block);
        for field in fields.iter() {
            encoder.field(field, block);
        }
        if !fields.has(name::DATE) {
            let now = body.answered().unwrap_or_else(Instant::now);
            date::with(now, |date| {
                encoder.field(Field::new(name::DATE, date.into()), block);
            });
        }
    });
    answer.is_over = !has_body;
    answer.body = has_body.then_some(body);
}

/// Tells the client that its body is wanted (RFC 9110 section 15.2.1).
pub(super) fn go_on(sender: &mut Sender, id: u32) {
    sender.section(id, 0, |encoder, block| {
        encoder.status(StatusCode::CONTINUE, block);
    });
}
