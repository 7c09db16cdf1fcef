//! One record of a file of synthetic proofs: a vanilla proof without what its reader knows or can recompute.
//!
//! ```text
//! record = LE64(challenge) ‖ 14 × LE64(parent)             6 base parents, then 8 expander parents
//!        ‖ leaf ‖ siblings of TreeD
//!        ‖ column of the challenge ‖ 14 × column of a parent
//!        ‖ leaf ‖ siblings of TreeR-last
//! column = labels, layer 1 first ‖ leaf ‖ siblings of TreeC
//! ```
//!
//! Siblings are the other children of each level's parent, bottom up: one in TreeD; seven in the base part of the others,
//! then `sub − 1` and `top − 1`. Positions follow from node numbers, roots stand in the head of the file, and the 37
//! labels of labelling proofs are those of the parents' columns. With one length for all of a sector's records,
//!
//! `R = 15·8 + 32·(1 + log₂ n + 15·(L + q) + q)`,  `q = 1 + 7·log₈ w + (sub − 1) + (top − 1)`, absent levels counting 0.
//!
//! [`encode`] and [`decode`] are the plain way; [`super::generate`] writes the same bytes without a proof between.
//!
//! Source: `spec/replication.md` 8.6.

use crate::field::Node;
use crate::hash::label::repeat;
use crate::merkle::path::{MerkleProof, PathElement, PathError, TreeKind};
use crate::porep::proof::{Column, ColumnProof, LabelingProof, MalformedProof, Proof, ProofShape, ReplicaColumnProofs};
use crate::porep::vanilla::parent_labels;
use crate::sector::params::{BASE_DEGREE, DEGREE, NODE_SIZE};

/// Bytes of node numbers at the start of a record.
pub(super) const NUMBERS: usize = (1 + DEGREE) * 8;

/// Roots of a sector's trees, as the head of the file has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Of TreeD: CommD.
    pub tree_d: Node,
    /// Of TreeC.
    pub tree_c: Node,
    /// Of TreeR-last.
    pub tree_r_last: Node,
}

impl Roots {
    /// The head of the file.
    pub fn encode(&self) -> [u8; 3 * NODE_SIZE] {
        let mut bytes = [0; 3 * NODE_SIZE];
        bytes.as_chunks_mut().0.copy_from_slice(&[self.tree_d, self.tree_c, self.tree_r_last]);
        bytes
    }

    /// Reads the head of the file.
    pub fn decode(bytes: &[u8; 3 * NODE_SIZE]) -> Self {
        let [tree_d, tree_c, tree_r_last] = [0, 1, 2].map(|root| bytes.as_chunks().0[root]);
        Self { tree_d, tree_c, tree_r_last }
    }
}

/// Why bytes are no record of a sector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum RecordError {
    #[error("{actual} bytes, expected {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("node {node} of a sector of {nodes}")]
    NoSuchNode { node: u64, nodes: u64 },
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
}

/// Bytes of a record.
pub fn record_bytes(shape: &ProofShape) -> u64 {
    let siblings = |kind| arities(kind, shape.nodes).into_iter().map(|arity| arity - 1).sum::<usize>();
    let [data, poseidon] = [TreeKind::Data, shape.poseidon()].map(|kind| 1 + siblings(kind));
    let nodes = data + (1 + DEGREE) * (shape.layers + poseidon) + poseidon;
    (NUMBERS + NODE_SIZE * nodes) as u64
}

/// The arity of each level of a tree over all of a sector's nodes, bottom up.
fn arities(kind: TreeKind, nodes: u64) -> Vec<usize> {
    let log2_nodes = nodes.ilog2() as usize;
    match kind {
        TreeKind::Data => vec![2; log2_nodes],
        TreeKind::Poseidon(shape) => shape.path_arities(log2_nodes),
    }
}

/// Writes a proof as a record; it has to be of its sector's shape.
pub fn encode(proof: &Proof) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in proof.columns() {
        bytes.extend(u64::from(column.column.index).to_le_bytes());
    }
    opening(&mut bytes, &proof.comm_d_proofs);
    for ColumnProof { column, inclusion_proof } in proof.columns() {
        bytes.extend(column.rows.as_flattened());
        opening(&mut bytes, inclusion_proof);
    }
    opening(&mut bytes, &proof.comm_r_last_proof);
    bytes
}

fn opening(bytes: &mut Vec<u8>, proof: &MerkleProof) {
    bytes.extend(proof.leaf());
    proof.levels().for_each(|level| bytes.extend(level.hashes.as_flattened()));
}

/// Reads a record as the proof that it stands for. Nothing is verified but the form and that nodes are field elements.
///
/// # Errors
/// [`RecordError`].
pub fn decode(shape: &ProofShape, roots: &Roots, bytes: &[u8]) -> Result<Proof, RecordError> {
    let (expected, actual) = (record_bytes(shape), bytes.len() as u64);
    let wrong = RecordError::Length { expected, actual };
    let (Some((numbers, nodes)), true) = (bytes.split_at_checked(NUMBERS), expected == actual) else {
        return Err(wrong);
    };
    let mut places = [0; 1 + DEGREE];
    for (place, number) in places.iter_mut().zip(numbers.as_chunks().0) {
        let node = u64::from_le_bytes(*number);
        let known = u32::try_from(node).ok().filter(|_| node < shape.nodes);
        *place = known.ok_or(RecordError::NoSuchNode { node, nodes: shape.nodes })?;
    }

    let mut reader = Reader { nodes: nodes.as_chunks().0.iter(), shape };
    let comm_d_proofs = reader.opening(TreeKind::Data, &roots.tree_d, places[0])?;
    let mut column = |place| -> Result<ColumnProof, MalformedProof> {
        let rows = reader.take(shape.layers);
        let inclusion_proof = reader.opening(shape.poseidon(), &roots.tree_c, place)?;
        Ok(ColumnProof { column: Column::new(place, rows), inclusion_proof })
    };
    let c_x = column(places[0])?;
    let mut parents = places[1..].iter().map(|&place| column(place)).collect::<Result<Vec<_>, _>>()?;
    let exp_parents = parents.split_off(BASE_DEGREE);
    let comm_r_last_proof = reader.opening(shape.poseidon(), &roots.tree_r_last, places[0])?;

    let labeling = |layer| LabelingProof {
        parents: repeat(&parent_labels(&parents, &exp_parents, layer)).to_vec(),
        layer_index: layer as u32,
        node: u64::from(places[0]),
    };
    let proof = Proof {
        comm_d_proofs,
        comm_r_last_proof,
        labeling_proofs: (1..=shape.layers).map(labeling).collect(),
        encoding_proof: labeling(shape.layers),
        replica_column_proofs: ReplicaColumnProofs { c_x, drg_parents: parents, exp_parents },
    };
    shape.check(&proof)?;
    Ok(proof)
}

/// The nodes of a record of the right length, in order.
struct Reader<'a> {
    nodes: std::slice::Iter<'a, Node>,
    shape: &'a ProofShape,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Vec<Node> {
        self.nodes.by_ref().take(count).copied().collect()
    }

    /// A leaf and its siblings, with positions from the number of the leaf.
    fn opening(&mut self, kind: TreeKind, root: &Node, place: u32) -> Result<MerkleProof, MalformedProof> {
        let leaf = self.nodes.next().copied().unwrap_or_default();
        let mut place = u64::from(place);
        let mut levels = Vec::new();
        for arity in arities(kind, self.shape.nodes) {
            levels.push(PathElement { hashes: self.take(arity - 1), index: place % arity as u64 });
            place /= arity as u64;
        }
        let tree = "a tree";
        MerkleProof::new(kind, *root, leaf, levels).map_err(|source: PathError| MalformedProof::Path { tree, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::porep::outputs::Commit1Output;
    use crate::sector::{Profile, params};

    const C1: &[u8] = include_bytes!("../../../../tests/vectors/filecash-2kib-c1-v1_1.json");

    /// spec/replication.md 3.2, "synthetic record".
    #[test]
    fn record_lengths_match_reference() {
        let table = [
            (2 << 10, 8984),
            (4 << 10, 9528),
            (16 << 10, 12664),
            (32 << 10, 13208),
            (8 << 20, 23704),
            (16 << 20, 24248),
            (512 << 20, 31064),
            (1 << 30, 31608),
            (32 << 30, 42744),
            (64 << 30, 43288),
            (4 << 30, 37624),
            (16 << 30, 37784),
        ];
        for (size, bytes) in table {
            let params = params::for_size(Profile::Filecash, size).unwrap();
            assert_eq!(record_bytes(&ProofShape::of(Profile::Filecash, params)), bytes, "{size}");
        }
    }

    fn sample() -> (ProofShape, Roots, Vec<Proof>) {
        let (proof, output) = Commit1Output::from_api_json(Profile::Filecash, C1).unwrap();
        let proofs = output.vanilla_proofs.concat();
        let roots = Roots {
            tree_d: *proofs[0].comm_d_proofs.root(),
            tree_c: *proofs[0].replica_column_proofs.c_x.inclusion_proof.root(),
            tree_r_last: *proofs[0].comm_r_last_proof.root(),
        };
        (ProofShape::from(&proof.config()), roots, proofs)
    }

    #[test]
    fn proofs_come_back_from_their_records() {
        let (shape, roots, proofs) = sample();
        assert_eq!(Roots::decode(&roots.encode()), roots);
        for proof in &proofs {
            let record = encode(proof);
            assert_eq!(record.len() as u64, record_bytes(&shape));
            assert_eq!(&decode(&shape, &roots, &record).unwrap(), proof);
        }
    }

    #[test]
    fn records_of_another_form_are_refused() {
        let (shape, roots, proofs) = sample();
        let record = encode(&proofs[0]);
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut record = record.clone();
            change(&mut record);
            decode(&shape, &roots, &record).unwrap_err()
        };
        for length in [0, 119, 120, 8983] {
            let error = refused(&|record| record.truncate(length));
            assert!(matches!(error, RecordError::Length { expected: 8984, .. }), "{error}");
        }
        assert!(matches!(refused(&|record| record.push(0)), RecordError::Length { actual: 8985, .. }));
        for number in 0..15 {
            for (at, node) in [(0, 64), (4, 1 << 32 | u64::from(record[8 * number]))] {
                let error = refused(&|record| record[8 * number + at] = if at == 0 { 64 } else { 1 });
                assert!(matches!(error, RecordError::NoSuchNode { node: n, nodes: 64 } if n == node), "{error}");
            }
        }
        for node in [0, 7, 100, 276] {
            let error = refused(&|record| record[120 + 32 * node..][..32].fill(0xff));
            assert!(matches!(error, RecordError::Malformed(MalformedProof::NonCanonical(_))), "{error}");
        }
    }
}
