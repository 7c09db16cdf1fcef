//! Expander parents: eight nodes of the layer before, from a keyed permutation.
//!
//! With N = 8·n, parent i of node v is `permute(8·v + i) div 8`. The permutation of `[0, N)` is a Feistel network of
//! three rounds over the smallest domain `4ʰ ≥ N`, applied again while the result is N or more (cycle walking):
//!
//! ```text
//! (left, right) ← (right, left XOR F(right, key))              left and right of h bits
//! F(r, k) = BE64(BLAKE2b-512(BE64(r) ‖ BE64(k))[..8]) mod 2ʰ
//! ```
//!
//! The legacy graph (API 1.0.0) cuts the permuted index to 32 bits before it divides by 8, a slip of old that matters
//! above 16 GiB only. [`Expander::parents`] is the plain way; [`Expander::fill`] takes many nodes and hashes eight values
//! at once. Source: `spec/replication.md` 4.3 (the reference's `storage-proofs-porep/src/stacked/vanilla/graph.rs`).

use blake2b_simd::Params;
use sha2::{Digest, Sha256};

use crate::hash::blake2b_lanes::{LANES, keyed_hashes};
use crate::sector::PoRepId;
use crate::sector::params::{BASE_DEGREE, DEGREE, EXPANDER_DEGREE};

/// Rounds of the network; the fourth key only enters the name of the parent table.
const ROUNDS: usize = 3;

/// The keys of the network: `SHA-256("Filecoin_Feistel" ‖ porep_id)` as four little-endian words.
pub fn feistel_keys(porep_id: &PoRepId) -> [u64; 4] {
    let hash = Sha256::new().chain_update(b"Filecoin_Feistel").chain_update(porep_id.0).finalize();
    std::array::from_fn(|key| u64::from_le_bytes(std::array::from_fn(|byte| hash[8 * key + byte])))
}

/// The expander part of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expander {
    keys: [u64; ROUNDS],
    /// Size of the permuted domain, 8·n.
    size: u64,
    /// Bits of each half.
    half_bits: u32,
    legacy: bool,
}

impl Expander {
    /// The expander graph of a PoRep id over a power of two of nodes.
    pub fn new(porep_id: &PoRepId, nodes: u64, legacy: bool) -> Self {
        let [first, second, third, _] = feistel_keys(porep_id);
        let size = nodes * EXPANDER_DEGREE as u64;
        let half_bits = size.next_power_of_two().trailing_zeros().div_ceil(2).max(1);
        Self { keys: [first, second, third], size, half_bits, legacy }
    }

    /// The expander parents of a node below n, any nodes of the layer before.
    pub fn parents(&self, node: u32) -> [u32; EXPANDER_DEGREE] {
        std::array::from_fn(|i| self.parent(self.permute(u64::from(node) * EXPANDER_DEGREE as u64 + i as u64)))
    }

    /// Writes the expander parents of consecutive nodes from `first` on into the last eight places of their rows.
    pub fn fill(&self, first: u32, rows: &mut [[u32; DEGREE]]) {
        let start = u64::from(first) * EXPANDER_DEGREE as u64;
        let mut indices: Vec<u64> = (start..).take(rows.len() * EXPANDER_DEGREE).collect();
        let mut walking: Vec<u32> = (0..indices.len() as u32).collect();
        while !walking.is_empty() {
            for group in walking.chunks(LANES) {
                let mut lanes = [0; LANES];
                lanes.iter_mut().zip(group).for_each(|(lane, &place)| *lane = indices[place as usize]);
                let lanes = self.pass_lanes(&lanes);
                group.iter().zip(lanes).for_each(|(&place, lane)| indices[place as usize] = lane);
            }
            walking.retain(|&place| indices[place as usize] >= self.size);
        }
        for (row, permuted) in rows.iter_mut().zip(indices.as_chunks::<EXPANDER_DEGREE>().0) {
            row[BASE_DEGREE..].copy_from_slice(&permuted.map(|permuted| self.parent(permuted)));
        }
    }

    /// The node that a permuted index stands for, at most n − 1 < 2³².
    fn parent(&self, permuted: u64) -> u32 {
        let permuted = if self.legacy { u64::from(permuted as u32) } else { permuted };
        (permuted / EXPANDER_DEGREE as u64) as u32
    }

    /// Permutes `[0, 8·n)`.
    fn permute(&self, index: u64) -> u64 {
        let mut permuted = self.pass(index);
        // Ends: the pass permutes the domain, so the walk comes back to `index`, which is inside.
        while permuted >= self.size {
            permuted = self.pass(permuted);
        }
        permuted
    }

    /// One pass of the network, a permutation of `[0, 4ʰ)`.
    fn pass(&self, index: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (index >> self.half_bits, index & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (keyed_hash(right, key) & mask));
        }
        left << self.half_bits | right
    }

    /// [`Self::pass`] of every lane.
    fn pass_lanes(&self, indices: &[u64; LANES]) -> [u64; LANES] {
        let mask = (1 << self.half_bits) - 1;
        let mut left = indices.map(|index| index >> self.half_bits);
        let mut right = indices.map(|index| index & mask);
        for key in self.keys {
            let hashes = keyed_hashes(&right, key);
            let next = std::array::from_fn(|lane| left[lane] ^ (hashes[lane] & mask));
            (left, right) = (right, next);
        }
        std::array::from_fn(|lane| left[lane] << self.half_bits | right[lane])
    }
}

/// The first eight bytes of `BLAKE2b-512(BE64(value) ‖ BE64(key))`, big-endian.
fn keyed_hash(value: u64, key: u64) -> u64 {
    let mut input = [0; 16];
    input[..8].copy_from_slice(&value.to_be_bytes());
    input[8..].copy_from_slice(&key.to_be_bytes());
    let hash = Params::new().hash(&input);
    u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expander(id: u64, nodes: u64, legacy: bool) -> Expander {
        Expander::new(&PoRepId::from_number(id), nodes, legacy)
    }

    /// spec/replication.md 12.4, "Feistel (h = 5)".
    #[test]
    fn feistel_trace_of_id_5_matches_reference() {
        let graph = expander(5, 64, false);
        assert_eq!(keyed_hash(1, graph.keys[0]), 0x5fea_cee3_2f0b_5a01);
        assert_eq!(std::array::from_fn(|x| graph.pass(x as u64)), [32, 79, 996, 10, 113, 212, 668, 538]);
        assert_eq!((graph.pass(2), graph.pass(996)), (996, 844));
        assert_eq!((graph.pass(8), graph.pass(965), graph.pass(733)), (965, 733, 50));
        assert_eq!(graph.permute(8) / 8, 6);
    }

    /// spec/replication.md 12.4, "Larger".
    #[test]
    fn feistel_trace_of_32_and_64gib_matches_reference() {
        let walk = |graph: &Expander, x| {
            let mut steps = vec![graph.pass(x)];
            while steps[steps.len() - 1] >= graph.size {
                steps.push(graph.pass(steps[steps.len() - 1]));
            }
            steps
        };
        let graph = expander(8, 1 << 30, false);
        assert_eq!(walk(&graph, 0), [8_433_925_919]);
        assert_eq!(walk(&graph, 1), [12_138_630_159, 1_820_233_836]);
        assert_eq!(walk(&graph, 2), [9_521_836_257, 7_886_675_853]);
        assert_eq!(
            walk(&graph, 3),
            [17_028_899_112, 9_667_658_107, 14_478_109_421, 10_619_732_037, 15_144_155_621, 1_583_735_458]
        );
        let graph = expander(9, 1 << 31, false);
        assert_eq!(
            [0, 1, 2, 3].map(|x| graph.permute(x)),
            [10_148_909_606, 5_492_518_579, 6_150_872_521, 16_636_391_165]
        );
        let graph = expander(3, 1 << 30, true);
        assert_eq!(walk(&graph, 0), [10_423_464_160, 15_599_867_054, 5_840_717_053]);
        assert_eq!(graph.parents(0)[0], 193_218_719);
    }

    /// spec/replication.md 4.3, the table of h.
    #[test]
    fn domain_is_a_power_of_four() {
        let half_bits = |size: u64| expander(0, size / 32, false).half_bits;
        assert_eq!([2 << 10, 4 << 10, 16 << 10, 32 << 10].map(half_bits), [5, 5, 6, 7]);
        assert_eq!([8 << 20, 16 << 20, 512 << 20, 1 << 30].map(half_bits), [11, 11, 14, 14]);
        assert_eq!([4 << 30, 16 << 30, 32 << 30, 64 << 30].map(half_bits), [15, 16, 17, 17]);
    }

    #[test]
    fn every_node_is_eight_times_an_expander_parent() {
        for (nodes, legacy) in [(64, true), (128, false), (512, false)] {
            let graph = expander(7, nodes, legacy);
            let mut count = vec![0; nodes as usize];
            (0..nodes as u32).flat_map(|node| graph.parents(node)).for_each(|parent| count[parent as usize] += 1);
            assert!(count.iter().all(|&count| count == EXPANDER_DEGREE));
        }
    }
}
