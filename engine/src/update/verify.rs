//! Checking the vanilla proofs of an update.
//!
//! Of each partition: `H_2(comm_c, root_r_old) = comm_r_old` and `H_2(comm_c, root_r_new) = comm_r_new`; and for each
//! challenge c, the two TreeR-last open at c under these roots, TreeD opens at c under comm_d_new, on its way it passes
//! the apex leaf above c and then the nodes of the binary tree over the apex leaves, and
//! `leaf_new = leaf_old + leaf_d·rho(c)`.
//!
//! The reference's vanilla verifier only looks whether the siblings in the apex tree occur in its rows; its circuit
//! compares the apex leaf itself, and so does this one.
//!
//! Source: `spec/replication.md` 11.4.

use rayon::prelude::*;

use super::UpdateCommitments;
use super::challenges::challenges;
use super::encode::{Factors, phi};
use super::proof::{ChallengeProof, PartitionProof};
use super::shape::UpdateShape;
use crate::field::fr::from_node;
use crate::field::{Fr, Node, NonCanonical};
use crate::hash::poseidon::hash2;
use crate::hash::sha256::{sha_node, sha_nodes};
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::path::{MerkleProof, PathElement, PathError, TreeKind};
use crate::porep::proof::MalformedProof;

/// What vanilla proofs of an update are about.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Nodes, trees, partitions.
    pub shape: &'a UpdateShape,
    /// Old and new replica, and the data.
    pub commitments: &'a UpdateCommitments,
}

/// Why a partition proof does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PartitionError {
    #[error("{actual} partition proofs, expected {expected}")]
    Partitions { expected: usize, actual: usize },
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
    #[error("opening of {tree} at node {node}")]
    Opening { tree: &'static str, node: u64, source: PathError },
    #[error("{what} is {}, expected {}", hex::encode(actual), hex::encode(expected))]
    Commitment { what: &'static str, expected: Node, actual: Node },
    #[error("the path of node {node} in TreeD does not go through the apex leaves")]
    Apex { node: u64 },
    #[error("node {node} of the new replica is not its data encoded into the old one")]
    Encoding { node: u64 },
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
    #[error("challenge {challenge} of partition {partition}")]
    Challenge { partition: usize, challenge: usize, source: Box<Self> },
    #[error("partition {partition}")]
    Partition { partition: usize, source: Box<Self> },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl PartitionError {
    fn of_partition(partition: usize) -> impl FnOnce(Self) -> Self {
        move |error| match error {
            Self::Cancelled(_) | Self::Challenge { .. } => error,
            error => Self::Partition { partition, source: Box::new(error) },
        }
    }
}

fn same(what: &'static str, expected: &Node, actual: &Node) -> Result<(), PartitionError> {
    if expected == actual {
        return Ok(());
    }
    Err(PartitionError::Commitment { what, expected: *expected, actual: *actual })
}

/// What the challenges of a partition have in common.
struct Partition<'a> {
    root_r_old: &'a Node,
    root_r_new: &'a Node,
    /// Rows of the tree over the apex leaves, the leaves first.
    apex: Vec<Vec<Node>>,
    factors: &'a Factors,
}

impl Statement<'_> {
    /// Checks the proofs of all partitions.
    ///
    /// # Errors
    /// [`PartitionError`], the first found.
    pub fn verify(&self, job: &Job<'_>, proofs: &[PartitionProof]) -> Result<(), PartitionError> {
        let (expected, actual) = (self.shape.partitions, proofs.len());
        if expected != actual {
            return Err(PartitionError::Partitions { expected, actual });
        }
        let factors = self.factors()?;
        let stage = job.stage("verify vanilla proofs", Unit::Items, proofs.len() as u64);
        proofs.iter().enumerate().try_for_each(|(partition, proof)| {
            self.partition(partition, proof, &factors).map_err(PartitionError::of_partition(partition))?;
            Ok(stage.advance(1)?)
        })
    }

    fn factors(&self) -> Result<Factors, NonCanonical> {
        let UpdateCommitments { comm_r_old, comm_d_new, .. } = self.commitments;
        Ok(Factors::rho(self.shape, phi(comm_d_new, comm_r_old)?))
    }

    fn partition(&self, partition: usize, proof: &PartitionProof, factors: &Factors) -> Result<(), PartitionError> {
        self.shape.check(proof).map_err(|(challenge, source)| match challenge {
            Some(challenge) => PartitionError::Challenge { partition, challenge, source: Box::new(source.into()) },
            None => source.into(),
        })?;
        let UpdateCommitments { comm_r_old, comm_r_new, .. } = self.commitments;
        let Some(first) = proof.challenge_proofs.first() else { return Ok(()) };
        let (root_r_old, root_r_new) = (first.proof_r_old.root(), first.proof_r_new.root());
        same("comm_r_old", comm_r_old, &hash2(&proof.comm_c, root_r_old)?)?;
        same("comm_r_new", comm_r_new, &hash2(&proof.comm_c, root_r_new)?)?;
        let common = Partition { root_r_old, root_r_new, apex: apex_tree(&proof.apex_leafs), factors };
        let challenges = challenges(self.shape, comm_r_new, partition)?;
        proof.challenge_proofs.par_iter().zip(challenges).enumerate().try_for_each(|(challenge, (proof, node))| {
            self.challenge(&common, node, proof).map_err(|source| PartitionError::Challenge {
                partition,
                challenge,
                source: Box::new(source),
            })
        })
    }

    fn challenge(&self, common: &Partition<'_>, node: u64, proof: &ChallengeProof) -> Result<(), PartitionError> {
        let ChallengeProof { proof_r_old, proof_d_new, proof_r_new } = proof;
        self.opens("the old TreeR-last", proof_r_old, self.shape.poseidon(), node)?;
        same("root of the old TreeR-last", common.root_r_old, proof_r_old.root())?;
        self.opens("TreeD", proof_d_new, TreeKind::Data, node)?;
        same("comm_d_new", &self.commitments.comm_d_new, proof_d_new.root())?;
        self.opens("the new TreeR-last", proof_r_new, self.shape.poseidon(), node)?;
        same("root of the new TreeR-last", common.root_r_new, proof_r_new.root())?;
        if !self.passes_apex(&common.apex, node, proof_d_new) {
            return Err(PartitionError::Apex { node });
        }
        let [old, data, new] = [proof_r_old, proof_d_new, proof_r_new].map(|proof| from_node(proof.leaf()));
        let encoded: Fr = old? + data? * common.factors.at(node);
        if encoded != new? {
            return Err(PartitionError::Encoding { node });
        }
        Ok(())
    }

    fn opens(&self, tree: &'static str, proof: &MerkleProof, kind: TreeKind, node: u64) -> Result<(), PartitionError> {
        proof.verify(kind, self.shape.nodes(), node).map_err(|source| PartitionError::Opening { tree, node, source })
    }

    /// Whether a path of TreeD, which holds, goes through the apex leaf of its node and up the tree over the leaves.
    fn passes_apex(&self, apex: &[Vec<Node>], node: u64, proof: &MerkleProof) -> bool {
        let below = self.shape.data_levels();
        let levels: Vec<_> = proof.levels().collect();
        let reached = levels.iter().take(below).fold(*proof.leaf(), |node, level| parent(&node, level));
        let mut place = (node >> below) as usize % self.shape.apex_leaves;
        if apex[0][place] != reached {
            return false;
        }
        levels[below..].iter().zip(&apex[..self.shape.apex_bits()]).all(|(level, row)| {
            let sibling = row[place ^ 1];
            place /= 2;
            level.hashes == [sibling]
        })
    }
}

/// The parent of a node and its one sibling in TreeD.
fn parent(node: &Node, level: &PathElement) -> Node {
    match (level.index, &level.hashes[..]) {
        (0, [sibling]) => sha_node(node, sibling),
        (_, [sibling]) => sha_node(sibling, node),
        // Levels of TreeD have one sibling, which was checked; what follows cannot be anybody's apex leaf.
        _ => [0xff; 32],
    }
}

/// The rows of the binary tree over the apex leaves, a power of two of them, leaves first.
fn apex_tree(leaves: &[Node]) -> Vec<Vec<Node>> {
    let mut rows = vec![leaves.to_vec()];
    let mut len = leaves.len();
    while len > 1 {
        len /= 2;
        let mut parents = vec![[0; 32]; len];
        if let Some(children) = rows.last() {
            sha_nodes(children, &mut parents);
        }
        rows.push(parents);
    }
    rows
}
