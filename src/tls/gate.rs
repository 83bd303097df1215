//! The gate: whether a certificate that could be served should be, given the one in service.
//!
//! The only question is which of the two is better for clients. A refusal lasts while the one in
//! service is the better one; when that has expired or is about to, something disliked that works
//! is published, loudly. Pure but for [`rehearse`], which does one handshake in memory.

mod rehearsal;

use std::fmt;
use std::time::{Duration, SystemTime};

use super::certificate::{Certificate, ChainShape};
use super::fault::Reason;
use crate::config::OnNameLoss;
pub use rehearsal::rehearse;

/// This close to its end the one in service no longer keeps a merely disliked one out.
const NEARLY_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How far clocks are allowed to be apart: what begins within it is as good as begun.
const CLOCK_DOUBT: Duration = Duration::from_secs(5 * 60);

/// What is wrong with a certificate that could be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// Its time is over.
    Expired,
    /// Its time has not come: this long from now.
    NotYetValid(Duration),
    /// The issuer of the certificate at this place, from 1, is not next.
    ChainOrder(usize),
    /// The certificate at this place, from 1, was signed by another key than the next one's.
    ChainSignature(usize),
    /// Its extended key usage is not server authentication.
    NotServerAuth,
    /// Not one name of the one in service.
    NoSharedName,
    /// Names of the one in service that it lacks.
    NamesLost(Vec<String>),
    /// The certificate at this place, from 1, has nothing to do with the rest.
    StrayCertificate(usize),
    /// Its OCSP answer is past its next update: it is served without.
    StapleOver,
    /// No SAN: no client accepts it for any name (RFC 9525).
    NoNames,
}

/// What becomes of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Into service; with what is to be warned about.
    Publish(Vec<Objection>),
    /// The one in service is better, for the first of these.
    Refuse(Vec<Objection>),
}

/// What is wrong with `candidate` by itself.
pub fn objections(candidate: &Certificate, now: SystemTime) -> Vec<Objection> {
    let facts = candidate.facts();
    let mut found = Vec::new();
    if facts.not_after <= now {
        found.push(Objection::Expired);
    } else if let Ok(wait) = facts.not_before.duration_since(now)
        && !wait.is_zero()
    {
        found.push(Objection::NotYetValid(wait));
    }
    match candidate.chain() {
        ChainShape::InOrder => {}
        ChainShape::OutOfOrder(place) => found.push(Objection::ChainOrder(place)),
        ChainShape::Forged(place) => found.push(Objection::ChainSignature(place)),
        ChainShape::Stray(place) => found.push(Objection::StrayCertificate(place)),
    }
    if !facts.is_for_servers {
        found.push(Objection::NotServerAuth);
    }
    if candidate.is_staple_over(now) {
        found.push(Objection::StapleOver);
    }
    if facts.names.is_empty() {
        found.push(Objection::NoNames);
    }
    found
}

/// Decides between `candidate` and the one `in_service`, if there is one.
pub fn judge(
    candidate: &Certificate,
    in_service: Option<&Certificate>,
    policy: OnNameLoss,
    now: SystemTime,
) -> Verdict {
    let mut found = objections(candidate, now);
    let Some(current) = in_service else {
        return Verdict::Publish(found);
    };
    found.extend(name_objection(candidate, current));
    let old = Standing::of(current, now);
    let keeps_out = |objection: &Objection| match objection {
        Objection::Expired => {
            old != Standing::Over || candidate.facts().not_after <= current.facts().not_after
        }
        Objection::NotYetValid(wait) => old == Standing::Good || *wait > CLOCK_DOUBT,
        Objection::NoSharedName => old == Standing::Good,
        Objection::NamesLost(_) => policy == OnNameLoss::Refuse && old == Standing::Good,
        // These fail with clients now, while the old one works to its last second.
        Objection::ChainOrder(_)
        | Objection::ChainSignature(_)
        | Objection::NotServerAuth
        | Objection::NoNames => old != Standing::Over && !objects(current, objection, now),
        Objection::StrayCertificate(_) | Objection::StapleOver => false,
    };
    let (mut refusing, warning): (Vec<_>, Vec<_>) = found.into_iter().partition(keeps_out);
    match refusing.is_empty() {
        true => Verdict::Publish(warning),
        false => {
            refusing.extend(warning);
            Verdict::Refuse(refusing)
        }
    }
}

/// The one in service has the same fault: nothing gets worse.
fn objects(current: &Certificate, objection: &Objection, now: SystemTime) -> bool {
    let own = objections(current, now);
    own.iter().any(|own| own.reason() == objection.reason())
}

fn name_objection(candidate: &Certificate, current: &Certificate) -> Option<Objection> {
    let (new, old) = (&candidate.facts().names, &current.facts().names);
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let lost: Vec<String> = old.iter().filter(|name| !new.cover(name)).collect();
    match lost.len() {
        0 => None,
        all if all == old.iter().count() => Some(Objection::NoSharedName),
        _ => Some(Objection::NamesLost(lost)),
    }
}

/// How much longer a certificate will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    NearlyOver,
    Over,
}

impl Standing {
    fn of(certificate: &Certificate, now: SystemTime) -> Self {
        match certificate.facts().not_after.duration_since(now) {
            Ok(left) if left > NEARLY_OVER => Self::Good,
            Ok(left) if !left.is_zero() => Self::NearlyOver,
            _ => Self::Over,
        }
    }
}

impl Objection {
    /// The reason as a label.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Expired => Reason::Expired,
            Self::NotYetValid(_) => Reason::NotYetValid,
            Self::ChainOrder(_) | Self::ChainSignature(_) => Reason::ChainOrder,
            Self::NotServerAuth => Reason::NotServerAuth,
            Self::NoSharedName => Reason::NoSharedName,
            Self::NamesLost(_) => Reason::NamesLost,
            Self::StrayCertificate(_) => Reason::StrayCertificate,
            Self::StapleOver => Reason::Ocsp,
            Self::NoNames => Reason::NoNames,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("has expired; renew it"),
            Self::NotYetValid(wait) => {
                write!(
                    f,
                    "is not valid for another {} s; look at the clocks",
                    wait.as_secs()
                )
            }
            Self::ChainOrder(place) => write!(
                f,
                "has its chain out of order: the issuer of certificate {place} is not next; put \
                 the leaf first, then each issuer"
            ),
            Self::ChainSignature(place) => write!(
                f,
                "has a chain that does not hold: certificate {place} was signed by another key than \
                 the next one's; put the intermediate there that signed it"
            ),
            Self::NotServerAuth => {
                f.write_str("is not for servers: its extended key usage lacks serverAuth")
            }
            Self::NoSharedName => f.write_str(
                "shares no name with the one in service; if this is no mix-up, restart to serve it",
            ),
            Self::NamesLost(names) => {
                write!(
                    f,
                    "lacks names that the one before had: {}",
                    names.join(", ")
                )
            }
            Self::StrayCertificate(place) => write!(
                f,
                "has a certificate that does not belong to its chain at place {place}; remove it"
            ),
            Self::StapleOver => f.write_str(
                "has an OCSP answer past its next update, which is not stapled; fetch a new one",
            ),
            Self::NoNames => f.write_str("has no subject alternative name; no client accepts it"),
        }
    }
}
