//! What an application says unasked never becomes the answer to somebody else.

use tokio::sync::mpsc;

use super::{OK, ONE_WORKER, assert_good, send};
use crate::support::application::Raw;
use crate::support::h2_application::{END, data, headers, ok};
use crate::support::requests::{get, post};
use crate::support::sidecar::Served;
use crate::support::wait::within;

const EVIL: &str = "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil";

// UP-08
#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_body_never_reach_the_next_client() {
    let extras = [
        "x",
        "\r\n",
        "\r\n\r\n",
        "\0",
        EVIL,
        "HTTP/1.1 102 Processing\r\n\r\n",
    ];
    let firsts = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    for first in firsts {
        let answers = extras.map(|extra| format!("{first}{extra}").into_bytes());
        let application = super::answering_by_number(answers.to_vec());
        let served = Served::start(application.upstream(), &ONE_WORKER);
        for (number, extra) in extras.iter().enumerate() {
            let response = send(&served, &get(&format!("/{number}"))).await.unwrap();
            assert!(response.status < 300 && response.header("x-evil").is_none());
            assert_good(&served, extra).await;
            // The first was discarded, and so is each that follows.
            assert_eq!(application.connections(), number + 2, "{first:?} {extra:?}");
        }
    }
}

// UP-08, UP-13
#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_between_two_requests_never_reaches_the_second() {
    let (said, mut told) = mpsc::unbounded_channel();
    let (speak, heard) = mpsc::unbounded_channel::<&'static str>();
    let heard = std::sync::Arc::new(tokio::sync::Mutex::new(heard));
    let application = Raw::tcp(move |mut conn| {
        let (said, heard) = (said.clone(), std::sync::Arc::clone(&heard));
        async move {
            while let Ok(Some(head)) = conn.read_head().await {
                conn.read_body(&head).await.unwrap();
                conn.write(OK).await.unwrap();
                if head.contains(" /evil ") {
                    // Only when the answer has arrived, so that these bytes come alone.
                    let late = heard.lock().await.recv().await.unwrap();
                    let _ = conn.write(late).await;
                    said.send(()).unwrap();
                }
            }
        }
    });
    let served = Served::start(application.upstream(), &ONE_WORKER);
    let client = served.client();
    let mut wire = client.http1(served.address()).await.unwrap();
    for n in 0..400 {
        wire.write(get("/evil")).await.unwrap();
        assert_eq!(wire.response().await.unwrap().text(), "ok");
        speak.send([EVIL, "x", "\r\n"][n % 3]).unwrap();
        within("it is said", told.recv()).await.unwrap();
        let next = if n % 2 == 0 {
            get("/next")
        } else {
            post("/next", "abc")
        };
        wire.write(next).await.unwrap();
        let response = wire.response().await.unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ok"),
            "{n}"
        );
    }
    // Each connection that said something was dropped, and the request sent once.
    let received = application.all_received().concat();
    assert_eq!(received.matches(" /next ").count(), 400);
}

// UP-08
#[tokio::test(flavor = "multi_thread")]
async fn frames_for_streams_that_are_over_or_were_never_opened_reach_nobody() {
    type Extra = fn(u32) -> Vec<u8>;
    let evil = |stream| {
        let fields = [(":status", "200"), ("x-evil", "1")];
        [headers(stream, 0, &fields), data(stream, END, b"evil")].concat()
    };
    let extras: [(&str, Extra); 4] = [
        ("DATA behind the end", |stream| data(stream, END, b"evil")),
        ("a second answer", evil),
        ("an answer to a stream to come", |stream| {
            let fields = [(":status", "200"), ("x-evil", "1")];
            [
                headers(stream + 2, 0, &fields),
                data(stream + 2, END, b"evil"),
            ]
            .concat()
        }),
        ("a stream of its own", |_| {
            headers(2, END, &[(":status", "200")])
        }),
    ];
    for (case, extra) in extras {
        let application = Raw::tcp(move |mut conn| async move {
            conn.open_http2(&[]).await.unwrap();
            while let Ok(stream) = conn.read_request().await {
                let _ = conn.write([ok(stream), extra(stream)].concat()).await;
            }
        });
        let upstream = application.upstream().replace("http:", "h2c:");
        let served = Served::start(&upstream, &ONE_WORKER);
        for _ in 0..20 {
            assert_good(&served, case).await;
        }
    }
}

// H1-17, UP-08
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_switched_unasked_is_not_used_again() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let application = super::answering_by_number(vec![switch.as_bytes().to_vec()]);
    let served = Served::start(application.upstream(), &ONE_WORKER);
    for n in 0..20 {
        assert_eq!(send(&served, &get("/0")).await.unwrap().status, 502);
        assert_good(&served, "behind the switch").await;
        assert_eq!(application.connections(), n + 2);
    }
}
