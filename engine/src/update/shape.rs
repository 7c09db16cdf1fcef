//! What an update depends on besides its data: the rules for a number of nodes, and which sectors have updates.
//!
//! A sector of n = 2ᵈ nodes is proven in P partitions, each over one of P equal ranges of nodes. Partition k holds A
//! nodes of the row of TreeD that has P·A nodes, the *apex leaves*, so that a path of TreeD ends there and the tree over
//! them is shared by all challenges of the partition.
//!
//! The randomness of the encoding is the same for n/2ʰ nodes in a row. The circuit knows six values of h, and a selector
//! in its first public input says which of them counts; the networks always use the fourth.
//!
//! Source: `spec/replication.md` 3.3, 11.1; `spec/snark.md` 2.4.

use crate::sector::params::{self, SectorParams};
use crate::sector::{Profile, TreeShape, UnsupportedSectorSize};

/// Values of h in a circuit.
pub const H_VALUES: usize = 6;
/// Which of them is used.
const H_USED: usize = 3;

/// The rules for numbers of nodes up to a limit.
struct Rules {
    max_log2_nodes: usize,
    partitions: usize,
    challenges: usize,
    apex_leaves: usize,
    h_list: [usize; H_VALUES],
}

const SMALL: [usize; H_VALUES] = [1; H_VALUES];
const LARGE: [usize; H_VALUES] = [7, 8, 9, 10, 11, 12];

#[rustfmt::skip]
static TABLE: [Rules; 4] = [
    Rules { max_log2_nodes: 8,  partitions: 1,  challenges: 10, apex_leaves: 8,   h_list: SMALL },
    Rules { max_log2_nodes: 10, partitions: 2,  challenges: 10, apex_leaves: 128, h_list: SMALL },
    Rules { max_log2_nodes: 19, partitions: 4,  challenges: 10, apex_leaves: 128, h_list: LARGE },
    Rules { max_log2_nodes: 31, partitions: 16, challenges: 86, apex_leaves: 128, h_list: LARGE },
];

/// The numbers that an update's encoding, challenges, proofs and circuit follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpdateShape {
    /// d: binary logarithm of the number of nodes.
    pub log2_nodes: usize,
    /// Arities of TreeR-last, old and new.
    pub tree: TreeShape,
    /// P: partitions, a power of two.
    pub partitions: usize,
    /// Challenges of one partition.
    pub challenges: usize,
    /// A: apex leaves of one partition, a power of two.
    pub apex_leaves: usize,
    /// The values of h that the circuit knows.
    pub h_list: [usize; H_VALUES],
}

impl UpdateShape {
    /// The rules for `2^log2_nodes` nodes, from 2⁵ (1 KiB) to 2³¹ (64 GiB), under a tree of the shape of such a sector.
    pub fn new(log2_nodes: usize, tree: TreeShape) -> Self {
        let [.., last] = &TABLE;
        let rules = TABLE.iter().find(|rules| log2_nodes <= rules.max_log2_nodes).unwrap_or(last);
        let Rules { partitions, challenges, apex_leaves, h_list, .. } = *rules;
        Self { log2_nodes, tree, partitions, challenges, apex_leaves, h_list }
    }

    /// Nodes of the sector.
    pub fn nodes(&self) -> u64 {
        1 << self.log2_nodes
    }

    /// Bits of a partition's number.
    pub fn partition_bits(&self) -> usize {
        self.partitions.ilog2() as usize
    }

    /// Bits of a challenge's place in the range of its partition.
    pub fn challenge_bits(&self) -> usize {
        self.log2_nodes - self.partition_bits()
    }

    /// Bits of an apex leaf's place in its partition.
    pub fn apex_bits(&self) -> usize {
        self.apex_leaves.ilog2() as usize
    }

    /// Levels of TreeD between a leaf and the apex leaf above it.
    pub fn data_levels(&self) -> usize {
        self.challenge_bits() - self.apex_bits()
    }

    /// Challenges that one digest gives: 254 bits of it are used.
    pub fn challenges_per_digest(&self) -> usize {
        254 / self.challenge_bits()
    }

    /// Digests of one partition.
    pub fn digests(&self) -> usize {
        self.challenges.div_ceil(self.challenges_per_digest())
    }

    /// h: the encoding has 2ʰ values of randomness.
    pub fn h(&self) -> usize {
        self.h_list[H_USED]
    }

    /// The selectors that stand for h: one bit, at the first place of the list that holds h.
    pub fn h_select(&self) -> u64 {
        let place = self.h_list.iter().position(|h| *h == self.h()).unwrap_or(H_USED);
        1 << place
    }

    /// Which of the 2ʰ values belongs to a node.
    pub fn high(&self, node: u64) -> u64 {
        node >> (self.log2_nodes - self.h())
    }

    /// Arities of a path in TreeR-last, from the leaf up.
    pub fn tree_arities(&self) -> Vec<usize> {
        self.tree.path_arities(self.log2_nodes)
    }
}

/// Updates that a network does not have, or a registered proof that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum NoUpdates {
    #[error("{0} has no sector updates")]
    Network(Profile),
    #[error(transparent)]
    UnknownSize(#[from] UnsupportedSectorSize),
    #[error("sectors of {size} cannot be updated")]
    Size { size: &'static str },
    #[error("{profile} has no update proof {asked}")]
    Proof { profile: Profile, asked: String },
}

/// Bytes of the one sector size of the table whose sectors have no updates.
const WITHOUT_UPDATES: u64 = 1 << 30;

/// A sector that can be updated: its row and the rules. Only Filecoin has such sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateConfig {
    /// The row of the sector's size.
    pub params: &'static SectorParams,
    /// The rules.
    pub shape: UpdateShape,
}

impl UpdateConfig {
    /// The updates of a network's sectors of a size, registered or not.
    ///
    /// # Errors
    /// [`NoUpdates`] for Filecash, for sizes that the network does not know, and for 1 GiB.
    pub fn for_size(profile: Profile, size_bytes: u64) -> Result<Self, NoUpdates> {
        if profile != Profile::Filecoin {
            return Err(NoUpdates::Network(profile));
        }
        let params = params::for_size(profile, size_bytes)?;
        if size_bytes == WITHOUT_UPDATES {
            return Err(NoUpdates::Size { size: params.name });
        }
        Ok(Self { params, shape: UpdateShape::new(params.nodes().ilog2() as usize, params.shape) })
    }
}

/// A registered update proof of Filecoin: a number, a name, a sector size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateProof {
    /// The registered number.
    pub id: u32,
    /// The name in JSON.
    pub name: &'static str,
    size_bytes: u64,
}

const REGISTERED: [UpdateProof; 5] = [
    UpdateProof { id: 0, name: "StackedDrg2KiBV1", size_bytes: 2 << 10 },
    UpdateProof { id: 1, name: "StackedDrg8MiBV1", size_bytes: 8 << 20 },
    UpdateProof { id: 2, name: "StackedDrg512MiBV1", size_bytes: 512 << 20 },
    UpdateProof { id: 3, name: "StackedDrg32GiBV1", size_bytes: 32 << 30 },
    UpdateProof { id: 4, name: "StackedDrg64GiBV1", size_bytes: 64 << 30 },
];

impl UpdateProof {
    /// The registered update proofs of a network, by ascending number.
    pub fn all(profile: Profile) -> &'static [Self] {
        match profile {
            Profile::Filecoin => &REGISTERED,
            Profile::Filecash => &[],
        }
    }

    /// Looks up a registered number.
    ///
    /// # Errors
    /// [`NoUpdates::Proof`] when the network has no such number.
    pub fn by_id(profile: Profile, id: u32) -> Result<Self, NoUpdates> {
        Self::find(profile, id.to_string(), |proof| proof.id == id)
    }

    /// Looks up a registered name.
    ///
    /// # Errors
    /// [`NoUpdates::Proof`] when the network has no such name.
    pub fn by_name(profile: Profile, name: &str) -> Result<Self, NoUpdates> {
        Self::find(profile, format!("{name:?}"), |proof| proof.name == name)
    }

    /// The proof of a sector size.
    ///
    /// # Errors
    /// [`NoUpdates::Proof`] when the network has none for it.
    pub fn for_size(profile: Profile, size_bytes: u64) -> Result<Self, NoUpdates> {
        Self::find(profile, format!("for sectors of {size_bytes} bytes"), |proof| proof.size_bytes == size_bytes)
    }

    fn find(profile: Profile, asked: String, wanted: impl Fn(&Self) -> bool) -> Result<Self, NoUpdates> {
        Self::all(profile).iter().copied().find(wanted).ok_or(NoUpdates::Proof { profile, asked })
    }

    /// What the number means.
    pub fn config(&self) -> UpdateConfig {
        UpdateConfig::for_size(Profile::Filecoin, self.size_bytes)
            .expect("every registered proof's size has updates, checked in a test")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u64) -> UpdateShape {
        UpdateConfig::for_size(Profile::Filecoin, size).unwrap().shape
    }

    /// spec/replication.md 11.1.
    #[test]
    fn rules_match_reference() {
        let table = [
            (2 << 10, 1, 10, 8, 1, 1),
            (4 << 10, 1, 10, 8, 1, 1),
            (16 << 10, 2, 10, 128, 1, 1),
            (32 << 10, 2, 10, 128, 1, 1),
            (8 << 20, 4, 10, 128, 10, 8),
            (16 << 20, 4, 10, 128, 10, 8),
            (512 << 20, 16, 86, 128, 10, 8),
            (32 << 30, 16, 86, 128, 10, 8),
            (64 << 30, 16, 86, 128, 10, 8),
        ];
        for (size, partitions, challenges, apex_leaves, h, h_select) in table {
            let shape = shape(size);
            assert_eq!([shape.partitions, shape.challenges, shape.apex_leaves], [partitions, challenges, apex_leaves]);
            assert_eq!((shape.h(), shape.h_select()), (h, h_select), "{size}");
            assert_eq!(shape.high(shape.nodes() - 1), (1 << h) - 1);
            assert_eq!(shape.high(0), 0);
        }
        assert_eq!(shape(32 << 30).tree_arities(), [8, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
        assert_eq!(shape(64 << 30).tree_arities(), [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 2]);
        assert_eq!(shape(64 << 30).data_levels(), 31 - 4 - 7);
        assert_eq!((shape(64 << 30).challenges_per_digest(), shape(64 << 30).digests()), (9, 10));
    }

    #[test]
    fn sectors_without_updates_are_refused() {
        let refused = |profile, size| UpdateConfig::for_size(profile, size).unwrap_err().to_string();
        assert_eq!(refused(Profile::Filecash, 2 << 10), "filecash has no sector updates");
        assert_eq!(refused(Profile::Filecash, 32 << 30), "filecash has no sector updates");
        assert_eq!(refused(Profile::Filecoin, 1 << 30), "sectors of 1GiB cannot be updated");
        assert!(refused(Profile::Filecoin, 4 << 30).contains("has no sectors of 4294967296 bytes"));
        assert!(refused(Profile::Filecoin, 0).contains("has no sectors of 0 bytes"));
    }

    /// spec/replication.md 3.3.
    #[test]
    fn registered_proofs_match_reference() {
        for (id, proof) in UpdateProof::all(Profile::Filecoin).iter().enumerate() {
            assert_eq!(proof.id as usize, id);
            let size = proof.config().params;
            assert_eq!(proof.name, format!("StackedDrg{}V1", size.name));
            assert_eq!(UpdateProof::by_id(Profile::Filecoin, proof.id).as_ref(), Ok(proof));
            assert_eq!(UpdateProof::by_name(Profile::Filecoin, proof.name).as_ref(), Ok(proof));
            assert_eq!(UpdateProof::for_size(Profile::Filecoin, size.size_bytes).as_ref(), Ok(proof));
        }
        assert!(UpdateProof::by_id(Profile::Filecoin, 5).is_err() && UpdateProof::by_id(Profile::Filecash, 0).is_err());
        let error = UpdateProof::for_size(Profile::Filecoin, 4 << 10).unwrap_err();
        assert_eq!(error.to_string(), "filecoin has no update proof for sectors of 4096 bytes");
    }
}
