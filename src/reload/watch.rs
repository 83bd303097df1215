//! Directory watches: the only file that knows `notify`; it knows no TLS.
//!
//! Watches are on directories, never on files, because every rotation replaces files. A watch is
//! a hint and never the truth: where it is not to be had, the poll alone finds every change.
//! Invariant: no failure in here ends anything; it is told as [`Health::Degraded`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// What a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Something happened at this path.
    At(PathBuf),
    /// Events were lost: anything may have happened.
    Anything,
}

/// Whether changes are seen as they happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// They are.
    Watching,
    /// Some are found by polling alone, and why.
    Degraded(String),
}

/// What is called with each change, on a thread of notify's own.
pub(super) type OnChange = Arc<dyn Fn(Change) + Send + Sync>;

/// Watches on a changing set of directories.
pub(super) struct Watch {
    on_change: OnChange,
    watcher: Option<RecommendedWatcher>,
    watched: Watched,
}

/// Watched directories by device and inode, shared with notify's thread.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    directories: BTreeMap<PathBuf, (u64, u64)>,
    /// A directory is not watched: it was deleted or moved away, or is not there yet.
    is_stale: bool,
}

impl Watch {
    pub(super) fn new(on_change: OnChange) -> Self {
        Self {
            on_change,
            watcher: None,
            watched: Watched::default(),
        }
    }

    /// Whether a directory should be watched that is not.
    pub(super) fn is_stale(&self) -> bool {
        self.watched.lock().is_stale
    }

    /// Watches exactly `directories`; also tells which of them were not watched before.
    pub(super) fn follow<'a>(
        &mut self,
        directories: impl Iterator<Item = &'a Path>,
    ) -> (Health, Vec<PathBuf>) {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => match open(Arc::clone(&self.on_change), self.watched.clone()) {
                Ok(watcher) => none.insert(watcher),
                Err(error) => return (Health::Degraded(words(&error)), Vec::new()),
            },
        };
        let (old, new) = self.watched.change_to(&directories.collect());
        for directory in old {
            // Fails for a directory that is gone, whose watch the kernel took away.
            let _ = watcher.unwatch(&directory);
        }
        let (mut health, mut added) = (Health::Watching, Vec::new());
        for directory in new {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => added.push(directory),
                Err(error) => {
                    self.watched.lost(&directory);
                    if !is_missing(&error) {
                        health = Health::Degraded(words(&error));
                    }
                }
            }
        }
        (health, added)
    }
}

impl Watched {
    /// What is to be given up and what to be watched, so that `wanted` is; notify's thread waits
    /// for nothing meanwhile.
    fn change_to(&self, wanted: &BTreeSet<&Path>) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut known = self.lock();
        known.is_stale = false;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        known.directories.retain(|path, _| {
            let is_wanted = wanted.contains(path.as_path());
            if !is_wanted {
                old.push(path.clone());
            }
            is_wanted
        });
        for directory in wanted {
            // One that is not there: its parent is watched for its return.
            let Ok(metadata) = fs::metadata(directory) else {
                known.directories.remove(*directory);
                known.is_stale = true;
                continue;
            };
            let identity = (metadata.dev(), metadata.ino());
            let path = directory.to_path_buf();
            match known.directories.insert(path.clone(), identity) {
                Some(before) if before == identity => continue,
                Some(_) => old.push(path.clone()),
                None => {}
            }
            new.push(path);
        }
        (old, new)
    }

    /// A directory that could not be watched is tried again at the next occasion.
    fn lost(&self, directory: &Path) {
        let mut known = self.lock();
        known.directories.remove(directory);
        known.is_stale = true;
    }

    /// What `event` says about the watches themselves.
    fn note(&self, event: &Event) {
        if !matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        ) {
            return;
        }
        let mut known = self.lock();
        for path in &event.paths {
            // Made anew it may even get the same inode.
            known.is_stale |= known.directories.remove(path).is_some();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(on_change: OnChange, watched: Watched) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        if let Ok(event) = &event {
            watched.note(event);
        }
        changes(event)
            .into_iter()
            .for_each(|change| on_change(change));
    })
}

/// What an event says; nothing for our own reading.
fn changes(event: notify::Result<Event>) -> Vec<Change> {
    match event {
        Ok(event) if event.need_rescan() => vec![Change::Anything],
        Ok(event) if is_a_change(event.kind) => event.paths.into_iter().map(Change::At).collect(),
        Ok(_) => Vec::new(),
        Err(_) => vec![Change::Anything],
    }
}

fn is_a_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// In the words of what a person can mend.
fn words(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "no inotify watch left; raise fs.inotify.max_user_watches".to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            "no inotify instance or descriptor left; raise fs.inotify.max_user_instances or the \
             limit of open files"
                .to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
            "no inotify watch left; raise fs.inotify.max_user_watches".to_owned()
        }
        _ => error.to_string(),
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("watched", &self.watched)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn watch() -> (Watch, mpsc::Receiver<Change>) {
        let (changes, seen) = mpsc::channel();
        let watch = Watch::new(Arc::new(move |change| drop(changes.send(change))));
        (watch, seen)
    }

    /// Blocks until a change of `path` is seen.
    fn sees(seen: &mpsc::Receiver<Change>, path: &Path) {
        while seen.recv_timeout(PATIENCE).unwrap() != Change::At(path.to_path_buf()) {}
    }

    #[test]
    fn a_directory_that_comes_back_is_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("certificates");
        let file = directory.join("a");
        let (mut watch, seen) = watch();
        for _ in 0..2 {
            fs::create_dir(&directory).unwrap();
            let both = [root.path(), &directory];
            let (health, added) = watch.follow(both.into_iter());
            assert_eq!(health, Health::Watching);
            assert!(added.contains(&directory));
            fs::write(&file, "x").unwrap();
            sees(&seen, &file);
            fs::remove_dir_all(&directory).unwrap();
            sees(&seen, &directory);
        }
    }

    #[test]
    fn reading_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        let (read, written) = (root.path().join("read"), root.path().join("written"));
        fs::write(&read, "x").unwrap();
        let (mut watch, seen) = watch();
        watch.follow([root.path()].into_iter());
        fs::read(&read).unwrap();
        fs::write(&written, "x").unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(Change::At(written)));
    }

    // CERT-04
    #[test]
    fn an_overflow_means_that_anything_may_have_changed() {
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(changes(Ok(overflow)), [Change::Anything]);
        assert_eq!(
            changes(Err(notify::Error::generic("lost"))),
            [Change::Anything]
        );
    }

    // CERT-04
    #[test]
    fn limits_are_told_in_words_that_name_the_limit() {
        let no_watches = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(words(&no_watches).contains("max_user_watches"));
        let no_instances = notify::Error::io(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(words(&no_instances).contains("max_user_instances"));
    }
}
