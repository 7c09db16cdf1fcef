//! The fast twin of [`labels`](super::labels), for one sector on one core.
//!
//! A label waits for the label before it, so the nodes of a layer are hashed one after the other and nothing can be done
//! about that; what can be done is to have everything else ready. Labels of parents are asked for several nodes ahead,
//! so that they are in the cache when they are needed (eight of them lie anywhere in the layer before). The blocks to
//! hash are laid out whole, padding included, and go to the compression function in one call:
//!
//! * SHA-256 by the processor's SHA instructions (`sha256_ni`): four cycles for two rounds, each pair waiting for the one
//!   before. The first block of the 20, which holds no parent, goes along with the node before, whose rounds leave half of
//!   the unit idle; the other 19 are a chain of 2432 cycles whatever one does. Elsewhere `sha2` gets the 20 blocks.
//! * SHA-512: only 8 different blocks hold parents (four in layer 1), so their message schedules are computed at once,
//!   one in each lane of a vector, and used again ([`sha512_blocks`]). The first block of a label holds no parent; that
//!   of eight nodes is hashed at once. Without AVX-512, `sha2` gets the 20 blocks.
//!
//! Every label equals the plain labeller's.
//!
//! Measured on one 4 GHz core of a Xeon (Granite Rapids), microseconds a label: SHA-256 0.67 with both layers in the
//! cache and 0.85 from memory; SHA-512 2.9 and 3.3. The bare compressions of 20 blocks take 0.63 and 3.2.

#![allow(unsafe_code, reason = "prefetching, and calls code for instructions that were found at run time")]

use std::ops::Range;

use sha2::block_api::{compress256, compress512};

use crate::field::Node;
use crate::graph::parents::Row;
use crate::hash::label::{label, widen};
use crate::hash::sha256::trim;
#[cfg(target_arch = "x86_64")]
use crate::hash::sha256_ni;
use crate::hash::sha512_blocks::{self, LANES, Schedules, Word};
use crate::sector::params::{BASE_DEGREE, DEGREE, LABEL_PARENTS, NODE_SIZE};
use crate::sector::{Profile, ReplicaId};

/// How many nodes ahead the labels of parents are asked for. A label takes longer than a read from memory, and two
/// pages may have to be found first.
const AHEAD: usize = 8;

/// The chaining value before the first block of SHA-256.
const INITIAL_256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Bits of a message of SHA-256 and of SHA-512, header and parents.
const BITS_256: u64 = 8 * (64 + LABEL_PARENTS as u64 * 32);
const BITS_512: u64 = 2 * BITS_256;

/// The lane of the last block; the pairs of parents have the lanes before it.
const LAST_LANE: usize = LANES - 1;
/// The lanes of the blocks after the first: in layer 1 the six parents over and over, later the fourteen.
const LANES_OF_FIRST_LAYER: [usize; 19] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, LAST_LANE];
const LANES_OF_LATER_LAYERS: [usize; 19] = [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, LAST_LANE];

/// A row of the parent table that names a node which it cannot: the table changed after it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("parents of node {node} are not nodes before it in its layer, or not nodes of the layer before")]
pub struct BadParents {
    /// The node whose row it is.
    pub node: u64,
}

/// The ways to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// 20 blocks in one call.
    Sha256,
    /// Schedules of 9 blocks, the first of them ahead.
    #[cfg(target_arch = "x86_64")]
    Sha256Instructions,
    /// 20 blocks in one call.
    Sha512,
    /// Schedules of 8 blocks, used over and over.
    Sha512Expanded,
}

impl Kernel {
    /// The fastest way on this machine.
    fn best(profile: Profile) -> Self {
        match profile {
            #[cfg(target_arch = "x86_64")]
            Profile::Filecoin if sha256_ni::available() => Self::Sha256Instructions,
            Profile::Filecoin => Self::Sha256,
            Profile::Filecash if sha512_blocks::available() => Self::Sha512Expanded,
            Profile::Filecash => Self::Sha512,
        }
    }
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
    /// [`BadParents`] instead of reading what no right table asks for; also when the range is longer than the table.
    pub fn fill(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        self.fill_with(Kernel::best(self.profile), labels, range)
    }

    /// Whether both are of one layer of one graph.
    pub(super) fn goes_with(&self, other: &LayerLabels<'_>) -> bool {
        let kind = |layer: &LayerLabels<'_>| (layer.profile, layer.layer, layer.previous.is_some());
        kind(self) == kind(other) && std::ptr::eq(self.parents, other.parents)
    }

    fn fill_with(&self, kernel: Kernel, labels: &mut [Node], mut range: Range<usize>) -> Result<(), BadParents> {
        if range.end > labels.len().min(self.parents.len()) {
            return Err(BadParents { node: range.end as u64 });
        }
        if range.start == 0 && range.next().is_some() {
            labels[0] = label(self.profile, self.replica_id, self.layer, 0, &[]);
        }
        match kernel {
            Kernel::Sha256 => self.fill_sha256(labels, range),
            #[cfg(target_arch = "x86_64")]
            Kernel::Sha256Instructions => {
                assert!(sha256_ni::available(), "checked by whoever chose the kernel");
                // SAFETY: the processor has just been found to have the instructions.
                unsafe { self.fill_sha256_instructions(labels, range) }
            }
            Kernel::Sha512 => self.fill_sha512(labels, range),
            Kernel::Sha512Expanded => self.fill_sha512_expanded(labels, range),
        }
    }

    fn fill_sha256(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        // Header, parents and padding, each of 32 bytes.
        let mut message = [[0; NODE_SIZE]; 3 + LABEL_PARENTS];
        message[0] = *self.replica_id;
        message[1][..4].copy_from_slice(&self.layer.to_be_bytes());
        message[2 + LABEL_PARENTS][0] = 0x80;
        message[2 + LABEL_PARENTS][NODE_SIZE - 8..].copy_from_slice(&BITS_256.to_be_bytes());
        let mut parents = [[0; NODE_SIZE]; DEGREE];

        for node in range {
            self.prefetch(labels, node + AHEAD);
            message[1][4..12].copy_from_slice(&(node as u64).to_be_bytes());
            let count = self.gather(labels, node, &mut parents)?;
            message[2..].chunks_mut(count).zip(repetitions(count)).for_each(|(to, len)| {
                to[..len].copy_from_slice(&parents[..len]);
            });
            let mut state = INITIAL_256;
            compress256(&mut state, bytemuck::cast_ref::<_, [[u8; 64]; 20]>(&message));
            labels[node] = trim(bytemuck::cast(state.map(u32::to_be)));
        }
        Ok(())
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn fill_sha256_instructions(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        use crate::hash::sha256_ni::{Schedule, absorb, absorb_two, expand, packed, unpacked};

        let mut header = [0; 64];
        header[..NODE_SIZE].copy_from_slice(self.replica_id);
        header[NODE_SIZE..NODE_SIZE + 4].copy_from_slice(&self.layer.to_be_bytes());
        let mut last = [0; 64];
        last[NODE_SIZE] = 0x80;
        last[56..].copy_from_slice(&BITS_256.to_be_bytes());
        let (mut pairs, mut edge) = ([Schedule::EMPTY; DEGREE / 2], Schedule::EMPTY);
        let mut parents = [[0; NODE_SIZE]; DEGREE];
        let initial = packed(INITIAL_256);

        // The chaining value after the first block.
        let mut begun = initial;
        for (place, node) in range.clone().enumerate() {
            if place == 0 {
                header[NODE_SIZE + 4..NODE_SIZE + 12].copy_from_slice(&(node as u64).to_be_bytes());
                expand(&header, &mut edge);
                begun = absorb(initial, &edge);
            }
            self.prefetch(labels, node + AHEAD);
            let count = self.gather(labels, node, &mut parents)?;
            let (blocks, repeated) = (parents.as_chunks::<2>().0, count / 2);
            let mut state = begun;
            expand(bytemuck::cast_ref(&blocks[0]), &mut pairs[0]);
            // What comes next is expanded while rounds wait for each other.
            for at in 0..LABEL_PARENTS / 2 {
                if at == repeated {
                    header[NODE_SIZE + 4..NODE_SIZE + 12].copy_from_slice(&(node as u64 + 1).to_be_bytes());
                    expand(&header, &mut edge);
                    [state, begun] = absorb_two([state, initial], [&pairs[0], &edge]);
                    last[..NODE_SIZE].copy_from_slice(&parents[(LABEL_PARENTS - 1) % count]);
                    expand(&last, &mut edge);
                    continue;
                }
                state = absorb(state, &pairs[at % repeated]);
                if at + 1 < repeated {
                    expand(bytemuck::cast_ref(&blocks[at + 1]), &mut pairs[at + 1]);
                }
            }
            state = absorb(state, &edge);
            labels[node] = trim(bytemuck::cast(unpacked(state).map(u32::to_be)));
        }
        Ok(())
    }

    fn fill_sha512(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        // Header, parents and padding, each of 64 bytes.
        let mut message = [[0; 2 * NODE_SIZE]; 3 + LABEL_PARENTS];
        message[0] = widen(self.replica_id);
        message[1][..4].copy_from_slice(&self.layer.to_be_bytes());
        message[2 + LABEL_PARENTS][0] = 0x80;
        message[2 + LABEL_PARENTS][2 * NODE_SIZE - 8..].copy_from_slice(&BITS_512.to_be_bytes());
        let mut parents = [[0; NODE_SIZE]; DEGREE];

        for node in range {
            self.prefetch(labels, node + AHEAD);
            message[1][4..12].copy_from_slice(&(node as u64).to_be_bytes());
            let count = self.gather(labels, node, &mut parents)?;
            let wide = parents.map(|parent| widen(&parent));
            message[2..].chunks_mut(count).zip(repetitions(count)).for_each(|(to, len)| {
                to[..len].copy_from_slice(&wide[..len]);
            });
            let mut state = sha512_blocks::INITIAL;
            compress512(&mut state, bytemuck::cast_ref::<_, [[u8; 128]; 20]>(&message));
            labels[node] = label_of_512(&state);
        }
        Ok(())
    }

    fn fill_sha512_expanded(&self, labels: &mut [Node], range: Range<usize>) -> Result<(), BadParents> {
        let mut schedules = Schedules::new();
        let mut blocks = [[0; LANES]; 16];
        let mut states = [[0; LANES]; 8];
        let mut parents = [[0; NODE_SIZE]; DEGREE];
        let lanes = if self.previous.is_none() { &LANES_OF_FIRST_LAYER } else { &LANES_OF_LATER_LAYERS };
        for start in range.clone().step_by(LANES) {
            self.absorb_headers(start as u64, &mut states, &mut schedules);
            blocks[8..].fill([0; LANES]);
            for (lane, node) in (start..range.end.min(start + LANES)).enumerate() {
                self.prefetch(labels, node + AHEAD);
                let count = self.gather(labels, node, &mut parents)?;
                for (pair, [left, right]) in parents[..count].as_chunks::<2>().0.iter().enumerate() {
                    set_widened(&mut blocks, 0, pair, left);
                    set_widened(&mut blocks, 8, pair, right);
                }
                set_widened(&mut blocks, 0, LAST_LANE, &parents[(LABEL_PARENTS - 1) % count]);
                blocks[8][LAST_LANE] = 1 << 63;
                blocks[15][LAST_LANE] = BITS_512;
                sha512_blocks::expand(&blocks, &mut schedules);
                let mut state = states.map(|word| word[lane]);
                sha512_blocks::absorb(&mut state, &schedules, lanes);
                labels[node] = label_of_512(&state);
            }
        }
        Ok(())
    }

    /// The chaining values after the first block of eight nodes from `first` on.
    fn absorb_headers(&self, first: u64, states: &mut [Word; 8], schedules: &mut Schedules) {
        let mut blocks = [[0; LANES]; 16];
        for lane in 0..LANES {
            let node = first + lane as u64;
            set_widened(&mut blocks, 0, lane, self.replica_id);
            blocks[8][lane] = u64::from(self.layer) << 32 | node >> 32;
            blocks[9][lane] = node << 32;
        }
        *states = sha512_blocks::INITIAL.map(|word| [word; LANES]);
        sha512_blocks::expand(&blocks, schedules);
        sha512_blocks::absorb_each(states, schedules);
    }

    /// Collects the labels of a node's parents; how many there are, 6 or 14.
    #[inline]
    pub(super) fn gather(
        &self,
        labels: &[Node],
        node: usize,
        parents: &mut [Node; DEGREE],
    ) -> Result<usize, BadParents> {
        let row = self.parents[node].map(u32::from_le);
        let before = &labels[..node];
        let bad = BadParents { node: node as u64 };
        for (to, &parent) in parents[..BASE_DEGREE].iter_mut().zip(&row) {
            *to = *before.get(parent as usize).ok_or(bad)?;
        }
        let Some(previous) = self.previous else { return Ok(BASE_DEGREE) };
        for (to, &parent) in parents[BASE_DEGREE..].iter_mut().zip(&row[BASE_DEGREE..]) {
            *to = *previous.get(parent as usize).ok_or(bad)?;
        }
        Ok(DEGREE)
    }

    /// Asks for the labels of a node's parents; those that are not computed yet are fresh in the cache when they are.
    #[inline]
    pub(super) fn prefetch(&self, labels: &[Node], node: usize) {
        let Some(row) = self.parents.get(node) else { return };
        let (base, expander) = row.split_at(BASE_DEGREE);
        base.iter().for_each(|&parent| prefetch(labels, parent));
        if let Some(previous) = self.previous {
            expander.iter().for_each(|&parent| prefetch(previous, parent));
        }
    }
}

/// How many parents each repetition of them has, until they are 37.
fn repetitions(count: usize) -> impl Iterator<Item = usize> {
    (0..LABEL_PARENTS).step_by(count).map(move |start| count.min(LABEL_PARENTS - start))
}

/// Writes the eight words of a widened node into a lane, from word `first` on.
///
/// As words, the second half is the first in reverse order, each with its halves exchanged and its bits turned over.
fn set_widened(blocks: &mut [Word; 16], first: usize, lane: usize, node: &Node) {
    for (i, bytes) in node.as_chunks().0.iter().enumerate() {
        let word = u64::from_be_bytes(*bytes);
        blocks[first + i][lane] = word;
        blocks[first + 7 - i][lane] = !word.rotate_left(32);
    }
}

/// The label of a last state of SHA-512.
fn label_of_512(state: &sha512_blocks::State) -> Node {
    trim(bytemuck::cast([state[0].to_be(), state[1].to_be(), state[2].to_be(), state[3].to_be()]))
}

/// Asks for a label, so that it is in the cache when it is read; whether there is one need not be known.
#[inline]
fn prefetch(labels: &[Node], parent: u32) {
    let label = labels.as_ptr().wrapping_add(u32::from_le(parent) as usize);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address changes nothing but the cache, and SSE is part of x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(label.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = label;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, ParentTable};
    use crate::porep::labels::tests::label_all;
    use crate::sector::PoRepId;

    /// Labels all layers in ranges of `step` nodes.
    fn fill_all(kernel: Kernel, replica_id: &ReplicaId, graph: &Graph, layers: u32, step: usize) -> Vec<Vec<Node>> {
        let is_512 = [Kernel::Sha512, Kernel::Sha512Expanded].contains(&kernel);
        let profile = if is_512 { Profile::Filecash } else { Profile::Filecoin };
        let table = ParentTable::compute(graph);
        let mut done: Vec<Vec<Node>> = Vec::new();
        for layer in 1..=layers {
            let mut labels = vec![[0xff; NODE_SIZE]; graph.nodes() as usize];
            let previous = done.last().map(Vec::as_slice);
            let layer = LayerLabels { profile, replica_id, layer, parents: table.rows(), previous };
            for start in (0..labels.len()).step_by(step) {
                let end = labels.len().min(start + step);
                layer.fill_with(kernel, &mut labels, start..end).unwrap();
            }
            done.push(labels);
        }
        done
    }

    #[test]
    fn pipelined_labels_match_plain_ones() {
        for (id, legacy, nodes, layers) in [(5, true, 64, 5), (7, false, 128, 3), (1, true, 4096, 2)] {
            let graph = Graph::over(nodes, PoRepId::from_number(id), legacy);
            let replica_id = [id as u8; 32];
            let [filecoin, filecash] = Profile::ALL.map(|profile| label_all(profile, &replica_id, &graph, layers));
            for step in [1, 7, 8, 9, 31, 1000, 4096] {
                for (kernel, expected) in [
                    (Kernel::Sha256, &filecoin),
                    (Kernel::best(Profile::Filecoin), &filecoin),
                    (Kernel::Sha512, &filecash),
                    (Kernel::Sha512Expanded, &filecash),
                ] {
                    let labels = fill_all(kernel, &replica_id, &graph, layers, step);
                    assert!(labels == *expected, "{kernel:?} id {id}, {step} at a time");
                }
            }
        }
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let graph = Graph::over(64, PoRepId::from_number(5), false);
        let table = ParentTable::compute(&graph);
        let previous = [[0; NODE_SIZE]; 64];
        for profile in Profile::ALL {
            for (column, parent) in [(0, 9), (5, 70), (6, 64), (13, u32::MAX)] {
                let mut rows = table.rows().to_vec();
                rows[9][column] = parent;
                let layer =
                    LayerLabels { profile, replica_id: &[1; 32], layer: 2, parents: &rows, previous: Some(&previous) };
                let mut labels = [[0; NODE_SIZE]; 64];
                assert_eq!(layer.fill(&mut labels, 0..64), Err(BadParents { node: 9 }), "{profile} column {column}");
                assert_eq!(layer.fill(&mut labels, 10..64), Ok(()));
                assert!(layer.fill(&mut labels, 10..65).is_err());
            }
        }
    }
}
