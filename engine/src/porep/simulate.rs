//! Vanilla proofs of a sector that nobody sealed, for measurements of phase 2 and for tests, at any size.
//!
//! The sector's data are zeros. Of its layers only the nodes exist that its challenges open: labels of the challenged ones
//! are hashed from their parents' as in any sector, those of other nodes are hashes of their numbers. Everything else in
//! the trees is zero, so a tree is its few leaves and one node for each empty subtree. The proofs hold, and cost phase 2
//! and a verifier what those of a sealed sector do; there is no sector behind them that could be held.

use std::collections::{BTreeMap, BTreeSet};

use crate::field::{Node, NonCanonical};
use crate::graph::Graph;
use crate::hash::label::{label, repeat};
use crate::hash::poseidon::{hash_nodes, hash2};
use crate::hash::sha256::sha_node;
use crate::job::{Cancelled, Job};
use crate::merkle::build::NodeHash;
use crate::merkle::path::PathElement;
use crate::porep::challenges::{ChallengeError, Challenges};
use crate::porep::outputs::Commit1Output;
use crate::porep::proof::ProofShape;
use crate::porep::vanilla::{Labels, OpenError, OpenTree, Opener, SourceError};
use crate::sector::params::{BASE_DEGREE, DEGREE, NODE_SIZE};
use crate::sector::piece::{PaddedLen, PieceSizeError, zero_commitment};
use crate::sector::{Feature, PoRepConfig, ProverId, SectorId, Ticket, replica_id};

/// Why proofs could not be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SimulateError {
    #[error("challenges of feature {0:?} depend on the commitment that comes of them")]
    Feature(Feature),
    #[error(transparent)]
    Challenges(#[from] ChallengeError),
    #[error(transparent)]
    Size(#[from] PieceSizeError),
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<OpenError> for SimulateError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Open(error),
        }
    }
}

/// What phase 1 would say of the sector of this miner and number, were it sealed.
///
/// # Errors
/// [`SimulateError::Feature`] for others than interactive PoRep; [`SimulateError`].
pub fn simulate(
    job: &Job<'_>,
    config: &PoRepConfig,
    prover_id: &ProverId,
    sector_id: SectorId,
    ticket: &Ticket,
    seed: &[u8; 32],
) -> Result<Commit1Output, SimulateError> {
    if config.feature != Feature::Interactive {
        return Err(SimulateError::Feature(config.feature));
    }
    let comm_d = zero_commitment(PaddedLen::new(config.params.size_bytes)?);
    let replica_id = replica_id(prover_id, sector_id, ticket, &comm_d, &config.porep_id);
    // Interactive challenges do not depend on CommR.
    let challenges = Challenges { config, replica_id: &replica_id, comm_r: &[0; NODE_SIZE], seed }.all()?;
    let graph = Graph::new(config);
    let labels = SparseLabels::new(config, &replica_id, &graph, challenges.iter().flatten());

    let shape = ProofShape::from(config);
    let log2_nodes = shape.nodes.ilog2() as usize;
    let arities = shape.tree.path_arities(log2_nodes);
    let columns = labels.0.iter().map(|(node, rows)| Ok((u64::from(*node), hash_nodes(rows)?)));
    let columns = columns.collect::<Result<_, NonCanonical>>()?;
    let replica = labels.0.iter().map(|(node, rows)| (u64::from(*node), rows[shape.layers - 1])).collect();
    let tree_d = SparseTree::new(NodeHash::Sha256, &vec![2; log2_nodes], BTreeMap::new())?;
    let tree_c = SparseTree::new(NodeHash::Poseidon, &arities, columns)?;
    let tree_r_last = SparseTree::new(NodeHash::Poseidon, &arities, replica)?;
    let comm_r = hash2(&tree_c.root(), &tree_r_last.root())?;

    let parents = |node| graph.parents(node);
    let opener = Opener {
        shape,
        tree_d: &tree_d,
        tree_c: &tree_c,
        tree_r_last: &tree_r_last,
        labels: &labels,
        parents: &parents,
    };
    let vanilla_proofs = opener.open_all(job, &challenges)?;
    Ok(Commit1Output { vanilla_proofs, comm_r, comm_d, replica_id, seed: *seed, ticket: *ticket })
}

/// The columns of the nodes that exist.
struct SparseLabels(BTreeMap<u32, Vec<Node>>);

impl SparseLabels {
    fn new<'a>(
        config: &PoRepConfig,
        replica_id: &Node,
        graph: &Graph,
        challenges: impl Iterator<Item = &'a u64>,
    ) -> Self {
        let layers = config.params.layers;
        let challenged: BTreeMap<u32, [u32; DEGREE]> =
            challenges.map(|node| (*node as u32, graph.parents(*node as u32))).collect();
        let others: BTreeSet<u32> = challenged.values().flatten().copied().collect();
        let number = |number: u64| {
            let mut node = [0; NODE_SIZE];
            node[..8].copy_from_slice(&number.to_le_bytes());
            node
        };
        let column =
            |node: u32| (1..=layers as u64).map(|layer| sha_node(&number(node.into()), &number(layer))).collect();
        let mut columns: BTreeMap<u32, Vec<Node>> = others.into_iter().map(|node| (node, column(node))).collect();
        challenged.keys().for_each(|node| drop(columns.insert(*node, Vec::with_capacity(layers))));
        for layer in 1..=layers {
            // Base parents are smaller, so those that are challenged too have their label by then.
            for (node, parents) in &challenged {
                let (base, expander) = parents.split_at(BASE_DEGREE);
                let mut inputs: Vec<Node> = base.iter().map(|parent| columns[parent][layer - 1]).collect();
                if layer > 1 {
                    inputs.extend(expander.iter().map(|parent| columns[parent][layer - 2]));
                }
                let label = label(config.profile, replica_id, layer as u32, u64::from(*node), &repeat(&inputs));
                columns.entry(*node).or_default().push(label);
            }
        }
        Self(columns)
    }
}

impl Labels for SparseLabels {
    fn label(&self, layer: usize, node: u64) -> Result<Node, SourceError> {
        let column = u32::try_from(node).ok().and_then(|node| self.0.get(&node));
        column.and_then(|rows| rows.get(layer - 1)).copied().ok_or_else(|| "there is no such label".into())
    }
}

/// A tree that is empty but for a few leaves.
struct SparseTree {
    /// Of each level, from the leaves up, the root last: its arity, its node over nothing, and its other nodes.
    levels: Vec<(usize, Node, BTreeMap<u64, Node>)>,
}

impl SparseTree {
    /// `arities` from the leaves up.
    fn new(hash: NodeHash, arities: &[usize], leaves: BTreeMap<u64, Node>) -> Result<Self, NonCanonical> {
        let parent = |children: &[Node]| match hash {
            NodeHash::Sha256 => Ok(sha_node(&children[0], &children[1])),
            NodeHash::Poseidon => hash_nodes(children),
        };
        let mut levels = Vec::with_capacity(arities.len() + 1);
        let (mut nothing, mut nodes) = ([0; NODE_SIZE], leaves);
        for arity in arities.iter().copied() {
            let numbers: BTreeSet<u64> = nodes.keys().map(|number| number / arity as u64).collect();
            let above = parent(&vec![nothing; arity])?;
            levels.push((arity, nothing, nodes));
            let children = |number: u64| Self::children(&levels[levels.len() - 1], number);
            nodes =
                numbers.into_iter().map(|number| Ok((number, parent(&children(number))?))).collect::<Result<_, _>>()?;
            nothing = above;
        }
        levels.push((1, nothing, nodes));
        Ok(Self { levels })
    }

    /// The children of node `parent` of the level above.
    fn children((arity, nothing, nodes): &(usize, Node, BTreeMap<u64, Node>), parent: u64) -> Vec<Node> {
        let first = parent * *arity as u64;
        (first..first + *arity as u64).map(|number| *nodes.get(&number).unwrap_or(nothing)).collect()
    }
}

impl OpenTree for SparseTree {
    fn root(&self) -> Node {
        self.levels.last().map_or([0; NODE_SIZE], |level| Self::children(level, 0)[0])
    }

    fn leaf(&self, leaf: u64) -> Result<Node, SourceError> {
        Ok(*self.levels[0].2.get(&leaf).unwrap_or(&[0; NODE_SIZE]))
    }

    fn levels(&self, leaf: u64) -> Result<Vec<PathElement>, SourceError> {
        let mut number = leaf;
        let below_root = &self.levels[..self.levels.len() - 1];
        let level = |level: &(usize, Node, BTreeMap<u64, Node>)| {
            let place = number % level.0 as u64;
            number /= level.0 as u64;
            PathElement::new(&Self::children(level, number), place as usize)
        };
        Ok(below_root.iter().map(level).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::job::{Cancel, Quiet};
    use crate::porep::verify::Statement;
    use crate::sector::{Profile, SealProof};

    /// At the sizes of both networks, and at one where most nodes are challenged or parents of challenged ones.
    #[test]
    fn simulated_proofs_hold() {
        let config = Config::default();
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        let table = [
            (Profile::Filecoin, 2 << 10),
            (Profile::Filecoin, 32 << 30),
            (Profile::Filecash, 4 << 30),
            (Profile::Filecash, 16 << 30),
        ];
        for (profile, size) in table {
            let config = SealProof::for_size(profile, size).unwrap().config();
            let c1 = simulate(&job, &config, &[3; 32], 5, &[7; 32], &[9; 32]).unwrap();
            let graph = Graph::new(&config);
            let statement = Statement {
                shape: ProofShape::from(&config),
                replica_id: &c1.replica_id,
                comm_d: &c1.comm_d,
                comm_r: &c1.comm_r,
                parents: &|node| graph.parents(node),
            };
            let challenges =
                Challenges { config: &config, replica_id: &c1.replica_id, comm_r: &c1.comm_r, seed: &c1.seed };
            let challenges = challenges.all().unwrap();
            statement.verify(&job, &challenges, &c1.vanilla_proofs).unwrap();
            let mut other = c1.vanilla_proofs.clone();
            other[0][0].labeling_proofs[1].parents[8] = [1; 32];
            assert!(statement.verify(&job, &challenges, &other).is_err(), "{profile} {size}");
        }
    }

    #[test]
    fn only_interactive_proofs_are_simulated() {
        let config = Config::default();
        let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
        let mut config = SealProof::for_size(Profile::Filecoin, 2 << 10).unwrap().config();
        for feature in [Feature::Synthetic, Feature::NonInteractive] {
            config.feature = feature;
            let error = simulate(&job, &config, &[3; 32], 5, &[7; 32], &[9; 32]).unwrap_err();
            assert!(matches!(error, SimulateError::Feature(_)), "{error}");
        }
    }
}
