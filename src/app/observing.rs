//! The admin port on its thread, from before there is anything to serve.

use std::net::SocketAddr;
use std::sync::Arc;

use super::BindError;
use crate::admin::{Admin, Controls};
use crate::config::{Config, PortSharing};
use crate::net::Binding;
use crate::readiness::Probe;
use crate::{net, runtime};

/// An admin port that answers.
pub(super) struct Observed {
    /// Where.
    pub(super) address: SocketAddr,
    /// What it knows.
    pub(super) admin: Arc<Admin>,
}

/// Starts it; `None` where it is off.
pub(super) fn start(config: &Config, controls: Controls) -> Result<Option<Observed>, BindError> {
    let Some(address) = config.admin.listen else {
        return Ok(None);
    };
    let binding = Binding {
        flag: "admin-listen",
        address,
        // Of two processes each is asked for itself.
        sharing: PortSharing::Exclusive,
    };
    let socket = net::bind(binding).map_err(BindError::Listen)?;
    let address = socket.local_addr()?;
    let admin = Arc::new(Admin::new(config, controls));
    let probe = Probe::new(&config.upstream);
    let running = Arc::clone(&admin);
    runtime::on_own_thread("admin", move || running.run(socket, probe))?;
    tracing::info!(%address, "admin port listening");
    Ok(Some(Observed { address, admin }))
}
