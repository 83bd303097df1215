//! `tls-sidecar`: terminates TLS beside an application and passes plain HTTP to it.
//!
//! Rooms from the ground up: [`config`] and [`live`] are pure data; [`tls`], [`net`], [`fields`], [`hpack`],
//! [`http2`], [`alarm`], [`limits`], [`telemetry`], [`drain`] and [`readiness`] know one thing each; [`upstream`] is the
//! application's side and [`proxy`] the client's; [`runtime`], [`reload`] and [`signal`] keep it
//! going and [`admin`] tells how it goes; [`app`] wires everything, [`check`] looks for what is wrong
//! with it and [`inject`] puts it into manifests; [`cli`] is the command line. A room uses those
//! below it, never above.

// What the fuzz targets replace (TLS by clear text, a TCP socket by a socket pair) is not used.
#![cfg_attr(fuzzing, allow(dead_code, unreachable_pub, unused_imports))]

pub mod admin;
pub mod alarm;
pub mod app;
pub mod check;
pub mod cli;
pub mod config;
pub mod drain;
pub mod fields;
pub mod hpack;
pub mod http2;
pub mod inject;
pub mod limits;
pub mod live;
pub mod message;
pub mod net;
pub mod proxy;
pub mod readiness;
pub mod reload;
pub mod runtime;
pub mod signal;
pub mod syntax;
pub mod telemetry;
pub mod tls;
pub mod upstream;
