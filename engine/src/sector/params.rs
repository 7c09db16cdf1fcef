//! The table of sector sizes: layers, tree shapes, challenges, partitions.
//!
//! A row is everything that depends on the size; nothing else in the crate matches on a size. The two networks
//! share the rows of the sizes that both know; `filecash` has 4 and 16 GiB of its own.
//!
//! Source: `spec/replication.md` 3.1, `spec/filecash-profile.md` 3 (the reference's `filecoin-proofs/src/constants.rs`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a tree node, a label, a field element.
pub const NODE_SIZE: usize = 32;
/// Parents of a node in its own layer.
pub const BASE_DEGREE: usize = 6;
/// Parents of a node in the layer before.
pub const EXPANDER_DEGREE: usize = 8;
/// All parents of a node, base parents first.
pub const DEGREE: usize = BASE_DEGREE + EXPANDER_DEGREE;
/// Parent labels that enter the hash of one label, with repetitions.
pub const LABEL_PARENTS: usize = 37;
/// Leaf challenges on the one sector of a winning PoSt.
pub const WINNING_CHALLENGES: usize = 66;
/// Leaf challenges per sector of a window PoSt.
pub const WINDOW_CHALLENGES: usize = 10;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A network's rules. Travels with every job, file manifest and parameter id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Filecoin: labels are SHA-256.
    Filecoin,
    /// Filecash: labels are SHA-512 over widened operands; its own registered numbers.
    Filecash,
}

impl Profile {
    /// Both, in a fixed order.
    pub const ALL: [Self; 2] = [Self::Filecoin, Self::Filecash];

    /// The lower-case name, as in settings and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filecoin => "filecoin",
            Self::Filecash => "filecash",
        }
    }

    /// The largest seal proof number whose graph has the order of parents of API version 1.0.0.
    pub(crate) fn last_legacy_porep_number(self) -> u64 {
        match self {
            Self::Filecoin => 4,
            Self::Filecash => 6,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A profile name that is neither `filecoin` nor `filecash`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile {0:?}, expected \"filecoin\" or \"filecash\"")]
pub struct UnknownProfile(pub String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == name).ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}

/// Arities of a compound Poseidon tree: base trees, the level above their roots, the level above that.
///
/// `sub` and `top` are 0 when absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeShape {
    /// Always 8.
    pub base: usize,
    /// 0, 2, 4 or 8.
    pub sub: usize,
    /// 0 or 2.
    pub top: usize,
}

impl TreeShape {
    /// Number of base trees, each in a file of its own.
    pub fn base_trees(self) -> usize {
        self.sub.max(1) * self.top.max(1)
    }

    /// Arities of a path over `2^log2_nodes` leaves, from the leaf up.
    pub fn path_arities(self, log2_nodes: usize) -> Vec<usize> {
        let above: Vec<usize> = [self.sub, self.top].into_iter().filter(|arity| *arity > 0).collect();
        let levels = (log2_nodes - self.base_trees().ilog2() as usize) / self.base.ilog2() as usize;
        [vec![self.base; levels], above].concat()
    }

    /// The shape as it stands in parameter names: `8-4-0`.
    pub fn name(self) -> String {
        format!("{}-{}-{}", self.base, self.sub, self.top)
    }
}

/// One row per supported sector size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectorParams {
    /// Padded size in bytes.
    pub size_bytes: u64,
    /// Human name: `2KiB`.
    pub name: &'static str,
    /// Layers of labels.
    pub layers: usize,
    /// Shape of TreeC and TreeR-last.
    pub shape: TreeShape,
    /// The least number of interactive PoRep challenges that the network accepts.
    pub min_challenges: usize,
    /// Partitions of a PoRep, each with a SNARK of its own.
    pub partitions: usize,
    /// The least number of non-interactive PoRep challenges that the network accepts; 0 for sizes without them.
    pub min_non_interactive_challenges: usize,
    /// Sectors in one window PoSt partition.
    pub window_sectors: usize,
    /// Profiles that know the size.
    profiles: &'static [Profile],
}

const BOTH: &[Profile] = &Profile::ALL;
const FILECASH: &[Profile] = &[Profile::Filecash];

const fn row(
    size_bytes: u64,
    name: &'static str,
    layers: usize,
    shape: [usize; 3],
    challenges: [usize; 3],
    window_sectors: usize,
) -> SectorParams {
    let [base, sub, top] = shape;
    let [min_challenges, partitions, min_non_interactive_challenges] = challenges;
    SectorParams {
        size_bytes,
        name,
        layers,
        shape: TreeShape { base, sub, top },
        min_challenges,
        partitions,
        min_non_interactive_challenges,
        window_sectors,
        profiles: BOTH,
    }
}

const fn only_filecash(row: SectorParams) -> SectorParams {
    SectorParams { profiles: FILECASH, ..row }
}

/// One row per supported sector size; nothing else in the crate matches on a size.
#[rustfmt::skip]
static TABLE: &[SectorParams] = &[
    //  size       name      layers  base sub top  challenges, partitions, non-interactive  window sectors
    row(2 * KIB,   "2KiB",   2,      [8, 0, 0],    [2, 1, 26],                              2),
    row(4 * KIB,   "4KiB",   2,      [8, 2, 0],    [2, 1, 26],                              2),
    row(16 * KIB,  "16KiB",  2,      [8, 8, 0],    [2, 1, 26],                              2),
    row(32 * KIB,  "32KiB",  2,      [8, 8, 2],    [2, 1, 26],                              2),
    row(8 * MIB,   "8MiB",   2,      [8, 0, 0],    [2, 1, 26],                              2),
    row(16 * MIB,  "16MiB",  2,      [8, 2, 0],    [2, 1, 26],                              2),
    row(512 * MIB, "512MiB", 2,      [8, 0, 0],    [2, 1, 26],                              2),
    row(GIB,       "1GiB",   2,      [8, 2, 0],    [2, 1, 26],                              2),
    only_filecash(
    row(4 * GIB,   "4GiB",   8,      [8, 0, 0],    [64, 10, 0],                             600)),
    only_filecash(
    row(16 * GIB,  "16GiB",  5,      [8, 4, 0],    [80, 10, 0],                             2500)),
    row(32 * GIB,  "32GiB",  11,     [8, 8, 0],    [176, 10, 2253],                         2349),
    row(64 * GIB,  "64GiB",  11,     [8, 8, 2],    [176, 10, 2253],                         2300),
];

/// A sector size that a profile does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{profile} has no sectors of {size_bytes} bytes; it knows {}", names(*profile))]
pub struct UnsupportedSectorSize {
    /// The network asked.
    pub profile: Profile,
    /// The size asked for.
    pub size_bytes: u64,
}

fn names(profile: Profile) -> String {
    all(profile).map(|params| params.name).collect::<Vec<_>>().join(", ")
}

/// Every sector size that `profile` knows, ascending.
pub fn all(profile: Profile) -> impl Iterator<Item = &'static SectorParams> {
    TABLE.iter().filter(move |params| params.profiles.contains(&profile))
}

/// Looks up a padded size in bytes.
///
/// # Errors
/// [`UnsupportedSectorSize`] when the profile has no such sectors.
pub fn for_size(profile: Profile, size_bytes: u64) -> Result<&'static SectorParams, UnsupportedSectorSize> {
    all(profile).find(|params| params.size_bytes == size_bytes).ok_or(UnsupportedSectorSize { profile, size_bytes })
}

impl SectorParams {
    /// Nodes of 32 bytes in the sector, a power of two.
    pub fn nodes(&self) -> u64 {
        self.size_bytes / NODE_SIZE as u64
    }

    /// Leaves of one base tree of TreeC and TreeR-last, a power of 8.
    pub fn base_leaves(&self) -> u64 {
        self.nodes() / self.shape.base_trees() as u64
    }

    /// Raw bytes that fit: 127 of every 128.
    pub fn unpadded_bytes(&self) -> u64 {
        self.size_bytes / 128 * 127
    }

    /// Challenges that one partition proves.
    pub fn partition_challenges(&self) -> usize {
        self.min_challenges.div_ceil(self.partitions)
    }

    /// Partitions of a non-interactive PoRep, which have as many challenges as the others.
    pub fn non_interactive_partitions(&self) -> usize {
        self.min_non_interactive_challenges.div_ceil(self.partition_challenges())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_trees_have_a_power_of_eight_leaves() {
        for profile in Profile::ALL {
            for params in all(profile) {
                assert!(params.nodes().is_power_of_two());
                assert_eq!(params.base_leaves().trailing_zeros() % 3, 0, "{}", params.name);
                assert_eq!(params.base_leaves() * params.shape.base_trees() as u64, params.nodes());
            }
        }
    }

    /// spec/replication.md 3.1, columns C/P, P and NI P.
    #[test]
    fn challenges_are_spread_over_partitions() {
        let proven = |profile, size| {
            let params = for_size(profile, size).unwrap();
            (params.partition_challenges(), params.partition_challenges() * params.partitions)
        };
        assert_eq!(proven(Profile::Filecoin, 2 * KIB), (2, 2));
        assert_eq!(proven(Profile::Filecoin, 32 * GIB), (18, 180));
        assert_eq!(proven(Profile::Filecash, 4 * GIB), (7, 70));
        assert_eq!(proven(Profile::Filecash, 16 * GIB), (8, 80));
        let non_interactive = |profile, size: u64| for_size(profile, size).unwrap().non_interactive_partitions();
        assert_eq!(all(Profile::Filecoin).map(SectorParams::non_interactive_partitions).max(), Some(126));
        assert_eq!([2 * KIB, 8 * MIB, GIB].map(|size| non_interactive(Profile::Filecoin, size)), [13; 3]);
        assert_eq!([32 * GIB, 64 * GIB].map(|size| non_interactive(Profile::Filecoin, size)), [126; 2]);
        assert_eq!(non_interactive(Profile::Filecash, 4 * GIB), 0);
    }

    #[test]
    fn sizes_of_the_other_network_are_refused() {
        assert!(for_size(Profile::Filecash, 4 * GIB).is_ok());
        let error = for_size(Profile::Filecoin, 4 * GIB).unwrap_err();
        assert!(error.to_string().contains("32GiB"), "{error}");
        assert!(for_size(Profile::Filecoin, 0).is_err());
    }

    #[test]
    fn profiles_parse_by_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        assert!("Filecoin".parse::<Profile>().is_err());
    }
}
