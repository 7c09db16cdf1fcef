//! Labels of several sectors of one graph, node by node in all of them: the fast twin of [`labels`](super::labels) where there is
//! more than one sector.
//!
//! A core that labels one sector waits most of the time for its own rounds; the rounds of other sectors fill the gaps
//! ([`label_lanes`](crate::hash::label_lanes)). Each sector's layers stay where they are, so that labels are collected from as
//! many places as there are sectors, asked for a few nodes ahead.

use std::ops::Range;

use crate::field::Node;
use crate::hash::label_lanes::LaneKernel;
use crate::porep::labels_pipelined::{BadParents, LayerLabels};
use crate::sector::params::{DEGREE, NODE_SIZE};

/// How many nodes ahead the labels of parents are asked for: those of sixteen sectors and two nodes fill a first-level cache.
const AHEAD: usize = 2;

/// Labels the nodes of `range` in several sectors, of the same profile, layer and parents; `labels` are their layers from node
/// 0, filled up to the range.
///
/// # Errors
/// [`BadParents`] instead of reading what no right table asks for; also when the range is longer than a layer or the table.
///
/// # Panics
/// When the layers are not as many as sectors, or the sectors not of one layer.
pub fn fill(sectors: &[LayerLabels<'_>], labels: &mut [&mut [Node]], range: Range<usize>) -> Result<(), BadParents> {
    assert_eq!(sectors.len(), labels.len(), "a layer for each sector");
    let Some(first) = sectors.first() else { return Ok(()) };
    assert!(sectors.iter().all(|sector| sector.goes_with(first)), "sectors of one layer");
    let kernel = match sectors.len() {
        1 => None,
        sectors => LaneKernel::holding(first.profile, sectors),
    };
    match kernel {
        Some(kernel) => fill_with(kernel, sectors, labels, range),
        None => sectors.iter().zip(labels).try_for_each(|(sector, labels)| sector.fill(labels, range.clone())),
    }
}

fn fill_with(
    kernel: &LaneKernel,
    sectors: &[LayerLabels<'_>],
    labels: &mut [&mut [Node]],
    mut range: Range<usize>,
) -> Result<(), BadParents> {
    let rows = sectors.iter().map(|sector| sector.parents.len()).chain(labels.iter().map(|labels| labels.len())).min();
    if range.end > rows.unwrap_or(0) {
        return Err(BadParents { node: range.end as u64 });
    }
    if range.start == 0 && range.next().is_some() {
        for (sector, labels) in sectors.iter().zip(&mut *labels) {
            sector.fill(labels, 0..1)?;
        }
    }
    // Idle lanes hash something, and nobody looks at it.
    let mut ids = vec![[0; NODE_SIZE]; kernel.lanes];
    ids.iter_mut().zip(sectors).for_each(|(id, sector)| *id = *sector.replica_id);
    let mut lanes = kernel.begin(&ids, sectors[0].layer).expect("the kernel is one of this processor's");
    let mut parents = vec![[[0; NODE_SIZE]; DEGREE]; kernel.lanes];
    let mut made = vec![[0; NODE_SIZE]; kernel.lanes];
    for node in range {
        let mut count = DEGREE;
        for ((sector, labels), parents) in sectors.iter().zip(&*labels).zip(&mut parents) {
            sector.prefetch(labels, node + AHEAD);
            count = sector.gather(labels, node, parents)?;
        }
        lanes.label(node as u64, &parents, count, &mut made);
        labels.iter_mut().zip(&made).for_each(|(labels, label)| labels[node] = *label);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, ParentTable};
    use crate::porep::labels::tests::label_all;
    use crate::sector::{PoRepId, Profile, ReplicaId};

    #[test]
    fn sectors_in_lockstep_match_plain_ones() {
        let graph = Graph::over(256, PoRepId::from_number(7), false);
        let table = ParentTable::compute(&graph);
        for profile in Profile::ALL {
            for count in [0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 33] {
                let ids: Vec<ReplicaId> = (0..count).map(|i| [i as u8 ^ 0x5a; 32]).collect();
                let expected: Vec<_> = ids.iter().map(|id| label_all(profile, id, &graph, 3)).collect();
                let mut done: Vec<Vec<Vec<Node>>> = vec![vec![]; count];
                for layer in 1..=3 {
                    let mut made = vec![vec![[0xff; NODE_SIZE]; 256]; count];
                    let sectors: Vec<_> = (ids.iter().zip(&done))
                        .map(|(replica_id, done)| {
                            let previous = done.last().map(Vec::as_slice);
                            LayerLabels { profile, replica_id, layer, parents: table.rows(), previous }
                        })
                        .collect();
                    let mut labels: Vec<_> = made.iter_mut().map(Vec::as_mut_slice).collect();
                    for range in [0..1, 1..100, 100..100, 100..256] {
                        fill(&sectors, &mut labels, range).unwrap();
                    }
                    assert!(count == 0 || fill(&sectors, &mut labels, 200..257).is_err());
                    done.iter_mut().zip(made).for_each(|(done, made)| done.push(made));
                }
                assert!(done == expected, "{profile}, {count} sectors");
            }
        }
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let graph = Graph::over(64, PoRepId::from_number(5), false);
        let mut rows = ParentTable::compute(&graph).rows().to_vec();
        rows[9][3] = 9_u32.to_le();
        for profile in Profile::ALL {
            let layer = LayerLabels { profile, replica_id: &[1; 32], layer: 1, parents: &rows, previous: None };
            let mut made = [[[0; NODE_SIZE]; 64]; 2];
            let mut labels: Vec<_> = made.iter_mut().map(|labels| &mut labels[..]).collect();
            assert_eq!(fill(&[layer, layer], &mut labels, 0..64), Err(BadParents { node: 9 }));
        }
    }
}
