//! The vanilla proof of one partition of an update, and its bytes.
//!
//! ```text
//! comm_c[32] ‖ LE64(A) ‖ A × apex leaf[32] ‖ LE64(C) ‖ C × (old TreeR-last ‖ new TreeD ‖ new TreeR-last)
//! ```
//!
//! where the three are inclusion proofs at the challenged node ([`crate::merkle::path`]) and the apex leaves are the nodes
//! `[k·A, (k+1)·A)` of the row of TreeD that has P·A nodes. Their length follows from the sector's size. The partitions
//! of an update, as a file between steps, are `LE64(P)` and the proofs of all partitions one after the other.
//!
//! Source: `spec/replication.md` 11.4.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::shape::UpdateShape;
use crate::field::fr::from_node;
use crate::field::{Node, NonCanonical};
use crate::merkle::path::{MerkleProof, PathError, TreeKind};
use crate::porep::codec::{CodecError, from_bincode, write_bincode};
use crate::porep::proof::{MalformedProof, count};

/// The openings at one challenged node. Fields have the order of the serialised form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeProof {
    /// The old TreeR-last.
    pub proof_r_old: MerkleProof,
    /// The new TreeD.
    pub proof_d_new: MerkleProof,
    /// The new TreeR-last.
    pub proof_r_new: MerkleProof,
}

/// The vanilla proof of one partition. Fields have the order of the serialised form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionProof {
    /// Root of TreeC, old and new.
    pub comm_c: Node,
    /// Nodes of a row of TreeD, in order.
    pub apex_leafs: Vec<Node>,
    /// One for each challenge, in order.
    pub challenge_proofs: Vec<ChallengeProof>,
}

impl UpdateShape {
    /// Old and new TreeR-last.
    pub fn poseidon(&self) -> TreeKind {
        TreeKind::Poseidon(self.tree)
    }

    /// Bytes of a partition proof.
    pub fn proof_bytes(&self) -> u64 {
        let element = |arity: &usize| 16 + 32 * (*arity as u64 - 1);
        // Enum tag, root and leaf, and for each part the number of its levels.
        let parts = 1 + u64::from(self.tree.sub > 0) + u64::from(self.tree.top > 0);
        let replica = 4 + 64 + 8 * parts + self.tree_arities().iter().map(element).sum::<u64>();
        let data = 4 + 64 + 8 + self.log2_nodes as u64 * element(&2);
        let challenges = self.challenges as u64;
        32 + 8 + 32 * self.apex_leaves as u64 + 8 + challenges * (2 * replica + data)
    }

    /// Bytes of the proofs of all partitions as a file.
    pub fn proofs_bytes(&self) -> u64 {
        8 + self.partitions as u64 * self.proof_bytes()
    }

    /// Checks counts, levels and positions, and that every node is a canonical field element; no hash.
    ///
    /// # Errors
    /// The first thing that is not as in such a sector's proofs, with the challenge that it belongs to.
    pub(super) fn check(&self, proof: &PartitionProof) -> Result<(), (Option<usize>, MalformedProof)> {
        let whole = |problem| (None, problem);
        count("apex leaves", self.apex_leaves, proof.apex_leafs.len()).map_err(whole)?;
        count("challenge proofs", self.challenges, proof.challenge_proofs.len()).map_err(whole)?;
        canonical(std::iter::once(&proof.comm_c).chain(&proof.apex_leafs)).map_err(|error| whole(error.into()))?;
        proof.challenge_proofs.iter().enumerate().try_for_each(|(challenge, proof)| {
            let trees = [
                ("the old TreeR-last", &proof.proof_r_old, self.poseidon()),
                ("TreeD", &proof.proof_d_new, TreeKind::Data),
                ("the new TreeR-last", &proof.proof_r_new, self.poseidon()),
            ];
            trees.into_iter().try_for_each(|(tree, proof, kind)| {
                self.check_opening(proof, kind)
                    .map_err(|source| (Some(challenge), MalformedProof::Path { tree, source }))
            })
        })
    }

    fn check_opening(&self, proof: &MerkleProof, kind: TreeKind) -> Result<(), PathError> {
        proof.check_shape(kind, self.nodes())?;
        canonical([proof.root(), proof.leaf()])?;
        Ok(proof.levels().try_for_each(|element| canonical(&element.hashes))?)
    }
}

fn canonical<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Result<(), NonCanonical> {
    nodes.into_iter().try_for_each(|node| from_node(node).map(drop))
}

/// A malformed proof of a partition as an error of its bytes.
fn malformed(partition: usize) -> impl Fn((Option<usize>, MalformedProof)) -> CodecError {
    move |(challenge, source)| match challenge {
        Some(challenge) => CodecError::Proof { partition, challenge, source },
        None => CodecError::Partition { partition, source },
    }
}

impl PartitionProof {
    /// The bytes of the proof.
    ///
    /// # Errors
    /// [`CodecError::Bincode`], which does not happen in memory.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let mut bytes = Vec::new();
        write_bincode(self, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes of a partition's proof; nothing may follow.
    ///
    /// # Errors
    /// [`CodecError`], also for what is not of the exact form of such a sector's proofs.
    pub fn from_bytes(shape: &UpdateShape, partition: usize, bytes: &[u8]) -> Result<Self, CodecError> {
        let proof: Self = from_bincode(bytes, shape.proof_bytes())?;
        shape.check(&proof).map_err(malformed(partition))?;
        Ok(proof)
    }

    /// Writes the proofs of all partitions.
    ///
    /// # Errors
    /// [`CodecError::Bincode`], [`CodecError::Write`].
    pub fn write_all(proofs: &[Self], sink: impl Write) -> Result<(), CodecError> {
        write_bincode(&proofs, sink)
    }

    /// Reads the proofs of all partitions; nothing may follow.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and [`CodecError::Count`] for another number of partitions.
    pub fn read_all(shape: &UpdateShape, bytes: &[u8]) -> Result<Vec<Self>, CodecError> {
        let proofs: Vec<Self> = from_bincode(bytes, shape.proofs_bytes())?;
        let (expected, actual) = (shape.partitions, proofs.len());
        if expected != actual {
            return Err(CodecError::Count { what: "partitions", expected, actual });
        }
        let mut numbered = proofs.iter().enumerate();
        numbered.try_for_each(|(partition, proof)| shape.check(proof).map_err(malformed(partition)))?;
        Ok(proofs)
    }
}

#[cfg(test)]
mod tests {
    use crate::sector::Profile;
    use crate::update::UpdateConfig;

    /// spec/replication.md 12.7, lengths of partition proofs; the others by 3.2, the lengths of inclusion proofs.
    #[test]
    fn lengths_match_reference() {
        let table = [
            (2 << 10, 15064, 556, 364),
            (4 << 10, 16664, 612, 412),
            (16 << 10, 25304, 804, 508),
            (32 << 10, 26904, 860, 556),
            (8 << 20, 43864, 1516, 940),
            (16 << 20, 45464, 1572, 988),
            (512 << 20, 453064, 1996, 1228),
            (32 << 30, 561768, 2484, 1516),
            (64 << 30, 575528, 2540, 1564),
        ];
        for (size, length, replica, data) in table {
            let shape = UpdateConfig::for_size(Profile::Filecoin, size).unwrap().shape;
            assert_eq!(shape.proof_bytes(), length, "{size}");
            let openings = shape.challenges as u64 * (2 * replica + data);
            assert_eq!(length, 48 + 32 * shape.apex_leaves as u64 + openings);
            assert_eq!(shape.proofs_bytes(), 8 + shape.partitions as u64 * length);
        }
    }
}
