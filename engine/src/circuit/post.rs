//! The circuit of proofs of space-time: one partition.
//!
//! It says, for each of S slots with the public CommR: `CommR = H(CommC, CommRLast)`, and for each of its C challenges:
//! some leaf stands in the tree of CommRLast at the public index. A window proof has one slot for each sector of a
//! partition and 10 challenges in each; a winning proof has 66 slots with one challenge each, all of the one sector.
//! Where there are fewer sectors than slots, the last one fills the rest, values and public inputs alike.
//!
//! Randomness and prover are not in the circuit: the verifier derives the challenges. Both networks have the same
//! circuits, and keys of their own.
//!
//! Source: `spec/snark.md` 2.3.

use bellman::{Circuit, ConstraintSystem, SynthesisError};

use super::ProofCircuit;
use super::cs::{CircuitSystem, Plain};
use super::gadgets::num::{self, Num};
use super::gadgets::path::{Level, NodeHash, path};
use super::gadgets::poseidon::{self, Tag};
use crate::field::Fr;
use crate::sector::params::{WINDOW_CHALLENGES, WINNING_CHALLENGES};
use crate::sector::{PoStKind, SectorParams, TreeShape};

/// What decides the shape of a PoSt circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoStShape {
    /// Slots for sectors.
    pub slots: usize,
    /// Challenges in each slot.
    pub challenges: usize,
    /// Binary logarithm of the number of nodes of a sector.
    pub log2_nodes: usize,
    /// Shape of TreeR-last.
    pub tree: TreeShape,
}

impl PoStShape {
    /// The circuit of a kind of proof for sectors of a row of the table.
    pub fn new(kind: PoStKind, params: &SectorParams) -> Self {
        let (slots, challenges) = match kind {
            PoStKind::Winning => (WINNING_CHALLENGES, 1),
            PoStKind::Window => (params.window_sectors, WINDOW_CHALLENGES),
        };
        Self { slots, challenges, log2_nodes: params.nodes().ilog2() as usize, tree: params.shape }
    }

    /// Arities of a path in TreeR-last, from the leaf up.
    fn arities(&self) -> Vec<usize> {
        self.tree.path_arities(self.log2_nodes)
    }

    /// Public inputs, without ONE.
    pub fn inputs(&self) -> usize {
        self.slots * (1 + self.challenges)
    }

    /// The circuit without values, for set-up.
    pub fn blank(self) -> PoStCircuit {
        PoStCircuit { shape: self, slots: Vec::new() }
    }
}

/// The values behind a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotWitness {
    /// `H(comm_c, comm_r_last)`.
    pub comm_r: Fr,
    /// Root of TreeC.
    pub comm_c: Fr,
    /// Root of TreeR-last.
    pub comm_r_last: Fr,
    /// One for each challenge, in order.
    pub leaves: Vec<LeafWitness>,
}

/// The values behind a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafWitness {
    /// The leaf.
    pub leaf: Fr,
    /// Its path in TreeR-last, from the leaf up.
    pub path: Vec<Level>,
}

/// Why values do not fit a circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PoStWitnessError {
    #[error("{actual} sectors in a partition of {expected}")]
    Slots { expected: usize, actual: usize },
    #[error("slot {slot}: {actual} challenges, expected {expected}")]
    Challenges { slot: usize, expected: usize, actual: usize },
    #[error("slot {slot}: the path of challenge {challenge} does not have the levels of the sector's tree")]
    PathShape { slot: usize, challenge: usize },
}

/// A PoSt circuit of one partition: of known shape, with its values or blank.
#[derive(Clone, Debug)]
pub struct PoStCircuit {
    shape: PoStShape,
    /// At most as many as the shape has; none in a blank circuit.
    slots: Vec<SlotWitness>,
}

impl PoStCircuit {
    /// The circuit with values; the last of `slots` fills those that are left. Whether they satisfy it is not looked at.
    ///
    /// # Errors
    /// [`PoStWitnessError`] when there is no slot or one too many, or a slot has other challenges or levels than the
    /// shape.
    pub fn new(shape: PoStShape, slots: Vec<SlotWitness>) -> Result<Self, PoStWitnessError> {
        if slots.is_empty() || slots.len() > shape.slots {
            return Err(PoStWitnessError::Slots { expected: shape.slots, actual: slots.len() });
        }
        let arities = shape.arities();
        for (slot, witness) in slots.iter().enumerate() {
            let (expected, actual) = (shape.challenges, witness.leaves.len());
            if actual != expected {
                return Err(PoStWitnessError::Challenges { slot, expected, actual });
            }
            let fits = |(arity, level): (&usize, &Level)| level.siblings.len() == arity - 1 && level.index < *arity;
            let has_levels =
                |leaf: &LeafWitness| leaf.path.len() == arities.len() && arities.iter().zip(&leaf.path).all(fits);
            if let Some(challenge) = witness.leaves.iter().position(|leaf| !has_levels(leaf)) {
                return Err(PoStWitnessError::PathShape { slot, challenge });
            }
        }
        Ok(Self { shape, slots })
    }

    /// What decides its shape.
    pub fn shape(&self) -> &PoStShape {
        &self.shape
    }
}

impl ProofCircuit for PoStCircuit {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let arities = self.shape.arities();
        for number in 0..self.shape.slots {
            cs.enter("slot", number);
            slot(cs, &self.shape, &arities, self.slots.get(number).or(self.slots.last()))?;
            cs.leave();
        }
        Ok(())
    }
}

impl Circuit<Fr> for PoStCircuit {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.read(&mut Plain::new(cs))
    }
}

fn slot<CS: CircuitSystem>(
    cs: &mut CS,
    shape: &PoStShape,
    arities: &[usize],
    values: Option<&SlotWitness>,
) -> Result<(), SynthesisError> {
    let comm_r_last = num::alloc(cs, values.map(|values| values.comm_r_last))?;
    let comm_c = num::alloc(cs, values.map(|values| values.comm_c))?;
    let comm_r = num::alloc(cs, values.map(|values| values.comm_r))?;
    num::inputize(cs, comm_r)?;
    let hash = poseidon::hash(cs, &[comm_c, comm_r_last], Tag::Merkle)?;
    num::equal(cs, comm_r, hash);
    for number in 0..shape.challenges {
        cs.enter("challenge", number);
        challenge(cs, arities, values.and_then(|values| values.leaves.get(number)), comm_r_last)?;
        cs.leave();
    }
    Ok(())
}

fn challenge<CS: CircuitSystem>(
    cs: &mut CS,
    arities: &[usize],
    values: Option<&LeafWitness>,
    comm_r_last: Num<CS::Wire>,
) -> Result<(), SynthesisError> {
    let leaf = num::alloc(cs, values.map(|values| values.leaf))?;
    path(cs, NodeHash::Poseidon, leaf, arities, values.map(|values| &values.path[..]), comm_r_last)
}

/// A slot's public side: CommR and the challenged leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInputs {
    /// CommR as a field element.
    pub comm_r: Fr,
    /// The leaves, in order.
    pub leaves: Vec<u64>,
}

/// Public inputs of a partition, without ONE: for each slot CommR and the leaves; the last of `slots` fills those that
/// are left.
pub fn public_inputs(shape: &PoStShape, slots: &[SlotInputs]) -> Vec<Fr> {
    let slot = |number| slots.get(number).or(slots.last());
    let values = |slot: &SlotInputs| {
        let leaves: Vec<Fr> = slot.leaves.iter().map(|leaf| Fr::from(*leaf)).collect();
        std::iter::once(slot.comm_r).chain(leaves)
    };
    (0..shape.slots).filter_map(slot).flat_map(values).collect()
}

#[cfg(test)]
mod tests;
