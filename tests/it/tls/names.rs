//! The name that a client asks for, in every form that fits into a ClientHello.

use std::io::Write;

use super::failure::{reason_for, start};
use super::hello::{Hello, SERVER_NAME, answer_to, asking_for, connect, prefixed, record};
use crate::support::sidecar::Served;

/// Handshake messages (RFC 5246 section 7.4).
const SERVER_HELLO: u8 = 2;
const SERVER_HELLO_DONE: u8 = 14;

/// What a TLS 1.2 client gets up to ServerHelloDone: all of it in clear.
fn first_flight(served: &Served, hello: &Hello) -> Vec<u8> {
    let mut socket = connect(served);
    socket.write_all(&hello.bytes()).unwrap();
    let mut flight = Vec::new();
    loop {
        let (kind, payload) = record(&socket);
        assert_eq!(kind, 0x16, "no handshake record: {payload:?}");
        flight.extend_from_slice(&payload);
        if flight.ends_with(&[SERVER_HELLO_DONE, 0, 0, 0]) {
            return flight;
        }
    }
}

fn shows(flight: &[u8], certificate: &[u8]) -> bool {
    let mut windows = flight.windows(certificate.len());
    windows.any(|window| window == certificate)
}

// TLS-06
#[test]
fn every_form_of_a_name_gets_the_default_certificate() {
    let (_application, served) = start(&[]);
    let default = served.ca.leaf(&["localhost"]);
    served.secret.swap(&default.files());
    super::reload(&served);
    let long = [&[b'a'; 60][..], b".", &[b'b'; 60], b".", &[b'c'; 60]].concat();
    let names: [&[u8]; 8] = [
        b"localhost",
        b"LOCALHOST",
        b"localhost.",
        b"other.example",
        b"127.0.0.1",
        b"a_b.example",
        b"xn--nxasmq6b",
        &long,
    ];
    let with = |hello: Hello, name: &[u8]| hello.with(SERVER_NAME, &asking_for(name));
    for name in names {
        let flight = first_flight(&served, &with(Hello::tls12(), name));
        let name = String::from_utf8_lossy(name);
        assert!(shows(&flight, default.leaf_der()), "{name}");
    }
    assert!(shows(
        &first_flight(&served, &Hello::tls12()),
        default.leaf_der()
    ));
    for name in names {
        let mut socket = connect(&served);
        socket
            .write_all(&with(Hello::tls13(), name).bytes())
            .unwrap();
        let (kind, payload) = record(&socket);
        let name = String::from_utf8_lossy(name);
        assert_eq!((kind, payload[0]), (0x16, SERVER_HELLO), "{name}");
    }
}

// TLS-06: rustls refuses what RFC 6066 section 3 does not allow before anybody is asked for a
// certificate, and a hello cannot be mended on its way in: both sides hash it.
#[test]
fn a_name_that_is_none_gets_an_alert_and_a_reason_of_its_own() {
    let (_application, served) = start(&[]);
    let (long, nul) = ([b'a'; 300], b"local\0host");
    let cases: [(&str, Vec<u8>); 12] = [
        ("over 255 bytes", asking_for(&long)),
        ("63 bytes in one label and more", asking_for(&long[..64])),
        ("empty", asking_for(b"")),
        ("a dot", asking_for(b".")),
        ("NUL", asking_for(nul)),
        ("space", asking_for(b"local host")),
        ("8-bit", asking_for(b"loc\xe4lhost")),
        ("CR LF", asking_for(b"localhost\r\nx: y")),
        ("IPv6 in brackets", asking_for(b"[::1]")),
        ("no list", Vec::new()),
        ("empty list", prefixed(b"")),
        ("a name longer than its list", prefixed(&[0, 0, 9, b'a'])),
    ];
    for hello in [Hello::tls12(), Hello::tls13()] {
        for (what, extension) in &cases {
            let hello = hello.clone().with(SERVER_NAME, extension);
            let (client, answer) = answer_to(&served, &hello.bytes());
            assert_eq!(answer.first(), Some(&0x15), "{what}: {answer:?}");
            // illegal_parameter or decode_error.
            let fatal = &answer[answer.len() - 2..];
            assert!(fatal == [2, 47] || fatal == [2, 50], "{what}: {answer:?}");
            let reason = reason_for(&served, client);
            assert!(
                ["bad_sni", "malformed"].contains(&reason.as_str()),
                "{what}: {reason}"
            );
        }
    }
    // A name of a kind nobody has defined is no name, and rustls holds that to be an error too.
    let hello = Hello::tls12().with(SERVER_NAME, &prefixed(&[7, 0, 1, b'a']));
    let (client, answer) = answer_to(&served, &hello.bytes());
    assert_eq!(answer[answer.len() - 2..], [2, 47]);
    assert_eq!(reason_for(&served, client), "bad_sni");
    first_flight(&served, &Hello::tls12());
}
