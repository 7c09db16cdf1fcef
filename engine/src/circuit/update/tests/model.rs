//! An update small enough to hold in memory, made by the plain functions, and the openings of its challenges.

use crate::circuit::update::{UpdateChallenge, UpdatePartition};
use crate::field::fr::{from_node, to_node};
use crate::field::{Fr, Node};
use crate::hash::poseidon;
use crate::hash::sha256::sha_node;
use crate::update::challenges::challenges;
use crate::update::encode::{Factors, phi};
use crate::update::{UpdateCommitments, UpdateShape};

/// Rows of a tree, leaves first.
struct Tree {
    arities: Vec<usize>,
    rows: Vec<Vec<Fr>>,
}

impl Tree {
    fn build(arities: Vec<usize>, leaves: Vec<Fr>, parent: impl Fn(&[Fr]) -> Fr) -> Self {
        let mut rows = vec![leaves];
        for arity in &arities {
            let row = rows[rows.len() - 1].chunks(*arity).map(&parent).collect();
            rows.push(row);
        }
        Self { arities, rows }
    }

    fn root(&self) -> Fr {
        self.rows[self.arities.len()][0]
    }

    /// The siblings of every level.
    fn path(&self, leaf: u64) -> Vec<Vec<Fr>> {
        let mut node = leaf as usize;
        let level = |(arity, row): (&usize, &Vec<Fr>)| {
            let (own, first) = (node, node - node % arity);
            node /= arity;
            (first..first + arity).filter(|i| *i != own).map(|i| row[i]).collect()
        };
        self.arities.iter().zip(&self.rows).map(level).collect()
    }
}

/// An updated sector.
pub struct Updated {
    pub shape: UpdateShape,
    comm_c: Fr,
    data: Tree,
    old: Tree,
    new: Tree,
    pub commitments: UpdateCommitments,
}

fn sha(pair: &[Fr]) -> Fr {
    from_node(&sha_node(&to_node(&pair[0]), &to_node(&pair[1]))).unwrap()
}

impl Updated {
    /// Puts data into an old replica.
    pub fn encode(shape: UpdateShape, comm_c: Fr, old: Vec<Fr>, data: Vec<Fr>) -> Self {
        let data = Tree::build(vec![2; shape.log2_nodes], data, sha);
        let old = Tree::build(shape.tree_arities(), old, poseidon::hash);
        let comm_r = |tree: &Tree| to_node(&poseidon::hash(&[comm_c, tree.root()]));
        let (comm_d_new, comm_r_old): (Node, Node) = (to_node(&data.root()), comm_r(&old));
        let factors = Factors::rho(&shape, phi(&comm_d_new, &comm_r_old).unwrap());
        let leaves = (0..shape.nodes()).map(|v| old.rows[0][v as usize] + data.rows[0][v as usize] * factors.at(v));
        let new = Tree::build(shape.tree_arities(), leaves.collect(), poseidon::hash);
        let commitments = UpdateCommitments { comm_r_old, comm_r_new: comm_r(&new), comm_d_new };
        Self { shape, comm_c, data, old, new, commitments }
    }

    /// The challenges of a partition.
    pub fn challenges(&self, partition: usize) -> Vec<u64> {
        challenges(&self.shape, &self.commitments.comm_r_new, partition).unwrap()
    }

    /// Opens a partition.
    pub fn open(&self, partition: usize) -> UpdatePartition {
        let shape = &self.shape;
        let apex = &self.data.rows[shape.data_levels()];
        let siblings = |node: u64| self.data.path(node).into_iter().map(|level| level[0]).collect::<Vec<_>>();
        let challenge = |node: u64| UpdateChallenge {
            leaf_old: self.old.rows[0][node as usize],
            data: self.data.rows[0][node as usize],
            old_path: self.old.path(node),
            new_path: self.new.path(node),
            data_path: siblings(node)[..shape.data_levels()].to_vec(),
        };
        let [comm_r_old, comm_d_new, comm_r_new] = {
            let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = &self.commitments;
            [comm_r_old, comm_d_new, comm_r_new].map(|node| from_node(node).unwrap())
        };
        let first = (partition as u64) << shape.challenge_bits();
        UpdatePartition {
            partition,
            comm_r_old,
            comm_d_new,
            comm_r_new,
            comm_c: self.comm_c,
            root_r_old: self.old.root(),
            root_r_new: self.new.root(),
            apex_leaves: apex[partition * shape.apex_leaves..(partition + 1) * shape.apex_leaves].to_vec(),
            partition_path: siblings(first)[shape.challenge_bits()..].to_vec(),
            challenges: self.challenges(partition).into_iter().map(challenge).collect(),
        }
    }
}

/// `first + i` for so many leaves.
pub fn counting(first: u64, nodes: u64) -> Vec<Fr> {
    (first..first + nodes).map(Fr::from).collect()
}
