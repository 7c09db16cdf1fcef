//! Opening challenges: from a sector's trees and layers to the vanilla proofs of its replication.
//!
//! Per challenge, TreeD and TreeR-last are opened at the node, and TreeC at it and its 14 parents, whose labels in every
//! layer are read along. The labels that made the node's own are then those of
//!
//! - layer 1: the base parents in layer 1,
//! - layer ℓ: the base parents in layer ℓ, then the expander parents in layer ℓ − 1,
//!
//! over and over until they are 37. Trees, labels and graph come through small traits; [`crate::porep::commit1`] puts a
//! sector's files behind them.
//!
//! Source: `spec/replication.md` 8.1, 8.4.

use std::error::Error;

use rayon::prelude::*;

use crate::field::Node;
use crate::hash::label::repeat;
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::path::{MerkleProof, PathElement, PathError, TreeKind};
use crate::merkle::tree_file::TreeFile;
use crate::porep::proof::{Column, ColumnProof, LabelingProof, Proof, ProofShape, ReplicaColumnProofs};
use crate::sector::params::{BASE_DEGREE, DEGREE};

/// Why a tree or a layer could not be read, as its owner says it.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// A tree that can be opened.
pub trait OpenTree: Sync {
    /// The root of the whole tree.
    fn root(&self) -> Node;

    /// A leaf, counted over all base trees.
    ///
    /// # Errors
    /// When it cannot be read.
    fn leaf(&self, leaf: u64) -> Result<Node, SourceError>;

    /// The levels from a leaf to the root, bottom up, with those above the base trees.
    ///
    /// # Errors
    /// When they cannot be read.
    fn levels(&self, leaf: u64) -> Result<Vec<PathElement>, SourceError>;
}

/// The labels of all layers.
pub trait Labels: Sync {
    /// The label of a node in a layer, counted from 1.
    ///
    /// # Errors
    /// When it cannot be read.
    fn label(&self, layer: usize, node: u64) -> Result<Node, SourceError>;
}

impl OpenTree for TreeFile {
    fn root(&self) -> Node {
        self.root()
    }

    fn leaf(&self, leaf: u64) -> Result<Node, SourceError> {
        Ok(self.leaf(leaf)?)
    }

    fn levels(&self, leaf: u64) -> Result<Vec<PathElement>, SourceError> {
        Ok(self.levels(leaf)?)
    }
}

/// Why a challenge could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum OpenError {
    #[error("cannot read node {node} of {what}")]
    Read { what: String, node: u64, source: SourceError },
    #[error("{tree} has other levels than the sector's shape wants")]
    Shape { tree: &'static str, source: PathError },
    #[error("challenge {challenge} of a sector of {nodes} nodes")]
    NoSuchNode { challenge: u64, nodes: u64 },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What a sector's challenges are opened with.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// Nodes, layers, trees.
    pub shape: ProofShape,
    /// The tree over the data.
    pub tree_d: &'a dyn OpenTree,
    /// The trees over the columns.
    pub tree_c: &'a dyn OpenTree,
    /// The trees over the replica.
    pub tree_r_last: &'a dyn OpenTree,
    /// The layers.
    pub labels: &'a dyn Labels,
    /// The graph.
    pub parents: &'a (dyn Fn(u32) -> [u32; DEGREE] + Sync),
}

impl Opener<'_> {
    /// Opens every challenge of every partition.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_all(&self, job: &Job<'_>, challenges: &[Vec<u64>]) -> Result<Vec<Vec<Proof>>, OpenError> {
        let total = challenges.iter().map(Vec::len).sum::<usize>() as u64;
        let stage = job.stage("open challenges", Unit::Items, total);
        let open = |&challenge: &u64| {
            let proof = self.open(challenge)?;
            stage.advance(1)?;
            Ok(proof)
        };
        challenges.iter().map(|partition| partition.par_iter().map(open).collect()).collect()
    }

    /// Opens one challenge.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, challenge: u64) -> Result<Proof, OpenError> {
        let nodes = self.shape.nodes;
        let node = u32::try_from(challenge).ok().filter(|_| challenge < nodes);
        let node = node.ok_or(OpenError::NoSuchNode { challenge, nodes })?;
        let parents = (self.parents)(node);
        let column = |node: &u32| self.column(*node);
        let drg_parents: Vec<_> = parents[..BASE_DEGREE].iter().map(column).collect::<Result<_, _>>()?;
        let exp_parents: Vec<_> = parents[BASE_DEGREE..].iter().map(column).collect::<Result<_, _>>()?;
        let labeling = |layer| LabelingProof {
            parents: repeat(&parent_labels(&drg_parents, &exp_parents, layer)).to_vec(),
            layer_index: layer as u32,
            node: challenge,
        };
        Ok(Proof {
            comm_d_proofs: self.inclusion("TreeD", self.tree_d, TreeKind::Data, challenge)?,
            comm_r_last_proof: self.inclusion("TreeR-last", self.tree_r_last, self.shape.poseidon(), challenge)?,
            labeling_proofs: (1..=self.shape.layers).map(labeling).collect(),
            encoding_proof: labeling(self.shape.layers),
            replica_column_proofs: ReplicaColumnProofs { c_x: self.column(node)?, drg_parents, exp_parents },
        })
    }

    fn column(&self, node: u32) -> Result<ColumnProof, OpenError> {
        let label =
            |layer| self.labels.label(layer, u64::from(node)).map_err(read(format!("layer {layer}"), u64::from(node)));
        Ok(ColumnProof {
            column: Column::new(node, (1..=self.shape.layers).map(label).collect::<Result<_, _>>()?),
            inclusion_proof: self.inclusion("TreeC", self.tree_c, self.shape.poseidon(), u64::from(node))?,
        })
    }

    fn inclusion(
        &self,
        name: &'static str,
        tree: &dyn OpenTree,
        kind: TreeKind,
        leaf: u64,
    ) -> Result<MerkleProof, OpenError> {
        let levels = tree.levels(leaf).map_err(read(name.to_owned(), leaf))?;
        let node = tree.leaf(leaf).map_err(read(name.to_owned(), leaf))?;
        let proof = MerkleProof::new(kind, tree.root(), node, levels);
        let checked = proof.and_then(|proof| proof.check_shape(kind, self.shape.nodes).map(|()| proof));
        checked.map_err(|source| OpenError::Shape { tree: name, source })
    }
}

fn read(what: String, node: u64) -> impl FnOnce(SourceError) -> OpenError {
    move |source| OpenError::Read { what, node, source }
}

/// The labels of distinct places that a node's label in `layer` is hashed from: 6 in layer 1, 14 in the others.
///
/// Every column has a label for every layer, and layers count from 1.
pub(crate) fn parent_labels(base: &[ColumnProof], expander: &[ColumnProof], layer: usize) -> Vec<Node> {
    let own = base.iter().map(|parent| parent.column.rows[layer - 1]);
    match layer {
        1 => own.collect(),
        _ => own.chain(expander.iter().map(|parent| parent.column.rows[layer - 2])).collect(),
    }
}
