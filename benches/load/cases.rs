//! What is measured: the list of cases, in the order in which they run.
//!
//! Cases of equal setup stand together, so that proxies start once for all of them. Small requests
//! run saturated and at one rate for all: a saturated proxy finds several requests at each
//! wake-up, so being slow makes it look cheap.

mod measure;
mod memory;

use crate::credentials::{Exchange, Key};
use crate::generators::h2load::{Protocol, Requests};
use crate::peers::Peer;
use crate::setup::{Application, Clients, Setup, USUAL};

pub(crate) use measure::{Bench, Extent, calibrate};
pub(crate) use memory::{Crowd, recovered, recovery};

/// Files to send, in the directory of the run: one of [`crate::application::LARGE`] bytes, and a
/// gRPC message.
pub(crate) const UPLOAD: &str = "upload";
pub(crate) const MESSAGE: &str = "message";

/// A thing to measure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) setup: Setup,
    pub(crate) work: Work,
}

/// What is done for it.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Requests for a time.
    Requests(Requests, Pace),
    /// A file of [`crate::application::LARGE`] bytes, there or back, some times.
    Transfer(Requests),
    Handshakes(Exchange, Sessions),
    WebSocket(Pace),
    /// Steady requests while new clients come by the dozen.
    Storm,
    /// Steady requests while the certificate is replaced each second.
    Rotation,
    Memory(Crowd),
    /// Requests, this often a second: how evenly the workers share them.
    Workers(Requests, f64),
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    Saturated,
    /// This often a second, for everybody.
    Rate(f64),
    /// Half of what the slowest can do, where our client can.
    HalfOfSlowest,
}

/// Whether a handshake takes up an earlier session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    New,
    Resumed,
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    [
        requests(),
        transfers_and_connections(),
        other_setups(),
        memory_cases(),
    ]
    .concat()
}

fn requests() -> Vec<Case> {
    let case = |name, title, work| Case {
        name,
        title,
        setup: USUAL,
        work,
    };
    vec![
        case(
            "h1-small-rate",
            "HTTP/1.1, 13 bytes, 8,000 requests/s on 32 connections",
            at(http1("/small"), 8000.0),
        ),
        case(
            "h2-small-rate",
            "HTTP/2, 13 bytes, 10,000 requests/s on 8 connections",
            at(http2("/small"), 10_000.0),
        ),
        case(
            "h1-small-max",
            "HTTP/1.1, 13 bytes, saturated",
            saturated(http1("/small")),
        ),
        case(
            "h2-small-max",
            "HTTP/2, 13 bytes, saturated",
            saturated(http2("/small")),
        ),
        case(
            "h1-10k-rate",
            "HTTP/1.1, 10 KB, 6,000 requests/s on 32 connections",
            at(http1("/10k"), 6000.0),
        ),
        case(
            "h2-10k-rate",
            "HTTP/2, 10 KB, 6,000 requests/s on 8 connections",
            at(http2("/10k"), 6000.0),
        ),
        case(
            "h1-10k-max",
            "HTTP/1.1, 10 KB, saturated",
            saturated(http1("/10k")),
        ),
        case(
            "h2-10k-max",
            "HTTP/2, 10 KB, saturated",
            saturated(http2("/10k")),
        ),
    ]
}

fn transfers_and_connections() -> Vec<Case> {
    use Work::{Handshakes, Rotation, Storm, Transfer};
    let case = |name, title, work| Case {
        name,
        title,
        setup: USUAL,
        work,
    };
    let upload = |requests: Requests| {
        let file = Some(UPLOAD.into());
        Transfer(Requests {
            upload: file,
            ..large(requests)
        })
    };
    let half = |requests| Work::Requests(requests, Pace::HalfOfSlowest);
    vec![
        case(
            "h1-100m",
            "HTTP/1.1, answers of 100 MB",
            Transfer(large(http1("/100m"))),
        ),
        case(
            "h2-100m",
            "HTTP/2, answers of 100 MB",
            Transfer(large(http2("/100m"))),
        ),
        case(
            "h1-upload",
            "HTTP/1.1, uploads of 100 MB",
            upload(http1("/upload")),
        ),
        case(
            "h2-upload",
            "HTTP/2, uploads of 100 MB",
            upload(http2("/upload")),
        ),
        case(
            "h1-latency",
            "HTTP/1.1, 13 bytes, at half of the slowest proxy's maximum",
            half(http1("/small")),
        ),
        case(
            "h2-latency",
            "HTTP/2, 13 bytes, at half of the slowest proxy's maximum",
            half(http2("/small")),
        ),
        case(
            "handshake-p256",
            "Full handshake and a request, P-256, X25519",
            Handshakes(Exchange::X25519, Sessions::New),
        ),
        case(
            "handshake-mlkem",
            "Full handshake and a request, P-256, X25519MLKEM768",
            Handshakes(Exchange::X25519Mlkem768, Sessions::New),
        ),
        case(
            "handshake-resumed",
            "Resumed handshake and a request, P-256, X25519",
            Handshakes(Exchange::X25519, Sessions::Resumed),
        ),
        case(
            "storm",
            "1,000 requests/s on 16 open connections while 1,000 new ones a second come, 50 at once",
            Storm,
        ),
        case(
            "rotation",
            "800 requests/s on 16 connections, a rotation a second",
            Rotation,
        ),
    ]
}

fn other_setups() -> Vec<Case> {
    let full = Work::Handshakes(Exchange::X25519, Sessions::New);
    let rsa = Setup {
        key: Key::Rsa2048,
        ..USUAL
    };
    let certified = Setup {
        clients: Clients::Certified,
        ..USUAL
    };
    let grpc = Setup {
        application: Application::Grpc,
        ..USUAL
    };
    let websocket = Setup {
        application: Application::WebSocket,
        ..USUAL
    };
    let two = Setup {
        workers: 2,
        ..USUAL
    };
    let few = Requests {
        connections: 4,
        ..http2("/small")
    };
    let case = |name, title, setup, work| Case {
        name,
        title,
        setup,
        work,
    };
    vec![
        case(
            "workers",
            "HTTP/2, 13 bytes, 10,000 requests/s on 4 long-lived connections, two workers",
            two,
            Work::Workers(few, 10_000.0),
        ),
        case(
            "handshake-rsa",
            "Full handshake and a request, RSA-2048, X25519",
            rsa,
            full.clone(),
        ),
        case(
            "handshake-mutual",
            "Full handshake and a request, P-256 on both sides",
            certified,
            full,
        ),
        case(
            "grpc-rate",
            "gRPC unary, 5,000 calls/s on 8 connections",
            grpc,
            at(calls(), 5000.0),
        ),
        case(
            "grpc-max",
            "gRPC unary, saturated",
            grpc,
            saturated(calls()),
        ),
        case(
            "websocket-rate",
            "WebSocket echo, 8,000 messages/s on 32 connections",
            websocket,
            Work::WebSocket(Pace::Rate(8000.0)),
        ),
        case(
            "websocket-max",
            "WebSocket echo, saturated",
            websocket,
            Work::WebSocket(Pace::Saturated),
        ),
    ]
}

fn memory_cases() -> Vec<Case> {
    let sized = Setup {
        connections: 9900,
        ..USUAL
    };
    vec![
        Case {
            name: "memory-idle",
            title: "Memory at rest and for each of 3,000 idle connections",
            setup: USUAL,
            work: Work::Memory(Crowd::Idle),
        },
        Case {
            name: "memory-peak",
            title: "Memory after a peak of 9,800 connections",
            setup: sized,
            work: Work::Memory(Crowd::Peak),
        },
    ]
}

fn at(requests: Requests, rate: f64) -> Work {
    Work::Requests(requests, Pace::Rate(rate))
}

fn saturated(requests: Requests) -> Work {
    Work::Requests(requests, Pace::Saturated)
}

fn http1(path: &'static str) -> Requests {
    Requests {
        protocol: Protocol::Http1,
        path,
        connections: 32,
        streams: 1,
        upload: None,
        headers: &[],
    }
}

fn http2(path: &'static str) -> Requests {
    Requests {
        protocol: Protocol::Http2,
        connections: 8,
        streams: 16,
        ..http1(path)
    }
}

fn large(requests: Requests) -> Requests {
    Requests {
        connections: 1,
        streams: 1,
        ..requests
    }
}

fn calls() -> Requests {
    Requests {
        upload: Some(MESSAGE.into()),
        headers: &["content-type: application/grpc", "te: trailers"],
        ..http2("/load.Greeter/Greet")
    }
}

impl Case {
    /// Whether proxies are started for it alone.
    pub(crate) fn alone(&self) -> bool {
        matches!(self.work, Work::Memory(_))
    }

    /// How often it is measured, of so many rounds: memory does not vary as time does.
    pub(crate) fn rounds(&self, rounds: u32) -> u32 {
        if self.alone() { 1 } else { rounds }
    }

    /// Why this proxy is left out of it, if it is.
    pub(crate) fn lacks(&self, peer: &Peer) -> Option<&'static str> {
        if self.setup.workers > 1 && !peer.is_ours() {
            return Some("measured of this proxy alone");
        }
        if !peer.passes_bytes() {
            return None;
        }
        let http2 = match &self.work {
            Work::Requests(requests, _) | Work::Transfer(requests) | Work::Workers(requests, _) => {
                requests.protocol == Protocol::Http2
            }
            _ => false,
        };
        if http2 && self.setup.application != Application::Grpc {
            return Some("passes bytes alone: no HTTP/2 before an HTTP/1.1 application");
        }
        matches!(self.work, Work::Memory(Crowd::Peak))
            .then_some("needs two descriptors a connection, more than are allowed")
    }

    /// Whether it is told who fails, rather than that something is wrong: not everybody has every
    /// key exchange.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self.work, Work::Handshakes(Exchange::X25519Mlkem768, _))
    }
}
