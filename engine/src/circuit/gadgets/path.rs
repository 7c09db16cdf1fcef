//! Merkle paths: from a leaf, its siblings and index bits to the root.
//!
//! Source: `spec/snark.md` 1.10.

use bellman::SynthesisError;

use super::bit::{self, Bit};
use super::insert::insert;
use super::num::{self, Num};
use super::poseidon::{self, Tag};
use super::sha::sha256;
use crate::circuit::cs::CircuitSystem;
use crate::field::fr::from_node;
use crate::field::{Fr, NonCanonical};
use crate::merkle::path::{MerkleProof, PathElement};

/// One level of a path: what stands beside the node and where the node stands among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The other children, in stored order.
    pub siblings: Vec<Fr>,
    /// The node's place among the children.
    pub index: usize,
}

impl Level {
    /// The levels of an inclusion proof, from the leaf up.
    ///
    /// # Errors
    /// [`NonCanonical`] when a sibling is no field element.
    pub fn all(proof: &MerkleProof) -> Result<Vec<Self>, NonCanonical> {
        let level = |element: &PathElement| {
            let siblings = element.hashes.iter().map(from_node).collect::<Result<_, _>>()?;
            Ok(Self { siblings, index: element.index as usize })
        };
        proof.levels().map(level).collect()
    }
}

/// The function that joins children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHash {
    /// Trimmed SHA-256 of two nodes.
    Sha256,
    /// Poseidon with the Merkle tag of the level's arity.
    Poseidon,
}

/// The parent of `children`.
pub fn parent<CS: CircuitSystem>(
    cs: &mut CS,
    hash: NodeHash,
    children: &[Num<CS::Wire>],
) -> Result<Num<CS::Wire>, SynthesisError> {
    match hash {
        NodeHash::Poseidon => poseidon::hash(cs, children, Tag::Merkle),
        NodeHash::Sha256 => {
            let mut bits = Vec::with_capacity(512);
            for child in children {
                bits.extend(num::to_hash_bits(cs, *child)?);
            }
            let digest = sha256(cs, &bits)?;
            num::from_hash_bits(cs, &digest)
        }
    }
}

/// A level whose variables exist already: siblings in stored order and index bits, least significant first.
#[derive(Clone, Debug)]
pub struct Step<W> {
    /// The other children.
    pub siblings: Vec<Num<W>>,
    /// The node's place among the children.
    pub index: Vec<Bit<W>>,
}

/// The root of a path whose index bits and siblings exist already.
pub fn root<CS: CircuitSystem>(
    cs: &mut CS,
    hash: NodeHash,
    leaf: Num<CS::Wire>,
    levels: &[Step<CS::Wire>],
) -> Result<Num<CS::Wire>, SynthesisError> {
    levels.iter().try_fold(leaf, |node, level| {
        let children = insert(cs, node, &level.siblings, &level.index)?;
        parent(cs, hash, &children)
    })
}

/// Constrains that `leaf` is in the tree of `root`, and makes its index in the tree a public input.
///
/// `arities` are the levels' arities from the leaf up, and `levels`, where values are known, the siblings and indices.
pub fn path<CS: CircuitSystem>(
    cs: &mut CS,
    hash: NodeHash,
    leaf: Num<CS::Wire>,
    arities: &[usize],
    levels: Option<&[Level]>,
    root: Num<CS::Wire>,
) -> Result<(), SynthesisError> {
    let computed = computed_root(cs, hash, leaf, arities, levels)?;
    num::equal(cs, computed, root);
    Ok(())
}

/// The root that [`path`] arrives at; the index is a public input.
pub(super) fn computed_root<CS: CircuitSystem>(
    cs: &mut CS,
    hash: NodeHash,
    leaf: Num<CS::Wire>,
    arities: &[usize],
    levels: Option<&[Level]>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let mut node = leaf;
    let mut index = Vec::with_capacity(64);
    for (number, arity) in arities.iter().enumerate() {
        cs.enter("level", number);
        let level = levels.and_then(|levels| levels.get(number));
        let place = level.map_or(0, |level| level.index as u64);
        let bits = bit::alloc_list(cs, &[place], arity.ilog2() as usize)?;
        let siblings = (0..arity - 1)
            .map(|i| num::alloc(cs, level.and_then(|level| level.siblings.get(i).copied())))
            .collect::<Result<Vec<_>, _>>()?;
        let children = insert(cs, node, &siblings, &bits)?;
        node = parent(cs, hash, &children)?;
        index.extend(bits);
        cs.leave();
    }
    num::pack_into_inputs(cs, &index)?;
    Ok(node)
}
