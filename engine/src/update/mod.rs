//! Updates of sealed sectors (SnapDeals): new data in an old replica without new labels.
//!
//! A sector that was sealed without a client's data, the *sector key*, is the old replica. An update adds the new data
//! times known random factors to it; TreeC and comm_c stay, TreeD and TreeR-last are made anew, and
//! `comm_r_new = H_2(comm_c, comm_r_last_new)`. It is proven that this was done at challenged nodes.
//!
//! Only Filecoin has updates. Source: `spec/replication.md` 11.

pub mod challenges;
pub mod decode;
pub mod encode;
pub mod open;
pub mod output;
pub mod proof;
pub mod replica;
pub mod shape;
pub mod verify;

use std::io;
use std::path::{Path, PathBuf};

use crate::field::fr::from_node;
use crate::field::{Node, NonCanonical};
use crate::job::Cancelled;
use crate::merkle::build::BuildError;
use crate::merkle::node_file::NodeFileError;
use crate::merkle::tree_file::TreeFileError;
use crate::porep::codec::CodecError;
use crate::porep::encode::{EncodeError, Operand};
use crate::store::atomic::WriteError;
use crate::store::aux::AuxError;

pub use encode::ZeroFactor;
pub use proof::{ChallengeProof, PartitionProof};
pub use shape::{NoUpdates, UpdateConfig, UpdateProof, UpdateShape};
pub use verify::PartitionError;

/// A replica and the cache folder of its trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica<'a> {
    /// The replica.
    pub path: &'a Path,
    /// The folder of its trees, `p_aux` and `t_aux`.
    pub cache: &'a Path,
}

/// What an update is about, as the chain knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateCommitments {
    /// The commitment to the old replica, the sector key.
    pub comm_r_old: Node,
    /// The commitment to the new replica.
    pub comm_r_new: Node,
    /// The commitment to the new data.
    pub comm_d_new: Node,
}

impl UpdateCommitments {
    /// Checks that all three are field elements, and none is zero.
    ///
    /// # Errors
    /// [`UpdateError::Zero`], [`UpdateError::Commitment`].
    pub fn check(&self) -> Result<(), UpdateError> {
        let Self { comm_r_old, comm_r_new, comm_d_new } = self;
        check_commitments(&[("comm_r_old", comm_r_old), ("comm_r_new", comm_r_new), ("comm_d_new", comm_d_new)])
    }
}

/// Refuses commitments that are zero or no field elements.
fn check_commitments(commitments: &[(&'static str, &Node)]) -> Result<(), UpdateError> {
    commitments.iter().try_for_each(|&(what, commitment)| {
        if *commitment == [0; 32] {
            return Err(UpdateError::Zero(what));
        }
        from_node(commitment).map(drop).map_err(|source| UpdateError::Commitment { what, source })
    })
}

/// What an encoding made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// What the update is about.
    pub commitments: UpdateCommitments,
    /// Root of the new TreeR-last.
    pub comm_r_last_new: Node,
}

/// Why an update was not made, undone or proven. No output was replaced unless the disk failed while files got their
/// names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UpdateError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("{0} is all zero")]
    Zero(&'static str),
    #[error("{what} is no field element")]
    Commitment { what: &'static str, source: NonCanonical },
    #[error("{what} on disk is {}, expected {}", hex::encode(actual), hex::encode(expected))]
    Root { what: &'static str, expected: Node, actual: Node },
    #[error(
        "the tree over the sector key {} has the root {}, the p_aux of its cache folder has {}: one of them is damaged, or of another sector",
        path.display(), hex::encode(actual), hex::encode(expected)
    )]
    Key { path: PathBuf, expected: Node, actual: Node },
    #[error("{} holds data of comm_d {}, expected {}", path.display(), hex::encode(actual), hex::encode(expected))]
    Data { path: PathBuf, expected: Node, actual: Node },
    #[error(
        "what was decoded has comm_d {}, expected {}: the replica, the sector key or a commitment is of another sector, or damaged",
        hex::encode(actual),
        hex::encode(expected)
    )]
    Decoded { expected: Node, actual: Node },
    #[error(
        "node {node} is no padded data after decoding: the replica, the sector key or a commitment is of another sector, or damaged"
    )]
    NotPadded { node: u64 },
    #[error(
        "the replica without its data has comm_r {}, expected {}: the replica, the data or a commitment is of another sector, or damaged",
        hex::encode(actual),
        hex::encode(expected)
    )]
    Removed { expected: Node, actual: Node },
    #[error("{} is the {input} and cannot be the {output} too", path.display())]
    SameFile { path: PathBuf, input: &'static str, output: &'static str },
    #[error("{} holds a finished sector already (its p_aux is there)", cache.display())]
    Finished { cache: PathBuf },
    #[error("nodes {start} to {end} were asked of a sector of {nodes}")]
    Range { start: u64, end: u64, nodes: u64 },
    #[error(transparent)]
    Factor(#[from] ZeroFactor),
    #[error(transparent)]
    Aux(#[from] AuxError),
    #[error(transparent)]
    Build(BuildError),
    #[error(transparent)]
    Tree(#[from] TreeFileError),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("writing the data")]
    Output(#[source] io::Error),
    #[error("a partition proof just made does not hold; the files of the update are damaged")]
    Made(#[source] PartitionError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl From<BuildError> for UpdateError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Build(error),
        }
    }
}

impl From<NodeFileError> for UpdateError {
    fn from(error: NodeFileError) -> Self {
        Self::Build(error.into())
    }
}

impl From<WriteError> for UpdateError {
    fn from(error: WriteError) -> Self {
        Self::Build(error.into())
    }
}

/// Compares a commitment on disk with the one that was given.
fn root(what: &'static str, expected: &Node, actual: &Node) -> Result<(), UpdateError> {
    if expected == actual {
        return Ok(());
    }
    Err(UpdateError::Root { what, expected: *expected, actual: *actual })
}

/// Names the file of a wrong operand, in a batch that begins with node `first`.
fn wrong_node(error: EncodeError, first: u64, value: &Path, key: &Path) -> UpdateError {
    let EncodeError { index, operand, source } = error;
    let path = if operand == Operand::Value { value } else { key };
    BuildError::NonCanonical { path: path.to_owned(), index: first + index as u64, source }.into()
}
