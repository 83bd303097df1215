//! The demo's application: a plain HTTP/1.1 server that shows what a sidecar passes on.
//!
//! Stands where a Pod's own container would, on a loopback port, and has one page for each thing
//! a proxy can get wrong: headers, streaming, events, WebSocket, large bodies, trailers. It is not
//! part of the proxy: nothing here takes part in the drain. No page trusts what it shows.

mod answer;
mod body;
mod echo;
mod home;
mod pages;
mod query;
mod streams;
#[cfg(test)]
mod tests;
mod transfer;
mod websocket;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use answer::Answer;
use pages::{Found, Route};
use query::{BadValue, Query};
use streams::Listeners;

/// An accept error is a shortage, of descriptors as a rule; it does not pass in no time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the pages on `listener` until `shutdown` completes; open connections are then dropped.
pub(crate) async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let listeners = Listeners::default();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => spawn(connection(stream, peer, listeners.clone())),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the demo's application is not the proxy: nothing here takes part in the drain"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn connection(stream: TcpStream, peer: SocketAddr, listeners: Listeners) {
    // Lines of a stream are small and each is wanted at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let listeners = listeners.clone();
        async move { Ok::<_, Infallible>(answer(request, peer, &listeners).await) }
    });
    // A client that breaks off is the end of its connection and of nothing else.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, listeners: &Listeners) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(found) = pages::find(&path) else {
        return pages::unknown(&path);
    };
    if !found.page.allows(request.method()) {
        return pages::wrong_method(found.page, request.method());
    }
    // HEAD needs no word here: hyper sends the head of the answer and drops the body.
    match page(found, request, peer, listeners).await {
        Ok(answer) => answer,
        Err(bad) => answer::text(StatusCode::BAD_REQUEST, bad.to_string()),
    }
}

async fn page(
    found: Found<'_>,
    request: Request<Incoming>,
    peer: SocketAddr,
    listeners: &Listeners,
) -> Result<Answer, BadValue> {
    let query = request.uri().query();
    match found.page.route {
        Route::Home => Ok(home::page(&request, peer)),
        Route::Echo => Ok(echo::answer(&request, peer)),
        Route::Health => Ok(answer::text(StatusCode::OK, "ok")),
        Route::Stream => streams::lines(query),
        Route::Events => Ok(streams::events(request.headers(), listeners)),
        Route::Trailers => Ok(streams::trailers()),
        Route::WebSocket => Ok(websocket::answer(request)),
        Route::Upload => Ok(transfer::upload(request).await),
        Route::Download => transfer::download(query),
        Route::Status => status(found.argument),
        Route::Delay => delay(found.argument).await,
    }
}

fn status(code: &str) -> Result<Answer, BadValue> {
    let mend = "give a final status code from 200 to 599, such as /status/418";
    let bad = || BadValue::new("status code", code, mend);
    let number = query::number(code)
        .filter(|code| (200..600).contains(code))
        .ok_or_else(bad)?;
    let status = u16::try_from(number)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(bad)?;
    let mut answer = answer::text(status, answer::named(status));
    if matches!(number, 301 | 302 | 303 | 307 | 308) {
        answer
            .headers_mut()
            .insert(header::LOCATION, HeaderValue::from_static("/"));
    }
    // These have no body, and 204 no length either (RFC 9110 sections 8.6, 15.3.6 and 15.4.5).
    if matches!(number, 204 | 205 | 304) {
        answer = answer::empty(status);
    }
    Ok(answer)
}

async fn delay(time: &str) -> Result<Answer, BadValue> {
    let mend = "give a time up to 10m with its unit, such as /delay/250ms";
    let wait = Query::time(
        "delay",
        time,
        Duration::ZERO..=Duration::from_secs(600),
        mend,
    )?;
    tokio::time::sleep(wait).await;
    Ok(answer::text(
        StatusCode::OK,
        format!("answered after {wait:?}"),
    ))
}
