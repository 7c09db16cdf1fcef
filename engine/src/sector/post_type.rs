//! Registered proofs of space-time of each network and the configuration that each one means.
//!
//! A proof of space-time shows at some moment that sealed sectors are still held. *Winning* proofs open one sector at
//! 66 leaves and come with a block; *window* proofs open every sector at 10 leaves and come once a day, so many sectors
//! to a SNARK as the table says. Like seal proofs, a number means different things on the two networks.
//!
//! Source: `spec/replication.md` 3.3, 3.4 and 10; `spec/filecash-profile.md` 5 and 6.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::params::{self, Profile, SectorParams, WINDOW_CHALLENGES, WINNING_CHALLENGES};
use super::proof_type::ApiVersion;

/// What a proof of space-time is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoStKind {
    /// For a block: one sector.
    Winning,
    /// For a deadline: every sector.
    Window,
}

impl fmt::Display for PoStKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Winning => "winning PoSt",
            Self::Window => "window PoSt",
        })
    }
}

/// Everything that a proof of space-time depends on, besides sectors, randomness and prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoStConfig {
    /// The network.
    pub profile: Profile,
    /// The row of the sectors' size.
    pub params: &'static SectorParams,
    /// One sector or all of them.
    pub kind: PoStKind,
    /// Decides what a window challenge depends on.
    pub api_version: ApiVersion,
}

impl PoStConfig {
    /// Leaves that are opened in each sector.
    pub fn challenges(&self) -> usize {
        match self.kind {
            PoStKind::Winning => WINNING_CHALLENGES,
            PoStKind::Window => WINDOW_CHALLENGES,
        }
    }

    /// Sectors that one SNARK speaks of.
    pub fn partition_sectors(&self) -> usize {
        match self.kind {
            PoStKind::Winning => 1,
            PoStKind::Window => self.params.window_sectors,
        }
    }

    /// Whether a sector's challenges depend on its place among the sectors.
    ///
    /// So it was before API version 1.2.0, and so it is on Filecash.
    pub fn is_ranked(&self) -> bool {
        self.kind == PoStKind::Window && self.api_version < ApiVersion::V1_2_0
    }
}

/// A registered proof of space-time: a network, a number, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoStProof {
    /// The network in whose list the number stands.
    pub profile: Profile,
    /// The registered number.
    pub id: u32,
    /// The name in JSON, as the network's API spells it.
    pub name: &'static str,
    /// Winning or window.
    pub kind: PoStKind,
    size_bytes: u64,
    api_version: ApiVersion,
}

/// A number or name that is not registered on the network asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{profile} has no proof of space-time {asked}")]
pub struct UnknownPoSt {
    /// The network asked.
    pub profile: Profile,
    /// The number or name asked for.
    pub asked: String,
}

type Row = (&'static str, PoStKind, u64, ApiVersion);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The first ten numbers, which mean the same on both networks.
#[rustfmt::skip]
const COMMON: [Row; 10] = [
    ("StackedDrgWinning2KiBV1",   PoStKind::Winning, 2 * KIB,   ApiVersion::V1_0_0),
    ("StackedDrgWinning8MiBV1",   PoStKind::Winning, 8 * MIB,   ApiVersion::V1_0_0),
    ("StackedDrgWinning512MiBV1", PoStKind::Winning, 512 * MIB, ApiVersion::V1_0_0),
    ("StackedDrgWinning32GiBV1",  PoStKind::Winning, 32 * GIB,  ApiVersion::V1_0_0),
    ("StackedDrgWinning64GiBV1",  PoStKind::Winning, 64 * GIB,  ApiVersion::V1_0_0),
    ("StackedDrgWindow2KiBV1",    PoStKind::Window,  2 * KIB,   ApiVersion::V1_0_0),
    ("StackedDrgWindow8MiBV1",    PoStKind::Window,  8 * MIB,   ApiVersion::V1_0_0),
    ("StackedDrgWindow512MiBV1",  PoStKind::Window,  512 * MIB, ApiVersion::V1_0_0),
    ("StackedDrgWindow32GiBV1",   PoStKind::Window,  32 * GIB,  ApiVersion::V1_0_0),
    ("StackedDrgWindow64GiBV1",   PoStKind::Window,  64 * GIB,  ApiVersion::V1_0_0),
];

/// Filecoin's numbers from 10 on. Chain-side libraries end their names in `V1_1` or `V1P1`.
#[rustfmt::skip]
const FILECOIN: [Row; 5] = [
    ("StackedDrgWindow2KiBV1_2",   PoStKind::Window, 2 * KIB,   ApiVersion::V1_2_0),
    ("StackedDrgWindow8MiBV1_2",   PoStKind::Window, 8 * MIB,   ApiVersion::V1_2_0),
    ("StackedDrgWindow512MiBV1_2", PoStKind::Window, 512 * MIB, ApiVersion::V1_2_0),
    ("StackedDrgWindow32GiBV1_2",  PoStKind::Window, 32 * GIB,  ApiVersion::V1_2_0),
    ("StackedDrgWindow64GiBV1_2",  PoStKind::Window, 64 * GIB,  ApiVersion::V1_2_0),
];

/// Filecash's numbers from 10 on, window before winning.
#[rustfmt::skip]
const FILECASH: [Row; 4] = [
    ("StackedDrgWindow4GiBV1",   PoStKind::Window,  4 * GIB,  ApiVersion::V1_0_0),
    ("StackedDrgWinning4GiBV1",  PoStKind::Winning, 4 * GIB,  ApiVersion::V1_0_0),
    ("StackedDrgWindow16GiBV1",  PoStKind::Window,  16 * GIB, ApiVersion::V1_0_0),
    ("StackedDrgWinning16GiBV1", PoStKind::Winning, 16 * GIB, ApiVersion::V1_0_0),
];

impl PoStProof {
    /// Every registered proof of space-time of a network, by ascending number.
    pub fn all(profile: Profile) -> impl Iterator<Item = Self> {
        let own: &[Row] = match profile {
            Profile::Filecoin => &FILECOIN,
            Profile::Filecash => &FILECASH,
        };
        let rows = COMMON.iter().chain(own).zip(0..);
        rows.map(move |(&(name, kind, size_bytes, api_version), id)| Self {
            profile,
            id,
            name,
            kind,
            size_bytes,
            api_version,
        })
    }

    /// Looks up a registered number.
    ///
    /// # Errors
    /// [`UnknownPoSt`] when the network has no such number.
    pub fn by_id(profile: Profile, id: u32) -> Result<Self, UnknownPoSt> {
        Self::all(profile).find(|proof| proof.id == id).ok_or_else(|| UnknownPoSt { profile, asked: id.to_string() })
    }

    /// Looks up a registered name.
    ///
    /// # Errors
    /// [`UnknownPoSt`] when the network has no such name.
    pub fn by_name(profile: Profile, name: &str) -> Result<Self, UnknownPoSt> {
        let asked = || UnknownPoSt { profile, asked: format!("{name:?}") };
        Self::all(profile).find(|proof| proof.name == name).ok_or_else(asked)
    }

    /// The newest registered proof of a kind for sectors of a size.
    ///
    /// # Errors
    /// [`UnknownPoSt`] when the network has none for the size.
    pub fn for_size(profile: Profile, kind: PoStKind, size_bytes: u64) -> Result<Self, UnknownPoSt> {
        Self::all(profile)
            .filter(|proof| proof.size_bytes == size_bytes && proof.kind == kind)
            .max_by_key(|proof| proof.api_version)
            .ok_or_else(|| UnknownPoSt { profile, asked: format!("({kind}) for sectors of {size_bytes} bytes") })
    }

    /// What the number means.
    pub fn config(&self) -> PoStConfig {
        PoStConfig {
            profile: self.profile,
            params: params::for_size(self.profile, self.size_bytes)
                .expect("every registered proof's size is a row of the table, checked in a test"),
            kind: self.kind,
            api_version: self.api_version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_proof_has_a_row() {
        for profile in Profile::ALL {
            for proof in PoStProof::all(profile) {
                let config = proof.config();
                let kind = if proof.kind == PoStKind::Winning { "Winning" } else { "Window" };
                let version = if config.api_version == ApiVersion::V1_2_0 { "V1_2" } else { "V1" };
                assert_eq!(proof.name, format!("StackedDrg{kind}{}{version}", config.params.name));
                assert_eq!(PoStProof::by_id(profile, proof.id), Ok(proof));
                assert_eq!(PoStProof::by_name(profile, proof.name), Ok(proof));
            }
        }
    }

    /// spec/filecash-profile.md 6: the same numbers mean other proofs.
    #[test]
    fn numbers_of_the_networks_differ() {
        let name = |profile, id| PoStProof::by_id(profile, id).unwrap().name;
        assert_eq!(name(Profile::Filecoin, 10), "StackedDrgWindow2KiBV1_2");
        assert_eq!(name(Profile::Filecash, 10), "StackedDrgWindow4GiBV1");
        assert_eq!(name(Profile::Filecash, 13), "StackedDrgWinning16GiBV1");
        assert!(PoStProof::by_id(Profile::Filecash, 14).is_err());
        assert!(PoStProof::by_id(Profile::Filecoin, 15).is_err());
        let window = |profile, size| PoStProof::for_size(profile, PoStKind::Window, size).unwrap().id;
        assert_eq!((window(Profile::Filecoin, 2 * KIB), window(Profile::Filecash, 2 * KIB)), (10, 5));
        let error = PoStProof::for_size(Profile::Filecoin, PoStKind::Winning, 4 * GIB).unwrap_err();
        assert_eq!(
            error.to_string(),
            "filecoin has no proof of space-time (winning PoSt) for sectors of 4294967296 bytes"
        );
    }

    #[test]
    fn only_old_window_challenges_depend_on_the_rank() {
        let ranked = |profile, id| PoStProof::by_id(profile, id).unwrap().config().is_ranked();
        assert!(!ranked(Profile::Filecoin, 0) && ranked(Profile::Filecoin, 5) && !ranked(Profile::Filecoin, 10));
        assert!(ranked(Profile::Filecash, 10) && !ranked(Profile::Filecash, 11));
    }
}
