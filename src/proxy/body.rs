//! Bodies on their way through: counted, bounded, timed, never held.
//!
//! [`RequestBody`] is what the application is sent; [`ResponseBody`] carries the request's record,
//! so that the record ends when the answer does. A request without a body costs no allocation
//! here.

mod request;
mod response;

pub use request::RequestBody;
pub(super) use request::{Fate, RequestBodyFailure, incoming};
pub(super) use response::{Exchange, ResponseBody};
