//! What `/metrics` answers: everything that is counted, put together for the exposition.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use super::routes::{Answer, starting, text, typed};
use super::{Admin, app_metrics, probes};
use crate::drain::Stage;
use crate::reload::{Certificates, TrustStatus};
use crate::telemetry::exposition::{
    Dialect, ServedAuthority, ServedCertificate, ServedTrust, Sources, State, render,
};
use crate::telemetry::log::LogControl;
use crate::telemetry::record::Telemetry;
use crate::tls::Authority;

pub(super) fn answer(admin: &Admin, headers: &HeaderMap) -> Answer {
    let Some(serving) = admin.serving.get() else {
        return starting();
    };
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let dialect = Dialect::accepted(accept);
    let conditions = probes::findings(admin);
    let state = State {
        conditions: conditions.map(|f| (f.condition.as_str(), f.holds)).to_vec(),
        upstream_up: admin.application.seen().reached.map(|seen| seen.is_ok()),
        upstream_exposed: Some(admin.exposure.sockets().len()),
        is_draining: admin.stage() != Stage::Running,
    };
    let (telemetry, certificates) = (&serving.telemetry, &serving.certificates);
    let body = render(&gather(telemetry, certificates, &admin.log, state), dialect);
    typed(StatusCode::OK, dialect.content_type(), body)
}

/// The application's own page.
pub(super) async fn of_application(admin: &Admin, headers: &HeaderMap) -> Answer {
    let Some(target) = &admin.app_metrics else {
        let words = "the application's metrics are not set up; give their URL with --app-metrics\n";
        return text(StatusCode::NOT_FOUND, words);
    };
    match app_metrics::fetch(target, headers.get(ACCEPT), app_metrics::Limits::default()).await {
        Ok(page) => {
            let mut answer = Answer::new(String::from_utf8_lossy(&page.body).into_owned());
            if let Some(kind) = page.content_type {
                answer
                    .headers_mut()
                    .insert(http::header::CONTENT_TYPE, kind);
            }
            answer
        }
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error}\n")),
    }
}

/// Everything that a scrape tells; readiness is for others to judge.
pub fn gather(
    telemetry: &Arc<[Arc<Telemetry>]>,
    certificates: &Certificates,
    log: &LogControl,
    state: State,
) -> Sources {
    let status = certificates.status.load();
    let served = status.certificates.iter().filter_map(|certificate| {
        let certificate = certificate.in_service.as_ref()?;
        let facts = certificate.facts();
        Some(ServedCertificate {
            name: facts.names.iter().next().unwrap_or_default(),
            sha256: certificate.fingerprint().to_owned(),
            not_after: facts.not_after,
        })
    });
    let mut served: Vec<_> = served.collect();
    // The same one may be mounted twice, and two samples with the same labels are an error.
    served.sort_by(|a, b| (&a.name, &a.sha256).cmp(&(&b.name, &b.sha256)));
    served.dedup();
    let failing = status.certificates.iter();
    Sources {
        workers: Arc::clone(telemetry),
        certificate_metrics: Arc::clone(&certificates.metrics),
        certificates: served,
        failing_certificates: failing.filter(|c| c.last_error.is_some()).count(),
        trust: status.trust.as_ref().map(trust),
        lost_lines: log.lost().clone(),
        state,
    }
}

fn trust(status: &TrustStatus) -> ServedTrust {
    let in_service = &status.in_service;
    let authority = |authority: &Authority| ServedAuthority {
        sha256: authority.facts.sha256.clone(),
        not_after: authority.facts.not_after,
        handshakes: authority.handshakes(),
    };
    let lists = in_service.revocations().iter();
    ServedTrust {
        authorities: in_service.authorities().iter().map(authority).collect(),
        next_update: lists.filter_map(|list| list.next_update).min(),
        is_failing: status.last_error.is_some(),
    }
}
