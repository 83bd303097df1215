//! What every worker is made from, before its thread is there.
//!
//! Invariant: workers share what is published and counted, and nothing else.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::listening::Door;
use crate::config::{self, Config};
use crate::drain::Drain;
use crate::limits::{AnswerRoom, Http2Room, Shares};
use crate::proxy::{Crowd, Handshakes, Policy, Worker};
use crate::reload::Certificates;
use crate::runtime::Seed;
use crate::telemetry::record::Telemetry;
use crate::tls::Acceptor;
use crate::upstream::{self, Outage, Upstream};

/// What all workers are made from.
pub(super) struct Plan {
    acceptor: Acceptor,
    crowd: Arc<Crowd>,
    policy: Arc<Policy>,
    upstream: config::Upstream,
    outage: Arc<Outage>,
    room: AnswerRoom,
    shares: Option<Shares>,
    workers: NonZeroUsize,
}

impl Plan {
    pub(super) fn new(
        config: &Config,
        shares: Option<Shares>,
        workers: NonZeroUsize,
        certificates: &Certificates,
    ) -> Self {
        let policy = Policy {
            listen: config.listen.clone(),
            http: config.http.clone(),
            headers: config.headers.clone(),
            protocol: config.upstream.target.protocol,
            proxy_protocol_out: config.upstream.proxy_protocol,
        };
        let upstream = config.upstream.clone();
        let outage = Arc::new(Outage::new(upstream.connect_timeout));
        Self {
            acceptor: certificates.acceptor.clone(),
            crowd: Arc::new(Crowd::of(workers.get())),
            policy: Arc::new(policy),
            upstream,
            outage,
            room: AnswerRoom::new(shares, workers.get()),
            shares,
            workers,
        }
    }

    pub(super) fn seed(&self, listeners: &[Door], telemetry: &Arc<Telemetry>) -> io::Result<Seed> {
        let (acceptor, policy) = (self.acceptor.clone(), Arc::clone(&self.policy));
        let (section, workers) = (self.upstream.clone(), self.workers.get());
        let (outage, room) = (Arc::clone(&self.outage), self.room);
        let (telemetry, crowd) = (Arc::clone(telemetry), Arc::clone(&self.crowd));
        let http2 = Arc::new(Http2Room::new(self.shares, workers));
        let worker = move || {
            let limits = upstream::Limits {
                header_size: policy.http.max_header_size,
                headers: policy.http.max_headers,
                keepalive: section.keepalive_interval,
                room,
            };
            Worker {
                acceptor,
                handshakes: Handshakes::new(crowd),
                upstream: Upstream::new(&section, limits, workers, Arc::clone(&telemetry), outage),
                http2,
                drain: Drain::default(),
                telemetry,
                policy,
            }
        };
        let listeners = listeners
            .iter()
            .map(|(entrance, socket)| Ok((*entrance, socket.try_clone()?)))
            .collect::<io::Result<_>>()?;
        Ok(Seed {
            listeners,
            worker: Box::new(worker),
        })
    }
}
