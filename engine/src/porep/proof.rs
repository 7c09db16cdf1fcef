//! The vanilla proof of replication of one challenged node c: everything that its circuit reads.
//!
//! 1. TreeD and TreeR-last open at leaf c.
//! 2. The columns, all layers' labels of a node, of c, of its 6 base parents and of its 8 expander parents, with the
//!    openings of TreeC at their hashes. Parents stand in the graph's order; repeated ones are repeated.
//! 3. For each layer the 37 labels that were hashed to make c's, and those of the last layer once more.
//!
//! Fields have the order of the reference's serialised form. Types are generic over how a Poseidon node is written
//! ([`Node`] everywhere but in [`crate::porep::codec`]); TreeD's nodes are 32 bytes always.
//!
//! Source: `spec/replication.md` 8.1, 8.2.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::field::{Node, NonCanonical, fr};
use crate::merkle::path::{MerkleProof, PathError, TreeKind};
use crate::sector::params::{BASE_DEGREE, EXPANDER_DEGREE, LABEL_PARENTS};
use crate::sector::{PoRepConfig, Profile, SectorParams, TreeShape};

/// A node's labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column<N = Node> {
    /// The node.
    pub index: u32,
    /// Its labels, layer 1 first.
    pub rows: Vec<N>,
    /// A marker of the reference's: `null` in JSON, nothing in bincode.
    #[serde(rename = "_h")]
    marker: PhantomData<()>,
}

impl<N> Column<N> {
    /// The column of a node.
    pub fn new(index: u32, rows: Vec<N>) -> Self {
        Self { index, rows, marker: PhantomData }
    }
}

/// A column and the opening of TreeC at its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnProof<N = Node> {
    /// The column.
    pub column: Column<N>,
    /// TreeC at the column's hash.
    pub inclusion_proof: MerkleProof<N>,
}

/// The columns of a node and of its parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaColumnProofs<N = Node> {
    /// The node.
    pub c_x: ColumnProof<N>,
    /// Its six base parents.
    pub drg_parents: Vec<ColumnProof<N>>,
    /// Its eight expander parents.
    pub exp_parents: Vec<ColumnProof<N>>,
}

/// What a label was hashed from; also the reference's `EncodingProof`, which has the same form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelingProof<N = Node> {
    /// 37 labels of parents, with repetitions.
    pub parents: Vec<N>,
    /// The layer, from 1.
    pub layer_index: u32,
    /// The node.
    pub node: u64,
}

/// The vanilla proof of one challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof<N = Node> {
    /// TreeD at the node.
    pub comm_d_proofs: MerkleProof<Node>,
    /// TreeR-last at the node.
    pub comm_r_last_proof: MerkleProof<N>,
    /// Columns of the node and of its parents.
    pub replica_column_proofs: ReplicaColumnProofs<N>,
    /// One per layer.
    pub labeling_proofs: Vec<LabelingProof<N>>,
    /// The last layer's once more: its label is the key of the replica.
    pub encoding_proof: LabelingProof<N>,
}

impl<N> Proof<N> {
    /// The challenged node.
    pub fn challenge(&self) -> u64 {
        u64::from(self.replica_column_proofs.c_x.column.index)
    }

    /// The columns: of the node, of its base parents, of its expander parents.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnProof<N>> {
        let ReplicaColumnProofs { c_x, drg_parents, exp_parents } = &self.replica_column_proofs;
        std::iter::once(c_x).chain(drg_parents).chain(exp_parents)
    }

    /// Every labelling proof and the encoding proof.
    fn labelings(&self) -> impl Iterator<Item = &LabelingProof<N>> {
        self.labeling_proofs.iter().chain(std::iter::once(&self.encoding_proof))
    }

    /// The same proof with its Poseidon nodes written otherwise.
    pub(crate) fn map<M>(self, f: impl Fn(N) -> M + Copy) -> Proof<M> {
        let nodes = |nodes: Vec<N>| nodes.into_iter().map(f).collect();
        let column = |proof: ColumnProof<N>| ColumnProof {
            column: Column::new(proof.column.index, nodes(proof.column.rows)),
            inclusion_proof: proof.inclusion_proof.map(f),
        };
        let labeling = |proof: LabelingProof<N>| LabelingProof {
            parents: nodes(proof.parents),
            layer_index: proof.layer_index,
            node: proof.node,
        };
        let ReplicaColumnProofs { c_x, drg_parents, exp_parents } = self.replica_column_proofs;
        Proof {
            comm_d_proofs: self.comm_d_proofs,
            comm_r_last_proof: self.comm_r_last_proof.map(f),
            replica_column_proofs: ReplicaColumnProofs {
                c_x: column(c_x),
                drg_parents: drg_parents.into_iter().map(column).collect(),
                exp_parents: exp_parents.into_iter().map(column).collect(),
            },
            labeling_proofs: self.labeling_proofs.into_iter().map(labeling).collect(),
            encoding_proof: labeling(self.encoding_proof),
        }
    }
}

/// What the form of a proof depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofShape {
    /// How labels are hashed and JSON is written.
    pub profile: Profile,
    /// Nodes of the sector, a power of two.
    pub nodes: u64,
    /// Layers of labels.
    pub layers: usize,
    /// Arities of TreeC and TreeR-last.
    pub tree: TreeShape,
}

/// A proof that is not of a sector's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum MalformedProof {
    #[error("{actual} {what}, expected {expected}")]
    Count { what: &'static str, expected: usize, actual: usize },
    #[error("{what} is {actual}, expected {expected}")]
    Number { what: &'static str, expected: u64, actual: u64 },
    #[error("node {node} of a sector of {nodes}")]
    NoSuchNode { node: u64, nodes: u64 },
    #[error("opening of {tree}")]
    Path { tree: &'static str, source: PathError },
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
}

pub(crate) fn count(what: &'static str, expected: usize, actual: usize) -> Result<(), MalformedProof> {
    if expected == actual { Ok(()) } else { Err(MalformedProof::Count { what, expected, actual }) }
}

fn number(what: &'static str, expected: u64, actual: u64) -> Result<(), MalformedProof> {
    if expected == actual { Ok(()) } else { Err(MalformedProof::Number { what, expected, actual }) }
}

impl ProofShape {
    /// The shape of a network's sectors of one size.
    pub fn of(profile: Profile, params: &SectorParams) -> Self {
        Self { profile, nodes: params.nodes(), layers: params.layers, tree: params.shape }
    }

    /// TreeC and TreeR-last.
    pub fn poseidon(&self) -> TreeKind {
        TreeKind::Poseidon(self.tree)
    }

    /// Bytes of a proof in bincode, the same for every challenge (`spec/replication.md` 3.2).
    pub fn proof_bytes(&self) -> u64 {
        let element = |arity: u64| 16 + 32 * (arity - 1);
        let TreeShape { base, sub, top } = self.tree;
        let level = |arity: usize| if arity > 0 { 8 + element(arity as u64) } else { 0 };
        let base_leaves = self.nodes / self.tree.base_trees() as u64;
        let base_levels = u64::from(base_leaves.trailing_zeros() / base.trailing_zeros());
        let poseidon = 4 + 64 + 8 + base_levels * element(base as u64) + level(sub) + level(top);
        let data = 4 + 64 + 8 + u64::from(self.nodes.trailing_zeros()) * element(2);
        let layers = self.layers as u64;
        let column = 4 + 8 + 32 * layers + poseidon;
        let labeling = 8 + 32 * LABEL_PARENTS as u64 + 4 + 8;
        data + poseidon + 15 * column + 16 + 8 + (layers + 1) * labeling
    }

    /// Checks counts, positions, layers and node numbers, and that every node is a canonical field element; no hash.
    ///
    /// # Errors
    /// [`MalformedProof`], the first thing that is not as in this sector's proofs.
    pub fn check(&self, proof: &Proof) -> Result<(), MalformedProof> {
        let open = |tree, proof: &MerkleProof, kind| {
            proof.check_shape(kind, self.nodes).map_err(|source| MalformedProof::Path { tree, source })?;
            canonical([proof.root(), proof.leaf()])?;
            proof.levels().try_for_each(|element| canonical(&element.hashes))
        };
        open("TreeD", &proof.comm_d_proofs, TreeKind::Data)?;
        open("TreeR-last", &proof.comm_r_last_proof, self.poseidon())?;

        let parents = &proof.replica_column_proofs;
        count("base parents", BASE_DEGREE, parents.drg_parents.len())?;
        count("expander parents", EXPANDER_DEGREE, parents.exp_parents.len())?;
        for ColumnProof { column, inclusion_proof } in proof.columns() {
            let node = u64::from(column.index);
            if node >= self.nodes {
                return Err(MalformedProof::NoSuchNode { node, nodes: self.nodes });
            }
            count("labels in a column", self.layers, column.rows.len())?;
            canonical(&column.rows)?;
            open("TreeC", inclusion_proof, self.poseidon())?;
        }

        count("labelling proofs", self.layers, proof.labeling_proofs.len())?;
        let layers = (1..=self.layers).chain(std::iter::once(self.layers));
        for (labeling, layer) in proof.labelings().zip(layers) {
            count("parents of a label", LABEL_PARENTS, labeling.parents.len())?;
            number("the layer of a labelling proof", layer as u64, u64::from(labeling.layer_index))?;
            number("the node of a labelling proof", proof.challenge(), labeling.node)?;
            canonical(&labeling.parents)?;
        }
        Ok(())
    }
}

impl From<&PoRepConfig> for ProofShape {
    fn from(config: &PoRepConfig) -> Self {
        Self::of(config.profile, config.params)
    }
}

fn canonical<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Result<(), MalformedProof> {
    nodes.into_iter().try_for_each(|node| fr::from_node(node).map(drop).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::params;

    /// spec/replication.md 3.2, "one PoRep challenge proof".
    #[test]
    fn proof_lengths_match_reference() {
        let table = [
            (2 << 10, 14036),
            (4 << 10, 14980),
            (16 << 10, 18148),
            (32 << 10, 19092),
            (8 << 20, 29972),
            (16 << 20, 30916),
            (512 << 20, 37940),
            (1 << 30, 38884),
            (32 << 30, 61192),
            (64 << 30, 62136),
            (4 << 30, 52028),
            (16 << 30, 48992),
        ];
        for (size, bytes) in table {
            let params = params::for_size(Profile::Filecash, size).unwrap();
            assert_eq!(ProofShape::of(Profile::Filecash, params).proof_bytes(), bytes, "{size}");
        }
    }
}
