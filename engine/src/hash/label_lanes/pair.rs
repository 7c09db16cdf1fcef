//! Labels of two sectors by the SHA instructions.
//!
//! Two chains of rounds keep the unit busy, as long as a chain never waits: so every block is expanded among the rounds of the
//! block before, the first of a node among those of the node before it.

use super::LabelLanes;
use crate::field::Node;
use crate::hash::sha256::{INITIAL, trim};
use crate::hash::sha256_ni::{self, Schedule, absorb_and_expand, absorb_two, expand, packed, unpacked};
use crate::sector::ReplicaId;
use crate::sector::params::{DEGREE, LABEL_PARENTS, NODE_SIZE};

/// Blocks of nothing but parents.
const PARENT_BLOCKS: usize = LABEL_PARENTS / 2;
/// Bits of a message.
const BITS: u64 = 8 * (64 + LABEL_PARENTS * NODE_SIZE) as u64;

/// A sector of the pair: blocks, and what they are expanded to.
struct Sector {
    header: [u8; 64],
    last: [u8; 64],
    header_schedule: Schedule,
    pairs: [Schedule; DEGREE / 2],
    last_schedule: Schedule,
}

struct Pair {
    sectors: [Sector; 2],
    /// The node whose headers are expanded: the one that is expected next.
    ready: Option<u64>,
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
        Sector {
            header,
            last,
            header_schedule: Schedule::EMPTY,
            pairs: [Schedule::EMPTY; DEGREE / 2],
            last_schedule: Schedule::EMPTY,
        }
    });
    Box::new(Pair { sectors, ready: None })
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
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn label_both(&mut self, node: u64, parents: &[[Node; DEGREE]; 2], count: usize) -> [Node; 2] {
        let pairs = count / 2;
        let [left, right] = &mut self.sectors;
        if self.ready != Some(node) {
            for sector in [&mut *left, &mut *right] {
                sector.header[NODE_SIZE + 4..NODE_SIZE + 12].copy_from_slice(&node.to_be_bytes());
                expand(&sector.header, &mut sector.header_schedule);
            }
        }
        let next = node.wrapping_add(1);
        for (sector, parents) in [(&mut *left, &parents[0]), (&mut *right, &parents[1])] {
            sector.last[..NODE_SIZE].copy_from_slice(&parents[(LABEL_PARENTS - 1) % count]);
            sector.header[NODE_SIZE + 4..NODE_SIZE + 12].copy_from_slice(&next.to_be_bytes());
        }
        // Each block is expanded while the rounds of the one before are run, the header of the next node at last.
        let mut states = absorb_and_expand(
            [packed(INITIAL); 2],
            [&left.header_schedule, &right.header_schedule],
            [block(&parents[0], 0), block(&parents[1], 0)],
            [&mut left.pairs[0], &mut right.pairs[0]],
        );
        for at in 1..pairs {
            let (left, left_next) = left.pairs.split_at_mut(at);
            let (right, right_next) = right.pairs.split_at_mut(at);
            states = absorb_and_expand(
                states,
                [&left[at - 1], &right[at - 1]],
                [block(&parents[0], at), block(&parents[1], at)],
                [&mut left_next[0], &mut right_next[0]],
            );
        }
        states = absorb_and_expand(
            states,
            [&left.pairs[pairs - 1], &right.pairs[pairs - 1]],
            [&left.last, &right.last],
            [&mut left.last_schedule, &mut right.last_schedule],
        );
        states = absorb_and_expand(
            states,
            [&left.pairs[0], &right.pairs[0]],
            [&left.header, &right.header],
            [&mut left.header_schedule, &mut right.header_schedule],
        );
        self.ready = Some(next);
        for at in pairs + 1..PARENT_BLOCKS {
            states = absorb_two(states, [&left.pairs[at % pairs], &right.pairs[at % pairs]]);
        }
        let states = absorb_two(states, [&left.last_schedule, &right.last_schedule]);
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
