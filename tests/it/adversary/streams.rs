//! An HTTP/2 application that breaks the rules of streams and heads.

use super::{ONE_WORKER, ask, ask_http2, assert_good, send};
use crate::support::application::Raw;
use crate::support::h2_application::{END, data, goaway, headers, ok, reset};
use crate::support::sidecar::Served;

/// What is said to the first request, given its stream; every other one gets a good answer.
type Said = Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// An application that says `said` to the first request it gets.
fn first_told(said: Said) -> (Raw, Served) {
    let told = std::sync::atomic::AtomicBool::new(false);
    let state = std::sync::Arc::new((said, told));
    let application = Raw::tcp(move |mut conn| {
        let state = std::sync::Arc::clone(&state);
        async move {
            if conn.open_http2(&[]).await.is_err() {
                return;
            }
            while let Ok(stream) = conn.read_request().await {
                let is_first = !state.1.swap(true, std::sync::atomic::Ordering::Relaxed);
                let answer = if is_first {
                    (state.0)(stream)
                } else {
                    ok(stream)
                };
                if conn.write(answer).await.is_err() {
                    return;
                }
            }
        }
    });
    let upstream = application.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &ONE_WORKER);
    (application, served)
}

fn said(answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Said {
    Box::new(answer)
}

/// A head with these fields that ends its stream.
fn head(fields: &'static [(&'static str, &'static str)]) -> Said {
    said(move |stream| headers(stream, END, fields))
}

// UP-06, UP-11
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_http2_forbids_is_502() {
    const STATUS: (&str, &str) = (":status", "200");
    let heads: Vec<(&str, Said)> = vec![
        ("no status", head(&[("x-a", "b")])),
        ("nothing", head(&[])),
        ("two", head(&[STATUS, (":status", "204")])),
        ("20", head(&[(":status", "20")])),
        ("000", head(&[(":status", "000")])),
        ("099", head(&[(":status", "099")])),
        ("1000", head(&[(":status", "1000")])),
        ("word", head(&[(":status", "abc")])),
        ("empty", head(&[(":status", "")])),
        ("a request", head(&[(":method", "GET"), (":path", "/")])),
        ("a path", head(&[STATUS, (":path", "/")])),
        ("unknown", head(&[STATUS, (":evil", "1")])),
        ("late", head(&[("x-a", "b"), STATUS])),
        ("capital", head(&[STATUS, ("X-A", "b")])),
        ("space", head(&[STATUS, ("x a", "b")])),
        ("colon", head(&[STATUS, ("x:a", "b")])),
        ("no name", head(&[STATUS, ("", "b")])),
        ("NUL", head(&[STATUS, ("x-a", "a\0b")])),
        ("CRLF", head(&[STATUS, ("x-a", "a\r\nx-b: c")])),
        ("LF", head(&[STATUS, ("x-a", "a\nb")])),
        ("connection", head(&[STATUS, ("connection", "close")])),
        ("keep-alive", head(&[STATUS, ("keep-alive", "timeout=5")])),
        ("te", head(&[STATUS, ("transfer-encoding", "chunked")])),
        ("upgrade", head(&[STATUS, ("upgrade", "h2c")])),
        ("101", head(&[(":status", "101")])),
        (
            "two lengths",
            head(&[STATUS, ("content-length", "0"), ("content-length", "5")]),
        ),
        ("a list", head(&[STATUS, ("content-length", "0, 0")])),
        ("a sign", head(&[STATUS, ("content-length", "+0")])),
        ("no number", head(&[STATUS, ("content-length", "x")])),
        (
            "a length without DATA",
            head(&[STATUS, ("content-length", "5")]),
        ),
        ("DATA first", said(|stream| data(stream, END, b"hello"))),
        (
            "a table that is not there",
            said(|stream| {
                crate::support::h2_application::frame(1, 0x5, stream, &[0xff, 0xff, 0x7f])
            }),
        ),
    ];
    let mut passed = Vec::new();
    for (case, answer) in heads {
        let (_application, served) = first_told(answer);
        let status = ask(&served, "/").await.map(|response| response.status);
        if !matches!(status, Ok(502)) {
            passed.push((case, status));
        }
        assert_good(&served, case).await;
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

// UP-10
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_head_over_the_limits_is_502_and_says_so() {
    let large = "a".repeat(8000);
    let answer = said(move |stream| {
        let mut fields = vec![(":status", "200")];
        fields.resize(2, ("x-large", large.as_str()));
        headers(stream, END, &fields)
    });
    let application = Raw::tcp({
        let answer = std::sync::Arc::new(answer);
        move |mut conn| {
            let answer = std::sync::Arc::clone(&answer);
            async move {
                let _ = conn.open_http2(&[]).await;
                while let Ok(stream) = conn.read_request().await {
                    let _ = conn.write(answer(stream)).await;
                }
            }
        }
    });
    let upstream = application.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &["--max-header-size", "4KiB"]);
    let response = ask(&served, "/").await.unwrap();
    assert_eq!(response.status, 502);
    let many = Raw::tcp(|mut conn| async move {
        let _ = conn.open_http2(&[]).await;
        while let Ok(stream) = conn.read_request().await {
            let mut fields = vec![(":status", "200")];
            fields.resize(200, ("x-a", "b"));
            let _ = conn.write(headers(stream, END, &fields)).await;
        }
    });
    let upstream = many.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &["--max-headers", "100"]);
    let response = ask(&served, "/").await.unwrap();
    assert_eq!(response.status, 502);
    assert!(
        response.text().contains("--max-headers"),
        "{}",
        response.text()
    );
}

// UP-04
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_in_the_body_without_its_end_is_truncated_for_every_client() {
    let begun = |stream| {
        let head = headers(stream, 0, &[(":status", "200")]);
        [head, data(stream, 0, b"only")].concat()
    };
    // NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM.
    for code in [0, 1, 2, 7, 8, 11] {
        for has_body in [true, false] {
            let answer = move || {
                said(move |stream| {
                    let head = headers(stream, 0, &[(":status", "200")]);
                    let begun = if has_body { begun(stream) } else { head };
                    [begun, reset(stream, code)].concat()
                })
            };
            assert_truncated(&format!("RST {code} {has_body}"), answer).await;
        }
    }
    let length = |length: &'static str, flags: u8, body: &'static [u8]| {
        move || {
            said(move |stream| {
                let fields = [(":status", "200"), ("content-length", length)];
                [headers(stream, 0, &fields), data(stream, flags, body)].concat()
            })
        }
    };
    assert_truncated("shorter", length("10", END, b"only")).await;
    assert_truncated("longer", length("2", END, b"only")).await;
    assert_truncated("longer, going on", length("2", 0, b"only")).await;
    let ended = |code: u32| move || said(move |stream| [begun(stream), goaway(0, code)].concat());
    assert_truncated("GOAWAY before this stream", ended(0)).await;
    assert_truncated("GOAWAY with an error", ended(2)).await;
    // A frame that breaks the connection.
    let broken =
        || said(move |stream| [begun(stream), b"\0\0\x01\x08\0\0\0\0\0x".to_vec()].concat());
    assert_truncated("a broken frame", broken).await;
}

async fn assert_truncated(case: &str, answer: impl Fn() -> Said) {
    let (_application, served) = first_told(answer());
    let old = ask(&served, "/").await;
    // Where nothing had reached the client yet an error is as good.
    assert!(
        old.as_ref().map_or(true, |r| r.status == 502),
        "{case}: {old:?}"
    );
    assert_good(&served, case).await;
    let (_application, served) = first_told(answer());
    let new = ask_http2(&served, "/").await;
    let is_seen = match &new {
        Ok(response) => response.status == 502,
        Err(error) => error.is_reset(),
    };
    assert!(is_seen, "{case}: {new:?}");
    assert_good(&served, case).await;
}

// UP-04: and what has ended is whole, whatever is said behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_behind_the_end_takes_nothing_away() {
    for code in [0, 8] {
        let (_application, served) = first_told(said(move |stream| {
            [ok(stream), reset(stream, code)].concat()
        }));
        assert_good(&served, "RST behind END_STREAM").await;
    }
    let (_application, served) =
        first_told(said(|stream| [ok(stream), goaway(stream, 0)].concat()));
    for _ in 0..3 {
        assert_good(&served, "GOAWAY behind END_STREAM").await;
    }
}

// UP-02
#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_has_not_begun_with_is_sent_again_and_nothing_else() {
    // REFUSED_STREAM, and a GOAWAY that names an earlier stream: provably not begun.
    let refusals: [fn(u32) -> Vec<u8>; 3] = [
        |stream| reset(stream, 7),
        |_| goaway(0, 0),
        |_| goaway(0, 11),
    ];
    for refuse in refusals {
        let (_application, served) = first_told(said(refuse));
        assert_good(&served, "refused").await;
        // Provably: then it does not matter what was asked for.
        let (_application, served) = first_told(said(refuse));
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(send(&served, request).await.unwrap().status, 200);
        // And nothing is lost by a body of which nothing was asked for.
        let (_application, served) = first_told(said(refuse));
        let request =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(send(&served, request).await.unwrap().status, 200);
    }
    for code in [0, 1, 2, 8, 11] {
        let (application, served) = first_told(said(move |stream| reset(stream, code)));
        assert_eq!(ask(&served, "/").await.unwrap().status, 502, "{code}");
        assert_good(&served, "a reset stream leaves its connection").await;
        assert_eq!(application.connections(), 1);
    }
}

// UP-02, UP-16
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_always_leaves_is_502_and_not_asked_for_ever() {
    let application = Raw::tcp(|mut conn| async move {
        let _ = conn.open_http2(&[]).await;
        let _ = conn.write(goaway(0, 0)).await;
        let _ = conn.read_to_end().await;
    });
    let upstream = application.upstream().replace("http:", "h2c:");
    let served = Served::start(&upstream, &ONE_WORKER);
    for n in 1..=3 {
        assert_eq!(ask(&served, "/").await.unwrap().status, 502);
        assert!(
            application.connections() <= 2 * n,
            "{}",
            application.connections()
        );
    }
}
