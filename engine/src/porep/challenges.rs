//! Which nodes a PoRep opens.
//!
//! With c challenges to a partition, challenge i of partition k has the number `j = c·k + i` and is
//!
//! `intLE(SHA-256(replica_id ‖ seed ‖ LE32(j))) mod (n − 1) + 1`
//!
//! so that node 0, whose label has no parents, is never opened. The digest counts in full, all 256 bits of it.
//!
//! Source: `spec/replication.md` 7.1.

use sha2::{Digest, Sha256};

use crate::sector::{Feature, PoRepConfig, ReplicaId};

/// Challenges that cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ChallengeError {
    #[error("{0:?} proofs of replication are not supported yet")]
    NotSupportedYet(Feature),
}

/// What the challenges of a sector come from.
#[derive(Clone, Copy, Debug)]
pub struct Challenges<'a> {
    /// Sector size and the way of drawing.
    pub config: &'a PoRepConfig,
    /// The replica.
    pub replica_id: &'a ReplicaId,
    /// Randomness of the chain from after the sector's commitment.
    pub seed: &'a [u8; 32],
}

/// Partitions of a proof, and challenges in each.
///
/// # Errors
/// [`ChallengeError::NotSupportedYet`] for non-interactive proofs, which have more.
pub fn layout(config: &PoRepConfig) -> Result<(usize, usize), ChallengeError> {
    match config.feature {
        Feature::Interactive | Feature::Synthetic => {
            Ok((config.params.partitions, config.params.partition_challenges()))
        }
        Feature::NonInteractive => Err(ChallengeError::NotSupportedYet(config.feature)),
    }
}

impl Challenges<'_> {
    /// The challenges of one partition, in order; repetitions are normal.
    ///
    /// # Errors
    /// [`ChallengeError::NotSupportedYet`].
    pub fn partition(&self, partition: usize) -> Result<Vec<u64>, ChallengeError> {
        match self.config.feature {
            Feature::Interactive => {
                let (_, count) = layout(self.config)?;
                let first = partition * count;
                let nodes = self.config.params.nodes();
                Ok((first..first + count).map(|j| interactive(self.replica_id, self.seed, j as u32, nodes)).collect())
            }
            feature @ (Feature::Synthetic | Feature::NonInteractive) => Err(ChallengeError::NotSupportedYet(feature)),
        }
    }

    /// The challenges of every partition.
    ///
    /// # Errors
    /// [`ChallengeError::NotSupportedYet`].
    pub fn all(&self) -> Result<Vec<Vec<u64>>, ChallengeError> {
        let (partitions, _) = layout(self.config)?;
        (0..partitions).map(|partition| self.partition(partition)).collect()
    }
}

/// Interactive challenge number j over a power of two of nodes, at least two.
pub(crate) fn interactive(replica_id: &ReplicaId, seed: &[u8; 32], j: u32, nodes: u64) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(replica_id);
    hasher.update(seed);
    hasher.update(j.to_le_bytes());
    remainder(&hasher.finalize().into(), nodes - 1) + 1
}

/// `intLE(digest) mod modulus`, digit by digit from the top.
fn remainder(digest: &[u8; 32], modulus: u64) -> u64 {
    let modulus = u128::from(modulus);
    let digits = digest.as_chunks().0.iter().rev().map(|digit| u64::from_le_bytes(*digit));
    digits.fold(0_u128, |rest, digit| (rest << 64 | u128::from(digit)) % modulus) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{ApiVersion, PoRepId, Profile, SealProof, params};

    fn partition(profile: Profile, id: u32, k: usize) -> Vec<u64> {
        let config = SealProof::by_id(profile, id).unwrap().config();
        Challenges { config: &config, replica_id: &[0x11; 32], seed: &[0x44; 32] }.partition(k).unwrap()
    }

    /// spec/replication.md 12.8.
    #[test]
    fn production_sizes_match_reference() {
        let gib32_first = [
            1032735980, 218648003, 234851917, 132270257, 718680380, 298060584, 797142363, 367714086, 391791563,
            726729667, 49527653, 356619256, 213268960, 187906906, 113146826, 30085667, 389297681, 504473600,
        ];
        let gib32_last = [
            755083071, 929014228, 997547856, 1044090344, 11977578, 269306953, 140011900, 285222185, 67233307,
            195924562, 289185067, 1057637527, 983276784, 35614610, 589443303, 860523732, 976296444, 642362135,
        ];
        let gib64_last = [
            1014013403, 280015619, 61617988, 1413158685, 1392607836, 1047647420, 1664713282, 2125322823, 53980719,
            1725661055, 291214181, 2085401326, 999178432, 817254541, 505638165, 989819639, 641019808, 1457042719,
        ];
        assert_eq!(partition(Profile::Filecoin, 8, 0), gib32_first);
        assert_eq!(partition(Profile::Filecoin, 8, 9), gib32_last);
        assert_eq!(partition(Profile::Filecoin, 9, 9), gib64_last);
        let gib4 = [132251888, 103659675, 64262294, 94314649, 78504895, 64101019, 73497830];
        assert_eq!(partition(Profile::Filecash, 5, 9), gib4);
        let gib16 = [285808008, 95130977, 300619508, 464077129, 406687037, 343668574, 480643286, 448204748];
        assert_eq!(partition(Profile::Filecash, 6, 9), gib16);
    }

    /// spec/replication.md 12.7, "PoRep challenges per partition"; spec/filecash-profile.md 11.
    #[test]
    fn small_sectors_match_reference() {
        let of = |profile, size, replica_id: &str, seed: [u8; 32]| {
            let mut id = [0; 32];
            hex::decode_to_slice(replica_id, &mut id).unwrap();
            let params = params::for_size(profile, size).unwrap();
            let config = PoRepConfig::interactive(params, profile, PoRepId::from_number(5), ApiVersion::V1_1_0);
            Challenges { config: &config, replica_id: &id, seed: &seed }.all().unwrap()
        };
        let filecoin = [
            (2 << 10, "35cd503a13f12d29748aa02793a91c91998719c63ca4696b5c5270b52e97fd2a", [4, 34]),
            (2 << 10, "1e08828febc41ac09939aa599416ec1a942d2e37c9b3e3ae902a636dbad96001", [7, 62]),
            (4 << 10, "612479eb3fbe2f05f669dd353f512e2f8fb170c073c325ef25f28f6a237c1705", [76, 104]),
            (16 << 10, "a89d1822ddb2720b326b668b75ad189a6167ef3139b242dc6166275d1e448631", [493, 27]),
            (32 << 10, "31577d5de5a677d68dc02371ca0b8488d1f380c3a210dcd6e564fd0955f55f19", [296, 158]),
            (8 << 20, "e9e86554f2deec0097006ffb48ca7283559ca9ae1dfcc30011870a717739372f", [50234, 247851]),
        ];
        for (size, replica_id, challenges) in filecoin {
            assert_eq!(of(Profile::Filecoin, size, replica_id, [2; 32]), [challenges], "{size}");
        }
        let seed = std::array::from_fn(|i| 0x20 + i as u8);
        let filecash = [
            ("e28b02505bcb16b73336145d0d57e82f2acaed30413f0adbf9f8a593c575620b", [40, 17]),
            ("a388a745cfb8e2819c1c9eb863724f1ce5baa3279cae4ed419d50195a865fb0a", [47, 12]),
        ];
        for (replica_id, challenges) in filecash {
            assert_eq!(of(Profile::Filecash, 2 << 10, replica_id, seed), [challenges]);
        }
    }

    #[test]
    fn remainder_takes_all_256_bits() {
        assert_eq!(remainder(&[0xff; 32], 63), (pow2(256, 63) + 62) % 63);
        let mut top = [0; 32];
        top[31] = 0x80;
        assert_eq!(remainder(&top, 1_000_003), pow2(255, 1_000_003));
    }

    fn pow2(exponent: u32, modulus: u64) -> u64 {
        (0..exponent).fold(1, |power, _| 2 * power % modulus)
    }

    #[test]
    fn other_features_are_not_supported_yet() {
        for (id, feature) in [(13, Feature::Synthetic), (18, Feature::NonInteractive)] {
            let config = SealProof::by_id(Profile::Filecoin, id).unwrap().config();
            let challenges = Challenges { config: &config, replica_id: &[1; 32], seed: &[2; 32] };
            assert_eq!(challenges.all(), Err(ChallengeError::NotSupportedYet(feature)));
        }
    }
}
