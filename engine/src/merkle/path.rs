//! Inclusion proofs: that a leaf stands at a place of a tree with a root.
//!
//! From the bottom up, a path names at each level the other children of the parent, in order, and the position of the
//! node among them. A proof holds for leaf number c when hashing upward from the leaf gives the root, and the positions
//! are the digits of c: base 8 (2 in TreeD), then one digit base `sub`, then one base `top`, least significant first.
//!
//! The types have the field order of the reference's serialised form, in JSON and in bincode. They are generic over how a
//! node is written ([`Node`] everywhere but in the codec).
//!
//! Source: `spec/replication.md` 0.4, 8.2.

use serde::{Deserialize, Serialize};

use crate::field::{Node, NonCanonical};
use crate::hash::poseidon;
use crate::hash::sha256::sha_node;
use crate::sector::TreeShape;

/// One level of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathElement<N = Node> {
    /// The other children of the parent, in order: one less than the arity.
    pub hashes: Vec<N>,
    /// Where the node itself stands among the children, from 0.
    pub index: u64,
}

impl PathElement {
    /// The level of child `index` of a parent with these children.
    pub(crate) fn new(children: &[Node], index: usize) -> Self {
        let others = children.iter().enumerate().filter(|(place, _)| *place != index);
        Self { hashes: others.map(|(_, node)| *node).collect(), index: index as u64 }
    }
}

/// A path from the bottom up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionPath<N = Node> {
    /// The levels.
    pub path: Vec<PathElement<N>>,
}

/// A proof by the shape of its tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofData<N = Node> {
    /// One tree of one arity.
    Single {
        /// The root of the tree.
        root: N,
        /// The leaf.
        leaf: N,
        /// From the leaf to the root.
        path: InclusionPath<N>,
    },
    /// Several base trees under one level.
    Sub {
        /// From the leaf to the root of its base tree.
        base_proof: InclusionPath<N>,
        /// From there to the root.
        sub_proof: InclusionPath<N>,
        /// The root of the whole tree.
        root: N,
        /// The leaf.
        leaf: N,
    },
    /// Several base trees under two levels.
    Top {
        /// From the leaf to the root of its base tree.
        base_proof: InclusionPath<N>,
        /// From there to the root of its group.
        sub_proof: InclusionPath<N>,
        /// From there to the root.
        top_proof: InclusionPath<N>,
        /// The root of the whole tree.
        root: N,
        /// The leaf.
        leaf: N,
    },
}

/// An inclusion proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerkleProof<N = Node> {
    /// What it consists of.
    pub data: ProofData<N>,
}

/// The function that makes parents, and so the arity of the base part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeKind {
    /// TreeD: binary, SHA-256.
    Data,
    /// TreeC and TreeR-last: Poseidon of each level's arity.
    Poseidon(TreeShape),
}

impl TreeKind {
    /// The arity of the base part and, where there are any, of the levels above.
    fn arities(self) -> [usize; 3] {
        match self {
            Self::Data => [2, 0, 0],
            Self::Poseidon(shape) => [shape.base, shape.sub, shape.top],
        }
    }

    /// Levels of the base part over all of a sector's `nodes` nodes; `None` when the tree does not fit them.
    fn base_levels(self, nodes: u64) -> Option<usize> {
        let [base, sub, top] = self.arities();
        let mut leaves = nodes / (sub.max(1) * top.max(1)) as u64;
        let mut levels = 0;
        while leaves > 1 {
            if !leaves.is_multiple_of(base as u64) {
                return None;
            }
            leaves /= base as u64;
            levels += 1;
        }
        Some(levels)
    }
}

/// Why an inclusion proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PathError {
    #[error("the proof has {actual} parts, its tree has {expected}")]
    Parts { expected: usize, actual: usize },
    #[error("a part of the proof has {actual} levels, expected {expected}")]
    Levels { expected: usize, actual: usize },
    #[error("a level of the proof has {actual} other children, expected {expected}")]
    Children { expected: usize, actual: usize },
    #[error("a level of the proof has position {index}, of {arity}")]
    Index { index: u64, arity: usize },
    #[error("the proof is for leaf {actual}, expected {expected}")]
    Leaf { expected: u64, actual: u64 },
    #[error("the proof leads to {}, not to its root {}", hex::encode(.actual), hex::encode(.expected))]
    Root { expected: Node, actual: Node },
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
}

impl<N> MerkleProof<N> {
    /// The root it claims.
    pub fn root(&self) -> &N {
        match &self.data {
            ProofData::Single { root, .. } | ProofData::Sub { root, .. } | ProofData::Top { root, .. } => root,
        }
    }

    /// The leaf it claims.
    pub fn leaf(&self) -> &N {
        match &self.data {
            ProofData::Single { leaf, .. } | ProofData::Sub { leaf, .. } | ProofData::Top { leaf, .. } => leaf,
        }
    }

    /// The paths of the base part, the sub level and the top level, as far as there are any.
    pub fn parts(&self) -> Vec<&InclusionPath<N>> {
        match &self.data {
            ProofData::Single { path, .. } => vec![path],
            ProofData::Sub { base_proof, sub_proof, .. } => vec![base_proof, sub_proof],
            ProofData::Top { base_proof, sub_proof, top_proof, .. } => vec![base_proof, sub_proof, top_proof],
        }
    }

    /// Every level from the bottom up.
    pub fn levels(&self) -> impl Iterator<Item = &PathElement<N>> {
        self.parts().into_iter().flat_map(|part| &part.path)
    }

    /// The same proof with its nodes written otherwise.
    pub(crate) fn map<M>(self, f: impl Fn(N) -> M + Copy) -> MerkleProof<M> {
        let path = |path: InclusionPath<N>| path.map(f);
        let data = match self.data {
            ProofData::Single { root, leaf, path: base } => {
                ProofData::Single { root: f(root), leaf: f(leaf), path: path(base) }
            }
            ProofData::Sub { base_proof, sub_proof, root, leaf } => ProofData::Sub {
                base_proof: path(base_proof),
                sub_proof: path(sub_proof),
                root: f(root),
                leaf: f(leaf),
            },
            ProofData::Top { base_proof, sub_proof, top_proof, root, leaf } => ProofData::Top {
                base_proof: path(base_proof),
                sub_proof: path(sub_proof),
                top_proof: path(top_proof),
                root: f(root),
                leaf: f(leaf),
            },
        };
        MerkleProof { data }
    }
}

impl<N> InclusionPath<N> {
    fn map<M>(self, f: impl Fn(N) -> M + Copy) -> InclusionPath<M> {
        let element = |element: PathElement<N>| PathElement {
            hashes: element.hashes.into_iter().map(f).collect(),
            index: element.index,
        };
        InclusionPath { path: self.path.into_iter().map(element).collect() }
    }
}

impl MerkleProof {
    /// Builds a proof from a tree's levels bottom up, of which the last ones are the sub and the top level.
    ///
    /// # Errors
    /// [`PathError::Levels`] when there are fewer levels than the tree has above its base part.
    pub fn new(kind: TreeKind, root: Node, leaf: Node, levels: Vec<PathElement>) -> Result<Self, PathError> {
        let [_, sub, top] = kind.arities();
        let above = usize::from(sub > 0) + usize::from(top > 0);
        let Some(base) = levels.len().checked_sub(above) else {
            return Err(PathError::Levels { expected: above, actual: levels.len() });
        };
        let mut path = levels;
        let mut above = path.split_off(base).into_iter().map(|element| InclusionPath { path: vec![element] });
        let base_proof = InclusionPath { path };
        let data = match (above.next(), above.next()) {
            (None, _) => ProofData::Single { root, leaf, path: base_proof },
            (Some(sub_proof), None) => ProofData::Sub { base_proof, sub_proof, root, leaf },
            (Some(sub_proof), Some(top_proof)) => ProofData::Top { base_proof, sub_proof, top_proof, root, leaf },
        };
        Ok(Self { data })
    }

    /// Checks parts, levels, numbers of children and positions against a tree over `nodes` leaves, but no hash.
    ///
    /// # Errors
    /// [`PathError`], the first thing that is not as in such a tree.
    pub fn check_shape(&self, kind: TreeKind, nodes: u64) -> Result<(), PathError> {
        let [base, sub, top] = kind.arities();
        let expected: Vec<usize> = [base, sub, top].into_iter().filter(|&arity| arity > 0).collect();
        let parts = self.parts();
        if parts.len() != expected.len() {
            return Err(PathError::Parts { expected: expected.len(), actual: parts.len() });
        }
        let mut levels =
            kind.base_levels(nodes).ok_or(PathError::Levels { expected: 0, actual: parts[0].path.len() })?;
        for (part, arity) in parts.into_iter().zip(expected) {
            if part.path.len() != levels {
                return Err(PathError::Levels { expected: levels, actual: part.path.len() });
            }
            for element in &part.path {
                if element.hashes.len() != arity - 1 {
                    return Err(PathError::Children { expected: arity - 1, actual: element.hashes.len() });
                }
                if element.index >= arity as u64 {
                    return Err(PathError::Index { index: element.index, arity });
                }
            }
            levels = 1;
        }
        Ok(())
    }

    /// The leaf number that the positions spell; saturates for a path of no tree.
    pub fn leaf_index(&self) -> u64 {
        let mut place = 1_u64;
        self.levels().fold(0_u64, |number, element| {
            let number = number.saturating_add(place.saturating_mul(element.index));
            place = place.saturating_mul(element.hashes.len() as u64 + 1);
            number
        })
    }

    /// Checks that the proof is for leaf `challenge` of a tree of `nodes` leaves and leads to its root.
    ///
    /// Whose root it is remains to be compared.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn verify(&self, kind: TreeKind, nodes: u64, challenge: u64) -> Result<(), PathError> {
        self.check_shape(kind, nodes)?;
        let actual = self.leaf_index();
        if actual != challenge {
            return Err(PathError::Leaf { expected: challenge, actual });
        }
        let mut node = *self.leaf();
        let mut children = Vec::with_capacity(8);
        for element in self.levels() {
            children.clear();
            children.extend_from_slice(&element.hashes);
            // At most the number of other children, checked with the shape.
            children.insert(element.index as usize, node);
            node = match kind {
                TreeKind::Data => sha_node(&children[0], &children[1]),
                TreeKind::Poseidon(_) => poseidon::hash_nodes(&children)?,
            };
        }
        let expected = *self.root();
        if node == expected { Ok(()) } else { Err(PathError::Root { expected, actual: node }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(i: u64) -> Node {
        let mut node = [0; 32];
        node[..8].copy_from_slice(&(i * i + 7).to_le_bytes());
        node
    }

    fn hash(kind: TreeKind, children: &[Node]) -> Node {
        match kind {
            TreeKind::Data => sha_node(&children[0], &children[1]),
            TreeKind::Poseidon(_) => poseidon::hash_nodes(children).unwrap(),
        }
    }

    /// A tree row by row, and the proof of every leaf.
    fn proofs(kind: TreeKind, nodes: u64) -> Vec<MerkleProof> {
        let [base, sub, top] = kind.arities();
        let mut arities = vec![base; kind.base_levels(nodes).unwrap()];
        arities.extend([sub, top].into_iter().filter(|&arity| arity > 0));
        let mut rows = vec![(0..nodes).map(node).collect::<Vec<_>>()];
        for &arity in &arities {
            let next = rows[rows.len() - 1].chunks(arity).map(|children| hash(kind, children)).collect();
            rows.push(next);
        }
        let root = rows[arities.len()][0];
        let proof = |leaf: u64| {
            let mut place = leaf as usize;
            let mut levels = Vec::new();
            for (row, &arity) in rows.iter().zip(&arities) {
                let index = place % arity;
                levels.push(PathElement::new(&row[place - index..][..arity], index));
                place /= arity;
            }
            MerkleProof::new(kind, root, node(leaf), levels).unwrap()
        };
        (0..nodes).map(proof).collect()
    }

    fn poseidon(sub: usize, top: usize) -> TreeKind {
        TreeKind::Poseidon(TreeShape { base: 8, sub, top })
    }

    fn kinds() -> [(TreeKind, u64, usize); 5] {
        [
            (TreeKind::Data, 16, 1),
            (poseidon(0, 0), 64, 1),
            (poseidon(2, 0), 16, 2),
            (poseidon(4, 0), 32, 2),
            (poseidon(8, 2), 128, 3),
        ]
    }

    #[test]
    fn every_leaf_of_every_shape_is_proven() {
        for (kind, nodes, parts) in kinds() {
            for (leaf, proof) in proofs(kind, nodes).iter().enumerate() {
                assert_eq!(proof.verify(kind, nodes, leaf as u64), Ok(()), "{kind:?} {leaf}");
                assert_eq!((proof.leaf_index(), proof.parts().len()), (leaf as u64, parts));
                let other = (leaf as u64 + 1) % nodes;
                let expected = PathError::Leaf { expected: other, actual: leaf as u64 };
                assert_eq!(proof.verify(kind, nodes, other), Err(expected));
            }
        }
    }

    #[test]
    fn one_wrong_bit_is_noticed() {
        for (kind, nodes, _) in kinds() {
            let proof = proofs(kind, nodes).swap_remove(11);
            let flip = |change: &dyn Fn(&mut MerkleProof)| {
                let mut proof = proof.clone();
                change(&mut proof);
                proof.verify(kind, nodes, 11)
            };
            let parts = |proof: &mut MerkleProof, change: &dyn Fn(&mut InclusionPath)| match &mut proof.data {
                ProofData::Single { path, .. } => change(path),
                ProofData::Sub { sub_proof, .. } => change(sub_proof),
                ProofData::Top { top_proof, .. } => change(top_proof),
            };
            let hash = flip(&|proof| parts(proof, &|path| path.path[0].hashes[0][3] ^= 1));
            assert!(matches!(hash, Err(PathError::Root { .. })), "{kind:?} {hash:?}");
            let index = flip(&|proof| parts(proof, &|path| path.path[0].index ^= 1));
            assert!(matches!(index, Err(PathError::Leaf { .. })), "{kind:?} {index:?}");
            let outside = flip(&|proof| parts(proof, &|path| path.path[0].index = u64::MAX));
            assert!(matches!(outside, Err(PathError::Index { .. })), "{kind:?} {outside:?}");
            let longer = flip(&|proof| parts(proof, &|path| path.path.push(path.path[0].clone())));
            assert!(matches!(longer, Err(PathError::Levels { .. })), "{kind:?} {longer:?}");
            let wider = flip(&|proof| parts(proof, &|path| path.path[0].hashes.push([0; 32])));
            assert!(matches!(wider, Err(PathError::Children { .. })), "{kind:?} {wider:?}");
        }
    }

    #[test]
    fn proof_of_another_shape_is_refused() {
        let proof = proofs(poseidon(2, 0), 16).swap_remove(3);
        assert_eq!(proof.check_shape(poseidon(0, 0), 8), Err(PathError::Parts { expected: 1, actual: 2 }));
        assert_eq!(proof.check_shape(poseidon(4, 0), 32), Err(PathError::Children { expected: 3, actual: 1 }));
        assert!(proof.check_shape(poseidon(2, 0), 20).is_err());
        let above = MerkleProof::new(poseidon(8, 2), [0; 32], [0; 32], vec![]);
        assert_eq!(above, Err(PathError::Levels { expected: 2, actual: 0 }));
    }

    #[test]
    fn non_canonical_sibling_is_refused() {
        let kind = poseidon(0, 0);
        let mut proof = proofs(kind, 8).swap_remove(0);
        let ProofData::Single { path, .. } = &mut proof.data else { panic!("one base tree") };
        path.path[0].hashes[0] = [0xff; 32];
        assert!(matches!(proof.verify(kind, 8, 0), Err(PathError::NonCanonical(_))));
    }

    /// spec/replication.md 3.2, "Poseidon inclusion proof" and "TreeD inclusion proof".
    #[test]
    fn bincode_lengths_match_reference() {
        for (kind, nodes, length) in [(poseidon(0, 0), 64, 556), (TreeKind::Data, 64, 364), (poseidon(2, 0), 128, 612)]
        {
            assert_eq!(bincode::serialize(&proofs(kind, nodes)[5]).unwrap().len(), length);
        }
    }
}
