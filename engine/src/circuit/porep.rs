//! The PoRep circuit: one partition of a seal proof.
//!
//! It says, for the public replica id, CommD and CommR: `CommR = H(CommC, CommRLast)`; and for every challenged node c,
//! with the parents of c in the graph: the data of c is in the tree of CommD; the columns of the parents are in the tree
//! of CommC; the labels of c are the hashes of the replica id and the parents' labels; `label_L(c) + data(c)` is in the
//! tree of CommRLast; the column of c is in the tree of CommC. Every node's index is public.
//!
//! The verifier derives challenges and parents itself, so the graph is in the public inputs and not in the circuit.
//! Source: `spec/snark.md` 2.2.

use bellman::{Circuit, ConstraintSystem, SynthesisError};

use super::ProofCircuit;
use super::cs::{CircuitSystem, Plain, Wire};
use super::gadgets::bit::{self, Bit};
use super::gadgets::label::label;
use super::gadgets::num::{self, Num};
use super::gadgets::path::{Level, NodeHash, path};
use super::gadgets::poseidon::{self, Tag};
use crate::field::fr::from_node;
use crate::field::{Fr, Node, NonCanonical};
use crate::sector::params::{BASE_DEGREE, DEGREE, SectorParams};
use crate::sector::{Profile, ReplicaId, TreeShape};

/// What decides the shape of a PoRep circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoRepShape {
    /// Decides the label function.
    pub profile: Profile,
    /// Layers of labels, at least 1.
    pub layers: usize,
    /// Binary logarithm of the number of nodes: the levels of TreeD.
    pub log2_nodes: usize,
    /// Shape of TreeC and TreeR-last.
    pub tree: TreeShape,
    /// Challenges of one partition.
    pub challenges: usize,
}

impl PoRepShape {
    /// The circuit of a row of the table, interactive or synthetic: `challenges` of one partition of the least number.
    pub fn new(profile: Profile, params: &SectorParams) -> Self {
        Self {
            profile,
            layers: params.layers,
            log2_nodes: params.nodes().ilog2() as usize,
            tree: params.shape,
            challenges: params.partition_challenges(),
        }
    }

    /// Arities of a path in TreeC or TreeR-last, from the leaf up.
    fn tree_arities(&self) -> Vec<usize> {
        self.tree.path_arities(self.log2_nodes)
    }

    /// Arities of a path in TreeD.
    fn data_arities(&self) -> Vec<usize> {
        vec![2; self.log2_nodes]
    }

    /// Public inputs, without ONE.
    pub fn inputs(&self) -> usize {
        3 + (4 + DEGREE) * self.challenges
    }

    /// The circuit without values, for set-up.
    pub fn blank(self) -> PoRepCircuit {
        PoRepCircuit { shape: self, partition: None }
    }

    /// Reads the circuit with the values of `partition`, or without.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] where `cs` needs values that are not there.
    pub fn synthesize<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        partition: Option<&PoRepPartition>,
    ) -> Result<(), SynthesisError> {
        Reader {
            shape: self,
            data_arities: &self.data_arities(),
            tree_arities: &self.tree_arities(),
            replica_id: Vec::new(),
            comm_d: Num::default(),
            comm_r_last: Num::default(),
            comm_c: Num::default(),
        }
        .partition(cs, partition)
    }
}

/// The values behind one partition's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoRepPartition {
    /// The replica id as a field element.
    pub replica_id: Fr,
    /// Root of TreeD.
    pub comm_d: Fr,
    /// `H(comm_c, comm_r_last)`.
    pub comm_r: Fr,
    /// Root of TreeC.
    pub comm_c: Fr,
    /// Root of TreeR-last.
    pub comm_r_last: Fr,
    /// One for each challenge, in order.
    pub challenges: Vec<ChallengeWitness>,
}

/// The values behind one challenge. Paths go from the leaf up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeWitness {
    /// The challenged node, not 0.
    pub node: u64,
    /// Its data.
    pub data: Fr,
    /// Its path in TreeD.
    pub data_path: Vec<Level>,
    /// Its parents in graph order: 6 base parents, 8 expander parents.
    pub parents: Vec<ColumnWitness>,
    /// Its path in TreeR-last.
    pub replica_path: Vec<Level>,
    /// The path of its column in TreeC.
    pub column_path: Vec<Level>,
}

/// A column of TreeC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnWitness {
    /// The node.
    pub node: u64,
    /// Its labels, layer 1 first.
    pub labels: Vec<Fr>,
    /// The path of its column in TreeC, from the leaf up.
    pub path: Vec<Level>,
}

/// Why values do not fit a circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PoRepWitnessError {
    #[error("{actual} challenges in a partition of {expected}")]
    Challenges { expected: usize, actual: usize },
    #[error("challenge {challenge}: {actual} parents, expected {expected}")]
    Parents { challenge: usize, expected: usize, actual: usize },
    #[error("challenge {challenge}: a column of node {node} has {actual} labels, expected {expected}")]
    Labels { challenge: usize, node: u64, expected: usize, actual: usize },
    #[error("challenge {challenge}: the {tree} path of node {node} does not have the levels of the sector's trees")]
    PathShape { challenge: usize, node: u64, tree: &'static str },
    #[error("challenge {challenge}: the {tree} path of node {node} leads to leaf {index}")]
    PathIndex { challenge: usize, node: u64, tree: &'static str, index: u64 },
}

/// A PoRep circuit of one partition: of known shape, with its values or blank.
#[derive(Clone, Debug)]
pub struct PoRepCircuit {
    shape: PoRepShape,
    partition: Option<PoRepPartition>,
}

impl PoRepCircuit {
    /// The circuit with values. Whether they satisfy it is not looked at.
    ///
    /// # Errors
    /// [`PoRepWitnessError`] when the number of challenges, parents, labels or levels is not the shape's, or when a
    /// path's indices do not lead to its node.
    pub fn new(shape: PoRepShape, partition: PoRepPartition) -> Result<Self, PoRepWitnessError> {
        let expected = shape.challenges;
        if partition.challenges.len() != expected {
            return Err(PoRepWitnessError::Challenges { expected, actual: partition.challenges.len() });
        }
        for (number, challenge) in partition.challenges.iter().enumerate() {
            check_challenge(&shape, number, challenge)?;
        }
        Ok(Self { shape, partition: Some(partition) })
    }

    /// What decides its shape.
    pub fn shape(&self) -> &PoRepShape {
        &self.shape
    }
}

impl ProofCircuit for PoRepCircuit {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.shape.synthesize(cs, self.partition.as_ref())
    }
}

impl Circuit<Fr> for PoRepCircuit {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.read(&mut Plain::new(cs))
    }
}

/// A challenge and its parents, as the verifier knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeIndices {
    /// The challenged node.
    pub node: u64,
    /// Its parents in graph order.
    pub parents: [u64; DEGREE],
}

/// Public inputs of a partition, without ONE: replica id, CommD, CommR; for each challenge its node, the parents, and
/// the node three times more.
///
/// # Errors
/// [`NonCanonical`] when one of the three nodes is no field element.
pub fn public_inputs(
    replica_id: &ReplicaId,
    comm_d: &Node,
    comm_r: &Node,
    challenges: &[ChallengeIndices],
) -> Result<Vec<Fr>, NonCanonical> {
    let mut inputs = vec![from_node(replica_id)?, from_node(comm_d)?, from_node(comm_r)?];
    for challenge in challenges {
        inputs.push(Fr::from(challenge.node));
        inputs.extend(challenge.parents.map(Fr::from));
        inputs.extend([Fr::from(challenge.node); 3]);
    }
    Ok(inputs)
}

fn check_challenge(shape: &PoRepShape, challenge: usize, values: &ChallengeWitness) -> Result<(), PoRepWitnessError> {
    let (node, data, tree) = (values.node, shape.data_arities(), shape.tree_arities());
    check_path(challenge, node, "data", &data, &values.data_path)?;
    check_path(challenge, node, "replica", &tree, &values.replica_path)?;
    check_path(challenge, node, "column", &tree, &values.column_path)?;
    if values.parents.len() != DEGREE {
        return Err(PoRepWitnessError::Parents { challenge, expected: DEGREE, actual: values.parents.len() });
    }
    for parent in &values.parents {
        check_path(challenge, parent.node, "column", &tree, &parent.path)?;
        let (expected, actual) = (shape.layers, parent.labels.len());
        if actual != expected {
            return Err(PoRepWitnessError::Labels { challenge, node: parent.node, expected, actual });
        }
    }
    Ok(())
}

fn check_path(
    challenge: usize,
    node: u64,
    tree: &'static str,
    arities: &[usize],
    path: &[Level],
) -> Result<(), PoRepWitnessError> {
    let fits = |(arity, level): (&usize, &Level)| level.siblings.len() == arity - 1 && level.index < *arity;
    if path.len() != arities.len() || !arities.iter().zip(path).all(fits) {
        return Err(PoRepWitnessError::PathShape { challenge, node, tree });
    }
    let index = arities.iter().zip(path).rev().fold(0, |sum, (arity, level)| sum * *arity as u64 + level.index as u64);
    if index != node {
        return Err(PoRepWitnessError::PathIndex { challenge, node, tree, index });
    }
    Ok(())
}

/// The circuit while it is read, after its preamble.
struct Reader<'a, W> {
    shape: &'a PoRepShape,
    data_arities: &'a [usize],
    tree_arities: &'a [usize],
    replica_id: Vec<Bit<W>>,
    comm_d: Num<W>,
    comm_r_last: Num<W>,
    comm_c: Num<W>,
}

/// The labels of a parent, as numbers.
type Column<W> = Vec<Num<W>>;

impl<W: Wire> Reader<'_, W> {
    fn partition<CS: CircuitSystem<Wire = W>>(
        mut self,
        cs: &mut CS,
        values: Option<&PoRepPartition>,
    ) -> Result<(), SynthesisError> {
        cs.enter("commitments", 0);
        let replica_id = num::alloc(cs, values.map(|values| values.replica_id))?;
        num::inputize(cs, replica_id)?;
        self.replica_id = num::to_hash_bits(cs, replica_id)?;
        self.comm_d = num::alloc(cs, values.map(|values| values.comm_d))?;
        num::inputize(cs, self.comm_d)?;
        let comm_r = num::alloc(cs, values.map(|values| values.comm_r))?;
        num::inputize(cs, comm_r)?;
        self.comm_r_last = num::alloc(cs, values.map(|values| values.comm_r_last))?;
        self.comm_c = num::alloc(cs, values.map(|values| values.comm_c))?;
        let hash = poseidon::hash(cs, &[self.comm_c, self.comm_r_last], Tag::Merkle)?;
        num::equal(cs, comm_r, hash);
        cs.leave();

        for number in 0..self.shape.challenges {
            cs.enter("challenge", number);
            self.challenge(cs, values.and_then(|values| values.challenges.get(number)))?;
            cs.leave();
        }
        Ok(())
    }

    fn challenge<CS: CircuitSystem<Wire = W>>(
        &self,
        cs: &mut CS,
        values: Option<&ChallengeWitness>,
    ) -> Result<(), SynthesisError> {
        cs.enter("data", 0);
        let data = num::alloc(cs, values.map(|values| values.data))?;
        let levels = values.map(|values| &values.data_path[..]);
        path(cs, NodeHash::Sha256, data, self.data_arities, levels, self.comm_d)?;
        cs.leave();

        let mut columns = Vec::with_capacity(DEGREE);
        for parent in 0..DEGREE {
            cs.enter("parent", parent);
            columns.push(self.parent(cs, values.and_then(|values| values.parents.get(parent)))?);
            cs.leave();
        }

        let node = values.map_or(0, |values| values.node);
        let node = bit::alloc_list(cs, &[node], u64::BITS as usize)?;
        num::pack_into_inputs(cs, &node)?;

        let mut labels: Column<W> = Vec::with_capacity(self.shape.layers);
        for layer in 1..=self.shape.layers {
            cs.enter("label", layer);
            labels.push(self.label(cs, layer, &node, &columns)?);
            cs.leave();
        }

        cs.enter("replica", 0);
        let key = labels[self.shape.layers - 1];
        let encoded = num::encode(cs, key, data)?;
        let levels = values.map(|values| &values.replica_path[..]);
        path(cs, NodeHash::Poseidon, encoded, self.tree_arities, levels, self.comm_r_last)?;
        cs.leave();

        cs.enter("column", 0);
        self.column(cs, &labels, values.map(|values| &values.column_path[..]))?;
        cs.leave();
        Ok(())
    }

    fn parent<CS: CircuitSystem<Wire = W>>(
        &self,
        cs: &mut CS,
        values: Option<&ColumnWitness>,
    ) -> Result<Column<W>, SynthesisError> {
        let value = |layer: usize| values.and_then(|values| values.labels.get(layer).copied());
        let labels =
            (0..self.shape.layers).map(|layer| num::alloc(cs, value(layer))).collect::<Result<Column<W>, _>>()?;
        self.column(cs, &labels, values.map(|values| &values.path[..]))?;
        Ok(labels)
    }

    /// The hash of a column is in the tree of CommC.
    fn column<CS: CircuitSystem<Wire = W>>(
        &self,
        cs: &mut CS,
        labels: &[Num<W>],
        levels: Option<&[Level]>,
    ) -> Result<(), SynthesisError> {
        let hash = poseidon::hash(cs, labels, Tag::Merkle)?;
        path(cs, NodeHash::Poseidon, hash, self.tree_arities, levels, self.comm_c)
    }

    /// The label of the challenged node. Parents' labels become bits anew in each layer, base parents' of this layer
    /// and expander parents' of the one before.
    fn label<CS: CircuitSystem<Wire = W>>(
        &self,
        cs: &mut CS,
        layer: usize,
        node: &[Bit<W>],
        columns: &[Column<W>],
    ) -> Result<Num<W>, SynthesisError> {
        let (base, expander) = columns.split_at(BASE_DEGREE);
        let mut parents = Vec::with_capacity(DEGREE);
        for column in base {
            parents.push(num::to_hash_bits(cs, column[layer - 1])?);
        }
        if layer > 1 {
            for column in expander {
                parents.push(num::to_hash_bits(cs, column[layer - 2])?);
            }
        }
        label(cs, self.shape.profile, &self.replica_id, layer as u32, node, &parents)
    }
}

#[cfg(test)]
mod tests;
