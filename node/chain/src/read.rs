//! Objects out of a store of blocks.

use filecash_ipld::Cid;
use filecash_ipld::store::{BlockStore, StoreError};

use crate::object::{Object, ObjectError};

/// Why an object, an [`crate::amt`] or a [`crate::hamt`] was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ReadError {
    #[error("block {0} is not there")]
    Missing(Box<Cid>),
    #[error("block {cid}: {source}")]
    Object { cid: Box<Cid>, source: ObjectError },
    #[error("block {cid} is no node: {what}")]
    Node { cid: Box<Cid>, what: &'static str },
    #[error("more than {0} values")]
    TooMany(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The object of a block.
///
/// # Errors
/// [`ReadError`].
pub fn read<T: Object>(store: &(impl BlockStore + ?Sized), cid: &Cid) -> Result<T, ReadError> {
    let bytes = store.get(cid)?.ok_or_else(|| ReadError::Missing(Box::new(*cid)))?;
    T::decode(&bytes).map_err(|source| ReadError::Object { cid: Box::new(*cid), source })
}

pub(crate) fn no_node<T>(cid: &Cid, what: &'static str) -> Result<T, ReadError> {
    Err(ReadError::Node { cid: Box::new(*cid), what })
}
