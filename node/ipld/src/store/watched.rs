//! A store that tells others what is put into it, by whomever.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use super::{BlockStore, StoreError};
use crate::block::Block;
use crate::hash::Cid;

/// Is told of blocks that are kept now. Who put them waits until it is done, so it must wait for nothing, and put nothing itself.
pub type PutWatch = Box<dyn Fn(&[Block]) + Send + Sync>;

/// A store that tells of blocks after each [`put`](BlockStore::put), those among them that were there before.
pub struct Watched<S> {
    store: S,
    watches: RwLock<Vec<PutWatch>>,
}

impl<S> Watched<S> {
    /// One that nobody watches yet.
    pub fn new(store: S) -> Self {
        Self { store, watches: RwLock::default() }
    }

    /// The store itself; what is put into it by this is told to nobody.
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// Has somebody told of all blocks that are put from now on.
    pub fn watch(&self, watch: PutWatch) {
        self.watches.write().unwrap_or_else(PoisonError::into_inner).push(watch);
    }
}

impl<S: fmt::Debug> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<S: BlockStore> BlockStore for Watched<S> {
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        self.store.put(blocks)?;
        self.watches.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|watch| watch(blocks));
        Ok(())
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get_kept(cid)
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.store.size_kept(cid)
    }

    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
        self.store.remove(cids)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::{DiskOptions, DiskStore, MAX_BYTES};
    use super::*;
    use crate::codec::Codec;
    use crate::hash::HashKind;

    fn block(bytes: &[u8]) -> Block {
        Block::new(HashKind::Sha256, Codec::Raw, bytes.to_vec()).unwrap()
    }

    #[test]
    fn what_is_kept_is_told_and_what_is_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Watched::new(DiskStore::open(folder.path(), &DiskOptions::default()).unwrap()));
        let [one, other] = [block(b"one"), block(b"other")];
        store.put(std::slice::from_ref(&one)).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (list, kept) = (Arc::clone(&told), Arc::downgrade(&store));
        store.watch(Box::new(move |blocks| {
            for block in blocks {
                // It can be read already.
                assert_eq!(kept.upgrade().unwrap().get(block.cid()).unwrap().unwrap(), block.bytes());
                list.lock().unwrap().push(*block.cid());
            }
        }));
        assert!(store.put(&[other.clone(), block(&vec![0; MAX_BYTES + 1])]).is_err());
        assert_eq!((told.lock().unwrap().len(), store.get(other.cid()).unwrap()), (0, None));
        store.put(&[other.clone(), one.clone()]).unwrap();
        assert_eq!(*told.lock().unwrap(), [*other.cid(), *one.cid()]);
        assert_eq!(store.remove(&[*one.cid()]).unwrap(), 1);
        assert_eq!((store.size(one.cid()).unwrap(), store.size(other.cid()).unwrap()), (None, Some(5)));
        assert_eq!(store.inner().totals().unwrap().blocks, 1);
    }
}
