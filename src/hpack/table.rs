//! The dynamic table (RFC 7541 section 2.3.2), the same for what is read and what is written.
//!
//! What its entries are counted with is never more than its limit, nor are there more of them than
//! could be counted with 32 bytes each.

use std::collections::VecDeque;

/// Entries, the newest first.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// With their sizes in bytes.
    entries: VecDeque<(T, usize)>,
    /// Bytes, all of them together.
    size: usize,
    limit: usize,
}

impl<T> Table<T> {
    /// An empty table of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit,
        }
    }

    /// Bytes that it may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Lets it have at most `limit` bytes from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    /// The entry that `newer` others came after.
    #[inline]
    pub(super) fn entry(&self, newer: usize) -> Option<&T> {
        self.entries.get(newer).map(|(entry, _)| entry)
    }

    /// All entries, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// Entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in what `make` makes, of `size` bytes. What is larger than the table empties it and is not
    /// made (RFC 7541 section 4.4).
    pub(super) fn insert(&mut self, size: usize, make: impl FnOnce() -> T) {
        match self.limit.checked_sub(size) {
            None => self.evict(0),
            Some(room) => {
                self.evict(room);
                self.entries.push_front((make(), size));
                self.size += size;
            }
        }
    }

    /// Gives back what memory is not in use.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Leaves at most `most` bytes.
    #[inline]
    fn evict(&mut self, most: usize) {
        while self.size > most
            && let Some((_, size)) = self.entries.pop_back()
        {
            self.size -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_entries_make_room_for_the_newest() {
        let mut table = Table::new(100);
        for (name, size) in [('a', 40), ('b', 40), ('c', 33)] {
            table.insert(size, || name);
        }
        assert!(table.iter().eq(&['c', 'b']));
        table.insert(100, || 'd');
        assert!(table.iter().eq(&['d']));
        table.set_limit(99);
        assert_eq!((table.len(), table.size), (0, 0));
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut table = Table::new(100);
        table.insert(40, || 'a');
        table.insert(101, || unreachable!());
        assert_eq!((table.len(), table.size), (0, 0));
    }

    proptest! {
        #[test]
        fn a_table_never_holds_more_than_its_size(steps in proptest::collection::vec((any::<bool>(), 0..200_usize), 0..60)) {
            let mut table = Table::new(150);
            for (is_limit, bytes) in steps {
                if is_limit {
                    table.set_limit(bytes);
                } else {
                    table.insert(bytes + 32, || ());
                }
                prop_assert!(table.size <= table.limit());
                prop_assert_eq!(table.size, table.entries.iter().map(|(_, size)| size).sum::<usize>());
            }
        }
    }
}
