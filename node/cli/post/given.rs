//! What a verb of proofs of space-time was given: the round and the sectors, from flags, lists and folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::post::{PoStRound, PoStSector, PublicSector, VanillaPoSt};
use filecash_engine::porep::outputs::PreCommit2Output;
use filecash_engine::sector::{PoStConfig, PoStKind, PoStProof, Profile, SectorId};
use serde::{Deserialize, Serialize};

use crate::args::Registered;
use crate::args::post::{CommR, Round, SectorEntry, Sectors};
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder, Identity};
use crate::given::by_id_or_name;
use crate::phase::Codec;
use crate::report::{Failure, Kind, with_causes};
use crate::text::count;

/// Sectors and what their folders say.
pub struct Given {
    /// In the order of list, folders, flags.
    pub sectors: Vec<SectorEntry>,
    /// What the first folder's `sector.json` says.
    identity: Option<Identity>,
    profile: Profile,
    /// The network that a folder or a flag states.
    stated: Option<Profile>,
}

impl Given {
    /// Reads lists and folders.
    pub fn new(context: &Context, flags: &Sectors) -> anyhow::Result<Self> {
        let mut sectors: Vec<SectorEntry> = match &flags.sectors {
            Some(path) => files::read_json(path, "list of sectors")?,
            None => vec![],
        };
        let mut known: Option<Identity> = None;
        for path in &flags.dir {
            let folder = Folder::new(path);
            let identity = folder.require_identity(context)?;
            let (_, pc2) = PreCommit2Output::read_file(identity.profile, &folder.pc2())?;
            sectors.push(SectorEntry {
                sector_id: identity.sector,
                comm_r: CommR(pc2.comm_r),
                cache: Some(folder.cache()),
                sealed: Some(folder.sealed()),
            });
            let first = known.get_or_insert_with(|| identity.clone()).profile;
            if first != identity.profile {
                let message = format!("{} holds a sector of profile {}", path.display(), identity.profile);
                let message = format!("{message}, the folders before it of profile {first}");
                return Err(Failure::new(Kind::Usage, message).into());
            }
        }
        sectors.extend(flags.sector.iter().cloned());
        let stated = known.as_ref().map(|identity| identity.profile).or(context.asked_profile());
        Ok(Self { sectors, identity: known, profile: stated.unwrap_or(context.profile()), stated })
    }

    /// The registered proof of a kind.
    pub fn proof(&self, flags: &Registered, kind: PoStKind) -> anyhow::Result<PoStProof> {
        let size = match (&flags.registered_proof, flags.sector_size) {
            (Some(text), _) => {
                let (by_id, by_name) =
                    (|id| PoStProof::by_id(self.profile, id), |name: &str| PoStProof::by_name(self.profile, name));
                let proof = by_id_or_name(text, by_id, by_name)?;
                if proof.kind != kind {
                    let message = format!("{} is a {}, not a {kind}", proof.name, proof.kind);
                    return Err(Failure::new(Kind::Usage, message).into());
                }
                return Ok(proof);
            }
            (None, Some(size)) => size.0,
            (None, None) => match &self.identity {
                Some(identity) => identity.proof()?.config().params.size_bytes,
                None => return Err(Failure::missing("--sector-size or --registered-proof").into()),
            },
        };
        Ok(PoStProof::for_size(self.profile, kind, size)?)
    }

    /// The round.
    pub fn round(&self, flags: &Round, config: &PoStConfig) -> anyhow::Result<PoStRound> {
        let known = self.identity.as_ref().map(|identity| identity.prover_id);
        let prover_id = flags.prover.id().or(known).ok_or_else(|| Failure::missing("--miner or --prover-id"))?;
        let randomness = flags.randomness.ok_or_else(|| Failure::missing("--randomness"))?;
        Ok(PoStRound::new(config, &randomness.0, &prover_id.0)?)
    }

    /// The sectors with their files.
    pub fn private(&self) -> anyhow::Result<Vec<PoStSector>> {
        let private = |entry: &SectorEntry| match entry {
            SectorEntry { sector_id, comm_r, cache: Some(cache), sealed: Some(sealed) } => {
                Ok(PoStSector { sector_id: *sector_id, comm_r: comm_r.0, cache: cache.clone(), sealed: sealed.clone() })
            }
            SectorEntry { sector_id, .. } => {
                let message = format!("sector {sector_id} has no cache and sealed file");
                Err(Failure::new(Kind::Input, message).hint("only verification does without").into())
            }
        };
        self.some()?.iter().map(private).collect()
    }

    /// The sectors as a verifier knows them.
    pub fn public(&self) -> anyhow::Result<Vec<PublicSector>> {
        let public = |entry: &SectorEntry| PublicSector { sector_id: entry.sector_id, comm_r: entry.comm_r.0 };
        Ok(self.some()?.iter().map(public).collect())
    }

    fn some(&self) -> anyhow::Result<&[SectorEntry]> {
        match self.sectors.is_empty() {
            true => Err(Failure::missing("--sectors, --dir or --sector").into()),
            false => Ok(&self.sectors),
        }
    }
}

/// The winning one of sectors in the chain's order.
pub fn winner<T>(round: &PoStRound, mut sectors: Vec<T>) -> anyhow::Result<T> {
    let place = round.winning_sector(sectors.len() as u64)?;
    // Below the number of sectors, itself that of a vector.
    Ok(sectors.swap_remove(place as usize))
}

/// Challenges as a file between steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenges {
    /// Network whose rules apply.
    pub profile: Profile,
    /// Name of the registered proof.
    pub registered_proof: String,
    /// For each sector the leaves to open.
    pub challenges: Vec<SectorLeaves>,
}

/// The leaves to open in a sector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectorLeaves {
    /// Its number.
    pub sector_id: SectorId,
    /// The leaves in order.
    pub leaves: Vec<u64>,
}

impl Challenges {
    /// Those of a registered proof.
    pub fn new(proof: &PoStProof, leaves: Vec<(SectorId, Vec<u64>)>) -> Self {
        let challenges = leaves.into_iter().map(|(sector_id, leaves)| SectorLeaves { sector_id, leaves }).collect();
        Self { profile: proof.profile, registered_proof: proof.name.to_owned(), challenges }
    }

    /// Reads a file; gives also which proof of that kind it is for. It may not contradict what folders and flags state.
    pub fn read(path: &Path, kind: PoStKind, given: &Given) -> anyhow::Result<(PoStProof, Self)> {
        let challenges: Self = files::read_json(path, "output of challenges")?;
        if let Some(stated) = given.stated.filter(|stated| *stated != challenges.profile) {
            let message = format!("{} is of profile {}, not of {stated}", path.display(), challenges.profile);
            return Err(Failure::new(Kind::Usage, message).into());
        }
        let proof = PoStProof::by_name(challenges.profile, &challenges.registered_proof)?;
        if proof.kind != kind {
            let message = format!("{} is for a {}, not for a {kind}", path.display(), proof.kind);
            return Err(Failure::new(Kind::Input, message).into());
        }
        let sectors = challenges.challenges.len();
        if kind == PoStKind::Winning && sectors != 1 {
            let message = format!("{} names {}, and one wins", path.display(), count(sectors as u64, "sector"));
            return Err(Failure::new(Kind::Input, message).into());
        }
        Ok((proof, challenges))
    }

    /// The leaves of each sector; those of other sectors are not looked at.
    pub fn of(&self, sectors: Vec<PoStSector>) -> anyhow::Result<Vec<(PoStSector, Vec<u64>)>> {
        let leaves = |sector: PoStSector| match self.challenges.iter().find(|known| known.sector_id == sector.sector_id)
        {
            Some(known) => Ok((sector, known.leaves.clone())),
            None => {
                let message = format!("no challenges for sector {}", sector.sector_id);
                Err(Failure::new(Kind::Input, message).into())
            }
        };
        sectors.into_iter().map(leaves).collect()
    }
}

/// The name of a sector's vanilla proof in a folder.
pub fn vanilla_name(sector: SectorId) -> String {
    format!("sector-{sector}")
}

/// Reads vanilla proofs: files, and folders of such.
pub fn read_vanilla(config: &PoStConfig, paths: &[PathBuf]) -> anyhow::Result<Vec<VanillaPoSt>> {
    let mut found = vec![];
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let context = || format!("cannot read the folder {}", path.display());
        let mut names = vec![];
        for entry in fs::read_dir(path).with_context(context)? {
            let entry = entry.with_context(context)?;
            if entry.file_name().to_string_lossy().starts_with("sector-") {
                names.push(entry.path());
            }
        }
        names.sort();
        if names.is_empty() {
            return Err(Failure::new(Kind::Input, format!("{} holds no vanilla proofs", path.display())).into());
        }
        found.extend(names);
    }
    found.iter().map(|path| decode_vanilla(config, path)).collect()
}

/// Reads one vanilla proof.
pub fn decode_vanilla(config: &PoStConfig, path: &Path) -> anyhow::Result<VanillaPoSt> {
    let bytes = files::read(path, "vanilla proof")?;
    VanillaPoSt::decode(config, &bytes).map_err(|error| {
        let what = format!("a {} of {} sectors", config.kind, config.params.name);
        let message = format!("{} is no vanilla proof of {what}: {}", path.display(), with_causes(&error));
        Failure::new(Kind::Input, message).into()
    })
}
