//! What the fuzz targets share: the proxy in memory, and the oracles it is held to.
//!
//! [`rounds`] is what conversations run on, [`strict`] the independent reader; [`proxy`] carries bytes through the whole proxy to a
//! scripted application; [`http1`] and [`http2`] say what must hold of the outcome, and
//! [`application`] what must of answers.

pub mod application;
pub mod certificates;
pub mod forwarded;
pub mod frames;
pub mod heads;
pub mod http1;
pub mod http2;
pub mod proxy;
pub mod report;
pub mod rounds;
pub mod settings;
pub mod strict;
