//! What every conversation in memory runs on: a runtime whose time is paused, and a listener without a file.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net as unix;
use std::path::PathBuf;

use tls_sidecar::config::Address;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};

/// A runtime's timers are made for two years.
const CONVERSATIONS_PER_RUNTIME: u32 = 1000;

/// A runtime for one conversation after the other.
#[derive(Default)]
pub struct Rounds {
    runtime: Option<Runtime>,
    conversations: u32,
}

impl Rounds {
    /// The runtime for the next conversation.
    pub fn next(&mut self) -> &Runtime {
        self.conversations += 1;
        if self.conversations % CONVERSATIONS_PER_RUNTIME == 0 {
            self.runtime = None;
        }
        self.runtime.get_or_insert_with(|| {
            Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap()
        })
    }
}

/// Where an application listens.
pub struct Port {
    listener: unix::UnixListener,
    address: PathBuf,
}

impl Port {
    /// One for `purpose`. An abstract address leaves no file behind when the process is ended.
    pub fn new(purpose: &str) -> Self {
        let name = format!("tls-sidecar-fuzz-{purpose}-{}", std::process::id());
        let address = unix::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = unix::UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = PathBuf::from(OsString::from_vec([&[0], name.as_bytes()].concat()));
        Self { listener, address }
    }

    /// Where to connect to.
    pub fn address(&self) -> Address {
        Address::Unix(self.address.clone())
    }

    /// The listener, for the runtime of now.
    pub fn listen(&self) -> UnixListener {
        UnixListener::from_std(self.listener.try_clone().unwrap()).unwrap()
    }
}
