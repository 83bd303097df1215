//! 0-RTT is off: what a client sends early all the same is thrown away, and its handshake goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, Stream};

use super::failure::start;
use super::hello::connect;
use crate::support::certs::Pair;
use crate::support::sidecar::Served;

/// A client that sends early data wherever its session allows it.
fn eager(served: &Served, groups: Vec<&'static dyn SupportedKxGroup>) -> Arc<ClientConfig> {
    let provider = CryptoProvider {
        kx_groups: groups,
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(served.ca.roots())
        .with_no_client_auth();
    config.enable_early_data = true;
    config.resumption = Resumption::in_memory_sessions(16);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn session(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap()
}

/// Gives `config` a session for `localhost` from a server that does take early data.
fn take_session_elsewhere(config: &Arc<ClientConfig>, pair: &Pair) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(pair.chain(), pair.key())
        .unwrap();
    server.max_early_data_size = 1 << 20;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut session = ServerConnection::new(Arc::new(server)).unwrap();
        let mut stream = Stream::new(&mut session, &mut socket);
        stream.write_all(b"!").unwrap();
        // Until the client has gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let mut session = session(config);
    let mut stream = Stream::new(&mut session, &mut socket);
    // Tickets come before the first byte.
    stream.read_exact(&mut [0]).unwrap();
    drop(socket);
    serving.join().unwrap();
}

// TLS-15
#[test]
fn early_data_is_skipped_and_the_handshake_completes() {
    use aws_lc_rs::kx_group::{MLKEM768, SECP256R1, X25519};
    let (application, served) = start(&[]);
    let elsewhere = served.ca.leaf(&["localhost"]);
    // At once, and after a HelloRetryRequest: the sidecar does not speak the first group.
    let groups: [Vec<&'static dyn SupportedKxGroup>; 2] =
        [vec![X25519, SECP256R1], vec![MLKEM768, X25519]];
    for groups in groups {
        for amount in [1, 16 * 1024] {
            let config = eager(&served, groups.clone());
            take_session_elsewhere(&config, &elsewhere);
            let mut session = session(&config);
            let early = format!("POST /early HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(amount));
            let mut room = session.early_data().expect("early data in the hello");
            room.write_all(early.as_bytes()).unwrap();
            let mut socket = connect(&served);
            let mut stream = Stream::new(&mut session, &mut socket);
            stream
                .write_all(b"GET /late HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("close_notify");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(!session.is_early_data_accepted());
        }
    }
    for received in application.all_received() {
        assert!(received.starts_with("GET /late "), "{received}");
    }
}

// TLS-15
#[test]
fn a_ticket_of_ours_allows_no_early_data() {
    let (_application, served) = start(&[]);
    let config = eager(&served, aws_lc_rs::DEFAULT_KX_GROUPS.to_vec());
    for resumed in [false, true] {
        let mut session = session(&config);
        assert!(session.early_data().is_none());
        let mut socket = connect(&served);
        let mut stream = Stream::new(&mut session, &mut socket);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream.read_to_end(&mut Vec::new()).expect("close_notify");
        let kind = session.handshake_kind().unwrap();
        assert_eq!(kind == rustls::HandshakeKind::Resumed, resumed, "{kind:?}");
    }
}
