//! Which pages of the file of blocks are free.
//!
//! Everything here happens in a transaction of the index, so that space is given away and taken back together with the blocks in it.
//! Free extents are kept by their first pages and by their lengths. No two touch: what is freed is joined with its neighbours, and at the
//! end of the file it makes the file shorter. Sums saturate, since nothing may panic over an index, whoever wrote it.

use redb::{Error, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

/// First page to length.
const BY_START: TableDefinition<u64, u64> = TableDefinition::new("free");
/// Length and first page.
const BY_LENGTH: TableDefinition<(u64, u64), ()> = TableDefinition::new("free by length");
const END: TableDefinition<(), u64> = TableDefinition::new("end");

/// The free pages, as a transaction sees them.
pub struct Space<'a> {
    by_start: Table<'a, u64, u64>,
    by_length: Table<'a, (u64, u64), ()>,
    end: Table<'a, (), u64>,
}

impl<'a> Space<'a> {
    pub fn open(transaction: &'a WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            by_start: transaction.open_table(BY_START)?,
            by_length: transaction.open_table(BY_LENGTH)?,
            end: transaction.open_table(END)?,
        })
    }

    /// [`Self::end`], for who only reads.
    pub fn end_of(transaction: &ReadTransaction) -> Result<u64, Error> {
        Ok(transaction.open_table(END)?.get(())?.map_or(0, |end| end.value()))
    }

    /// The first page behind all that are used.
    pub fn end(&self) -> Result<u64, Error> {
        Ok(self.end.get(())?.map_or(0, |end| end.value()))
    }

    /// Takes pages, of the shortest extent that has as many, or behind the end; gives the first.
    pub fn take(&mut self, pages: u64) -> Result<u64, Error> {
        let best = self.by_length.range((pages, 0)..)?.next().transpose()?.map(|(key, _)| key.value());
        let Some((length, start)) = best else {
            let start = self.end()?;
            self.end.insert((), start.saturating_add(pages))?;
            return Ok(start);
        };
        self.remove(start, length)?;
        if length > pages {
            self.insert(start.saturating_add(pages), length - pages)?;
        }
        Ok(start)
    }

    /// Gives pages back.
    pub fn free(&mut self, mut start: u64, mut pages: u64) -> Result<(), Error> {
        let before =
            self.by_start.range(..start)?.next_back().transpose()?.map(|(key, value)| (key.value(), value.value()));
        if let Some((first, length)) = before.filter(|(first, length)| first.saturating_add(*length) == start) {
            self.remove(first, length)?;
            (start, pages) = (first, length.saturating_add(pages));
        }
        let behind = self.by_start.get(start.saturating_add(pages))?.map(|length| length.value());
        if let Some(length) = behind {
            self.remove(start.saturating_add(pages), length)?;
            pages = pages.saturating_add(length);
        }
        if start.saturating_add(pages) == self.end()? {
            self.end.insert((), start)?;
            return Ok(());
        }
        self.insert(start, pages)
    }

    fn insert(&mut self, start: u64, length: u64) -> Result<(), Error> {
        self.by_start.insert(start, length)?;
        self.by_length.insert((length, start), ())?;
        Ok(())
    }

    fn remove(&mut self, start: u64, length: u64) -> Result<(), Error> {
        self.by_start.remove(start)?;
        self.by_length.remove((length, start))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::Database;
    use redb::backends::InMemoryBackend;

    fn free_extents(space: &Space<'_>) -> Vec<(u64, u64)> {
        let extents: Vec<_> = space
            .by_start
            .iter()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|(key, value)| (key.value(), value.value()))
            .collect();
        let mut lengths: Vec<_> = space.by_length.iter().unwrap().map(|entry| entry.unwrap().0.value()).collect();
        lengths.sort_by_key(|(_, start)| *start);
        assert_eq!(lengths, extents.iter().map(|(start, length)| (*length, *start)).collect::<Vec<_>>());
        extents
    }

    #[test]
    fn freed_space_is_joined_and_taken_again() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut space = Space::open(&transaction).unwrap();
        assert_eq!([3, 1, 2, 5, 1].map(|pages| space.take(pages).unwrap()), [0, 3, 4, 6, 11]);
        space.free(0, 3).unwrap();
        space.free(4, 2).unwrap();
        assert_eq!(free_extents(&space), [(0, 3), (4, 2)]);
        // The shortest that does.
        assert_eq!(space.take(2).unwrap(), 4);
        assert_eq!(space.take(1).unwrap(), 0);
        space.free(4, 2).unwrap();
        // Between two free ones.
        space.free(3, 1).unwrap();
        assert_eq!(free_extents(&space), [(1, 5)]);
        assert_eq!(space.take(6).unwrap(), 12);
        space.free(12, 6).unwrap();
        space.free(11, 1).unwrap();
        assert_eq!((free_extents(&space), space.end().unwrap()), (vec![(1, 5)], 11));
        space.free(6, 5).unwrap();
        assert_eq!((free_extents(&space), space.end().unwrap()), (vec![], 1));
        space.free(0, 1).unwrap();
        assert_eq!((free_extents(&space), space.end().unwrap()), (vec![], 0));
    }

    /// Against a plain list of pages, with a few hundred pieces in use at a time.
    #[test]
    fn no_page_is_given_twice() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut space = Space::open(&transaction).unwrap();
        let (mut used, mut pieces, mut state) = (Vec::new(), Vec::new(), 7_u64);
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..4000 {
            if pieces.len() < 100 || next(2) == 0 && pieces.len() < 300 {
                let pages = 1 + next(9);
                let start = space.take(pages).unwrap();
                used.resize(used.len().max((start + pages) as usize), false);
                for page in &mut used[start as usize..(start + pages) as usize] {
                    assert!(!std::mem::replace(page, true));
                }
                pieces.push((start, pages));
            } else {
                let (start, pages) = pieces.swap_remove(next(pieces.len() as u64) as usize);
                used[start as usize..(start + pages) as usize].fill(false);
                space.free(start, pages).unwrap();
            }
        }
        let end = used.iter().rposition(|used| *used).unwrap() + 1;
        assert_eq!(space.end().unwrap(), end as u64);
        let free: u64 = free_extents(&space).iter().map(|(_, length)| length).sum();
        assert_eq!(free as usize, used[..end].iter().filter(|used| !**used).count());
    }
}
