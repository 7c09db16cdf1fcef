//! What a sealing verb was given: each path, the proof and the identity, from flags or from the `--dir` folder.
//!
//! A flag wins over the folder's layout. Where `sector.json` already says who the sector is, a flag that says otherwise
//! is an error: the step would make a sector that nothing else belongs to.

use std::path::PathBuf;

use filecash_engine::api::SectorIdentity;
use filecash_engine::field::Node;
use filecash_engine::porep::challenges::NO_SEED;
use filecash_engine::sector::{Feature, Profile, SealProof};

use crate::args::{self, Hex32};
use crate::context::Context;
use crate::folder::{Described as _, Folder, Identity};
use crate::report::{Failure, Kind};
use crate::text::shell_word;

/// Flags and folder of one sealing verb.
pub struct Given<'a> {
    context: &'a Context,
    /// The `--dir` folder.
    pub folder: Option<Folder>,
    /// What its `sector.json` says.
    pub identity: Option<Identity>,
    /// Whether results may replace files.
    pub force: bool,
}

impl<'a> Given<'a> {
    /// Reads `sector.json` if there is one.
    pub fn new(context: &'a Context, place: &args::Place, replace: args::Replace) -> anyhow::Result<Self> {
        let folder = place.dir.as_ref().map(Folder::new);
        if let Some(folder) = &folder
            && !folder.path().is_dir()
        {
            return Err(Failure::new(Kind::Input, format!("{} is not a folder", folder.path().display())).into());
        }
        let identity = folder.as_ref().map(|folder| folder.read_identity()).transpose()?.flatten();
        Ok(Self { context, folder, identity, force: replace.force })
    }

    /// The command that goes on from here; only a folder makes it short enough to print.
    pub fn next(&self, step: &str, flags: &str) -> Option<String> {
        self.folder.as_ref().map(|folder| format!("filecash seal {step} --dir {}{flags}", shell_word(folder.path())))
    }

    /// The path that a flag gives, or the folder's.
    pub fn path(
        &self,
        flag: Option<&PathBuf>,
        in_folder: fn(&Folder) -> PathBuf,
        name: &str,
    ) -> anyhow::Result<PathBuf> {
        flag.cloned().or_else(|| self.folder.as_ref().map(in_folder)).ok_or_else(|| missing(name))
    }

    /// The sector's network: a fact of the sector where `sector.json` states it, else the setting.
    pub fn profile(&self) -> anyhow::Result<Profile> {
        match &self.identity {
            None => Ok(self.context.profile()),
            Some(identity) => self.agreed("--profile", self.context.asked_profile(), Some(identity.profile)),
        }
    }

    /// The registered seal proof.
    pub fn proof(&self, flags: &args::Proof) -> anyhow::Result<SealProof> {
        let profile = self.profile()?;
        let (by_id, by_name) = (|id| SealProof::by_id(profile, id), |name: &str| SealProof::by_name(profile, name));
        let args::Registered { registered_proof, sector_size } = &flags.registered;
        let asked = match (registered_proof, sector_size) {
            (Some(text), _) => Some(by_id_or_name(text, by_id, by_name)?),
            (None, Some(size)) => {
                Some(SealProof::with_feature(profile, size.0, flags.feature.unwrap_or(Feature::Interactive))?)
            }
            (None, None) => None,
        };
        let known = self.identity.as_ref().map(Identity::proof).transpose()?;
        // A size leaves the version open.
        if let (None, Some(asked), Some(known)) = (registered_proof, asked, known)
            && asked.config().params == known.config().params
            && flags.feature.is_none_or(|feature| feature == known.config().feature)
        {
            return Ok(known);
        }
        self.agreed("--sector-size, --feature or --registered-proof", asked, known)
    }

    /// Whose sector it is.
    pub fn sector_identity(&self, flags: &args::Identity) -> anyhow::Result<SectorIdentity> {
        let known = self.identity.as_ref();
        Ok(SectorIdentity {
            prover_id: self.agreed("--miner or --prover-id", flags.prover.id(), known.map(|known| known.prover_id))?.0,
            sector_id: self.agreed("--sector", flags.sector, known.map(|known| known.sector))?,
            ticket: self.agreed("--ticket", flags.ticket, known.map(|known| known.ticket))?.0,
        })
    }

    /// The seed; what stands in its place where the proof has none.
    pub fn seed(&self, flag: Option<Hex32>, proof: &SealProof) -> anyhow::Result<Node> {
        if proof.config().feature == Feature::NonInteractive {
            return Ok(flag.map_or(NO_SEED, |seed| seed.0));
        }
        let known = self.identity.as_ref().and_then(|identity| identity.seed);
        Ok(self.agreed("--seed", flag, known)?.0)
    }

    /// What flag and `sector.json` say, if they do not contradict each other. With `--force` the flag wins.
    fn agreed<T: PartialEq>(&self, name: &str, asked: Option<T>, known: Option<T>) -> anyhow::Result<T> {
        match (asked, known) {
            (Some(asked), Some(known)) if asked != known && !self.force => {
                let file =
                    self.folder.as_ref().map(|folder| folder.identity().display().to_string()).unwrap_or_default();
                Err(Failure::new(Kind::Usage, format!("{name} is not what {file} says"))
                    .hint("leave the flag out to go on with this sector")
                    .into())
            }
            (Some(value), _) | (None, Some(value)) => Ok(value),
            (None, None) => Err(missing(name)),
        }
    }
}

/// A registered proof that a flag names, or gives the number of.
pub fn by_id_or_name<T, E>(
    text: &str,
    by_id: impl FnOnce(u32) -> Result<T, E>,
    by_name: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, E> {
    text.parse().map_or_else(|_| by_name(text), by_id)
}

fn missing(name: &str) -> anyhow::Error {
    Failure::missing(name).hint("give it, or --dir with a folder whose sector.json knows it").into()
}
