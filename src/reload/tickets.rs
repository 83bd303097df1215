//! Keeps the secrets of shared session tickets in step with their directory.
//!
//! Followed by the same watch and poll as the certificates. A replaced secret goes on reading
//! tickets until the next replacement, because other replicas learn of it a minute later.
//! Invariant: secrets that are no good change nothing.

use std::path::PathBuf;

use crate::live::{Live, Publisher, live};
use crate::tls::{Places, SecretsError, TicketSecrets, Versions, ticket_secrets};

/// The directory and what was last read of it.
#[derive(Debug)]
pub(super) struct Tickets {
    directory: PathBuf,
    /// As they stand in the directory, without former ones.
    read: TicketSecrets,
    published: Publisher<TicketSecrets>,
    versions: Versions,
    pub(super) places: Places,
    /// What was last complained about.
    complaint: Option<String>,
}

impl Tickets {
    pub(super) fn open(directory: PathBuf) -> Result<(Self, Live<TicketSecrets>), SecretsError> {
        let (secrets, places, versions) = ticket_secrets(&directory);
        let read = secrets?;
        tracing::info!(directory = %directory.display(), secrets = read.count(), "ticket secrets loaded");
        let (published, secrets) = live(read.clone());
        let tickets = Self {
            directory,
            read,
            published,
            versions,
            places,
            complaint: None,
        };
        Ok((tickets, secrets))
    }

    /// Whether nothing can have changed.
    pub(super) fn are_unchanged(&self) -> bool {
        self.versions.are_unchanged()
    }

    /// Reads the directory once more and publishes what is new.
    pub(super) fn look(&mut self) {
        let (secrets, places, versions) = ticket_secrets(&self.directory);
        (self.places, self.versions) = (places, versions);
        match secrets {
            Ok(secrets) => {
                self.complaint = None;
                if secrets == self.read {
                    return;
                }
                self.published
                    .publish(secrets.clone().with_former(&self.read));
                self.read = secrets;
                tracing::info!(secrets = self.read.count(), "ticket secrets reloaded");
            }
            Err(error) => {
                let words = error.to_string();
                if self.complaint.as_ref() != Some(&words) {
                    tracing::warn!(%error, "ticket secrets not reloaded; the last good ones stay");
                }
                self.complaint = Some(words);
            }
        }
    }
}
