//! Clients that mean no good: what is not a ClientHello, many who say nothing, many who leave,
//! and a storm of handshakes.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_process};
use rustls::{ClientConnection, ProtocolVersion};
use socket2::SockRef;

use super::failure::{reason_for, start};
use super::hello::{ALPN, BEHIND, GROUPS, Hello, SIGNATURES, answer_to, connect, prefixed};
use super::hello::{read_to_fin, record};
use super::{TLS12, TLS13};
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Resident memory of the sidecar.
fn memory(served: &Served) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", served.sidecar.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

fn descriptors(served: &Served) -> usize {
    let folder = format!("/proc/{}/fd", served.sidecar.id());
    fs::read_dir(folder).unwrap().count()
}

fn no_hellos() -> Vec<(&'static str, Vec<u8>)> {
    // Its message says that it is 16 MiB long, in one full record.
    let mut endless = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    endless.extend([0; 0x4000 - 4]);
    let cases: [(_, &[u8]); 14] = [
        ("16 MiB message", &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]),
        ("a full record of it", &endless),
        ("64 KiB record", &[0x16, 3, 1, 0xff, 0xff, 1]),
        ("16 KiB and a bit", &[0x16, 3, 1, 0x48, 1, 1]),
        ("50 empty records", &[0x16, 3, 1, 0, 0].repeat(50)),
        ("change_cipher_spec", &[0x14, 3, 3, 0, 1, 1]),
        ("application data", &[0x17, 3, 3, 0, 1, 0]),
        ("empty application data", &[0x17, 3, 3, 0, 0]),
        ("a fatal alert", &[0x15, 3, 1, 0, 2, 2, 40]),
        ("a warning", &[0x15, 3, 1, 0, 2, 1, 90]),
        ("close_notify", &[0x15, 3, 1, 0, 2, 1, 0]),
        ("heartbeat", &[0x18, 3, 3, 0, 1, 0]),
        ("another message", &[0x16, 3, 1, 0, 4, 20, 0, 0, 0]),
        ("garbage", &[0; 10]),
    ];
    cases.map(|(what, bytes)| (what, bytes.to_vec())).into()
}

// TLS-04
#[test]
fn what_is_not_a_client_hello_is_ended_at_once_with_fin_and_costs_no_memory() {
    let (_application, served) = start(&["--handshake-timeout", "10m"]);
    let cases = no_hellos();
    let once = || {
        for (what, bytes) in &cases {
            // Once with nothing behind it, so that only what was sent can have ended it.
            let mut socket = connect(&served);
            socket.write_all(bytes).unwrap();
            let alone = read_to_fin(&socket);
            drop(socket);
            let (client, answer) = answer_to(&served, bytes);
            for answer in [alone, answer] {
                assert!(answer.is_empty() || answer[0] == 0x15, "{what}: {answer:?}");
            }
            let reason = reason_for(&served, client);
            let reasons = ["malformed", "protocol_error"];
            assert!(reasons.contains(&reason.as_str()), "{what}: {reason}");
        }
    };
    once();
    let before = memory(&served);
    for _ in 0..20 {
        once();
    }
    let grown = memory(&served).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

// TLS-05
#[test]
fn the_alert_arrives_whatever_is_sent_behind_the_hello() {
    let (_application, served) = start(&["--unknown-sni", "refuse"]);
    let stranger = super::hello::asking_for(b"other.example");
    let mut cut = Hello::tls12().bytes();
    // The extensions are shorter than they say.
    let length = cut.len();
    cut[length - 1] = 0xff;
    cut[length - 4] = 0xff;
    let spdy = prefixed(b"\x04spdy");
    let cases: [(&str, Vec<u8>, u8, &str); 8] = [
        (
            "cipher",
            Hello::tls12().ciphers(&[0, 0x2f]).bytes(),
            40,
            "no_shared_cipher",
        ),
        (
            "cipher, 1.3",
            Hello::tls13().ciphers(&[0x13, 5]).bytes(),
            40,
            "no_shared_cipher",
        ),
        (
            "group",
            Hello::tls13().with(GROUPS, &[0, 2, 0, 0x19]).bytes(),
            40,
            "no_shared_group",
        ),
        (
            "signature",
            Hello::tls12().with(SIGNATURES, &[0, 2, 4, 1]).bytes(),
            40,
            "",
        ),
        (
            "no signatures",
            Hello::tls12().without(SIGNATURES).bytes(),
            40,
            "protocol_version",
        ),
        (
            "ALPN",
            Hello::tls12().with(ALPN, &spdy).bytes(),
            120,
            "no_shared_alpn",
        ),
        (
            "name",
            Hello::tls13().with(0, &stranger).bytes(),
            0,
            "unknown_sni",
        ),
        ("cut short", cut, 50, "malformed"),
    ];
    for (what, bytes, code, reason) in cases {
        let (client, answer) = answer_to(&served, &bytes);
        assert_eq!(answer.first(), Some(&0x15), "{what}: {answer:?}");
        assert_eq!(answer[answer.len() - 2], 2, "{what}: {answer:?}");
        let given = answer[answer.len() - 1];
        assert!(code == 0 || given == code, "{what}: {given}");
        let logged = reason_for(&served, client);
        assert!(reason.is_empty() || logged == reason, "{what}: {logged}");
    }
}

// TLS-05: the last message of the client, with what it sends behind it under way already.
#[test]
fn the_alert_about_a_broken_finished_arrives() {
    let (application, served) = start(&[]);
    for versions in [TLS12, TLS13] {
        let mut session = served.client().versions(versions).session();
        let mut socket = connect(&served);
        let mut last = flights(&mut session, &mut socket);
        *last.last_mut().unwrap() ^= 1;
        last.extend([0x17, 3, 3, 0x40, 0]);
        last.extend(BEHIND);
        socket.write_all(&last).unwrap();
        let error = loop {
            session
                .read_tls(&mut socket)
                .expect("an alert and no reset");
            if let Err(error) = session.process_new_packets() {
                break error;
            }
        };
        let bad = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
        let broken = rustls::Error::AlertReceived(rustls::AlertDescription::DecryptError);
        assert!([bad, broken].contains(&error), "{error}");
        read_to_fin(&socket);
        let client = socket.local_addr().unwrap();
        assert_eq!(reason_for(&served, client), "protocol_error");
    }
    assert_eq!(application.connections(), 0);
}

/// Runs `session`'s handshake up to its last flight, which is given and not sent.
fn flights(session: &mut ClientConnection, socket: &mut TcpStream) -> Vec<u8> {
    loop {
        let mut flight = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut flight).unwrap();
        }
        let tls12 = session.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        if !session.is_handshaking() || (tls12 && !flight.is_empty()) {
            return flight;
        }
        socket.write_all(&flight).unwrap();
        session.read_tls(socket).unwrap();
        session.process_new_packets().unwrap();
    }
}

// TLS-01
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_silent_clients_do_not_stop_a_good_one() {
    // Each is a descriptor here and one there.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = limit.current.map_or(20_000, |limit| limit.min(20_000));
    let many = usize::try_from(limit / 2).unwrap();
    let room = (many + 100).to_string();
    let arguments = ["--handshake-timeout", "10m", "--max-connections", &room];
    let (_application, served) = start(&arguments);
    let (before, base) = (memory(&served), descriptors(&served));
    let half = &Hello::tls13().bytes()[..60];
    let silent: Vec<_> = (0..many)
        .map(|number| {
            let mut socket = TcpStream::connect(served.address()).unwrap();
            // Not a byte, one, half a hello.
            socket
                .write_all(&half[..[0, 1, half.len()][number % 3]])
                .unwrap();
            socket
        })
        .collect();
    // Descriptors of its own that `base` counted may have been closed since.
    eventually("all accepted", PATIENCE, || {
        descriptors(&served) >= base + many - 8
    });
    let begun = Instant::now();
    for _ in 0..20 {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(GET).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let each = begun.elapsed() / 20;
    assert!(each < Duration::from_secs(1), "{each:?} for a good client");
    let cost = memory(&served).saturating_sub(before) / many;
    println!("{many} silent clients, {cost} bytes each, a good one served in {each:?}");
    assert!(cost < 24 << 10, "{cost} bytes for a silent client");
    drop(silent);
    // What it opens for itself (watches, the application's connections) may have come after `base`.
    let own = many / 100;
    eventually("all gone", PATIENCE, || descriptors(&served) <= base + own);
}

/// A client goes after this.
#[derive(Debug, Clone, Copy)]
enum Message {
    Connect,
    OneByte,
    HalfHello,
    Hello,
    ServerFlight,
    Finished,
    Request,
}

const MESSAGES: [Message; 7] = [
    Message::Connect,
    Message::OneByte,
    Message::HalfHello,
    Message::Hello,
    Message::ServerFlight,
    Message::Finished,
    Message::Request,
];

/// Goes as far as `message`, then leaves: with a RST or with a FIN.
fn abort(
    client: &crate::support::clients::Client,
    address: SocketAddr,
    message: Message,
    reset: bool,
) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    if reset {
        SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    let hello = Hello::tls13().bytes();
    match message {
        Message::Connect => {}
        Message::OneByte => socket.write_all(&hello[..1]).unwrap(),
        Message::HalfHello => socket.write_all(&hello[..hello.len() / 2]).unwrap(),
        Message::Hello => socket.write_all(&hello).unwrap(),
        Message::ServerFlight => {
            socket.write_all(&hello).unwrap();
            record(&socket);
        }
        Message::Finished | Message::Request => {
            let mut session = client.session();
            let last = flights(&mut session, &mut socket);
            socket.write_all(&last).unwrap();
            if matches!(message, Message::Request) {
                session.writer().write_all(GET.as_bytes()).unwrap();
                session.write_tls(&mut socket).unwrap();
            }
        }
    }
}

// TLS-08, RES-05
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_aborts_at_each_message_leave_nothing_behind() {
    let (_application, served) = start(&["--drain-delay", "0s", "--access-log", "off"]);
    let base = descriptors(&served);
    let client = served.client().versions(TLS13);
    let storm = || {
        for message in MESSAGES {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                for part in 0..4 {
                    let (client, address) = (client.clone(), served.address());
                    scope.spawn(move || {
                        for number in 0..250 {
                            abort(&client, address, message, (part + number) % 2 == 0);
                        }
                    });
                }
            });
            println!("1,000 aborts after {message:?} in {:?}", begun.elapsed());
            let five_seconds = Duration::from_secs(5);
            // Pooled connections to the application may stay, and its own watches may have come.
            eventually("back to base", five_seconds, || {
                descriptors(&served) <= base + 32
            });
        }
    };
    storm();
    let before = memory(&served);
    storm();
    let grown = memory(&served).saturating_sub(before);
    println!("{grown} bytes more after the second round");
    assert!(grown < 4 << 20, "{grown} bytes more");
    let mut wire = served.client().http1(served.address()).await.unwrap();
    wire.write(GET).await.unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    drop(wire);
    // The drain waits for every task there is.
    served.sidecar.signal(Signal::TERM);
    let Served { sidecar, .. } = served;
    assert_eq!(sidecar.wait_exit().status.code(), Some(0));
}

// A storm of handshakes takes turns with the connections that are open.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_is_served_between_the_handshakes_of_a_storm() {
    const STORM: usize = 600;
    let (_application, served) = start(&["--workers", "1"]);
    let mut open = served.client().http1(served.address()).await.unwrap();
    open.write(GET).await.unwrap();
    assert_eq!(open.response().await.unwrap().status, 200);
    let base = descriptors(&served);
    let storm: Vec<_> = (0..STORM).map(|_| connect(&served)).collect();
    // Descriptors of its own that `base` counted may have been closed since.
    eventually("all accepted", PATIENCE, || {
        descriptors(&served) >= base + STORM - 8
    });
    let answered = |storm: &[TcpStream]| {
        let is_answered = |socket: &&TcpStream| {
            socket.set_nonblocking(true).unwrap();
            socket.peek(&mut [0]).is_ok()
        };
        storm.iter().filter(is_answered).count()
    };
    // Its answer wakes the test before the sidecar goes on, also on a busy machine.
    let tasks = fs::read_dir(format!("/proc/{}/task", served.sidecar.id())).unwrap();
    for task in tasks.map(|task| task.unwrap().file_name()) {
        let task = task.to_str().and_then(|id| Pid::from_raw(id.parse().ok()?));
        setpriority_process(task, 19).unwrap();
    }
    let hello = Hello::tls13().bytes();
    // All at once for the sidecar: it is stopped while they are sent.
    served.sidecar.signal(Signal::STOP);
    for mut socket in &storm {
        socket.write_all(&hello).unwrap();
    }
    open.write(GET).await.unwrap();
    served.sidecar.signal(Signal::CONT);
    assert_eq!(open.response().await.unwrap().status, 200);
    served.sidecar.signal(Signal::STOP);
    let before_it = answered(&storm);
    served.sidecar.signal(Signal::CONT);
    println!("{before_it} of {STORM} handshakes before the answer");
    assert!(before_it < STORM / 2, "{before_it} of {STORM}");
    eventually("the storm is served too", PATIENCE, || {
        answered(&storm) == STORM
    });
}
