//! A sector small enough to hold in memory, replicated by the plain functions, and the openings of its challenges.

use sha2::{Digest, Sha256};

use crate::circuit::gadgets::path::Level;
use crate::circuit::porep::{
    ChallengeIndices, ChallengeWitness, ColumnWitness, PoRepPartition, PoRepShape, public_inputs,
};
use crate::field::fr::{from_node, to_node};
use crate::field::{Fr, Node};
use crate::graph::Graph;
use crate::hash::poseidon;
use crate::hash::sha256::sha_node;
use crate::porep::labels::label_layer;
use crate::sector::{PoRepConfig, Profile};

/// Rows of a tree, leaves first.
struct Tree<T> {
    arities: Vec<usize>,
    rows: Vec<Vec<T>>,
}

impl<T: Copy> Tree<T> {
    fn build(arities: Vec<usize>, leaves: Vec<T>, parent: impl Fn(&[T]) -> T) -> Self {
        let mut rows = vec![leaves];
        for arity in &arities {
            let row = rows[rows.len() - 1].chunks(*arity).map(&parent).collect();
            rows.push(row);
        }
        Self { arities, rows }
    }

    fn root(&self) -> T {
        self.rows[self.arities.len()][0]
    }

    fn path(&self, leaf: u64, value: impl Fn(&T) -> Fr) -> Vec<Level> {
        let mut node = leaf as usize;
        let level = |(arity, row): (&usize, &Vec<T>)| {
            let (index, first) = (node % arity, node - node % arity);
            node /= arity;
            let siblings = (first..first + arity).filter(|i| *i != first + index).map(|i| value(&row[i])).collect();
            Level { siblings, index }
        };
        self.arities.iter().zip(&self.rows).map(level).collect()
    }
}

/// A sealed sector.
pub struct Sector {
    pub shape: PoRepShape,
    graph: Graph,
    replica_id: Node,
    data: Tree<Node>,
    layers: Vec<Vec<Node>>,
    columns: Tree<Fr>,
    replica: Tree<Fr>,
    pub comm_r: Fr,
}

fn field(node: &Node) -> Fr {
    from_node(node).unwrap()
}

impl Sector {
    /// Seals `data`, as many nodes as the graph has.
    pub fn seal(graph: Graph, shape: PoRepShape, replica_id: Node, data: Vec<Node>) -> Self {
        let mut layers: Vec<Vec<Node>> = Vec::new();
        for layer in 1..=shape.layers as u32 {
            let mut labels = vec![[0; 32]; data.len()];
            let parents = |node| graph.parents(node);
            label_layer(shape.profile, &replica_id, layer, parents, layers.last().map(|l| &l[..]), &mut labels);
            layers.push(labels);
        }
        let column = |node| poseidon::hash(&layers.iter().map(|layer| field(&layer[node])).collect::<Vec<_>>());
        let columns = Tree::build(shape.tree_arities(), (0..data.len()).map(column).collect(), poseidon::hash);
        let key = &layers[layers.len() - 1];
        let encoded = key.iter().zip(&data).map(|(key, data)| field(key) + field(data)).collect();
        let replica = Tree::build(shape.tree_arities(), encoded, poseidon::hash);
        let data = Tree::build(shape.data_arities(), data, |pair| sha_node(&pair[0], &pair[1]));
        let comm_r = poseidon::hash(&[columns.root(), replica.root()]);
        Self { shape, graph, replica_id, data, layers, columns, replica, comm_r }
    }

    /// Opens challenges.
    pub fn open(&self, challenges: &[u64]) -> PoRepPartition {
        let column = |node: u64| ColumnWitness {
            node,
            labels: self.layers.iter().map(|layer| field(&layer[node as usize])).collect(),
            path: self.columns.path(node, Fr::clone),
        };
        let challenge = |&node: &u64| ChallengeWitness {
            node,
            data: field(&self.data.rows[0][node as usize]),
            data_path: self.data.path(node, field),
            parents: self.parents(node).into_iter().map(column).collect(),
            replica_path: self.replica.path(node, Fr::clone),
            column_path: self.columns.path(node, Fr::clone),
        };
        PoRepPartition {
            replica_id: field(&self.replica_id),
            comm_d: field(&self.data.root()),
            comm_r: self.comm_r,
            comm_c: self.columns.root(),
            comm_r_last: self.replica.root(),
            challenges: challenges.iter().map(challenge).collect(),
        }
    }

    fn parents(&self, node: u64) -> [u64; 14] {
        self.graph.parents(node as u32).map(u64::from)
    }

    /// What a verifier would put in.
    pub fn public_inputs(&self, challenges: &[u64]) -> Vec<Fr> {
        let indices = |&node: &u64| ChallengeIndices { node, parents: self.parents(node) };
        let challenges: Vec<_> = challenges.iter().map(indices).collect();
        public_inputs(&self.replica_id, &self.data.root(), &to_node(&self.comm_r), &challenges).unwrap()
    }
}

/// `LE64(4j + 1) ‖ … ‖ LE64(4j + 4)` for each node j.
pub fn counting_data(nodes: u64) -> Vec<Node> {
    let node = |j: u64| {
        let mut node = [0; 32];
        node.chunks_mut(8).zip(4 * j + 1..).for_each(|(word, value)| word.copy_from_slice(&value.to_le_bytes()));
        node
    };
    (0..nodes).map(node).collect()
}

/// Interactive challenges of partition 0 (`spec/replication.md` 7.1), for as many nodes as a power of two.
pub fn challenges(replica_id: &Node, seed: &Node, count: u32, nodes: u64) -> Vec<u64> {
    let challenge = |i: u32| {
        let mut hasher = Sha256::new();
        hasher.update(replica_id);
        hasher.update(seed);
        hasher.update(i.to_le_bytes());
        let digest = hasher.finalize();
        let modulus = u128::from(nodes - 1);
        digest.iter().rev().fold(0, |rest, byte| (rest << 8 | u128::from(*byte)) % modulus) as u64 + 1
    };
    (0..count).map(challenge).collect()
}

/// The sector of `spec/snark.md` 7.3 and 7.4 and its challenges.
pub fn sector_of_spec(profile: Profile) -> (Sector, Vec<u64>) {
    use crate::sector::params::for_size;
    use crate::sector::{ApiVersion, PoRepId};

    let params = for_size(profile, 2048).unwrap();
    let config = PoRepConfig::interactive(params, profile, PoRepId([0x55; 32]), ApiVersion::V1_1_0);
    let shape = PoRepShape::new(profile, params);
    let sector = Sector::seal(Graph::new(&config), shape, [0x11; 32], counting_data(64));
    (sector, challenges(&[0x11; 32], &[0x22; 32], 2, 64))
}
