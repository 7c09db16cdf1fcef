//! The parent graph: base parents (DRG) and expander parents of every node.
//!
//! `parents(v) = base_parents(v) ‖ expander_parents(v)`: six nodes whose labels come from v's own layer, then eight
//! whose labels come from the layer before. The order stands everywhere: in labels, in table files, in column proofs.
//! Source: `spec/replication.md` 4.2 to 4.4.

pub mod drg;
pub mod expander;
pub mod parents;

pub use drg::drg_seed;
pub use expander::feistel_keys;
pub use parents::{ParentTable, ParentTableError};

use crate::sector::params::{BASE_DEGREE, DEGREE};
use crate::sector::{PoRepConfig, PoRepId};

use drg::Drg;
use expander::Expander;

/// The graph of one PoRep id over the nodes of one sector size. It holds keys only; parents are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    nodes: u64,
    porep_id: PoRepId,
    drg: Drg,
    expander: Expander,
}

impl Graph {
    /// The graph of a sector's configuration.
    pub fn new(config: &PoRepConfig) -> Self {
        Self::over(config.params.nodes(), config.porep_id, config.legacy_graph())
    }

    /// The graph over any power of two of nodes up to 2³¹, as tests of reduced shapes want it.
    pub(crate) fn over(nodes: u64, porep_id: PoRepId, legacy: bool) -> Self {
        debug_assert!(nodes.is_power_of_two() && nodes <= 1 << 31);
        Self { nodes, porep_id, drg: Drg::new(&porep_id, legacy), expander: Expander::new(&porep_id, nodes, legacy) }
    }

    /// Nodes of a layer.
    pub fn nodes(&self) -> u64 {
        self.nodes
    }

    /// The PoRep id that seeds the graph.
    pub fn porep_id(&self) -> &PoRepId {
        &self.porep_id
    }

    /// The six base parents of a node, then its eight expander parents; repetitions are normal.
    ///
    /// # Panics
    /// When the node is not below [`nodes`](Self::nodes), as indexing a slice would.
    pub fn parents(&self, node: u32) -> [u32; DEGREE] {
        assert!(u64::from(node) < self.nodes, "node {node} of {}", self.nodes);
        let mut parents = [0; DEGREE];
        parents[..BASE_DEGREE].copy_from_slice(&self.drg.parents(node));
        parents[BASE_DEGREE..].copy_from_slice(&self.expander.parents(node));
        parents
    }

    /// [`parents`](Self::parents) of consecutive nodes from `first` on, several times faster.
    ///
    /// # Panics
    /// When the last node is not below [`nodes`](Self::nodes).
    pub fn fill(&self, first: u32, rows: &mut [[u32; DEGREE]]) {
        assert!(
            u64::from(first) + rows.len() as u64 <= self.nodes,
            "{} nodes from {first} of {}",
            rows.len(),
            self.nodes
        );
        for (row, node) in rows.iter_mut().zip(first..) {
            row[..BASE_DEGREE].copy_from_slice(&self.drg.parents(node));
        }
        self.expander.fill(first, rows);
    }
}

#[cfg(test)]
mod tests;
