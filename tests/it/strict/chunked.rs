//! Chunked bodies.

use super::{GOOD, Guarded, OK};
use crate::support::application::Raw;
use crate::support::sidecar::Served;
use crate::support::wait::within;

const HEAD: &str = "POST /evil HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

const UNSOUND: [&str; 25] = [
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5_\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "5 ;x\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5;x\nhello\r\n0\r\n\r\n",
    "5;x\rhello\r\n0\r\n\r\n",
    "5;\u{0}\r\nhello\r\n0\r\n\r\n",
    "5\r\nhellohello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "\r\n0\r\n\r\n",
    "g\r\n",
    "10000000000000000\r\n",
    "fffffffffffffffff\r\n",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\n X: y\r\n\r\n",
];

// H1-05
#[tokio::test(flavor = "multi_thread")]
async fn an_unsound_body_that_comes_with_its_head_is_refused_unheard() {
    let guarded = Guarded::start(&[]);
    for body in UNSOUND {
        let request = format!("{HEAD}{body}");
        let answer = guarded.last(&[request.as_bytes()], 0).await;
        let answer = answer.unwrap_or_else(|error| panic!("{body:?}: {error}"));
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{body:?}");
        assert_eq!(guarded.application.connections(), 0, "{body:?}");
    }
}

// H1-05
#[tokio::test(flavor = "multi_thread")]
async fn an_unsound_body_behind_its_head_is_aborted_and_never_ended() {
    // Never answers before the body has ended.
    let application = Raw::tcp(|mut conn| async move {
        while let Ok(Some(head)) = conn.read_head().await {
            if conn.read_body(&head).await.is_err() || conn.write(OK).await.is_err() {
                return;
            }
        }
    });
    let served = Served::start(application.upstream(), &[]);
    for (number, body) in UNSOUND.into_iter().enumerate() {
        let mut wire = served.client().http1(served.address()).await.unwrap();
        wire.write(HEAD).await.unwrap();
        wire.write("3\r\nabc\r\n").await.unwrap();
        within("the first chunk at the application", async {
            while !(application.connections() > number
                && application.received(number).contains("abc"))
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        wire.write(body).await.unwrap();
        let answer = wire.response().await;
        let answer = answer.unwrap_or_else(|error| panic!("{body:?}: {error}"));
        assert_eq!(answer.status, 400, "{body:?}");
        wire.assert_closed().await;
        let heard = application.received(number);
        assert!(!heard.contains("0\r\n\r\n"), "{body:?} was ended: {heard}");
    }
}

// H1-06
#[tokio::test(flavor = "multi_thread")]
async fn chunk_extensions_are_bounded_and_not_passed_on() {
    let guarded = Guarded::start(&[]);
    let mut wire = guarded
        .served
        .client()
        .http1(guarded.served.address())
        .await
        .unwrap();
    let body = "5;evil=\"x\";y\r\nhello\r\n0;evil\r\n\r\n";
    wire.write(format!("{}{body}", HEAD.replace("evil", "good")))
        .await
        .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let heard = guarded.application.all_received().concat();
    assert!(
        heard.contains("hello") && !heard.contains("evil"),
        "{heard}"
    );

    let endless = format!("{HEAD}1;{}\r\n", "x".repeat(20_000));
    let answer = guarded.last(&[endless.as_bytes()], 0).await.unwrap();
    assert_eq!(answer.status, 400);
}

// H1-06
#[tokio::test(flavor = "multi_thread")]
async fn trailers_lose_what_belongs_in_no_trailer() {
    let guarded = Guarded::start(&[]);
    let mut wire = guarded
        .served
        .client()
        .http1(guarded.served.address())
        .await
        .unwrap();
    let names = [
        "Content-Length: 7",
        "Transfer-Encoding: gzip",
        "Host: evil",
        "Authorization: evil",
        "Cookie: evil",
        "X-Forwarded-For: evil",
        "Client-Cert: evil",
        "X_Real_IP: evil",
        "X-Sum: kept",
    ];
    let listed =
        "Trailer: x-sum, host, authorization, x-forwarded-for, client-cert, content-length";
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n{listed}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    wire.write(format!(
        "{head}2\r\nok\r\n0\r\n{}\r\n\r\n",
        names.join("\r\n")
    ))
    .await
    .unwrap();
    assert_eq!(wire.response().await.unwrap().status, 200);
    let heard = guarded.application.all_received().concat();
    let trailers = heard.split_once("\r\nok\r\n0\r\n").unwrap().1;
    assert_eq!(trailers.trim_end().to_lowercase(), "x-sum: kept");
}

// H1-05
#[tokio::test(flavor = "multi_thread")]
async fn a_sound_body_ends_where_it_says_and_the_next_request_begins_there() {
    let guarded = Guarded::start(&[]);
    let mut wire = guarded
        .served
        .client()
        .http1(guarded.served.address())
        .await
        .unwrap();
    let good = HEAD.replace("evil", "first");
    let requests = format!("{good}05\r\nhello\r\nA\r\n0\r\n\r\nGET /\r\n0\r\n\r\n{GOOD}");
    // Byte for byte, the reading is the same.
    for byte in requests.as_bytes() {
        wire.write([*byte]).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let heard = guarded.application.all_received().concat();
    assert!(
        heard.contains("hello") && heard.contains("GET /good "),
        "{heard}"
    );
}
