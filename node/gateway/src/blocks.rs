//! The blocks that are here, each checked against its CID before it is given, and none that is too long.

use std::sync::Arc;

use filecash_ipld::store::{BlockStore, StoreError};
use filecash_ipld::{Block, Cid};

/// Blocks to be given. The store need not check them.
#[derive(Clone)]
pub struct Blocks {
    store: Arc<dyn BlockStore>,
    most_bytes: usize,
}

impl Blocks {
    /// Those of a store, up to a length.
    pub fn new(store: Arc<dyn BlockStore>, most_bytes: usize) -> Self {
        Self { store, most_bytes }
    }

    /// Whether it is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.store.size(cid)?.is_some())
    }

    /// Its bytes, if it is here.
    ///
    /// # Errors
    /// [`StoreError`], of a block that is too long, too.
    pub fn get(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.block(cid)?.map(|block| block.into_parts().1))
    }

    /// The block, if it is here.
    ///
    /// # Errors
    /// As [`Blocks::get`].
    pub fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        // The length first, so that a long one does not come into memory.
        let Some(length) = self.store.size(cid)? else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.most_bytes {
            return Err(StoreError::TooLong { length, limit: self.most_bytes });
        }
        let Some(bytes) = self.store.get(cid)? else { return Ok(None) };
        let block = Block::checked(*cid, bytes);
        block.map(Some).map_err(|source| StoreError::Damaged { cid: Box::new(*cid), source })
    }
}
