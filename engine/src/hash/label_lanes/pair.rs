//! Labels of two sectors by the SHA instructions.

use super::LabelLanes;
use crate::field::Node;
use crate::hash::sha256::{INITIAL, trim};
use crate::hash::sha256_ni::{self, Schedule, State, absorb_two, expand, packed, unpacked};
use crate::sector::ReplicaId;
use crate::sector::params::{DEGREE, LABEL_PARENTS, NODE_SIZE};

/// Blocks of nothing but parents.
const PARENT_BLOCKS: usize = LABEL_PARENTS / 2;
/// Bits of a message.
const BITS: u64 = 8 * (64 + LABEL_PARENTS * NODE_SIZE) as u64;

/// A sector of the pair.
struct Sector {
    header: [u8; 64],
    last: [u8; 64],
    pairs: [Schedule; DEGREE / 2],
    edges: Schedule,
}

struct Pair {
    sectors: [Sector; 2],
    /// The node that is expected next, and the chaining values after its first blocks, which hold no parents: they are computed
    /// at the end of the node before, and keep the unit busy while parents are collected.
    begun: Option<(u64, [State; 2])>,
}

/// Begins a layer of two sectors.
pub(super) fn begin(replica_ids: &[ReplicaId], layer: u32) -> Box<dyn LabelLanes> {
    assert!(sha256_ni::available() && replica_ids.len() == 2, "checked by whoever chose the kernel");
    let sectors = [0, 1].map(|sector| {
        let (mut header, mut last) = ([0; 64], [0; 64]);
        header[..NODE_SIZE].copy_from_slice(&replica_ids[sector]);
        header[NODE_SIZE..NODE_SIZE + 4].copy_from_slice(&layer.to_be_bytes());
        last[NODE_SIZE] = 0x80;
        last[56..].copy_from_slice(&BITS.to_be_bytes());
        Sector { header, last, pairs: [Schedule::EMPTY; DEGREE / 2], edges: Schedule::EMPTY }
    });
    Box::new(Pair { sectors, begun: None })
}

impl LabelLanes for Pair {
    fn label(&mut self, node: u64, parents: &[[Node; DEGREE]], count: usize, labels: &mut [Node]) {
        let parents = parents.try_into().expect("parents of each sector");
        // SAFETY: a pair exists only where `begin` found the instructions.
        let made = unsafe { self.label_both(node, parents, count) };
        labels.copy_from_slice(&made);
    }
}

impl Pair {
    /// The chaining values after the first blocks of a node.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn begin_node(&mut self, node: u64) -> [State; 2] {
        for sector in &mut self.sectors {
            sector.header[NODE_SIZE + 4..NODE_SIZE + 12].copy_from_slice(&node.to_be_bytes());
            expand(&sector.header, &mut sector.edges);
        }
        absorb_two([packed(INITIAL); 2], [&self.sectors[0].edges, &self.sectors[1].edges])
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn label_both(&mut self, node: u64, parents: &[[Node; DEGREE]; 2], count: usize) -> [Node; 2] {
        let pairs = count / 2;
        let begun = self.begun.filter(|(begun, _)| *begun == node);
        let mut states = begun.map_or_else(|| self.begin_node(node), |(_, states)| states);
        let [left, right] = &mut self.sectors;
        for (sector, parents) in [(&mut *left, &parents[0]), (&mut *right, &parents[1])] {
            sector.last[..NODE_SIZE].copy_from_slice(&parents[(LABEL_PARENTS - 1) % count]);
            expand(block(parents, 0), &mut sector.pairs[0]);
        }
        for at in 0..PARENT_BLOCKS {
            states = absorb_two(states, [&left.pairs[at % pairs], &right.pairs[at % pairs]]);
            // What comes next is expanded while the rounds wait for each other.
            for (sector, parents) in [(&mut *left, &parents[0]), (&mut *right, &parents[1])] {
                if at + 1 < pairs {
                    expand(block(parents, at + 1), &mut sector.pairs[at + 1]);
                } else if at + 1 == pairs {
                    expand(&sector.last, &mut sector.edges);
                }
            }
        }
        let states = absorb_two(states, [&left.edges, &right.edges]);
        let next = node.wrapping_add(1);
        self.begun = Some((next, self.begin_node(next)));
        let mut labels = [[0; NODE_SIZE]; 2];
        for (label, state) in labels.iter_mut().zip(states) {
            for (bytes, word) in label.as_chunks_mut().0.iter_mut().zip(unpacked(state)) {
                *bytes = word.to_be_bytes();
            }
            *label = trim(*label);
        }
        labels
    }
}

/// A block of two parents.
fn block(parents: &[Node; DEGREE], pair: usize) -> &[u8; 64] {
    bytemuck::cast_ref(&parents.as_chunks::<2>().0[pair])
}
