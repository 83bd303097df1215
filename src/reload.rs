//! Keeps the published certificates in step with their files; keeps the last good ones otherwise.
//!
//! Every reload goes through one [`Reloader`] on a thread of its own, so that two never cross and
//! a slow disk delays nobody. Watch, poll, signal and retry only say when to look; what is found
//! decides. Invariant: what is published was loaded whole and let through the gate.

mod bulletin;
mod expiry;
mod mount;
mod pace;
mod report;
mod status;
mod store;
mod tickets;
mod trust;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch as latest};
use tokio::time::Instant;

use crate::config::{self, CertificateSource};
use crate::drain::Stage;
use crate::live::{Live, Publisher, live};
use crate::telemetry::certificates::{CertificateMetrics, ReloadResult};
use crate::tls::{
    self, Acceptor, CertSet, LoadError, Offer, Places, SecretsError, TrustError, Versions,
};
use bulletin::Bulletin;
pub use expiry::Age;
pub use mount::Mounts;
use pace::Pace;
pub use status::{CertificateStatus, Event, Problem, Status, Unready};
use store::{Outcome, Policy, Store, Urgency};
use tickets::Tickets;
pub use trust::TrustStatus;
use trust::{ClientTrust, FirstTrust};
pub use watch::Health;
use watch::{Change, Watch};

/// Asks for a look at the files, from any thread.
#[derive(Debug, Clone)]
pub struct Trigger(mpsc::UnboundedSender<Wake>);

/// Why to look.
#[derive(Debug)]
enum Wake {
    /// Somebody asked.
    Asked,
    /// A watch saw something.
    Seen(Change),
}

/// The one place where certificates are replaced.
#[derive(Debug)]
pub struct Reloader {
    source: CertificateSource,
    section: config::Reload,
    tickets: Option<Tickets>,
    trust: Option<ClientTrust>,
    store: Store,
    versions: Versions,
    certificate_places: Places,
    set: Publisher<CertSet>,
    places: Publisher<Places>,
    bulletin: Bulletin,
    inbox: mpsc::UnboundedReceiver<Wake>,
    watch: Watch,
    pace: Pace,
}

/// What others hold of a reloader.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Serves them.
    pub acceptor: Acceptor,
    /// What is known.
    pub status: Live<Status>,
    /// What is counted.
    pub metrics: Arc<CertificateMetrics>,
    /// Asks for a reload.
    pub trigger: Trigger,
}

/// Why there is nothing to serve with.
#[derive(Debug)]
pub enum OpenError {
    /// No certificate.
    Certificate(LoadError),
    /// No secrets for `--ticket-key-dir`.
    Tickets(SecretsError),
    /// Nothing to judge clients by.
    Trust(TrustError),
    /// No TLS with these settings.
    Tls(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::Tickets(error) => error.fmt(f),
            Self::Trust(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl Trigger {
    /// Asks for a look at the files now.
    pub fn reload(&self) {
        // The reloader has ended when nobody receives: the drain has begun, and it does nothing.
        let _ = self.0.send(Wake::Asked);
    }
}

/// What the first load found.
struct Loaded {
    store: Store,
    set: CertSet,
    places: Places,
    versions: Versions,
    outcomes: Vec<Outcome>,
}

impl Reloader {
    /// Loads what is there.
    ///
    /// # Errors
    /// What keeps every certificate from being served, the tickets from being shared or clients
    /// from being judged.
    pub fn open(
        tls: &config::Tls,
        offer: Offer,
        section: config::Reload,
    ) -> Result<(Self, Certificates), OpenError> {
        let policy = Policy {
            on_name_loss: section.on_name_loss,
            min_version: tls.min_version,
        };
        let source = tls.certificates.clone();
        let loaded = first_load(&source, policy).map_err(OpenError::Certificate)?;
        let tickets = tls.ticket_key_dir.clone().map(Tickets::open).transpose();
        let (tickets, secrets) = tickets.map_err(OpenError::Tickets)?.unzip();
        let trust = tls.client_auth.clone().map(FirstTrust::open).transpose();
        let trust = trust.map_err(OpenError::Trust)?;
        let (set, live_set) = live(loaded.set);
        let first = trust.as_ref().map(FirstTrust::trust);
        let (keeper, acceptor) = tls::acceptor(tls, offer, live_set, secrets, first)
            .map_err(|error| OpenError::Tls(error.to_string()))?;
        let certificate_places = loaded.places;
        let (places, seen) = live(certificate_places.clone());
        let (bulletin, status) = Bulletin::new(section);
        let metrics = Arc::clone(bulletin.metrics());
        let (sender, inbox) = mpsc::unbounded_channel();
        let trigger = Trigger(sender.clone());
        let here = std::env::current_dir().unwrap_or_default();
        let on_change = move |change: Change| {
            if let Some(change) = concerning(&seen.load(), change, &here) {
                let _ = sender.send(Wake::Seen(change));
            }
        };
        let mut reloader = Self {
            source,
            section,
            tickets,
            trust: trust.map(|trust| trust.kept_by(keeper)),
            store: loaded.store,
            versions: loaded.versions,
            certificate_places,
            set,
            places,
            bulletin,
            inbox,
            watch: Watch::new(Arc::new(on_change)),
            pace: Pace::new(),
        };
        reloader.bulletin.metrics().loads.increment();
        reloader.bulletin.record(&loaded.outcomes);
        reloader.bulletin.refresh(&reloader.store);
        if let Some(trust) = &reloader.trust {
            reloader.bulletin.trust(None, trust.status());
        }
        report::started(&loaded.outcomes);
        let certificates = Certificates {
            acceptor,
            status,
            metrics,
            trigger,
        };
        Ok((reloader, certificates))
    }

    /// Watches what it would follow, and publishes in the status whether that is possible.
    pub fn try_watch(&mut self) {
        self.rewatch();
    }

    /// Follows the files until the drain begins.
    pub async fn run(mut self, mut stage: latest::Receiver<Stage>) {
        let seen = stage.clone();
        let leaving = async move {
            // A sender that is gone is an end as well.
            let _ = stage.wait_for(|stage| *stage != Stage::Running).await;
        };
        tokio::select! {
            biased;
            () = leaving => {}
            () = self.follow(&seen) => {}
        }
    }

    async fn follow(&mut self, stage: &latest::Receiver<Stage>) {
        // What changed between the first load and the watch was seen by nobody.
        let mut is_late = self.follow_places(None) | self.rewatch();
        let mut poll = Instant::now() + self.section.poll_interval;
        loop {
            let trust = self.trust.as_ref().and_then(ClientTrust::next_retry);
            let retries = [self.store.next_retry(), trust];
            let retry = retries.into_iter().flatten().min();
            let retry = retry.map(|wait| Instant::now() + wait);
            let wake = match is_late {
                true => Instant::now(),
                false => retry.map_or(poll, |retry| retry.min(poll)),
            };
            let look = tokio::select! {
                wake = self.inbox.recv() => match wake {
                    Some(wake) => Look::of(&wake, &self.places.current()),
                    None => return,
                },
                () = tokio::time::sleep_until(wake) => Look::READ,
            };
            tokio::time::sleep_until(self.pace.earliest()).await;
            let look = self.everything_asked(look);
            is_late = self.look(look, stage);
            if poll <= Instant::now() {
                is_late |= self.rewatch();
                self.bulletin.refresh(&self.store);
                if let Some(trust) = &mut self.trust {
                    trust.remind();
                }
                poll = Instant::now() + self.section.poll_interval;
            }
        }
    }

    /// One look answers everything that was asked before it.
    fn everything_asked(&mut self, mut look: Look) -> Look {
        let places = self.places.current();
        while let Ok(wake) = self.inbox.try_recv() {
            look = look.and(Look::of(&wake, &places));
        }
        look
    }

    /// Looks at the files; whether it should be done again at once.
    fn look(&mut self, look: Look, stage: &latest::Receiver<Stage>) -> bool {
        if let Some(tickets) = &mut self.tickets
            && (look.must_read || !tickets.are_unchanged())
        {
            tickets.look();
        }
        self.look_at_trust(look);
        if !look.must_read && self.versions.are_unchanged() {
            return self.follow_places(None);
        }
        self.pace.loaded();
        self.bulletin.metrics().loads.increment();
        let scan = tls::scan(&self.source, &self.store.known());
        if *stage.borrow() != Stage::Running {
            // It began before the drain, and may have read what was changed since.
            return false;
        }
        self.versions = scan.versions.clone();
        let places = scan.places;
        let outcomes = self.store.look(scan.entries, look.urgency);
        let is_changed = outcomes
            .iter()
            .any(|o| matches!(o.result, ReloadResult::Published | ReloadResult::Dropped));
        if is_changed && let Some(set) = self.store.set() {
            self.set.publish(set);
        }
        self.bulletin.record(&outcomes);
        if !outcomes.is_empty() {
            self.bulletin.refresh(&self.store);
        }
        // Last: who reads the line finds the status as it says.
        report::changed(&outcomes);
        self.follow_places(Some(places))
    }

    fn look_at_trust(&mut self, look: Look) {
        let Some(trust) = &mut self.trust else {
            return;
        };
        if !look.must_read && trust.are_unchanged() {
            return;
        }
        let before = trust.status().last_error;
        let event = trust.look(look.urgency);
        let status = trust.status();
        if event.is_some() || status.last_error != before {
            self.bulletin.trust(event, status);
        }
    }

    /// Watches the certificates at `places`, tickets and trust; whether something may have been missed.
    fn follow_places(&mut self, places: Option<Places>) -> bool {
        if let Some(places) = places {
            self.certificate_places = places;
        }
        let mut places = self.certificate_places.clone();
        if let Some(tickets) = &self.tickets {
            places = places.with(&tickets.places);
        }
        if let Some(trust) = &self.trust {
            places = places.with(&trust.places);
        }
        let is_moved = places != *self.places.current();
        if is_moved {
            self.places.publish(places);
        }
        (is_moved || self.watch.is_stale()) && self.rewatch()
    }

    /// Watches what matters now; whether something in there may have been missed.
    fn rewatch(&mut self) -> bool {
        let places = self.places.current();
        let (health, added) = self.watch.follow(places.directories());
        self.bulletin.health(health);
        // A version of an atomic mount was complete before it was read.
        added.iter().any(|directory| !is_version(directory))
    }
}

/// How to look.
#[derive(Debug, Clone, Copy)]
struct Look {
    urgency: Urgency,
    /// Whether contents count that no version of a mount tells about.
    must_read: bool,
}

impl Look {
    const READ: Self = Self {
        urgency: Urgency::Routine,
        must_read: true,
    };

    const GLANCE: Self = Self {
        urgency: Urgency::Routine,
        must_read: false,
    };

    fn of(wake: &Wake, places: &Places) -> Self {
        match wake {
            Wake::Asked => Self {
                urgency: Urgency::Asked,
                must_read: true,
            },
            Wake::Seen(Change::Anything) => Self::READ,
            // Somebody writes inside of a version, which its name cannot tell.
            Wake::Seen(Change::At(path)) if places.is_in_version(path) => Self::READ,
            Wake::Seen(Change::At(_)) => Self::GLANCE,
        }
    }

    fn and(self, other: Self) -> Self {
        let is_asked = self.urgency == Urgency::Asked || other.urgency == Urgency::Asked;
        Self {
            urgency: if is_asked {
                Urgency::Asked
            } else {
                Urgency::Routine
            },
            must_read: self.must_read || other.must_read,
        }
    }
}

fn first_load(source: &CertificateSource, policy: Policy) -> Result<Loaded, LoadError> {
    let mut store = Store::new(policy);
    let mut scan = tls::scan(source, &BTreeSet::new());
    let (places, versions) = (scan.places.clone(), scan.versions.clone());
    let entries = std::mem::take(&mut scan.entries);
    let nothing = scan.nothing(source);
    let outcomes = store.look(entries, Urgency::Asked);
    match store.set() {
        Some(set) => Ok(Loaded {
            store,
            set,
            places,
            versions,
            outcomes,
        }),
        None => Err(store.into_error().unwrap_or(nothing)),
    }
}

/// A change that may matter, named as the settings name it: events have whole paths, also where the
/// settings have one that is relative to `here`.
fn concerning(places: &Places, change: Change, here: &Path) -> Option<Change> {
    match change {
        Change::At(path) if !places.concern(&path) => {
            let own = path.strip_prefix(here).ok()?;
            let is_ours = places.concern(own);
            is_ours.then(|| Change::At(own.to_path_buf()))
        }
        change => Some(change),
    }
}

fn is_version(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"..")
}
