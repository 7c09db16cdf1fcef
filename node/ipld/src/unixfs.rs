//! UnixFS: files and folders as trees of blocks.
//!
//! A file is cut into chunks, each a leaf; nodes above hold links to up to so many of what is below. A folder is a node with a link for each
//! name, or, where there are many, a tree of them by the hashes of names ([`hamt`]). Nodes are dag-pb with a [`data::Data`] in them, leaves
//! are raw blocks or such nodes.
//!
//! ```text
//! file of 5 chunks, 3 links a node:    root ── node ── chunk 0, chunk 1, chunk 2
//!                                          └── node ── chunk 3, chunk 4
//! ```
//! The same file has another CID under another [`profile::Profile`]: who wants that of somebody has to cut as they do.
//!
//! - [`profile`]: the table of how others cut.
//! - [`import`]: files and folders to blocks, [`disk`] those of a disk.
//! - [`node`]: what is in a block.
//! - [`read`]: the bytes of a file, from wherever one likes.
//! - [`folder`]: names in folders, paths.
//! - [`extract`]: blocks to files and folders on a disk.
//!
//! Source: the UnixFS specification of specs.ipfs.tech; `spec/network.md` 13.2.

use std::sync::Arc;

use crate::block::Block;
use crate::hash::{Cid, HashError};
use crate::store::{BlockStore, StoreError};

pub mod data;
pub mod disk;
pub mod extract;
pub mod folder;
pub mod hamt;
pub mod import;
pub mod node;
pub mod profile;
pub mod read;

#[cfg(test)]
mod tests;

/// Where blocks come from. What it gives is not checked again: who has blocks of others wraps it in [`Checked`].
pub trait Source {
    /// The bytes of a block, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError>;
}

impl<S: BlockStore + ?Sized> Source for &S {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(cid)
    }
}

impl<S: BlockStore + ?Sized> Source for Arc<S> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(cid)
    }
}

impl Source for &dyn Source {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).block(cid)
    }
}

/// A source of which each block is checked against its CID.
#[derive(Clone, Copy, Debug)]
pub struct Checked<S>(pub S);

impl<S: Source> Source for Checked<S> {
    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = self.0.block(cid)? else { return Ok(None) };
        let damaged = |source: HashError| StoreError::Damaged { cid: Box::new(*cid), source };
        Block::checked(*cid, bytes).map(|block| Some(block.into_parts().1)).map_err(damaged)
    }
}

/// Why blocks are no file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UnixFsError {
    #[error("block {0} is not there")]
    Missing(Box<Cid>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("block {cid} is not of UnixFS: {what}")]
    Node { cid: Box<Cid>, what: String },
    #[error("block {cid} holds {actual} bytes of a file where {expected} are said to be")]
    Size { cid: Box<Cid>, expected: u64, actual: u64 },
    #[error("{cid} is a {actual}, and not a {expected}")]
    Kind { cid: Box<Cid>, expected: &'static str, actual: &'static str },
    #[error("there are more than {limit} blocks above {cid}")]
    Depth { cid: Box<Cid>, limit: usize },
    #[error("folder {cid} has no {name:?}")]
    NoName { cid: Box<Cid>, name: String },
}

impl UnixFsError {
    fn node(cid: &Cid, what: impl Into<String>) -> Self {
        Self::Node { cid: Box::new(*cid), what: what.into() }
    }
}
