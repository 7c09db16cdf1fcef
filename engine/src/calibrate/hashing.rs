//! Rates of labels, trees and digests.

use std::hint::black_box;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::rate;
use crate::backend::cpu::trees;
use crate::field::Node;
use crate::graph::Graph;
use crate::graph::parents::Row;
use crate::hash::poseidon::hash_nodes;
use crate::porep::encode::encode;
use crate::porep::labels_lockstep;
use crate::porep::labels_pipelined::LayerLabels;
use crate::sector::params::{BASE_DEGREE, DEGREE, NODE_SIZE};
use crate::sector::{PoRepId, Profile, ReplicaId};

/// Arities of columns and of trees.
pub const ARITIES: [usize; 4] = [2, 5, 8, 11];

/// Nodes of a layer for labels, when memory allows: two layers are more than caches hold.
const LAYER_NODES: u64 = 1 << 20;
/// Labels of a run.
const LABELS: usize = 1 << 14;
/// Nodes of a large sector, in whose graph parents are timed.
const GRAPH_NODES: u64 = 1 << 24;

/// A node that is a field element.
const NODE: Node = [0x2a; NODE_SIZE];

/// Pseudo-random numbers (xorshift64).
fn numbers() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Labels a second of sectors in lockstep, all together, on this thread; parents are as far apart as those of a graph.
pub fn labels(profile: Profile, sectors: usize, memory_bytes: u64) -> f64 {
    let in_budget = memory_bytes / 4 / (2 * NODE_SIZE * sectors.max(1)) as u64;
    let nodes = (in_budget.clamp(4 * LABELS as u64, LAYER_NODES) as usize + 1).next_power_of_two() / 2;
    let range = nodes / 2..nodes / 2 + LABELS;
    let mut parents: Vec<Row> = vec![[0; DEGREE]; nodes];
    let mut next = numbers();
    for node in range.clone() {
        parents[node] = std::array::from_fn(|place| {
            if place >= BASE_DEGREE {
                return ((next() % nodes as u64) as u32).to_le();
            }
            // Distances to base parents are of every magnitude alike.
            let magnitude = next() % (node.ilog2() as u64 + 1);
            let distance = 1 + next() % (1 << magnitude);
            ((node as u64 - distance.min(node as u64)) as u32).to_le()
        });
    }
    let ids: Vec<ReplicaId> = (0..sectors).map(|sector| [sector as u8; NODE_SIZE]).collect();
    let previous = vec![vec![NODE; nodes]; sectors];
    let mut labels = previous.clone();
    let layers: Vec<_> = (ids.iter().zip(&previous))
        .map(|(replica_id, previous)| LayerLabels {
            profile,
            replica_id,
            layer: 2,
            parents: &parents,
            previous: Some(previous),
        })
        .collect();
    let mut labels: Vec<&mut [Node]> = labels.iter_mut().map(Vec::as_mut_slice).collect();
    rate(sectors * LABELS, || {
        labels_lockstep::fill(&layers, &mut labels, range.clone()).expect("parents are nodes of the layers");
    })
}

pub fn digest_bytes() -> f64 {
    let bytes = vec![0x5a; 4 << 20];
    rate(bytes.len(), || {
        black_box(Sha256::digest(&bytes));
    })
}

pub fn sha_nodes() -> f64 {
    let mut parents = vec![NODE; 1 << 15];
    let children = vec![NODE; 2 * parents.len()];
    rate(parents.len(), || trees::sha_level(&children, &mut parents))
}

pub fn poseidon(arity: usize) -> f64 {
    let mut parents = vec![NODE; 1 << 12];
    let children = vec![NODE; arity * parents.len()];
    rate(parents.len(), || {
        trees::poseidon_level(arity, &children, &mut parents).expect("the children are field elements");
    })
}

pub fn poseidon_alone() -> f64 {
    const HASHES: usize = 1 << 8;
    rate(HASHES, || {
        let hash = || hash_nodes(black_box(&[NODE; 8]));
        (0..HASHES).for_each(|_| {
            black_box(hash().is_ok());
        });
    })
}

pub fn parents(profile: Profile) -> f64 {
    let graph = Graph::over(GRAPH_NODES, PoRepId::from_number(profile.last_legacy_porep_number() + 1), false);
    let mut rows = vec![Row::default(); 1 << 13];
    rate(rows.len(), || {
        rows.par_chunks_mut(1 << 10).for_each(|rows| graph.fill(GRAPH_NODES as u32 / 2, rows));
    })
}

pub fn encoded_nodes() -> f64 {
    let (mut values, keys) = (vec![NODE; 1 << 16], vec![NODE; 1 << 16]);
    rate(values.len(), || {
        encode(&mut values, &keys).expect("sums are field elements");
    })
}
