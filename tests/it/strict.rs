//! HTTP/1 strictness: what two parsers could read in two ways is refused before a byte of it
//! reaches the application, and what is forwarded is read in one way by all.

mod canonical;
mod chunked;
mod connection;
mod fields;
mod framing;
mod limits;
mod lines;

use std::io;

use crate::support::application::Raw;
use crate::support::h1::Response;
use crate::support::sidecar::Served;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GOOD: &str = "GET /good HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A sidecar, and an application that must not hear of `/evil`.
struct Guarded {
    application: Raw,
    served: Served,
}

impl Guarded {
    fn start(arguments: &[&str]) -> Self {
        let application = Raw::answering(OK);
        let served = Served::start(application.upstream(), arguments);
        Self {
            application,
            served,
        }
    }

    /// The answer to the last of `pieces`, each sent in a TLS record of its own, behind `good`
    /// requests that are answered; then the connection ends in order.
    async fn last(&self, pieces: &[&[u8]], good: usize) -> io::Result<Response> {
        let mut wire = self.served.client().http1(self.served.address()).await?;
        for piece in pieces {
            wire.write(piece).await?;
        }
        for _ in 0..good {
            assert_eq!(wire.response().await?.status, 200);
        }
        let response = wire.response().await?;
        wire.assert_closed().await;
        Ok(response)
    }

    /// Asserts that `request` is refused with `status` however it arrives, and unheard of by the
    /// application.
    async fn refuses_with(&self, status: u16, request: &str) {
        let shown = request.escape_debug().to_string();
        let bytes = request.as_bytes();
        let behind = [GOOD.as_bytes(), bytes].concat();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (pieces, good) in [
            (&[bytes][..], 0),
            (&[first, second], 0),
            (&[behind.as_slice()], 1),
        ] {
            let answer = self.last(pieces, good).await;
            let answer = answer.unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(answer.status, status, "{shown}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{shown}");
            assert!(answer.text().starts_with(&format!("{status} ")), "{shown}");
        }
        for heard in self.application.all_received() {
            assert!(
                !heard.contains("evil"),
                "{shown} reached the application: {heard}"
            );
        }
    }

    /// Asserts that each of these header lines makes a request unfit.
    async fn refuses_fields(&self, fields: &[&str]) {
        for field in fields {
            let request = format!("POST /evil HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n");
            self.refuses_with(400, &request).await;
        }
    }
}
