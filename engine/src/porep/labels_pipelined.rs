//! The fast twin of [`labels`](super::labels), for one sector on one core.

use std::ops::Range;

use crate::field::Node;
use crate::graph::parents::Row;
use crate::porep::labels;
use crate::sector::params::{BASE_DEGREE, DEGREE};
use crate::sector::{Profile, ReplicaId};

/// A row of the parent table that names a node which it cannot: the table changed after it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("parents of node {node} are not nodes before it in its layer, or not nodes of the layer before")]
pub struct BadParents {
    /// The node whose row it is.
    pub node: u64,
}

/// What the labels of one layer depend on.
#[derive(Clone, Copy, Debug)]
pub struct LayerLabels<'a> {
    /// Chooses the hash.
    pub profile: Profile,
    /// The replica.
    pub replica_id: &'a ReplicaId,
    /// Counts from 1.
    pub layer: u32,
    /// The parent table's rows, little-endian.
    pub parents: &'a [Row],
    /// The layer before; none for layer 1.
    pub previous: Option<&'a [Node]>,
}

impl LayerLabels<'_> {
    /// Labels the nodes of `range`; `labels` is the layer from node 0, filled up to the range.
    ///
    /// # Errors
    /// [`BadParents`] instead of reading what no right table asks for.
    pub fn fill(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        for node in range {
            if node == 0 {
                labels[0] = labels::label(self.profile, self.replica_id, self.layer, 0, &[]);
                continue;
            }
            let parents = self.parents[node].map(u32::from_le);
            let mut inputs = Vec::with_capacity(DEGREE);
            inputs.extend(parents[..BASE_DEGREE].iter().map(|&parent| labels[parent as usize]));
            if let Some(previous) = self.previous {
                inputs.extend(parents[BASE_DEGREE..].iter().map(|&parent| previous[parent as usize]));
            }
            labels[node] =
                labels::label(self.profile, self.replica_id, self.layer, node as u64, &labels::repeat(&inputs));
        }
        Ok(())
    }
}
