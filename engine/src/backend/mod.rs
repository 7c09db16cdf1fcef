//! The heavy stages, each over a whole batch, each equal bit for bit to the CPU's.

pub mod cpu;

use crate::field::Node;

/// Why a device could not compute a stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BackendError {
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
    #[error("{children} children of {parents} nodes of arity {arity}")]
    Lengths { arity: usize, children: usize, parents: usize },
}

/// A device that computes stages.
pub trait Backend: Send + Sync {
    /// For logs and records.
    fn name(&self) -> &str;

    /// `parents[i] = Poseidon(children[i·arity], …, children[i·arity + arity − 1])`, under the tag of Merkle trees.
    ///
    /// # Errors
    /// [`BackendError`] when the lengths do not fit or a child is no field element.
    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError>;

    /// `parents[i] = sha_node(children[2i], children[2i + 1])`; there are two children for every parent.
    fn sha_level(&self, children: &[Node], parents: &mut [Node]);
}
