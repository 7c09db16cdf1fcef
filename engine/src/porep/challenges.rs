//! Which nodes a PoRep opens.
//!
//! Node 0, whose label has no parents, is never opened: every challenge is a number taken `mod (n − 1) + 1`. With c
//! challenges to a partition, challenge i of partition k has the number `j = c·k + i`, and is, by the way of drawing,
//!
//! ```text
//! interactive      intLE(SHA-256(replica_id ‖ seed ‖ LE32(j)))
//! non-interactive  intLE(SHA-256("filecoin.io|PoRep|1|NonInteractive|1" ‖ replica_id ‖ comm_r ‖ LE32(j)))
//! synthetic        member s of the synthetic set, s = LE32(selection stream[4j..]) mod S
//! ```
//!
//! A digest counts in full, all 256 bits of it. The synthetic set has `S = min(n, 2¹⁸)` members, member m being
//! `intLE(generation stream[32m..][..32])`. Both streams are ChaCha20 as in RFC 8439 with the nonce "synth-porep\0", under
//!
//! ```text
//! generation  BLAKE2b-256 keyed "filecoin.io|PoRep|1|Synthetic|1|Generation" of replica_id ‖ comm_r
//! selection   BLAKE2b-256 keyed "filecoin.io|PoRep|1|Synthetic|1|Selection"  of replica_id ‖ seed
//! ```
//!
//! Streams are read at any place, so that a partition or a member costs only itself.
//!
//! Source: `spec/replication.md` 7 (the reference's `storage-proofs-porep/src/stacked/vanilla/challenges.rs`).

use std::ops::Range;

use blake2b_simd::Params;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use crate::field::Node;
use crate::sector::params::NODE_SIZE;
use crate::sector::{ApiVersion, Feature, PoRepConfig, Profile, ReplicaId};

/// What the digest of a non-interactive challenge begins with.
const NON_INTERACTIVE: &[u8] = b"filecoin.io|PoRep|1|NonInteractive|1";
/// Key of the digest that seeds the synthetic set.
const GENERATION: &[u8] = b"filecoin.io|PoRep|1|Synthetic|1|Generation";
/// Key of the digest that seeds the choice from it.
const SELECTION: &[u8] = b"filecoin.io|PoRep|1|Synthetic|1|Selection";
/// Nonce of both streams.
const NONCE: [u8; 12] = *b"synth-porep\0";
/// Members of the synthetic set of a sector of at least so many nodes.
const MAX_SYNTHETIC: u64 = 1 << 18;

/// The seed that stands in a non-interactive PoRep, which draws from none: the network's own filler.
///
/// Phase 2 refuses a seed of zeros in every proof of replication, so that zeros will not do.
pub const NO_SEED: [u8; 32] = [1; 32];

/// Challenges that cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ChallengeError {
    #[error("{profile} has no {feature} proofs of replication")]
    NotOnNetwork { profile: Profile, feature: Feature },
    #[error("{feature} proofs of replication need API version {}, not {}", ApiVersion::V1_2_0, .version)]
    Version { feature: Feature, version: ApiVersion },
}

/// What the challenges of a sector come from.
#[derive(Clone, Copy, Debug)]
pub struct Challenges<'a> {
    /// Sector size and the way of drawing.
    pub config: &'a PoRepConfig,
    /// The replica.
    pub replica_id: &'a ReplicaId,
    /// The commitment to the replica. Interactive challenges do not depend on it.
    pub comm_r: &'a Node,
    /// Randomness of the chain from after the sector's commitment. Non-interactive challenges do not depend on it.
    pub seed: &'a [u8; 32],
}

/// Partitions of a proof, and challenges in each.
///
/// # Errors
/// [`ChallengeError`] for a way of drawing that the network or the API version does not know.
pub fn layout(config: &PoRepConfig) -> Result<(usize, usize), ChallengeError> {
    let PoRepConfig { profile, params, api_version: version, feature, .. } = *config;
    if feature != Feature::Interactive {
        if profile != Profile::Filecoin {
            return Err(ChallengeError::NotOnNetwork { profile, feature });
        }
        if version < ApiVersion::V1_2_0 {
            return Err(ChallengeError::Version { feature, version });
        }
    }
    let partitions = match feature {
        Feature::Interactive | Feature::Synthetic => params.partitions,
        Feature::NonInteractive => params.non_interactive_partitions(),
    };
    Ok((partitions, params.partition_challenges()))
}

impl Challenges<'_> {
    /// The challenges of one partition, in order; repetitions are normal.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn partition(&self, partition: usize) -> Result<Vec<u64>, ChallengeError> {
        let (_, count) = layout(self.config)?;
        // Fewer than 2³² in all of a proof's partitions.
        let numbers = (partition * count) as u32..((partition + 1) * count) as u32;
        let nodes = self.config.params.nodes();
        Ok(match self.config.feature {
            Feature::Interactive => numbers.map(|j| interactive(self.replica_id, self.seed, j, nodes)).collect(),
            Feature::NonInteractive => {
                numbers.map(|j| non_interactive(self.replica_id, self.comm_r, j, nodes)).collect()
            }
            Feature::Synthetic => {
                let set = SyntheticSet::new(self.replica_id, self.comm_r, nodes);
                set.selected(self.replica_id, self.seed, numbers).into_iter().map(|member| set.member(member)).collect()
            }
        })
    }

    /// The challenges of every partition.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn all(&self) -> Result<Vec<Vec<u64>>, ChallengeError> {
        let (partitions, _) = layout(self.config)?;
        self.of(0..partitions)
    }

    /// The challenges of some partitions.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn of(&self, partitions: Range<usize>) -> Result<Vec<Vec<u64>>, ChallengeError> {
        partitions.map(|partition| self.partition(partition)).collect()
    }
}

/// Interactive challenge number j over a power of two of nodes, at least two.
pub(crate) fn interactive(replica_id: &ReplicaId, seed: &[u8; 32], j: u32, nodes: u64) -> u64 {
    challenge(&Sha256::new().chain_update(replica_id).chain_update(seed).chain_update(j.to_le_bytes()), nodes)
}

/// Non-interactive challenge number j over a power of two of nodes, at least two.
fn non_interactive(replica_id: &ReplicaId, comm_r: &Node, j: u32, nodes: u64) -> u64 {
    let hasher = Sha256::new().chain_update(NON_INTERACTIVE).chain_update(replica_id).chain_update(comm_r);
    challenge(&hasher.chain_update(j.to_le_bytes()), nodes)
}

fn challenge(hasher: &Sha256, nodes: u64) -> u64 {
    node(&hasher.clone().finalize().into(), nodes)
}

/// The node that 256 bits stand for.
fn node(bytes: &[u8; 32], nodes: u64) -> u64 {
    remainder(bytes, nodes - 1) + 1
}

/// `intLE(digest) mod modulus`, digit by digit from the top.
fn remainder(digest: &[u8; 32], modulus: u64) -> u64 {
    let modulus = u128::from(modulus);
    let digits = digest.as_chunks().0.iter().rev().map(|digit| u64::from_le_bytes(*digit));
    digits.fold(0_u128, |rest, digit| (rest << 64 | u128::from(digit)) % modulus) as u64
}

/// The challenges that a synthetic PoRep proves before its seed is known, of which the seed then selects some.
#[derive(Clone, Debug)]
pub struct SyntheticSet {
    key: [u8; 32],
    nodes: u64,
    len: u64,
}

impl SyntheticSet {
    /// The set of a replica of `nodes` nodes, a power of two and at least two.
    pub fn new(replica_id: &ReplicaId, comm_r: &Node, nodes: u64) -> Self {
        Self { key: stream_key(GENERATION, replica_id, comm_r), nodes, len: nodes.min(MAX_SYNTHETIC) }
    }

    /// Number of members.
    #[allow(clippy::len_without_is_empty, reason = "no set is empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Member number m, from 0, which is also the number of its record in the file of proofs.
    pub fn member(&self, m: u64) -> u64 {
        self.members(m..m + 1)[0]
    }

    /// Members by number; repetitions are normal.
    pub fn members(&self, numbers: Range<u64>) -> Vec<u64> {
        let mut stream = stream(&self.key, numbers.start * NODE_SIZE as u64);
        let mut bytes = [0; NODE_SIZE];
        numbers
            .map(|_| {
                stream.fill_bytes(&mut bytes);
                node(&bytes, self.nodes)
            })
            .collect()
    }

    /// The numbers of the members that a seed selects, in order of the selection's own numbers.
    pub fn selected(&self, replica_id: &ReplicaId, seed: &[u8; 32], numbers: Range<u32>) -> Vec<u64> {
        let mut stream = stream(&stream_key(SELECTION, replica_id, seed), u64::from(numbers.start) * 4);
        numbers.map(|_| u64::from(stream.next_u32()) % self.len).collect()
    }
}

/// The key of a stream of the synthetic PoRep.
fn stream_key(purpose: &[u8], replica_id: &ReplicaId, second: &[u8; 32]) -> [u8; 32] {
    let digest = Params::new().hash_length(32).key(purpose).to_state().update(replica_id).update(second).finalize();
    std::array::from_fn(|i| digest.as_bytes()[i])
}

/// A ChaCha20 stream of RFC 8439 from byte `offset` on, a multiple of 4 below 2³⁸.
///
/// The generator counts blocks in 64 bits and has a nonce of 64: the first word of the RFC's nonce is its upper half of
/// the counter, which a stream of less than 2³² blocks never carries into.
fn stream(key: &[u8; 32], offset: u64) -> ChaCha20Rng {
    let [first, second, third] = [0, 4, 8].map(|at| u32::from_le_bytes(std::array::from_fn(|i| NONCE[at + i])));
    let mut stream = ChaCha20Rng::from_seed(*key);
    stream.set_stream(u64::from(third) << 32 | u64::from(second));
    stream.set_word_pos((u128::from(first) << 32) * 16 + u128::from(offset / 4));
    stream
}

#[cfg(test)]
mod tests;
