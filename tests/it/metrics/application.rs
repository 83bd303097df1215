//! The application's own metrics, passed on.

use std::time::Duration;

use http::HeaderValue;
use tls_sidecar::admin::app_metrics::{Error, Limits, fetch};
use tls_sidecar::config::{AppMetrics, Config, Settings};

use crate::support::application::Raw;
use crate::support::hyper_application::{Hyper, answer};

fn page(url: &str) -> AppMetrics {
    let settings = Settings {
        app_metrics: Some(url.to_owned()),
        ..Settings::default()
    };
    Config::resolve(settings).unwrap().app_metrics.unwrap()
}

fn limits(size: usize, millis: u64) -> Limits {
    Limits {
        size,
        time: Duration::from_millis(millis),
    }
}

#[tokio::test]
async fn the_page_comes_as_the_application_gave_it() {
    let application = Hyper::http1(|_| async {
        let mut answer = answer(200, "# TYPE up gauge\nup 1\n");
        let kind = HeaderValue::from_static("text/plain; version=0.0.4");
        answer.headers_mut().insert("content-type", kind);
        answer
    });
    let target = page(&format!("{}/own?x=y", application.upstream()));
    let accept = HeaderValue::from_static("application/openmetrics-text");
    let got = fetch(&target, Some(&accept), Limits::default())
        .await
        .unwrap();
    assert_eq!(got.body, "# TYPE up gauge\nup 1\n");
    assert_eq!(got.content_type.unwrap(), "text/plain; version=0.0.4");
    let asked = application.asked().remove(0);
    assert_eq!(asked.uri, "/own?x=y");
    assert_eq!(asked.headers["host"], target.authority);
    assert_eq!(asked.headers["accept"], accept);
}

// RES-08
#[tokio::test]
async fn a_page_is_bounded_in_size_and_time() {
    let large = Hyper::http1(|_| async { answer(200, "0123456789") });
    let target = page(large.upstream());
    assert!(fetch(&target, None, limits(10, 20_000)).await.is_ok());
    let error = fetch(&target, None, limits(9, 20_000)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge(9)), "{error:?}");

    let silent = Raw::tcp(|mut conn| async move {
        let _ = conn.read_head().await;
        std::future::pending::<()>().await;
    });
    let error = fetch(&page(silent.upstream()), None, limits(9, 50)).await;
    assert!(matches!(error, Err(Error::Timeout(_))), "{error:?}");
}

#[tokio::test]
async fn what_is_no_page_is_an_error_that_says_so() {
    let broken = Hyper::http1(|_| async { answer(500, "sorry") });
    let error = fetch(&page(broken.upstream()), None, Limits::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("--app-metrics") && error.contains("500"),
        "{error}"
    );

    let garbage = Raw::answering("SSH-2.0-x\r\n\r\n");
    let error = fetch(&page(garbage.upstream()), None, Limits::default()).await;
    assert!(matches!(error, Err(Error::Http(_))), "{error:?}");

    let gone = Raw::answering("");
    let target = page(gone.upstream());
    drop(gone);
    let error = fetch(&target, None, Limits::default()).await;
    assert!(matches!(error, Err(Error::Connect(_))), "{error:?}");
}
