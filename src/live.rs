//! A value that is replaced while it is read: the certificate set, the client trust.
//!
//! [`Live`] is held by every worker and read once per connection; [`Publisher`] is held by the one
//! task that reloads. A reader keeps what it loaded for as long as it wants: publishing never
//! waits for readers and readers never wait at all.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The reading end: the value as last published.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

/// The writing end; there is one for each value.
#[derive(Debug)]
pub struct Publisher<T>(Arc<ArcSwap<T>>);

/// A pair around `initial`.
pub fn live<T>(initial: T) -> (Publisher<T>, Live<T>) {
    let slot = Arc::new(ArcSwap::from_pointee(initial));
    (Publisher(Arc::clone(&slot)), Live(slot))
}

impl<T> Live<T> {
    /// The value now.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Publisher<T> {
    /// Replaces the value; readers see it from their next load on.
    pub fn publish(&self, value: T) {
        self.0.store(Arc::new(value));
    }

    /// The value now.
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::live;

    #[test]
    fn readers_keep_what_they_loaded_and_see_the_next_value_on_the_next_load() {
        let (publisher, reader) = live(1);
        let before = reader.load();
        publisher.publish(2);
        assert_eq!((*before, *reader.load(), *publisher.current()), (1, 2, 2));
    }
}
