//! Which blocks an answer has already, where each is to come once.
//!
//! Sixteen bytes are kept of each CID, made of it with keys that nobody knows, so that two CIDs are not taken for the same by chance or
//! intent. How many are kept by all answers together is limited.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use filecash_ipld::Cid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that are taken from those of all at once.
pub const BATCH: u32 = 4096;

/// There is no place for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room to remember more blocks that have been sent")]
pub struct NoRoom;

/// The blocks that were seen.
pub struct Seen {
    keys: [RandomState; 2],
    marks: HashSet<u128>,
    room: Arc<Semaphore>,
    held: OwnedSemaphorePermit,
}

impl Seen {
    /// None yet, and a first batch of places.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn new(room: &Arc<Semaphore>) -> Result<Self, NoRoom> {
        let held = Arc::clone(room).try_acquire_many_owned(BATCH).map_err(|_| NoRoom)?;
        Ok(Self { keys: Default::default(), marks: HashSet::new(), room: Arc::clone(room), held })
    }

    /// Whether it was seen.
    pub fn has(&self, cid: &Cid) -> bool {
        self.marks.contains(&self.mark(cid))
    }

    fn mark(&self, cid: &Cid) -> u128 {
        let [first, second] = &self.keys;
        u128::from(first.hash_one(cid)) << 64 | u128::from(second.hash_one(cid))
    }

    /// Whether it is seen for the first time.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn is_new(&mut self, cid: &Cid) -> Result<bool, NoRoom> {
        let mark = self.mark(cid);
        if self.marks.contains(&mark) {
            return Ok(false);
        }
        if self.marks.len() == self.held.num_permits() {
            self.held.merge(Arc::clone(&self.room).try_acquire_many_owned(BATCH).map_err(|_| NoRoom)?);
        }
        self.marks.insert(mark);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filecash_ipld::hash::HashKind;

    #[test]
    fn each_is_new_once_as_long_as_there_is_room() {
        let cid = |number: u32| HashKind::Sha256.cid(0x55, &number.to_le_bytes()).unwrap();
        let room = Arc::new(Semaphore::new(3 * BATCH as usize - 1));
        let mut seen = Seen::new(&room).unwrap();
        for number in 0..2 * BATCH {
            assert_eq!(seen.is_new(&cid(number)), Ok(true));
            assert_eq!(seen.is_new(&cid(number / 2)), Ok(false));
        }
        assert_eq!(seen.is_new(&cid(2 * BATCH)), Err(NoRoom));
        assert_eq!(seen.is_new(&cid(0)), Ok(false));
        // The same bytes under another codec are another block of a CAR.
        assert!(Seen::new(&room).is_err());
        drop(seen);
        let mut seen = Seen::new(&room).unwrap();
        let other = Cid::new_v1(0x70, *cid(0).hash());
        assert_eq!((seen.is_new(&cid(0)), seen.is_new(&other)), (Ok(true), Ok(true)));
    }
}
