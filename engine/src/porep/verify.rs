//! Checking vanilla proofs of replication against a sector's public inputs.
//!
//! For every challenge c: TreeD opens to CommD and TreeR-last to one comm_r_last at leaf c; the columns of c and of the
//! parents that the graph gives it open to one comm_c, with `leaf = H_L(labels)`; each label of c is the hash of its 37
//! parents' labels; and `replica(c) = data(c) + label_L(c) mod r`. Once: `H_2(comm_c, comm_r_last) = comm_r`.
//!
//! The reference's vanilla verifier believes the 37 labels of a labelling proof; its circuit compares them with the
//! opened columns, and so does this one.
//!
//! Source: `spec/replication.md` 8.5.

use rayon::prelude::*;

use crate::field::{Node, NonCanonical};
use crate::hash::label::{label, repeat};
use crate::hash::poseidon;
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::path::{MerkleProof, PathError, TreeKind};
use crate::porep::encode::encode_node;
use crate::porep::proof::{ColumnProof, LabelingProof, MalformedProof, Proof, ProofShape, count};
use crate::porep::vanilla::parent_labels;
use crate::sector::ReplicaId;
use crate::sector::params::DEGREE;

/// What vanilla proofs are about.
#[derive(Clone, Copy)]
pub struct Statement<'a> {
    /// Nodes, layers, trees, label function.
    pub shape: ProofShape,
    /// The replica.
    pub replica_id: &'a ReplicaId,
    /// The commitment to the data.
    pub comm_d: &'a Node,
    /// The commitment to the replica.
    pub comm_r: &'a Node,
    /// The graph.
    pub parents: &'a (dyn Fn(u32) -> [u32; DEGREE] + Sync),
}

/// Why a vanilla proof does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum VanillaError {
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
    #[error("opening of {tree} at node {node}")]
    Opening { tree: &'static str, node: u64, source: PathError },
    #[error("{what} is {}, expected {}", hex::encode(.actual), hex::encode(.expected))]
    Commitment { what: &'static str, expected: Node, actual: Node },
    #[error("the column of node {actual} stands where that of node {expected} belongs")]
    Parent { expected: u64, actual: u64 },
    #[error("the labels of node {node} hash to {}, TreeC has {}", hex::encode(.actual), hex::encode(.expected))]
    Column { node: u64, expected: Node, actual: Node },
    #[error("the parents' labels in layer {layer} of node {node} are not those of the opened columns")]
    ParentLabels { layer: u32, node: u64 },
    #[error("the label of node {node} in layer {layer} is {}, not {}", hex::encode(.actual), hex::encode(.expected))]
    Label { layer: u32, node: u64, expected: Node, actual: Node },
    #[error("node {node} of the replica is not its data encoded")]
    Encoding { node: u64 },
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
    #[error("challenge {challenge} of partition {partition}")]
    At { partition: usize, challenge: usize, source: Box<VanillaError> },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl VanillaError {
    /// The same where the first partition looked at is number `first`.
    pub(crate) fn in_place(self, first: usize) -> Self {
        match self {
            Self::At { partition, challenge, source } => Self::At { partition: first + partition, challenge, source },
            error => error,
        }
    }
}

fn same(what: &'static str, expected: &Node, actual: &Node) -> Result<(), VanillaError> {
    if expected == actual {
        return Ok(());
    }
    Err(VanillaError::Commitment { what, expected: *expected, actual: *actual })
}

impl Statement<'_> {
    /// Checks the proofs of every partition for the challenges of every partition.
    ///
    /// # Errors
    /// [`VanillaError`], the first found.
    pub fn verify(&self, job: &Job<'_>, challenges: &[Vec<u64>], proofs: &[Vec<Proof>]) -> Result<(), VanillaError> {
        count("partitions", challenges.len(), proofs.len())?;
        let total = challenges.iter().map(Vec::len).sum::<usize>() as u64;
        let stage = job.stage("verify vanilla proofs", Unit::Items, total);
        challenges.iter().zip(proofs).enumerate().try_for_each(|(partition, (challenges, proofs))| {
            count("proofs in a partition", challenges.len(), proofs.len())?;
            let Some(first) = proofs.first() else { return Ok(()) };
            let comm_c = first.replica_column_proofs.c_x.inclusion_proof.root();
            let comm_r_last = first.comm_r_last_proof.root();
            same("comm_r", self.comm_r, &poseidon::hash2(comm_c, comm_r_last)?)?;
            proofs.par_iter().zip(challenges).enumerate().try_for_each(|(challenge, (proof, node))| {
                self.verify_challenge(*node, comm_c, comm_r_last, proof).map_err(|source| VanillaError::At {
                    partition,
                    challenge,
                    source: Box::new(source),
                })?;
                Ok(stage.advance(1)?)
            })
        })
    }

    /// Checks one challenge's proof, which has to be under these roots of TreeC and TreeR-last.
    ///
    /// # Errors
    /// [`VanillaError`].
    pub fn verify_challenge(
        &self,
        challenge: u64,
        comm_c: &Node,
        comm_r_last: &Node,
        proof: &Proof,
    ) -> Result<(), VanillaError> {
        let nodes = self.shape.nodes;
        let node = u32::try_from(challenge).ok().filter(|_| challenge < nodes);
        let node = node.ok_or(MalformedProof::NoSuchNode { node: challenge, nodes })?;
        self.shape.check(proof)?;
        self.opens("TreeD", &proof.comm_d_proofs, TreeKind::Data, challenge)?;
        same("comm_d", self.comm_d, proof.comm_d_proofs.root())?;
        self.opens("TreeR-last", &proof.comm_r_last_proof, self.shape.poseidon(), challenge)?;
        same("comm_r_last", comm_r_last, proof.comm_r_last_proof.root())?;

        let expected = std::iter::once(node).chain((self.parents)(node));
        expected.zip(proof.columns()).try_for_each(|(node, column)| self.column(node, comm_c, column))?;

        proof.labeling_proofs.iter().try_for_each(|labeling| self.labeling(proof, labeling))?;
        self.labeling(proof, &proof.encoding_proof)?;
        let rows = &proof.replica_column_proofs.c_x.column.rows;
        // The key is the last label, as the encoding proof has shown.
        let replica = encode_node(proof.comm_d_proofs.leaf(), &rows[self.shape.layers - 1])?;
        if replica != *proof.comm_r_last_proof.leaf() {
            return Err(VanillaError::Encoding { node: challenge });
        }
        Ok(())
    }

    fn opens(&self, tree: &'static str, proof: &MerkleProof, kind: TreeKind, node: u64) -> Result<(), VanillaError> {
        proof.verify(kind, self.shape.nodes, node).map_err(|source| VanillaError::Opening { tree, node, source })
    }

    /// The column of a node, under comm_c.
    fn column(&self, node: u32, comm_c: &Node, proof: &ColumnProof) -> Result<(), VanillaError> {
        let ColumnProof { column, inclusion_proof } = proof;
        let node = u64::from(node);
        if u64::from(column.index) != node {
            return Err(VanillaError::Parent { expected: node, actual: u64::from(column.index) });
        }
        let actual = poseidon::hash_nodes(&column.rows)?;
        if actual != *inclusion_proof.leaf() {
            return Err(VanillaError::Column { node, expected: *inclusion_proof.leaf(), actual });
        }
        self.opens("TreeC", inclusion_proof, self.shape.poseidon(), node)?;
        same("comm_c", comm_c, inclusion_proof.root())
    }

    /// A label of the challenged node, from labels in the opened columns. The form of the proof was checked.
    fn labeling(&self, proof: &Proof, labeling: &LabelingProof) -> Result<(), VanillaError> {
        let LabelingProof { ref parents, layer_index: layer, node } = *labeling;
        let columns = &proof.replica_column_proofs;
        let opened = repeat(&parent_labels(&columns.drg_parents, &columns.exp_parents, layer as usize));
        if parents[..] != opened {
            return Err(VanillaError::ParentLabels { layer, node });
        }
        let expected = columns.c_x.column.rows[layer as usize - 1];
        // Node 0 has no parents; it is never challenged, but its proof would be of this form.
        let hashed = if node == 0 { &[] } else { &parents[..] };
        let actual = label(self.shape.profile, self.replica_id, layer, node, hashed);
        if actual == expected { Ok(()) } else { Err(VanillaError::Label { layer, node, expected, actual }) }
    }
}

#[cfg(test)]
mod tests;
