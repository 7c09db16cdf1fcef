//! Sectors of synthetic data: making what a phase needs, and running a phase on it.
//!
//! Each sector is a [`Folder`], as `filecash quickstart` makes it, `sector-1` and so on in the storage folder. A phase reads
//! the outputs of earlier ones there and writes its own into a folder that is thrown away, so that it can be run any number
//! of times on the same inputs; where the sector has no output of the phase yet, the last run leaves it one.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use filecash_engine::api::post::PoStSector;
use filecash_engine::api::seal::{PreCommit1Sector, pre_commit_phase1_of_many};
use filecash_engine::api::unseal::SealedSector;
use filecash_engine::api::{SectorIdentity, prove, seal, unseal, verify};
use filecash_engine::backend::Phase as Stage;
use filecash_engine::field::Node;
use filecash_engine::field::fr32::RawRange;
use filecash_engine::graph::ParentTable;
use filecash_engine::params::CircuitKind;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::SealProof;
use filecash_engine::sector::piece::{PaddedLen, PieceInfo};
use filecash_engine::store::files::CacheFiles;
use filecash_engine::store::manifest::MANIFEST_NAME;
use tempfile::TempDir;

use crate::args::Hex32;
use crate::args::bench::{SealPhase, Sectors as Args};
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder, Identity};
use crate::params;
use crate::phase::Codec;
use crate::report::{Failure, Kind};
use crate::text::shell_word;

const TICKET: Node = *b"the ticket of filecash benchmark";
const SEED: Node = *b"the seed of filecash benchmarks!";

impl SealPhase {
    /// In the order of a sector's life.
    pub const ALL: [Self; 7] = [Self::AddPiece, Self::Pc1, Self::Pc2, Self::C1, Self::C2, Self::Verify, Self::Unseal];

    /// As results and the command line name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddPiece => "add-piece",
            Self::Pc1 => "pc1",
            Self::Pc2 => "pc2",
            Self::C1 => "c1",
            Self::C2 => "c2",
            Self::Verify => "verify",
            Self::Unseal => "unseal",
        }
    }

    /// The phase that devices know it as.
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Pc1 => Some(Stage::Pc1),
            Self::Pc2 => Some(Stage::Pc2),
            Self::C2 => Some(Stage::C2),
            Self::AddPiece | Self::C1 | Self::Verify | Self::Unseal => None,
        }
    }

    /// What it leaves in a sector's folder, for later phases.
    fn output(self, folder: &Folder) -> Option<PathBuf> {
        match self {
            Self::AddPiece => Some(folder.pieces()),
            Self::Pc1 => Some(folder.pc1()),
            Self::Pc2 => Some(folder.pc2()),
            Self::C1 => Some(folder.c1()),
            Self::C2 => Some(folder.proof()),
            Self::Verify | Self::Unseal => None,
        }
    }

    /// Phases whose outputs it reads.
    fn needs(self) -> impl Iterator<Item = Self> {
        let last = match self {
            // The proof itself is not read to get data back.
            Self::Unseal => Self::Pc2,
            phase => phase,
        };
        Self::ALL.into_iter().filter(move |phase| *phase < last || self == Self::Unseal && *phase == last)
    }
}

/// Where sectors are.
enum Storage {
    Kept(PathBuf),
    Fleeting(TempDir),
}

/// Sectors of one kind.
pub struct Sectors<'a> {
    context: &'a Context,
    /// The registered proof.
    pub proof: SealProof,
    storage: Storage,
    list: Vec<Sector>,
    /// How many PC1 labels at the same time.
    pub at_once: usize,
}

/// One of them.
struct Sector {
    folder: Folder,
    identity: SectorIdentity,
}

/// What a run writes to.
pub struct Targets {
    folders: Vec<Folder>,
    /// Gone with its files afterwards.
    _scratch: TempDir,
}

impl<'a> Sectors<'a> {
    /// Makes folders, or finds them.
    ///
    /// # Errors
    /// When there are no sectors of the size, or a folder holds another sector.
    pub fn open(args: &Args, context: &'a Context) -> anyhow::Result<Self> {
        let proof = SealProof::for_size(context.profile(), args.sector_size.0)?;
        let storage = match &args.storage_dir {
            Some(path) => {
                fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
                Storage::Kept(path.clone())
            }
            // Not in the system's temporary folder, which may lie in memory.
            None => Storage::Fleeting(
                tempfile::Builder::new().prefix("filecash-bench-").tempdir_in(".").context("cannot make a folder")?,
            ),
        };
        let mut sectors = Self { context, proof, storage, list: vec![], at_once: 1 };
        for number in 1..=u64::from(args.num_sectors) {
            let folder = Folder::new(sectors.storage().join(format!("sector-{number}")));
            let identity = SectorIdentity { prover_id: args.miner.prover_id(), sector_id: number, ticket: TICKET };
            fs::create_dir_all(folder.path()).context("cannot make a folder")?;
            let description = Identity { seed: Some(Hex32(SEED)), ..Identity::of(&proof, &identity) };
            match folder.read_identity()? {
                None => folder.write_identity(&description, false)?,
                Some(found) if found == description => {}
                Some(_) => {
                    let message = format!("{} holds another sector", folder.path().display());
                    return Err(Failure::new(Kind::Exists, message).hint("choose another --storage-dir").into());
                }
            }
            sectors.list.push(Sector { folder, identity });
        }
        Ok(sectors)
    }

    fn storage(&self) -> &Path {
        match &self.storage {
            Storage::Kept(path) => path,
            Storage::Fleeting(folder) => folder.path(),
        }
    }

    /// What a stop leaves.
    pub fn kept(&self) -> String {
        match &self.storage {
            Storage::Kept(path) => {
                format!("finished phases stay in {}; no result was written", shell_word(path))
            }
            Storage::Fleeting(_) => "nothing was kept; --storage-dir DIR keeps finished phases".to_owned(),
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.list.len() as u64
    }

    /// Bytes of all sectors.
    pub fn bytes(&self) -> u64 {
        self.count() * self.size_bytes()
    }

    /// Bytes of a sector.
    pub fn size_bytes(&self) -> u64 {
        self.proof.config().params.size_bytes
    }

    /// The sectors as proofs of space-time take them; PC2 has to be done.
    pub fn for_post(&self) -> anyhow::Result<Vec<PoStSector>> {
        let sector = |sector: &Sector| {
            let pc2: PreCommit2Output = self.read(&sector.folder.pc2())?;
            let (cache, sealed) = (sector.folder.cache(), sector.folder.sealed());
            Ok(PoStSector { sector_id: sector.identity.sector_id, comm_r: pc2.comm_r, cache, sealed })
        };
        self.list.iter().map(sector).collect()
    }

    /// C1's output of the first sector; C1 has to be done.
    pub fn first_c1(&self) -> anyhow::Result<(SectorIdentity, PathBuf)> {
        let first = self.list.first().ok_or_else(|| Failure::missing("--num-sectors"))?;
        Ok((first.identity, first.folder.c1()))
    }

    /// Makes what is made once: parameters, the parent table, open devices. Not measured.
    pub fn prepare_machine(&self, phases: &[SealPhase]) -> anyhow::Result<()> {
        let has = |phase| phases.contains(&phase);
        for stage in phases.iter().filter_map(|phase| phase.stage()) {
            self.context.job_on_devices(stage, self.size_bytes())?;
        }
        if has(SealPhase::C2) || has(SealPhase::Verify) {
            params::make_or_reuse(self.context, &self.proof, CircuitKind::PoRep)?;
        }
        ParentTable::open(&self.context.job(), &self.proof.config()).map_err(filecash_engine::Error::from)?;
        Ok(())
    }

    /// Runs what a phase needs and is not there. Not measured.
    pub fn make_inputs(&self, phase: SealPhase) -> anyhow::Result<()> {
        phase.needs().try_for_each(|before| self.make(before))
    }

    /// Runs a phase where its output is not there. Not measured.
    pub fn make(&self, phase: SealPhase) -> anyhow::Result<()> {
        let lacks = |sector: &&Sector| phase.output(&sector.folder).is_some_and(|path| !path.exists());
        let lacking: Vec<_> = self.list.iter().filter(lacks).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        self.context.teller.note(&format!("Making what the measurement needs: {}", phase.name()));
        for sector in &lacking {
            self.clear(phase, sector, &sector.folder)?;
        }
        let folders: Vec<_> = lacking.iter().map(|sector| sector.folder.clone()).collect();
        self.compute(phase, &lacking, &folders)
    }

    /// Folders for the outputs of a run.
    pub fn targets(&self, phase: SealPhase, is_last: bool) -> anyhow::Result<Targets> {
        let scratch = tempfile::Builder::new().prefix("run-").tempdir_in(self.storage())?;
        let mut folders = vec![];
        for sector in &self.list {
            let lacks = phase.output(&sector.folder).is_some_and(|path| !path.exists());
            let folder = match is_last && lacks {
                true => sector.folder.clone(),
                false => Folder::new(scratch.path().join(sector.identity.sector_id.to_string())),
            };
            self.clear(phase, sector, &folder)?;
            folders.push(folder);
        }
        Ok(Targets { folders, _scratch: scratch })
    }

    /// Runs a phase.
    pub fn run(&self, phase: SealPhase, targets: &Targets) -> anyhow::Result<()> {
        self.compute(phase, &self.list.iter().collect::<Vec<_>>(), &targets.folders)
    }

    /// Brings a folder into the state in which a phase finds it.
    fn clear(&self, phase: SealPhase, sector: &Sector, target: &Folder) -> anyhow::Result<()> {
        let context = || format!("cannot prepare {}", target.path().display());
        fs::create_dir_all(target.path()).with_context(context)?;
        match phase {
            SealPhase::AddPiece => remove(&target.staged())?,
            SealPhase::Pc1 => {
                // Layers that are there already would be taken as they are.
                if target.cache().exists() {
                    fs::remove_dir_all(target.cache()).with_context(context)?;
                }
                fs::create_dir(target.cache()).with_context(context)?;
                remove(&target.sealed())?;
            }
            SealPhase::Pc2 => self.clear_for_pc2(sector, target).with_context(context)?,
            SealPhase::C1 | SealPhase::C2 | SealPhase::Verify | SealPhase::Unseal => {}
        }
        Ok(())
    }

    /// The layers and TreeD of PC1, and the data where the replica will be.
    fn clear_for_pc2(&self, sector: &Sector, target: &Folder) -> anyhow::Result<()> {
        let (from, to) = (sector.folder.cache(), target.cache());
        let inputs = CacheFiles::new(self.proof.config().params, self.context.config.rows_to_discard).for_precommit();
        let mut names: Vec<_> = inputs.into_iter().map(|file| file.name).collect();
        names.push(MANIFEST_NAME.to_owned());
        if from == to {
            for entry in fs::read_dir(&to)? {
                let entry = entry?;
                if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                    fs::remove_file(entry.path())?;
                }
            }
        } else {
            fs::create_dir(&to)?;
            for name in names.iter().filter(|name| from.join(name).exists()) {
                // PC2 reads them only.
                let link = fs::hard_link(from.join(name), to.join(name));
                link.or_else(|_| fs::copy(from.join(name), to.join(name)).map(drop))?;
            }
        }
        remove(&target.sealed())?;
        fs::copy(sector.folder.staged(), target.sealed())?;
        Ok(())
    }

    fn compute(&self, phase: SealPhase, sectors: &[&Sector], targets: &[Folder]) -> anyhow::Result<()> {
        self.context.teller.phase(phase.name());
        let outcome = match phase {
            SealPhase::Pc1 => self.pc1(sectors, targets),
            _ => sectors.iter().zip(targets).try_for_each(|(sector, target)| self.of_one(phase, sector, target)),
        };
        self.context.teller.phase("");
        outcome.with_context(|| format!("{} failed", phase.name()))
    }

    fn pc1(&self, sectors: &[&Sector], targets: &[Folder]) -> anyhow::Result<()> {
        let job = self.context.job_on_devices(Stage::Pc1, self.size_bytes())?;
        let mut inputs = Vec::new();
        for (sector, target) in sectors.iter().zip(targets) {
            let pieces: Vec<PieceInfo> = files::read_json(&sector.folder.pieces(), "list of pieces")?;
            inputs.push((target.cache(), sector.folder.staged(), target.sealed(), &sector.identity, pieces));
        }
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(cache, staged, sealed, identity, pieces)| PreCommit1Sector {
                cache,
                staged,
                sealed,
                identity,
                pieces,
            })
            .collect();
        let outputs = pre_commit_phase1_of_many(&job, &self.proof.config(), &inputs, self.at_once)?;
        outputs
            .into_iter()
            .zip(targets)
            .try_for_each(|(output, target)| output?.write_file(&self.proof, &target.pc1(), true))
    }

    fn of_one(&self, phase: SealPhase, sector: &Sector, target: &Folder) -> anyhow::Result<()> {
        let (proof, config, identity) = (&self.proof, self.proof.config(), &sector.identity);
        let (job, size) = (self.context.job(), config.params.size_bytes);
        let pieces = || files::read_json::<Vec<PieceInfo>>(&sector.folder.pieces(), "list of pieces");
        let pc2 = || self.read::<PreCommit2Output>(&sector.folder.pc2());
        let (cache, sealed) = (sector.folder.cache(), sector.folder.sealed());
        match phase {
            SealPhase::AddPiece => {
                let size = PaddedLen::new(size)?.unpadded();
                let data = Data::of(identity.sector_id).take(size.get());
                let added = seal::add_piece(&job, config.params, data, &target.staged(), size, &[])?;
                files::write(&target.pieces(), &files::json(&[added.piece])?, true)
            }
            SealPhase::Pc1 => self.pc1(&[sector], std::slice::from_ref(target)),
            SealPhase::Pc2 => {
                let job = self.context.job_on_devices(Stage::Pc2, size)?;
                let pc1: PreCommit1Output = self.read(&sector.folder.pc1())?;
                let output = seal::pre_commit_phase2(&job, &config, &pc1, &target.cache(), &target.sealed())?;
                output.write_file(proof, &target.pc2(), true)
            }
            SealPhase::C1 => {
                let output = seal::commit_phase1(&job, &config, &cache, &sealed, identity, &SEED, &pc2()?, &pieces()?)?;
                output.write_file(proof, &target.c1(), true)
            }
            SealPhase::C2 => {
                let job = self.context.job_on_devices(Stage::C2, size)?;
                let c1: Commit1Output = self.read(&sector.folder.c1())?;
                let bytes = prove::commit_phase2(&job, &config, &c1, identity)?;
                files::write(&target.proof(), &bytes, true)
            }
            SealPhase::Verify => {
                let (pc2, proof) = (pc2()?, files::read(&sector.folder.proof(), "proof")?);
                Ok(verify::verify_seal(&job, &config, &pc2.comm_r, &pc2.comm_d, identity, &SEED, &proof)?)
            }
            SealPhase::Unseal => {
                // Without the cache: labels are computed again, as after months in a vault.
                let source = SealedSector { sealed: &sealed, cache: None, scratch: target.path() };
                let range = RawRange { offset: 0, len: config.params.unpadded_bytes() };
                let mut same = Same(Data::of(identity.sector_id));
                Ok(unseal::unseal_range(&job, &config, &source, identity, &pc2()?.comm_d, range, &mut same)?)
            }
        }
    }

    /// Reads what a phase wrote.
    fn read<T: Codec>(&self, path: &Path) -> anyhow::Result<T> {
        let (proof, output) = T::read_file(self.proof.profile, path)?;
        if proof != self.proof {
            let message = format!("{} is of {}, not of {}", path.display(), proof.name, self.proof.name);
            return Err(Failure::new(Kind::Input, message).into());
        }
        Ok(output)
    }
}

/// Removes a file that may be there.
fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Endless bytes without a pattern, the same ones for the same number: splitmix64 (Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", 2014).
struct Data {
    state: u64,
    /// Bytes of the last number that were not given yet.
    rest: [u8; 8],
    given: usize,
}

impl Data {
    fn of(number: u64) -> Self {
        Self { state: number, rest: [0; 8], given: 8 }
    }

    fn next(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).to_le_bytes()
    }
}

impl Read for Data {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let total = bytes.len();
        let mut left = bytes;
        while !left.is_empty() {
            if self.given == self.rest.len() {
                self.rest = self.next();
                self.given = 0;
            }
            let count = left.len().min(self.rest.len() - self.given);
            let (now, later) = left.split_at_mut(count);
            now.copy_from_slice(&self.rest[self.given..][..count]);
            self.given += count;
            left = later;
        }
        Ok(total)
    }
}

/// Takes the bytes of a source and no others.
struct Same<R>(R);

impl<R: Read> Write for Same<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut expected = vec![0; bytes.len()];
        self.0.read_exact(&mut expected)?;
        if expected == bytes {
            return Ok(bytes.len());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "other data came back than was sealed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_does_not_depend_on_how_it_is_read() {
        let mut whole = [0; 100];
        Data::of(7).read_exact(&mut whole).unwrap();
        let (mut parts, mut data) = (vec![], Data::of(7));
        for size in [1, 7, 8, 9, 0, 30, 45] {
            let mut part = vec![0; size];
            data.read_exact(&mut part).unwrap();
            parts.extend(part);
        }
        assert_eq!(parts, whole);
        // The generator's published first output for state 0.
        assert_eq!(Data::of(0).next(), 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert!(Same(Data::of(7)).write_all(&whole).is_ok());
        assert!(Same(Data::of(8)).write_all(&whole).is_err());
    }

    #[test]
    fn phases_need_what_is_before_them() {
        let needs = |phase: SealPhase| phase.needs().collect::<Vec<_>>();
        assert_eq!(needs(SealPhase::AddPiece), []);
        assert_eq!(needs(SealPhase::Pc2), [SealPhase::AddPiece, SealPhase::Pc1]);
        assert_eq!(needs(SealPhase::Verify).len(), 5);
        assert_eq!(needs(SealPhase::Unseal), [SealPhase::AddPiece, SealPhase::Pc1, SealPhase::Pc2]);
    }
}
