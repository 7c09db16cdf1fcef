//! The circuit of a sector update: one partition of its proof.
//!
//! It says, for the public number of the partition, comm_r_old, comm_d_new and comm_r_new: `comm_r_old = H(comm_c,
//! root_r_old)` and `comm_r_new = H(comm_c, root_r_new)`; the tree over the apex leaves is in the tree of comm_d_new at
//! the partition's place; and for every challenge c that comm_r_new gives: the old replica's node c is in the tree of
//! root_r_old, data c is below its apex leaf, and `old(c) + data(c)·rho(c)` is in the tree of root_r_new.
//!
//! Unlike the other circuits this one derives its challenges itself. Its first input also selects h, by a bit for each
//! value that it knows; nothing in it says that exactly one is set, so the verifier computes that input from a fixed h.
//! Source: `spec/snark.md` 2.4.

use bellman::{Circuit, ConstraintSystem, SynthesisError};

use super::ProofCircuit;
use super::cs::{CircuitSystem, Plain, Wire};
use super::gadgets::bit::{self, Bit};
use super::gadgets::insert::select;
use super::gadgets::num::{self, Num};
use super::gadgets::path::{NodeHash, Step, parent, root};
use super::gadgets::poseidon::{self, Tag};
use super::shape::Column;
use crate::field::fr::from_node;
use crate::field::{Fr, NonCanonical};
use crate::update::shape::H_VALUES;
use crate::update::{UpdateCommitments, UpdateShape};

/// The values behind one partition's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePartition {
    /// The partition's number.
    pub partition: usize,
    /// `H(comm_c, root_r_old)`.
    pub comm_r_old: Fr,
    /// Root of the new TreeD.
    pub comm_d_new: Fr,
    /// `H(comm_c, root_r_new)`.
    pub comm_r_new: Fr,
    /// Root of TreeC, old and new.
    pub comm_c: Fr,
    /// Root of the old TreeR-last.
    pub root_r_old: Fr,
    /// Root of the new TreeR-last.
    pub root_r_new: Fr,
    /// The partition's nodes of the apex row of TreeD.
    pub apex_leaves: Vec<Fr>,
    /// The siblings from the root of the tree over the apex leaves to comm_d_new, from the bottom up.
    pub partition_path: Vec<Fr>,
    /// One for each challenge, in order.
    pub challenges: Vec<UpdateChallenge>,
}

/// The values behind one challenge. Paths are the siblings of each level, in stored order, from the leaf up; the
/// positions follow from the challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateChallenge {
    /// The old replica's node.
    pub leaf_old: Fr,
    /// The node's data.
    pub data: Fr,
    /// Its path in the old TreeR-last.
    pub old_path: Vec<Vec<Fr>>,
    /// Its path in the new TreeR-last.
    pub new_path: Vec<Vec<Fr>>,
    /// Its path in TreeD, up to the apex leaf.
    pub data_path: Vec<Fr>,
}

/// Why values do not fit a circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UpdateWitnessError {
    #[error("{actual} {what}, expected {expected}")]
    Count { what: &'static str, expected: usize, actual: usize },
    #[error("partition {partition} of {partitions}")]
    NoSuchPartition { partition: usize, partitions: usize },
    #[error("challenge {challenge}: the path in {tree} does not have the levels of the sector's trees")]
    PathShape { challenge: usize, tree: &'static str },
}

/// Public inputs of a partition, without ONE: the partition's number and the selectors of h, comm_r_old, comm_d_new,
/// comm_r_new.
///
/// # Errors
/// [`NonCanonical`] when a commitment is no field element.
pub fn public_inputs(
    shape: &UpdateShape,
    partition: usize,
    commitments: &UpdateCommitments,
) -> Result<Vec<Fr>, NonCanonical> {
    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = commitments;
    let [comm_r_old, comm_d_new, comm_r_new] = [comm_r_old, comm_d_new, comm_r_new].map(from_node);
    Ok(vec![Fr::from(first_input(shape, partition)), comm_r_old?, comm_d_new?, comm_r_new?])
}

/// `k + h_select·P`.
fn first_input(shape: &UpdateShape, partition: usize) -> u64 {
    partition as u64 + (shape.h_select() << shape.partition_bits())
}

/// An update circuit of one partition: of known shape, with its values or blank.
#[derive(Clone, Debug)]
pub struct UpdateCircuit {
    shape: UpdateShape,
    partition: Option<UpdatePartition>,
}

impl UpdateCircuit {
    /// The circuit without values, for set-up.
    pub fn blank(shape: UpdateShape) -> Self {
        Self { shape, partition: None }
    }

    /// The circuit with values. Whether they satisfy it is not looked at.
    ///
    /// # Errors
    /// [`UpdateWitnessError`] when a number of values is not the shape's.
    pub fn new(shape: UpdateShape, partition: UpdatePartition) -> Result<Self, UpdateWitnessError> {
        let count = |what, expected, actual| {
            if expected == actual { Ok(()) } else { Err(UpdateWitnessError::Count { what, expected, actual }) }
        };
        let (number, partitions) = (partition.partition, shape.partitions);
        if number >= partitions {
            return Err(UpdateWitnessError::NoSuchPartition { partition: number, partitions });
        }
        count("apex leaves", shape.apex_leaves, partition.apex_leaves.len())?;
        count("levels above the apex", shape.partition_bits(), partition.partition_path.len())?;
        count("challenges", shape.challenges, partition.challenges.len())?;
        let arities = shape.tree_arities();
        for (challenge, values) in partition.challenges.iter().enumerate() {
            for (tree, path) in [("the old TreeR-last", &values.old_path), ("the new TreeR-last", &values.new_path)] {
                let fits = arities.iter().zip(path).all(|(arity, siblings)| siblings.len() == arity - 1);
                if path.len() != arities.len() || !fits {
                    return Err(UpdateWitnessError::PathShape { challenge, tree });
                }
            }
            if values.data_path.len() != shape.data_levels() {
                return Err(UpdateWitnessError::PathShape { challenge, tree: "TreeD" });
            }
        }
        Ok(Self { shape, partition: Some(partition) })
    }
}

impl ProofCircuit for UpdateCircuit {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let arities = self.shape.tree_arities();
        let reader = Reader { shape: &self.shape, arities: &arities };
        reader.partition(cs, self.partition.as_ref())
    }
}

impl Circuit<Fr> for UpdateCircuit {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.read(&mut Plain::new(cs))
    }
}

/// Reads the circuit.
struct Reader<'a> {
    shape: &'a UpdateShape,
    arities: &'a [usize],
}

/// What all challenges of a partition share.
struct Common<W> {
    partition_bits: Vec<Bit<W>>,
    h_selectors: Vec<Bit<W>>,
    phi: Num<W>,
    root_r_old: Num<W>,
    root_r_new: Num<W>,
    apex_leaves: Vec<Num<W>>,
}

impl Reader<'_> {
    fn partition<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        values: Option<&UpdatePartition>,
    ) -> Result<(), SynthesisError> {
        cs.enter("commitments", 0);
        let first = values.map(|values| first_input(self.shape, values.partition));
        let numbers = num::alloc(cs, first.map(Fr::from))?;
        num::inputize(cs, numbers)?;
        let bits = bit::alloc_list(cs, &[first.unwrap_or(0)], self.shape.partition_bits() + H_VALUES)?;
        num::equal_to_bits(cs, &bits, numbers);
        let (partition_bits, h_selectors) = bits.split_at(self.shape.partition_bits());
        let partition = num::pack(cs, partition_bits)?;
        let comm_r_old = num::alloc(cs, values.map(|values| values.comm_r_old))?;
        num::inputize(cs, comm_r_old)?;
        let comm_d_new = num::alloc(cs, values.map(|values| values.comm_d_new))?;
        num::inputize(cs, comm_d_new)?;
        let comm_r_new = num::alloc(cs, values.map(|values| values.comm_r_new))?;
        num::inputize(cs, comm_r_new)?;
        let phi = poseidon::hash(cs, &[comm_d_new, comm_r_old], Tag::Random)?;

        let comm_c = num::alloc(cs, values.map(|values| values.comm_c))?;
        let root_r_old = num::alloc(cs, values.map(|values| values.root_r_old))?;
        let root_r_new = num::alloc(cs, values.map(|values| values.root_r_new))?;
        let apex_leaves = alloc_all(cs, self.shape.apex_leaves, values.map(|values| &values.apex_leaves[..]))?;
        let above = alloc_all(cs, self.shape.partition_bits(), values.map(|values| &values.partition_path[..]))?;
        let hash = poseidon::hash(cs, &[comm_c, root_r_old], Tag::Merkle)?;
        num::equal(cs, hash, comm_r_old);
        let hash = poseidon::hash(cs, &[comm_c, root_r_new], Tag::Merkle)?;
        num::equal(cs, hash, comm_r_new);
        cs.leave();

        cs.enter("apex", 0);
        let apex_root = apex_root(cs, &apex_leaves)?;
        let steps: Vec<_> = binary_steps(&above, partition_bits);
        let computed = root(cs, NodeHash::Sha256, apex_root, &steps)?;
        num::equal(cs, computed, comm_d_new);
        cs.leave();

        let challenges = self.challenge_bits(cs, partition, comm_r_new)?;
        let common = Common {
            partition_bits: partition_bits.to_vec(),
            h_selectors: h_selectors.to_vec(),
            phi,
            root_r_old,
            root_r_new,
            apex_leaves,
        };
        for (number, bits) in challenges.into_iter().enumerate() {
            cs.enter("challenge", number);
            let bits = [bits, common.partition_bits.clone()].concat();
            self.challenge(cs, &common, &bits, values.and_then(|values| values.challenges.get(number)))?;
            cs.leave();
        }
        Ok(())
    }

    /// The bits of each challenge within its partition's range, least significant first.
    fn challenge_bits<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        partition: Num<CS::Wire>,
        comm_r_new: Num<CS::Wire>,
    ) -> Result<Vec<Vec<Bit<CS::Wire>>>, SynthesisError> {
        let digests = self.shape.digests();
        let (bits, per) = (self.shape.challenge_bits(), self.shape.challenges_per_digest());
        let mut challenges = Vec::with_capacity(digests * per);
        for number in 0..digests {
            cs.enter("digest", number);
            let [factor, offset] = [digests, number].map(|number| Fr::from(number as u64));
            let index = num::alloc(cs, Some(partition.value() * factor + offset))?;
            cs.constrain(|a, b, c| {
                a.add(partition.column(), factor);
                a.add(Column::ONE, offset);
                b.plus(Column::ONE);
                c.plus(index.column());
            });
            let digest = poseidon::hash(cs, &[comm_r_new, index], Tag::Random)?;
            let digest_bits = num::to_bits_in_a(cs, digest)?;
            challenges.extend(digest_bits.chunks_exact(bits).take(per).map(<[_]>::to_vec));
            cs.leave();
        }
        challenges.truncate(self.shape.challenges);
        Ok(challenges)
    }

    fn challenge<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        common: &Common<CS::Wire>,
        bits: &[Bit<CS::Wire>],
        values: Option<&UpdateChallenge>,
    ) -> Result<(), SynthesisError> {
        cs.enter("encoding", 0);
        let high = self.high(cs, common, bits)?;
        let rho = poseidon::hash(cs, &[common.phi, high], Tag::Random)?;
        let leaf_old = num::alloc(cs, values.map(|values| values.leaf_old))?;
        let data = num::alloc(cs, values.map(|values| values.data))?;
        let masked = num::product(cs, data, rho)?;
        let leaf_new = num::encode(cs, leaf_old, masked)?;
        cs.leave();

        cs.enter("old replica", 0);
        self.replica(cs, leaf_old, bits, values.map(|values| &values.old_path[..]), common.root_r_old)?;
        cs.leave();
        cs.enter("new replica", 0);
        self.replica(cs, leaf_new, bits, values.map(|values| &values.new_path[..]), common.root_r_new)?;
        cs.leave();

        cs.enter("data", 0);
        let (below, above) = bits.split_at(self.shape.data_levels());
        let apex = select(cs, &common.apex_leaves, &above[..self.shape.apex_bits()])?;
        let siblings = alloc_all(cs, below.len(), values.map(|values| &values.data_path[..]))?;
        let computed = root(cs, NodeHash::Sha256, data, &binary_steps(&siblings, below))?;
        num::equal(cs, computed, apex);
        cs.leave();
        Ok(())
    }

    /// The highest h bits of a challenge as a number, h being the value whose selector is set.
    fn high<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        common: &Common<CS::Wire>,
        bits: &[Bit<CS::Wire>],
    ) -> Result<Num<CS::Wire>, SynthesisError> {
        let mut products = Vec::with_capacity(H_VALUES);
        for (h, selector) in self.shape.h_list.iter().zip(&common.h_selectors) {
            let packed = num::pack(cs, &bits[bits.len() - h..])?;
            products.push(num::product_with_bit(cs, packed, *selector)?);
        }
        num::total(cs, &products)
    }

    /// A leaf is in a TreeR-last.
    fn replica<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        leaf: Num<CS::Wire>,
        bits: &[Bit<CS::Wire>],
        path: Option<&[Vec<Fr>]>,
        expected: Num<CS::Wire>,
    ) -> Result<(), SynthesisError> {
        let mut rest = bits;
        let mut steps = Vec::with_capacity(self.arities.len());
        for (level, arity) in self.arities.iter().enumerate() {
            let (index, above) = rest.split_at(arity.ilog2() as usize);
            let values = path.and_then(|path| path.get(level)).map(|siblings| &siblings[..]);
            steps.push(Step { siblings: alloc_all(cs, arity - 1, values)?, index: index.to_vec() });
            rest = above;
        }
        let computed = root(cs, NodeHash::Poseidon, leaf, &steps)?;
        num::equal(cs, computed, expected);
        Ok(())
    }
}

/// `count` new numbers.
fn alloc_all<CS: CircuitSystem>(
    cs: &mut CS,
    count: usize,
    values: Option<&[Fr]>,
) -> Result<Vec<Num<CS::Wire>>, SynthesisError> {
    (0..count).map(|i| num::alloc(cs, values.and_then(|values| values.get(i).copied()))).collect()
}

/// The steps of a binary path.
fn binary_steps<W: Wire>(siblings: &[Num<W>], index: &[Bit<W>]) -> Vec<Step<W>> {
    let step = |(sibling, bit): (&Num<W>, &Bit<W>)| Step { siblings: vec![*sibling], index: vec![*bit] };
    siblings.iter().zip(index).map(step).collect()
}

/// The root of the binary tree over the apex leaves, row by row.
fn apex_root<CS: CircuitSystem>(cs: &mut CS, leaves: &[Num<CS::Wire>]) -> Result<Num<CS::Wire>, SynthesisError> {
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| parent(cs, NodeHash::Sha256, pair)).collect::<Result<_, _>>()?;
    }
    row.first().copied().ok_or(SynthesisError::Unsatisfiable)
}

#[cfg(test)]
mod tests;
