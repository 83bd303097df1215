//! Bodies on their way through: counted, bounded, timed, never held.
//!
//! [`RequestBody`] is what the application is sent; [`ResponseBody`] carries the request's record,
//! so that the record ends when the answer does. A request without a body costs no allocation
//! here.

mod feed;
mod incoming;
mod request;
mod response;

pub(super) use feed::{Feed, Reader, Source, feed};
pub(super) use incoming::Incoming;
pub use request::RequestBody;
pub(super) use request::{Fate, RequestBodyFailure, incoming};
pub(super) use response::{Exchange, ResponseBody};
