//! Registered seal proofs of each network and the configuration that each one means.
//!
//! A number means different things on the two networks, so it is never looked up without its profile.
//!
//! Source: `spec/replication.md` 3.3 to 3.5, `spec/filecash-profile.md` 6.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::PoRepId;
use super::params::{self, Profile, SectorParams};

/// Version of the proofs' rules. Orders as semantic versions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ApiVersion {
    /// 1.0.0: the predecessor is the last base parent; expander parents are cut to 32 bits.
    V1_0_0,
    /// 1.1.0: the predecessor is the first base parent.
    V1_1_0,
    /// 1.2.0: as 1.1.0, and the two features are allowed.
    V1_2_0,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
            Self::V1_2_0 => "1.2.0",
        })
    }
}

/// How the challenges of a PoRep are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Feature {
    /// From a seed of the chain.
    Interactive,
    /// From a seed, out of a set proven beforehand.
    Synthetic,
    /// From the sector's own commitments.
    NonInteractive,
}

impl Feature {
    /// All, in a fixed order.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Synthetic, Self::NonInteractive];

    /// The lower-case name, as in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Synthetic => "synthetic",
            Self::NonInteractive => "non-interactive",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name of none of the ways of drawing challenges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown feature {0:?}, expected \"interactive\", \"synthetic\" or \"non-interactive\"")]
pub struct UnknownFeature(pub String);

impl FromStr for Feature {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Self, UnknownFeature> {
        Self::ALL.into_iter().find(|feature| feature.name() == name).ok_or_else(|| UnknownFeature(name.to_owned()))
    }
}

/// Everything that the sealing of one sector depends on, besides its data and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoRepConfig {
    /// The network.
    pub profile: Profile,
    /// The row of the sector's size.
    pub params: &'static SectorParams,
    /// Enters replica id and graph.
    pub porep_id: PoRepId,
    /// Rules of graph and challenges.
    pub api_version: ApiVersion,
    /// How challenges are drawn.
    pub feature: Feature,
}

impl PoRepConfig {
    /// An interactive PoRep under a porep id of the caller's, for sizes without a registered number.
    pub fn interactive(
        params: &'static SectorParams,
        profile: Profile,
        porep_id: PoRepId,
        api_version: ApiVersion,
    ) -> Self {
        Self { profile, params, porep_id, api_version, feature: Feature::Interactive }
    }

    /// Whether the graph follows API version 1.0.0.
    ///
    /// On Filecash the porep id alone decides, as in its fork.
    pub fn legacy_graph(&self) -> bool {
        match self.profile {
            Profile::Filecoin => self.api_version == ApiVersion::V1_0_0,
            Profile::Filecash => self.porep_id.number() <= self.profile.last_legacy_porep_number(),
        }
    }
}

/// A registered seal proof: a network, a number, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealProof {
    /// The network in whose list the number stands.
    pub profile: Profile,
    /// The registered number.
    pub id: u32,
    /// The name in JSON, as the network's API spells it.
    pub name: &'static str,
    /// The name that tags labels and vanilla proofs of this size, whatever the version: `StackedDrg2KiBV1`.
    pub size_name: &'static str,
    size_bytes: u64,
    api_version: ApiVersion,
    feature: Feature,
}

/// A number or name that is not registered on the network asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{profile} has no seal proof {asked}")]
pub struct UnknownProof {
    /// The network asked.
    pub profile: Profile,
    /// The number or name asked for.
    pub asked: String,
}

const KIB2: u64 = 2 << 10;
const MIB8: u64 = 8 << 20;
const MIB512: u64 = 512 << 20;
const GIB4: u64 = 4 << 30;
const GIB16: u64 = 16 << 30;
const GIB32: u64 = 32 << 30;
const GIB64: u64 = 64 << 30;

const FILECOIN_SIZES: [u64; 5] = [KIB2, MIB8, MIB512, GIB32, GIB64];
const FILECASH_SIZES: [u64; 7] = [KIB2, MIB8, MIB512, GIB32, GIB64, GIB4, GIB16];

const FILECOIN_NAMES: [&str; 20] = [
    "StackedDrg2KiBV1",
    "StackedDrg8MiBV1",
    "StackedDrg512MiBV1",
    "StackedDrg32GiBV1",
    "StackedDrg64GiBV1",
    "StackedDrg2KiBV1_1",
    "StackedDrg8MiBV1_1",
    "StackedDrg512MiBV1_1",
    "StackedDrg32GiBV1_1",
    "StackedDrg64GiBV1_1",
    "StackedDrg2KiBV1_1_Feat_SyntheticPoRep",
    "StackedDrg8MiBV1_1_Feat_SyntheticPoRep",
    "StackedDrg512MiBV1_1_Feat_SyntheticPoRep",
    "StackedDrg32GiBV1_1_Feat_SyntheticPoRep",
    "StackedDrg64GiBV1_1_Feat_SyntheticPoRep",
    "StackedDrg2KiBV1_2_Feat_NonInteractivePoRep",
    "StackedDrg8MiBV1_2_Feat_NonInteractivePoRep",
    "StackedDrg512MiBV1_2_Feat_NonInteractivePoRep",
    "StackedDrg32GiBV1_2_Feat_NonInteractivePoRep",
    "StackedDrg64GiBV1_2_Feat_NonInteractivePoRep",
];

const FILECASH_NAMES: [&str; 14] = [
    "StackedDrg2KiBV1",
    "StackedDrg8MiBV1",
    "StackedDrg512MiBV1",
    "StackedDrg32GiBV1",
    "StackedDrg64GiBV1",
    "StackedDrg4GiBV1",
    "StackedDrg16GiBV1",
    "StackedDrg2KiBV1_1",
    "StackedDrg8MiBV1_1",
    "StackedDrg512MiBV1_1",
    "StackedDrg32GiBV1_1",
    "StackedDrg64GiBV1_1",
    "StackedDrg4GiBV1_1",
    "StackedDrg16GiBV1_1",
];

impl SealProof {
    /// Every registered seal proof of a network, by ascending number.
    pub fn all(profile: Profile) -> impl Iterator<Item = Self> {
        let (names, sizes): (&[&'static str], &[u64]) = match profile {
            Profile::Filecoin => (&FILECOIN_NAMES, &FILECOIN_SIZES),
            Profile::Filecash => (&FILECASH_NAMES, &FILECASH_SIZES),
        };
        names.iter().enumerate().map(move |(id, &name)| {
            let generation = id / sizes.len();
            let (api_version, feature) = match generation {
                0 => (ApiVersion::V1_0_0, Feature::Interactive),
                1 => (ApiVersion::V1_1_0, Feature::Interactive),
                2 => (ApiVersion::V1_2_0, Feature::Synthetic),
                _ => (ApiVersion::V1_2_0, Feature::NonInteractive),
            };
            Self {
                profile,
                id: id as u32,
                name,
                size_name: names[id % sizes.len()],
                size_bytes: sizes[id % sizes.len()],
                api_version,
                feature,
            }
        })
    }

    /// Looks up a registered number.
    ///
    /// # Errors
    /// [`UnknownProof`] when the network has no such number.
    pub fn by_id(profile: Profile, id: u32) -> Result<Self, UnknownProof> {
        Self::all(profile).find(|proof| proof.id == id).ok_or_else(|| UnknownProof { profile, asked: id.to_string() })
    }

    /// Looks up a registered name, as in JSON.
    ///
    /// # Errors
    /// [`UnknownProof`] when the network has no such name.
    pub fn by_name(profile: Profile, name: &str) -> Result<Self, UnknownProof> {
        Self::all(profile)
            .find(|proof| proof.name == name)
            .ok_or_else(|| UnknownProof { profile, asked: format!("{name:?}") })
    }

    /// The interactive proof of the latest graph for a sector size.
    ///
    /// # Errors
    /// [`UnknownProof`] when the network has no registered proof for the size.
    pub fn for_size(profile: Profile, size_bytes: u64) -> Result<Self, UnknownProof> {
        Self::with_feature(profile, size_bytes, Feature::Interactive)
    }

    /// The proof of the latest graph for a sector size whose challenges are drawn in this way.
    ///
    /// # Errors
    /// [`UnknownProof`] when the network has no such registered proof for the size.
    pub fn with_feature(profile: Profile, size_bytes: u64, feature: Feature) -> Result<Self, UnknownProof> {
        let known = Self::all(profile).filter(|proof| proof.size_bytes == size_bytes && proof.feature == feature);
        known.max_by_key(|proof| proof.api_version).ok_or_else(|| {
            let kind = if feature == Feature::Interactive { String::new() } else { format!("{feature} and ") };
            UnknownProof { profile, asked: format!("{kind}for sectors of {size_bytes} bytes") }
        })
    }

    /// What the number means.
    pub fn config(&self) -> PoRepConfig {
        PoRepConfig {
            profile: self.profile,
            params: params::for_size(self.profile, self.size_bytes)
                .expect("every registered proof's size is a row of the table, checked in a test"),
            porep_id: PoRepId::from_number(u64::from(self.id)),
            api_version: self.api_version,
            feature: self.feature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_proof_has_a_row() {
        for profile in Profile::ALL {
            for proof in SealProof::all(profile) {
                let config = proof.config();
                assert!(proof.name.starts_with(proof.size_name));
                assert!(proof.size_name.contains(config.params.name), "{} {}", proof.size_name, config.params.name);
                assert_eq!(SealProof::by_id(profile, proof.id), Ok(proof));
                assert_eq!(SealProof::by_name(profile, proof.name), Ok(proof));
            }
        }
    }

    #[test]
    fn features_parse_by_name() {
        for feature in Feature::ALL {
            assert_eq!(feature.to_string().parse(), Ok(feature));
        }
        assert!("Synthetic".parse::<Feature>().is_err());
    }

    /// spec/filecash-profile.md 2: ids 5 and 6 are legacy there and new on Filecoin.
    #[test]
    fn legacy_limit_depends_on_the_profile() {
        let legacy = |profile, id| SealProof::by_id(profile, id).unwrap().config().legacy_graph();
        assert!(legacy(Profile::Filecoin, 4) && !legacy(Profile::Filecoin, 5));
        assert!(legacy(Profile::Filecash, 6) && !legacy(Profile::Filecash, 7));
    }

    #[test]
    fn numbers_of_the_networks_differ() {
        let name = |profile, id| SealProof::by_id(profile, id).unwrap().name;
        assert_eq!(name(Profile::Filecoin, 5), "StackedDrg2KiBV1_1");
        assert_eq!(name(Profile::Filecash, 5), "StackedDrg4GiBV1");
        assert!(SealProof::by_id(Profile::Filecash, 14).is_err());
        assert!(SealProof::by_id(Profile::Filecoin, 20).is_err());
        assert_eq!(SealProof::for_size(Profile::Filecoin, 8 << 20).unwrap().id, 6);
        assert_eq!(SealProof::for_size(Profile::Filecash, 2 << 10).unwrap().id, 7);
        let with = |feature| SealProof::with_feature(Profile::Filecoin, 32 << 30, feature).map(|proof| proof.id);
        assert_eq!(Feature::ALL.map(with), [Ok(8), Ok(13), Ok(18)]);
        let error = SealProof::with_feature(Profile::Filecash, 2 << 10, Feature::Synthetic).unwrap_err();
        assert_eq!(error.to_string(), "filecash has no seal proof synthetic and for sectors of 2048 bytes");
    }
}
