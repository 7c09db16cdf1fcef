//! Which sector and which leaves a proof of space-time opens.
//!
//! For a block, of a miner's `count` sectors in an order that the chain fixes, the one proven has the place
//!
//! `u64LE(SHA-256(prover_id ‖ randomness ‖ LE64(0))[0..8]) mod count`.
//!
//! Leaf i of a sector is `u64LE(SHA-256(randomness ‖ LE64(sector) ‖ LE64(index))[0..8]) mod n`, where the index is i;
//! but for window proofs before API version 1.2.0 it is `10 · rank + i`, with the rank of the sector among all that are
//! proven. Leaf 0 can be challenged too.
//!
//! The prover id enters the choice of the sector and nothing else: neither leaves nor circuits depend on it.
//!
//! Source: `spec/replication.md` 10.1 to 10.3.

use sha2::{Digest, Sha256};

use crate::field::fr::from_node;
use crate::field::{Node, NonCanonical};
use crate::sector::{PoStConfig, ProverId, SectorId};

/// Inputs of a round that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum RoundError {
    #[error("the randomness is no field element; the two top bits of its last byte are to be cleared")]
    Randomness(#[source] NonCanonical),
    #[error("the prover id is no field element")]
    ProverId(#[source] NonCanonical),
    #[error("a sector is to be chosen out of none")]
    NoSectors,
}

/// One round of proofs: what is proven, with which randomness of the chain, by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoStRound {
    config: PoStConfig,
    randomness: Node,
    prover_id: ProverId,
}

impl PoStRound {
    /// A round, once randomness and prover id are field elements.
    ///
    /// # Errors
    /// [`RoundError::Randomness`], [`RoundError::ProverId`].
    pub fn new(config: &PoStConfig, randomness: &[u8; 32], prover_id: &ProverId) -> Result<Self, RoundError> {
        from_node(randomness).map_err(RoundError::Randomness)?;
        from_node(prover_id).map_err(RoundError::ProverId)?;
        Ok(Self { config: *config, randomness: *randomness, prover_id: *prover_id })
    }

    /// What is proven.
    pub fn config(&self) -> &PoStConfig {
        &self.config
    }

    /// The place, from 0, of the sector that wins out of `sectors`.
    ///
    /// # Errors
    /// [`RoundError::NoSectors`].
    pub fn winning_sector(&self, sectors: u64) -> Result<u64, RoundError> {
        let digest = Sha256::new()
            .chain_update(self.prover_id)
            .chain_update(self.randomness)
            .chain_update(0_u64.to_le_bytes())
            .finalize();
        low_word(&digest.into()).checked_rem(sectors).ok_or(RoundError::NoSectors)
    }

    /// The leaves opened in a sector, in order; repetitions are normal.
    ///
    /// `rank` is its place, from 0, among all sectors of the proof in ascending order of their numbers; only window
    /// proofs before API version 1.2.0 depend on it.
    pub fn leaves(&self, sector: SectorId, rank: u64) -> Vec<u64> {
        self.leaves_of(self.config.params.nodes(), sector, rank)
    }

    /// [`Self::leaves`] over another number of nodes, not 0.
    pub(crate) fn leaves_of(&self, nodes: u64, sector: SectorId, rank: u64) -> Vec<u64> {
        let count = self.config.challenges();
        let first = if self.config.is_ranked() { rank.wrapping_mul(count as u64) } else { 0 };
        (0..count as u64).map(|i| leaf(&self.randomness, sector, first.wrapping_add(i), nodes)).collect()
    }
}

fn leaf(randomness: &Node, sector: SectorId, index: u64, nodes: u64) -> u64 {
    let digest = Sha256::new()
        .chain_update(randomness)
        .chain_update(sector.to_le_bytes())
        .chain_update(index.to_le_bytes())
        .finalize();
    low_word(&digest.into()) % nodes
}

fn low_word(digest: &[u8; 32]) -> u64 {
    u64::from_le_bytes(digest.as_chunks().0[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::Profile::{self, Filecash, Filecoin};
    use crate::sector::{ApiVersion, PoStKind, PoStProof, params};

    fn round(profile: Profile, id: u32, randomness: [u8; 32]) -> PoStRound {
        PoStRound::new(&PoStProof::by_id(profile, id).unwrap().config(), &randomness, &[9; 32]).unwrap()
    }

    /// A size without registered number.
    fn unregistered(size: u64, kind: PoStKind, api_version: ApiVersion) -> PoStRound {
        let params = params::for_size(Filecoin, size).unwrap();
        PoStRound::new(&PoStConfig { profile: Filecoin, params, kind, api_version }, &[5; 32], &[9; 32]).unwrap()
    }

    /// spec/replication.md 12.7.
    #[test]
    fn small_challenges_match_the_reference() {
        let winning = round(Filecoin, 0, [5; 32]).leaves(12345, 0);
        #[rustfmt::skip]
        assert_eq!(winning, [
            63, 1, 42, 1, 30, 22, 45, 15, 37, 54, 5, 1, 33, 61, 62, 28, 31, 29, 17, 19, 0, 39, 21, 60, 62, 10, 13, 36,
            26, 28, 43, 48, 63, 21, 10, 2, 37, 58, 44, 15, 47, 8, 30, 53, 16, 1, 57, 15, 1, 53, 3, 60, 44, 38, 0, 58,
            42, 8, 31, 27, 22, 29, 29, 4, 25, 49,
        ]);
        let of = |round: PoStRound| [0, 1, 2].map(|rank| round.leaves(12345 + rank, rank));
        let first = [63, 1, 42, 1, 30, 22, 45, 15, 37, 54];
        assert_eq!(
            of(round(Filecoin, 5, [5; 32])),
            [first, [58, 30, 40, 5, 12, 61, 5, 38, 5, 35], [22, 34, 9, 42, 37, 19, 27, 37, 46, 4]]
        );
        assert_eq!(of(round(Filecash, 5, [5; 32])), of(round(Filecoin, 5, [5; 32])));
        assert_eq!(
            of(round(Filecoin, 10, [5; 32])),
            [first, [57, 29, 44, 24, 61, 33, 30, 15, 18, 51], [56, 39, 29, 31, 42, 49, 11, 49, 40, 41]]
        );
        let first = [639, 513, 874, 513, 158, 982, 45, 399, 549, 566];
        let of = |version| of(unregistered(32 << 10, PoStKind::Window, version));
        let ranked = [
            first,
            [826, 734, 1000, 453, 972, 637, 773, 166, 837, 227],
            [598, 482, 73, 682, 869, 467, 155, 229, 494, 68],
        ];
        assert_eq!((of(ApiVersion::V1_0_0), of(ApiVersion::V1_1_0)), (ranked.map(Vec::from), ranked.map(Vec::from)));
        assert_eq!(
            of(ApiVersion::V1_2_0),
            [
                first,
                [569, 93, 236, 88, 957, 417, 862, 783, 594, 819],
                [312, 743, 221, 287, 234, 177, 267, 433, 488, 873]
            ]
        );
    }

    /// spec/replication.md 12.8, "PoSt, 32 GiB".
    #[test]
    fn large_challenges_match_the_reference() {
        let winning = round(Filecoin, 3, [5; 32]).leaves(12345, 0);
        assert_eq!(winning[..4], [616936063, 711675393, 515526506, 137867777]);
        assert_eq!(winning[62..], [862705757, 765554436, 935710745, 825644337]);
        let ranked = round(Filecoin, 8, [5; 32]).leaves(12347, 2);
        assert_eq!(ranked[..4], [90492502, 481766882, 894284873, 39987882]);
        let free = round(Filecoin, 13, [5; 32]).leaves(12347, 2);
        assert_eq!(free[..4], [1032361272, 799689447, 67635421, 813203743]);
    }

    /// spec/filecash-profile.md 5, its file of vectors, `post_challenges`.
    #[test]
    fn filecash_challenges_match_the_fork() {
        let randomness = std::array::from_fn(|i| i as u8);
        let at = |id, sector, rank| round(Filecash, id, randomness).leaves(sector, rank);
        #[rustfmt::skip]
        let cases: [(u32, u64, u64, [u64; 10]); 6] = [
            (10, 7, 0, [71583649, 86560165, 131389933, 79184501, 16590884, 39140782, 71555635, 128991383, 99820868,
                102425503]),
            (10, 1000, 599, [18497340, 132247377, 21328371, 83261581, 74492448, 104761834, 117811415, 74149512, 2216986,
                132683791]),
            (10, 1001, 600, [55102084, 108760081, 8449584, 66882704, 99578222, 100701399, 59001646, 34517671, 3618229,
                17922724]),
            (11, 7, 0, [71583649, 86560165, 131389933, 79184501, 16590884, 39140782, 71555635, 128991383, 99820868,
                102425503]),
            (12, 1001, 2500, [399663129, 212385439, 263611409, 383479322, 199766209, 12470924, 360744669, 328059097,
                461913465, 466539430]),
            (13, 7, 0, [71583649, 354995621, 399825389, 347619957, 419244068, 39140782, 205773363, 128991383, 502474052,
                370860959]),
        ];
        for (id, sector, rank, expected) in cases {
            assert_eq!(at(id, sector, rank)[..10], expected, "{id} {sector}");
        }
    }

    /// spec/replication.md 12.8, "winning sector selection".
    #[test]
    fn winning_sector_matches_the_reference() {
        let round = round(Filecoin, 3, [5; 32]);
        let chosen = [1, 7, 1000, 1 << 40].map(|sectors| round.winning_sector(sectors).unwrap());
        assert_eq!(chosen, [0, 6, 429, 131749503093]);
        assert_eq!(round.winning_sector(0), Err(RoundError::NoSectors));
    }

    #[test]
    fn what_is_no_field_element_is_refused() {
        let config = PoStProof::by_id(Filecoin, 0).unwrap().config();
        let bad = NonCanonical([0xff; 32]);
        assert_eq!(PoStRound::new(&config, &bad.0, &[9; 32]), Err(RoundError::Randomness(bad)));
        assert_eq!(PoStRound::new(&config, &[5; 32], &bad.0), Err(RoundError::ProverId(bad)));
    }
}
