//! SDR labelling, one node after the other: the plain version that every faster one is compared with.
//!
//! A label is a hash of its node's parents ([`label`]), so of labels before it and, from layer 2 on, of the layer before.
//! Source: `spec/replication.md` 5.1 to 5.4.

use crate::field::Node;
use crate::hash::label::{label, repeat};
use crate::sector::params::{BASE_DEGREE, DEGREE};
use crate::sector::{Profile, ReplicaId};

/// Labels a whole layer: `labels[v]` from `parents(v)`, the labels before v, and the `previous` layer, which layer 1
/// has none of.
pub fn label_layer(
    profile: Profile,
    replica_id: &ReplicaId,
    layer: u32,
    parents: impl Fn(u32) -> [u32; DEGREE],
    previous: Option<&[Node]>,
    labels: &mut [Node],
) {
    debug_assert_eq!(previous.is_some(), layer > 1);
    for node in 0..labels.len() {
        if node == 0 {
            labels[0] = label(profile, replica_id, layer, 0, &[]);
            continue;
        }
        let parents = parents(node as u32);
        let mut inputs = Vec::with_capacity(DEGREE);
        inputs.extend(parents[..BASE_DEGREE].iter().map(|&parent| labels[parent as usize]));
        if let Some(previous) = previous {
            inputs.extend(parents[BASE_DEGREE..].iter().map(|&parent| previous[parent as usize]));
        }
        labels[node] = label(profile, replica_id, layer, node as u64, &repeat(&inputs));
    }
}

#[cfg(test)]
pub(crate) mod tests;
