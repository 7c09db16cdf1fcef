//! Base parents: six nodes before a node, in its own layer (the depth-robust graph DRSample, as buckets).
//!
//! Five parents of node v ≥ 2 are drawn, each from a distance whose order of magnitude is drawn first. With
//! `mv = 5·v`, `nb = ⌈log₂ mv⌉` and the u64 words of a ChaCha8 stream under the key `drg_seed ‖ LE32(v)`:
//!
//! ```text
//! b  = next mod nb + 1
//! hi = min(mv, 2ᵇ),  lo = max(2, hi / 2)
//! d  = lo + next mod (hi − lo + 1)
//! parent = (mv − d) div 5                        ≤ v − 1, since d ≥ 2
//! ```
//!
//! The sixth parent is v − 1. It comes last in the legacy graph (API 1.0.0) and first in the new one, which changes
//! every label. Nodes 0 and 1 have six times node 0. Parents do not depend on the size of the sector, and repetitions
//! stay. Source: `spec/replication.md` 4.2 (the reference's `storage-proofs-core/src/drgraph.rs`).

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use crate::sector::PoRepId;
use crate::sector::params::BASE_DEGREE;

/// Parents that are drawn; the sixth is the node before.
const SAMPLED: usize = BASE_DEGREE - 1;
/// Every node counts as this many in the graph that is drawn from.
const META: u64 = SAMPLED as u64;

/// The part of the ChaCha8 key that all nodes share: `SHA-256("Filecoin_DRSample" ‖ porep_id)[..28]`.
pub fn drg_seed(porep_id: &PoRepId) -> [u8; 28] {
    let hash = Sha256::new().chain_update(b"Filecoin_DRSample").chain_update(porep_id.0).finalize();
    std::array::from_fn(|i| hash[i])
}

/// The base part of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drg {
    seed: [u8; 28],
    legacy: bool,
}

impl Drg {
    /// The base graph of a PoRep id; `legacy` puts the predecessor last.
    pub fn new(porep_id: &PoRepId, legacy: bool) -> Self {
        Self { seed: drg_seed(porep_id), legacy }
    }

    /// The base parents of `node`, all smaller than it, except that nodes 0 and 1 have six times node 0.
    pub fn parents(&self, node: u32) -> [u32; BASE_DEGREE] {
        let mut parents = [0; BASE_DEGREE];
        if node < 2 {
            return parents;
        }
        let (predecessor, sampled) =
            if self.legacy { (BASE_DEGREE - 1, &mut parents[..SAMPLED]) } else { (0, &mut parents[1..]) };

        let meta_node = META * u64::from(node);
        let buckets = u64::from((meta_node - 1).ilog2() + 1);
        let mut stream = self.stream(node);
        for parent in sampled {
            let bucket = stream.next_u64() % buckets + 1;
            let furthest = meta_node.min(1 << bucket);
            let nearest = (furthest / 2).max(2);
            let distance = nearest + stream.next_u64() % (furthest - nearest + 1);
            // At most (5·v − 2) div 5 = v − 1, so it fits.
            *parent = ((meta_node - distance) / META) as u32;
        }
        parents[predecessor] = node - 1;
        parents
    }

    /// The random words of a node: ChaCha8 with 64-bit counter and nonce, both from 0.
    fn stream(&self, node: u32) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..28].copy_from_slice(&self.seed);
        key[28..].copy_from_slice(&node.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drg(id: u64, legacy: bool) -> Drg {
        Drg::new(&PoRepId::from_number(id), legacy)
    }

    /// spec/replication.md 12.1: the ECRYPT value of ChaCha8 under a zero key.
    #[test]
    fn chacha8_matches_ecrypt() {
        let mut block = [0; 64];
        ChaCha8Rng::from_seed([0; 32]).fill_bytes(&mut block);
        assert_eq!(
            hex::encode(block),
            "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e\
             984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42"
        );
    }

    /// spec/replication.md 12.4, "Details for id 5".
    #[test]
    fn stream_of_id_5_matches_reference() {
        let words = |node| {
            let mut stream = drg(5, false).stream(node);
            [(); 10].map(|()| stream.next_u64())
        };
        assert_eq!(
            words(2),
            [
                0x3a14_c87b_a30a_5e38,
                0xe577_4f6b_89fd_48f5,
                0x05c3_ca7f_3775_2ee1,
                0x5f43_3c9a_32c6_0ef0,
                0xd209_2930_da23_f87e,
                0xb7dd_d3a6_22dd_60d3,
                0x2e0f_7404_3006_a09c,
                0x9446_9082_3b6a_011b,
                0x7218_855c_db9d_26de,
                0x10e2_0241_f68a_8de5,
            ]
        );
        assert_eq!(
            words(63),
            [
                15_702_443_394_297_885_350,
                4_218_943_630_679_965_700,
                104_447_743_371_398_544,
                7_288_707_306_494_342_341,
                17_121_008_790_365_296_734,
                11_491_189_238_771_552_057,
                5_686_031_718_286_484_637,
                18_151_987_483_539_123_302,
                8_232_704_112_972_685_510,
                17_436_049_645_171_905_867,
            ]
        );
    }

    #[test]
    fn base_parents_come_before_their_node() {
        for (id, legacy) in [(5, false), (5, true)] {
            let drg = drg(id, legacy);
            assert_eq!(drg.parents(0), [0; 6]);
            assert_eq!(drg.parents(1), [0; 6]);
            for node in (2..2000).chain([1 << 20, u32::MAX]) {
                let parents = drg.parents(node);
                assert!(parents.iter().all(|&parent| parent < node));
                assert_eq!(parents[if legacy { 5 } else { 0 }], node - 1);
            }
        }
    }

    #[test]
    fn graphs_differ_only_in_the_place_of_the_predecessor() {
        let (legacy, new) = (drg(9, true).parents(77), drg(9, false).parents(77));
        assert_eq!(legacy[..5], new[1..]);
    }
}
