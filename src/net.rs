//! Sockets: listeners that survive scarcity, connections to the application, what is read beside TLS.
//!
//! Nothing here knows HTTP or TLS. Invariant: an error of the system keeps its kind on the way up,
//! so that refused, reset and timed out stay different things.

mod connector;
mod exposure;
mod linger;
mod listener;
mod listening;
mod low_water;
mod prefixed;
mod proxy_header;
mod sniff;
mod stream;

pub use connector::{ConnectError, Connector};
pub use exposure::{beyond_loopback, exposure, own_address};
pub use linger::{linger, linger_upload};
pub use listener::{AcceptBackoff, BindError, Binding, Listener, bind, look_after_clients};
pub use listening::listening;
pub use low_water::tell_from;
pub use prefixed::Prefixed;
pub use proxy_header::{
    ProxyHeaderError, encode as encode_proxy_header, encode_unknown as encode_unknown_proxy_header,
    read as read_proxy_header,
};
pub use sniff::{FirstBytes, NotTls, Sniffed};
pub use stream::Stream;
