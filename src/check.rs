//! What is wrong with a configuration where it is to run: findings, each with its mend.
//!
//! [`examine`] loads what `run` would load, with the same functions, and looks around with
//! [`Surroundings`]; the findings themselves are pure functions of both, one file a topic.
//! Invariant: nothing is changed, and nothing stays bound or watched.

mod application;
mod certificates;
mod clients;
mod finding;
mod listeners;
mod stopping;
mod surroundings;

use std::time::{Duration, SystemTime};

pub use finding::{Finding, Severity};
pub use surroundings::Surroundings;

use crate::config::{Config, ConfigErrors};
use crate::reload::Reloader;
use crate::tls::Offer;

/// Everything wrong with `config` here, in the order in which `run` would meet it.
pub fn examine(config: &Config, grace_period: Duration) -> Vec<Finding> {
    let around = Surroundings::of(config);
    let offer = Offer::to_reach(config.upstream.target.protocol);
    let mut findings = match Reloader::open(&config.tls, offer, config.reload) {
        Ok((mut reloader, certificates)) => {
            reloader.try_watch();
            let status = certificates.status.load();
            let now = SystemTime::now();
            let mut found = certificates::served(&status, &around, now);
            let trust = status.trust.as_ref();
            found.extend(
                trust
                    .into_iter()
                    .flat_map(|trust| clients::findings(trust, now)),
            );
            found.extend(certificates::watching(&status.watch, &around));
            found
        }
        Err(error) => vec![certificates::missing(&error, &around)],
    };
    findings.extend(listeners::findings(&config.listen, &around));
    findings.extend(application::findings(&config.upstream, &around));
    findings.extend(stopping::grace(config.drain, grace_period));
    findings
}

/// The mistakes of a configuration that means nothing as a whole.
pub fn mistakes(errors: &ConfigErrors) -> Vec<Finding> {
    let finding = |problem| Finding::error("configuration", format!("{problem}"));
    errors.iter().map(finding).collect()
}
