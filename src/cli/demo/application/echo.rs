//! `/headers` and `/echo`: the request as the application received it, as JSON.
//!
//! Shows what the proxy set, removed and left alone. Names are in lower case, as hyper keeps
//! them; a name that came more than once has a list of values in the order received.

use std::net::SocketAddr;

use http::{HeaderMap, Request};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};

/// The request's line, headers and peer.
pub(super) fn answer(request: &Request<Incoming>, peer: SocketAddr) -> Answer {
    answer::json(&json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.uri().query(),
        "version": format!("{:?}", request.version()),
        "headers": headers(request.headers()),
        "peer": peer.to_string(),
    }))
}

/// Values that are not UTF-8 are shown with replacement characters.
fn headers(map: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in map.keys() {
        let values = map.get_all(name).iter();
        let mut values: Vec<Value> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        object.insert(name.as_str().to_owned(), value);
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn repeated_name_is_a_list_in_order() {
        let mut map = HeaderMap::new();
        map.append("x-one", HeaderValue::from_static("1"));
        map.append("x-two", HeaderValue::from_static("b"));
        map.append("x-two", HeaderValue::from_static("a"));
        assert_eq!(headers(&map), json!({"x-one": "1", "x-two": ["b", "a"]}));
    }

    #[test]
    fn value_that_is_not_text_is_still_shown() {
        let value = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        let map = HeaderMap::from_iter([(HeaderName::from_static("x-latin"), value)]);
        assert_eq!(headers(&map), json!({"x-latin": "caf\u{fffd}"}));
    }
}
