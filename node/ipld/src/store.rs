//! Where blocks are kept, by the multihashes of their CIDs: the same bytes under another version or codec are the same block.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::block::Block;
use crate::hash::{Cid, HashError, inlined};

mod disk;
mod space;
mod watched;

pub use disk::{DiskOptions, DiskStore, MAX_BYTES, Totals};
pub use watched::{PutWatch, Watched};

/// How many bytes of blocks [`import`] puts at once.
pub const BATCH_BYTES: usize = 8 << 20;
/// How many blocks [`import`] puts at once.
pub const BATCH_BLOCKS: usize = 16 << 10;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StoreError {
    #[error("what is kept of {cid} is damaged")]
    Damaged { cid: Box<Cid>, source: HashError },
    #[error("the block store at {} is in use", path.display())]
    InUse { path: PathBuf },
    #[error("no block store at {}: {what}", path.display())]
    Format { path: PathBuf, what: &'static str },
    #[error("a block of {length} bytes is longer than {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("the block store is only read")]
    ReadOnly,
    #[error("the block store")]
    Backend(#[source] Box<dyn StdError + Send + Sync>),
}

impl StoreError {
    pub(crate) fn backend(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Backend(source.into())
    }
}

/// Why blocks were not taken from where they come, or not kept.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ImportError<E: StdError + 'static> {
    #[error(transparent)]
    Source(E),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps blocks. What an identity CID holds is there without being kept.
pub trait BlockStore: Send + Sync {
    /// The bytes of a block, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        match inlined(cid) {
            Some(bytes) => Ok(Some(bytes.to_vec())),
            None => self.get_kept(cid),
        }
    }

    /// How many bytes a block has, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        match inlined(cid) {
            Some(bytes) => Ok(Some(bytes.len() as u64)),
            None => self.size_kept(cid),
        }
    }

    /// Keeps blocks, all of them or, where it fails, none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError>;

    /// [`BlockStore::get`] of a block that its CID does not hold.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError>;

    /// [`BlockStore::size`] of a block that its CID does not hold.
    ///
    /// # Errors
    /// [`StoreError`].
    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError>;

    /// Forgets blocks, and tells how many were there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError>;
}

/// Whoever has a store is one.
macro_rules! stores {
    ($($holder:ty),+) => {$(
        impl<S: BlockStore + ?Sized> BlockStore for $holder {
            fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
                S::put(self, blocks)
            }

            fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
                S::get_kept(self, cid)
            }

            fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
                S::size_kept(self, cid)
            }

            fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
                S::remove(self, cids)
            }
        }
    )+};
}

stores!(&S, Arc<S>);

/// Keeps all blocks of an iterator, in batches, each of which is [put](BlockStore::put) at once; tells how many there were. Where it fails,
/// earlier batches stay.
///
/// # Errors
/// [`ImportError`].
pub fn import<E: StdError + 'static>(
    store: &dyn BlockStore,
    blocks: impl IntoIterator<Item = Result<Block, E>>,
) -> Result<u64, ImportError<E>> {
    let (mut batch, mut bytes, mut count) = (Vec::new(), 0, 0);
    for block in blocks {
        let block = block.map_err(ImportError::Source)?;
        bytes += block.bytes().len();
        count += 1;
        batch.push(block);
        if bytes >= BATCH_BYTES || batch.len() >= BATCH_BLOCKS {
            store.put(&batch)?;
            batch.clear();
            bytes = 0;
        }
    }
    store.put(&batch)?;
    Ok(count)
}

/// Keeps blocks as long as it lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    blocks: RwLock<HashMap<Vec<u8>, Vec<u8>>>,
}

impl BlockStore for MemoryStore {
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        let mut kept = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        for block in blocks.iter().filter(|block| inlined(block.cid()).is_none()) {
            kept.insert(block.cid().hash().to_bytes(), block.bytes().to_vec());
        }
        Ok(())
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let kept = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.get(&cid.hash().to_bytes()).cloned())
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let kept = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.get(&cid.hash().to_bytes()).map(|bytes| bytes.len() as u64))
    }

    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
        let mut kept = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        Ok(cids.iter().filter(|cid| kept.remove(&cid.hash().to_bytes()).is_some()).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::hash::HashKind;

    #[test]
    fn blocks_are_kept_by_their_hashes() {
        let store = MemoryStore::default();
        let block = Block::new(HashKind::Sha256, Codec::DagPb, b"\x0a\x00".to_vec()).unwrap();
        let identity = Block::new(HashKind::Identity, Codec::Raw, b"hello".to_vec()).unwrap();
        store.put(&[block.clone(), identity.clone()]).unwrap();
        let v0 = Cid::new_v0(*block.cid().hash()).unwrap();
        assert_eq!(store.get(&v0).unwrap().unwrap(), block.bytes());
        assert_eq!((store.size(&v0).unwrap(), store.size(identity.cid()).unwrap()), (Some(2), Some(5)));
        assert_eq!(store.remove(&[v0, *identity.cid()]).unwrap(), 1);
        assert_eq!(store.get(block.cid()).unwrap(), None);
        assert_eq!(store.get(identity.cid()).unwrap().unwrap(), b"hello");
    }
}
