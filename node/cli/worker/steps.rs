//! The steps that jobs are, each from its input and its sector's files to an output. A step that was done before is not done again:
//! its output is read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use filecash_engine::Error;
use filecash_engine::api::snark::Resume;
use filecash_engine::api::{SectorIdentity, post, prove, seal, update, verify};
use filecash_engine::backend::Phase;
use filecash_engine::porep::challenges::NO_SEED;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::post::{PoStRound, VanillaPoSt};
use filecash_engine::sector::geometry::Geometry;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::sector::{Feature, PoStKind, PoStProof, SealProof};
use filecash_engine::store::files::{self as store, P_AUX, SYNTHETIC_PROOFS, T_AUX};
use filecash_engine::store::lock::FileLock;
use filecash_engine::update::UpdateCommitments;
use filecash_engine::update::{PartitionProof, UpdateProof};
use filecash_node::folder::LOCK;
use filecash_node::hex32::Hex32;
use filecash_node::jobs::Kind;
use filecash_node::size::ByteSize;
use filecash_node::worker::storage::free_bytes;
use filecash_node::worker::storage::inner_path;
use filecash_node::worker::task::{Moved, PoStTask, SealTask, SectorTask, UpdateTask, split};
use filecash_node::worker::wire::{Assignment, Said};
use serde::de::DeserializeOwned;

use super::job::{Speaker, telling};
use crate::context::Context;
use crate::files;
use crate::folder::{Described as _, Folder, Identity};
use crate::phase::Codec;
use crate::report::{Failure, Kind as Sort};

/// How long the process of a worker that has just died may hold it.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// Of the names of folders that are being copied and deleted.
const COPYING: &str = ".filecash-copying";
const REMOVING: &str = ".filecash-removing";

/// Does a job; returns its output.
pub fn run(
    assignment: &Assignment,
    input: &[u8],
    kept: &[u8],
    context: &Context,
    speaker: &Speaker,
) -> anyhow::Result<Vec<u8>> {
    let step = Step { assignment, context, speaker };
    match assignment.kind {
        Kind::Pc1 | Kind::Pc2 | Kind::Synth | Kind::C1 => step.of_sector(&step.task()?),
        Kind::Finalize => step.finalize(&step.task()?, input),
        Kind::C2 => step.c2(&step.task()?, input, kept),
        Kind::Update => step.update(&step.task()?, input, kept),
        Kind::Window => step.window(&step.task()?, input),
        Kind::Winning => step.winning(&step.task()?, input),
    }
}

struct Step<'a> {
    assignment: &'a Assignment,
    context: &'a Context,
    speaker: &'a Speaker,
}

/// A sector that is being worked on.
struct Sector {
    folder: Folder,
    proof: SealProof,
    known: Identity,
    identity: SectorIdentity,
    _lock: FileLock,
}

impl Step<'_> {
    fn task<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.assignment.task).context("the task makes no sense to this program")
    }

    /// The engine's job on the devices of a phase, told to the worker.
    fn job(&self, phase: Phase, size_bytes: u64) -> anyhow::Result<filecash_engine::job::Job<'_>> {
        let job = self.context.job_on_devices(phase, size_bytes)?;
        let name = if job.config.backend.has_devices() { self.context.devices(phase) } else { "cpu" };
        self.speaker.say(&Said::Device { name: name.to_owned() }, &[]);
        Ok(telling(job, self.speaker))
    }

    fn path(&self, folder: &str) -> anyhow::Result<PathBuf> {
        let storage = self.assignment.storage.as_ref().context("the job names no storage")?;
        // What was queued elsewhere does not lead out of the storage.
        let inner = inner_path(folder).with_context(|| format!("{folder:?} is no folder in a storage"))?;
        Ok(storage.join(inner))
    }

    fn open(&self, path: PathBuf) -> anyhow::Result<Sector> {
        let folder = Folder::new(path);
        let lock = folder.lock();
        let begun = Instant::now();
        let lock = loop {
            match FileLock::acquire(&lock).with_context(|| format!("cannot lock {}", lock.display()))? {
                Some(lock) => break lock,
                None if begun.elapsed() < LOCK_PATIENCE && !self.context.is_cancelled() => {
                    thread::sleep(Duration::from_millis(50));
                }
                None => bail!(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("somebody else works in {}", folder.path().display())
                )),
            }
        };
        let known = folder.read_identity()?.with_context(|| format!("{} is missing", folder.identity().display()))?;
        let proof = known.proof()?;
        let Assignment { profile, proof: name, .. } = self.assignment;
        ensure!(
            proof.name == *name && proof.profile == *profile,
            "{} says {} of {}, the job is of {name} of {profile}",
            folder.identity().display(),
            proof.name,
            proof.profile
        );
        let identity = SectorIdentity { prover_id: known.prover_id.0, sector_id: known.sector, ticket: known.ticket.0 };
        Ok(Sector { folder, proof, known, identity, _lock: lock })
    }

    fn of_sector(&self, task: &SectorTask) -> anyhow::Result<Vec<u8>> {
        let sector = self.open(self.path(&task.folder)?)?;
        let size = sector.proof.config().params.size_bytes;
        match self.assignment.kind {
            Kind::Pc1 => sector.output::<PreCommit1Output>(sector.folder.pc1(), || {
                let job = self.job(Phase::Pc1, size)?;
                let (cache, staged, sealed) = (sector.folder.cache(), sector.folder.staged(), sector.folder.sealed());
                files::require_file(&staged, "staged file")?;
                let (config, pieces) = (sector.proof.config(), sector.pieces()?);
                Ok(seal::pre_commit_phase1(&job, &config, &cache, &staged, &sealed, &sector.identity, &pieces)?)
            }),
            Kind::Pc2 => sector.output::<PreCommit2Output>(sector.folder.pc2(), || {
                let pc1 = sector.read::<PreCommit1Output>(&sector.folder.pc1())?;
                let job = self.job(Phase::Pc2, size)?;
                let (cache, sealed) = (sector.folder.cache(), sector.folder.sealed());
                Ok(seal::pre_commit_phase2(&job, &sector.proof.config(), &pc1, &cache, &sealed)?)
            }),
            Kind::Synth => {
                let cache = sector.folder.cache();
                if !cache.join(SYNTHETIC_PROOFS).exists() {
                    let pc2 = sector.read::<PreCommit2Output>(&sector.folder.pc2())?;
                    let job = telling(self.context.job(), self.speaker);
                    let (sealed, pieces) = (sector.folder.sealed(), sector.pieces()?);
                    let config = sector.proof.config();
                    seal::generate_synth_proofs(&job, &config, &cache, &sealed, &sector.identity, &pc2, &pieces)?;
                }
                // The rest needs layers and trees no more.
                seal::clear_cache(&cache)?;
                Ok(Vec::new())
            }
            _ => {
                let seed = match sector.proof.config().feature {
                    Feature::NonInteractive => NO_SEED,
                    _ => task.seed.or(sector.known.seed).context("the seed is missing")?.0,
                };
                let path = sector.folder.c1();
                if path.exists() && sector.read::<Commit1Output>(&path)?.seed != seed {
                    // The chain gave another since.
                    remove_file(&path)?;
                }
                sector.output::<Commit1Output>(path, || {
                    let pc2 = sector.read::<PreCommit2Output>(&sector.folder.pc2())?;
                    let job = telling(self.context.job(), self.speaker);
                    let (cache, sealed, pieces) = (sector.folder.cache(), sector.folder.sealed(), sector.pieces()?);
                    let config = sector.proof.config();
                    let c1 =
                        seal::commit_phase1(&job, &config, &cache, &sealed, &sector.identity, &seed, &pc2, &pieces)?;
                    if task.seed.is_some() && config.feature != Feature::NonInteractive {
                        let identity = Identity { seed: task.seed, ..sector.known.clone() };
                        sector.folder.write_identity(&identity, true)?;
                    }
                    Ok(c1)
                })
            }
        }
    }

    fn c2(&self, task: &SealTask, input: &[u8], kept: &[u8]) -> anyhow::Result<Vec<u8>> {
        let read = Commit1Output::decode(self.assignment.profile, input).map_err(Error::from);
        let (proof, c1) = read.context("the output of C1")?;
        let name = &self.assignment.proof;
        let fits = proof.name == *name;
        expect(fits, || format!("the output of C1 is of {}, the job of {name}", proof.name))?;
        let identity = SectorIdentity { prover_id: task.prover_id.0, sector_id: task.sector, ticket: c1.ticket };
        let job = self.job(Phase::C2, proof.config().params.size_bytes)?;
        let keep = |proofs: &[u8]| self.speaker.keep(proofs);
        let resume = Resume { proven: kept, keep: &keep };
        Ok(prove::commit_phase2_resumed(&job, &proof.config(), &c1, &identity, &resume)?)
    }

    /// Gives the proof its file, deletes what proving needed and brings the sector to where it stays.
    ///
    /// Whatever happens, one folder of the sector is whole: it has a name only when it is, and the other is deleted after that.
    fn finalize(&self, task: &SectorTask, proof: &[u8]) -> anyhow::Result<Vec<u8>> {
        let from = self.path(&task.folder)?;
        // What an attempt that was killed did not finish deleting.
        remove_sector(&with_suffix(&from, REMOVING))?;
        if let Some(to) = self.find_moved(task, &from)? {
            discard(&from)?;
            return moved(&to);
        }
        let sector = match self.open(from.clone()) {
            // Whoever had the lock has moved it.
            Err(_) if !from.exists() => match self.find_moved(task, &from)? {
                Some(to) => return moved(&to),
                None => bail!(io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", from.display()))),
            },
            opened => opened?,
        };
        // Nothing is deleted before the sector is proven.
        let stored = if proof.is_empty() { files::read(&sector.folder.proof(), "proof")? } else { proof.to_vec() };
        self.expect_whole(&sector, task.seed, &stored)?;
        let folder = &sector.folder;
        files::write(&folder.proof(), &stored, true)?;
        seal::clear_cache(&folder.cache())?;
        seal::clear_synthetic_proofs(&folder.cache())?;
        remove_file(&folder.c1())?;
        let Some(storage) = &self.assignment.keep_in else { return moved(&from) };
        let to = storage.join(&task.folder);
        move_sector(&from, &to, &telling(self.context.job(), self.speaker))?;
        moved(&to)
    }

    /// Where an earlier attempt has brought the sector, whole. A folder of its name that is anything else is in the way.
    fn find_moved(&self, task: &SectorTask, from: &Path) -> anyhow::Result<Option<PathBuf>> {
        for storage in &self.assignment.stores {
            let to = storage.join(&task.folder);
            if !to.exists() || fs::canonicalize(&to).ok() == fs::canonicalize(from).ok() {
                continue;
            }
            let whole = || -> anyhow::Result<()> {
                let sector = self.open(to.clone())?;
                let is_it = sector.known.prover_id == task.prover_id && sector.known.sector == task.sector;
                ensure!(is_it, "it holds another sector");
                let proof = files::read(&sector.folder.proof(), "proof")?;
                self.expect_whole(&sector, task.seed, &proof)
            };
            whole().with_context(|| {
                format!("{} is in the way: it is there already, and not this sector as it was moved", to.display())
            })?;
            return Ok(Some(to));
        }
        Ok(None)
    }

    /// Fails unless a sector is proven and has all that storing it needs.
    fn expect_whole(&self, sector: &Sector, seed: Option<Hex32>, proof: &[u8]) -> anyhow::Result<()> {
        let (config, folder) = (sector.proof.config(), &sector.folder);
        let pc2 = sector.read::<PreCommit2Output>(&folder.pc2())?;
        let seed = match config.feature {
            Feature::NonInteractive => NO_SEED,
            _ => sector.known.seed.or(seed).context("the seed is missing")?.0,
        };
        let job = telling(self.context.job(), self.speaker);
        verify::verify_seal(&job, &config, &pc2.comm_r, &pc2.comm_d, &sector.identity, &seed, proof)?;
        let (sealed, size) = (folder.sealed(), config.params.size_bytes);
        let length = files::require_file(&sealed, "sealed file")?;
        ensure!(length == size, "{} has {length} bytes, expected {size}", sealed.display());
        let cache = folder.cache();
        let trees = store::tree_r_last(&cache, Geometry::of(config.params).base_trees());
        for path in trees.chain([P_AUX, T_AUX].map(|name| cache.join(name))) {
            files::require_file(&path, "file that proofs of space-time need")?;
        }
        Ok(())
    }

    fn update(&self, task: &UpdateTask, input: &[u8], kept: &[u8]) -> anyhow::Result<Vec<u8>> {
        let config = UpdateProof::by_name(self.assignment.profile, &self.assignment.proof)?.config();
        let parts = parts(input, &task.lengths)?;
        let (found, expected) = (parts.len(), config.shape.partitions);
        expect(found == expected, || format!("{found} partitions, expected {expected}"))?;
        let proofs = parts.iter().enumerate().map(|(partition, bytes)| {
            let read = PartitionProof::from_bytes(&config.shape, partition, bytes).map_err(Error::from);
            read.with_context(|| format!("partition {partition}"))
        });
        let proofs = proofs.collect::<anyhow::Result<Vec<_>>>()?;
        let UpdateTask { comm_r_old, comm_r_new, comm_d_new, .. } = task;
        let commitments =
            UpdateCommitments { comm_r_old: comm_r_old.0, comm_r_new: comm_r_new.0, comm_d_new: comm_d_new.0 };
        let job = self.job(Phase::Update, config.params.size_bytes)?;
        let keep = |proofs: &[u8]| self.speaker.keep(proofs);
        let resume = Resume { proven: kept, keep: &keep };
        Ok(update::prove_resumed(&job, &config, &commitments, &proofs, &resume)?)
    }

    fn round(&self, task: &PoStTask, kind: PoStKind, input: &[u8]) -> anyhow::Result<(PoStRound, Vec<VanillaPoSt>)> {
        let proof = PoStProof::by_name(self.assignment.profile, &self.assignment.proof)?;
        expect(proof.kind == kind, || format!("{} is of another kind", proof.name))?;
        let parts = parts(input, &task.lengths)?;
        let vanilla = parts.iter().enumerate().map(|(place, bytes)| {
            let read = VanillaPoSt::decode(&proof.config(), bytes).map_err(Error::from);
            read.with_context(|| format!("vanilla proof {place}"))
        });
        let round = PoStRound::new(&proof.config(), &task.randomness.0, &task.prover_id.0)?;
        Ok((round, vanilla.collect::<Result<_, _>>()?))
    }

    fn window(&self, task: &PoStTask, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (round, vanilla) = self.round(task, PoStKind::Window, input)?;
        let job = self.job(Phase::PoSt, round.config().params.size_bytes)?;
        let faulty = post::Faulty::Refuse;
        Ok(post::prove_window_partition_with_vanilla(&job, &round, task.partition, vanilla, faulty)?.proof)
    }

    fn winning(&self, task: &PoStTask, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (round, mut vanilla) = self.round(task, PoStKind::Winning, input)?;
        let (Some(of_sector), true) = (vanilla.pop(), vanilla.is_empty()) else {
            let message = format!("a winning proof is of one sector, not of {}", task.lengths.len());
            return Err(Failure::new(Sort::Input, message).into());
        };
        let job = self.job(Phase::PoSt, round.config().params.size_bytes)?;
        Ok(post::prove_winning_with_vanilla(&job, &round, of_sector)?)
    }
}

impl Sector {
    fn pieces(&self) -> anyhow::Result<Vec<PieceInfo>> {
        files::read_json(&self.folder.pieces(), "list of pieces")
    }

    /// Reads what a phase of this sector wrote.
    fn read<T: Codec>(&self, path: &Path) -> anyhow::Result<T> {
        let (proof, output) = T::read_file(self.proof.profile, path)?;
        let (is, of) = (proof.name, self.proof.name);
        ensure!(proof.id == self.proof.id, "{} is the {} of {is}, not of {of}", path.display(), T::NAME);
        Ok(output)
    }

    /// A phase's output as JSON: of its file, if that is there, else of the work, which makes the file.
    fn output<T: Codec>(&self, path: PathBuf, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Vec<u8>> {
        if !path.exists() {
            work()?.write_file(&self.proof, &path, false)?;
        }
        self.read::<T>(&path)?;
        files::read(&path, T::NAME)
    }
}

/// Refuses an input.
fn expect(is_so: bool, message: impl FnOnce() -> String) -> anyhow::Result<()> {
    if is_so { Ok(()) } else { Err(Failure::new(Sort::Input, message()).into()) }
}

/// The vanilla proofs in an input.
fn parts<'a>(input: &'a [u8], lengths: &[usize]) -> anyhow::Result<Vec<&'a [u8]>> {
    let message = "the vanilla proofs are not as long as the task says";
    Ok(split(input, lengths).ok_or_else(|| Failure::new(Sort::Input, message))?)
}

/// Where a sector is now, for the queue's books.
fn moved(to: &Path) -> anyhow::Result<Vec<u8>> {
    let (storage, folder) = filecash_node::worker::storage::Storage::around(to)?;
    Ok(serde_json::to_vec(&Moved { storage: storage.id, folder })?)
}

/// Moves a sector's folder: by its name on the same disk, else file by file, and the old one goes last.
fn move_sector(from: &Path, to: &Path, job: &filecash_engine::job::Job<'_>) -> anyhow::Result<()> {
    let above = files::folder(to);
    fs::create_dir_all(above).with_context(|| format!("cannot make the folder {}", above.display()))?;
    match fs::rename(from, to) {
        Ok(()) => return sync(above),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        Err(error) => return Err(error).with_context(|| format!("cannot move {} to {}", from.display(), to.display())),
    }
    let half = with_suffix(to, COPYING);
    // Of an attempt that was killed.
    remove_sector(&half)?;
    let copied = copy_sector(from, &half, job);
    if copied.is_err() {
        // The disk may be full of it.
        drop(fs::remove_dir_all(&half));
    }
    copied?;
    fs::rename(&half, to).with_context(|| format!("cannot name {}", to.display()))?;
    sync(above)?;
    discard(from)
}

/// Copies a sector's folder and brings it to the disk.
fn copy_sector(from: &Path, to: &Path, job: &filecash_engine::job::Job<'_>) -> anyhow::Result<()> {
    let all = files_in(from)?;
    let bytes = all.iter().map(|(_, bytes)| bytes).sum();
    let free = free_bytes(files::folder(to)).unwrap_or(u64::MAX);
    if free < bytes {
        let [bytes, free] = [bytes, free].map(ByteSize);
        let message = format!("{} has {free} free, the sector {bytes}", files::folder(to).display());
        bail!(io::Error::new(io::ErrorKind::StorageFull, message));
    }
    let stage = job.stage("move", filecash_engine::job::Unit::Bytes, bytes);
    for (inner, bytes) in &all {
        let (source, target) = (from.join(inner), to.join(inner));
        let copied = fs::create_dir_all(files::folder(&target))
            .and_then(|()| fs::copy(&source, &target))
            .and_then(|_| File::open(&target)?.sync_all());
        copied.with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
        sync(files::folder(&target))?;
        stage.advance(*bytes)?;
    }
    Ok(())
}

/// Deletes a sector's folder, which loses its name first: what is half deleted is nobody's sector.
fn discard(folder: &Path) -> anyhow::Result<()> {
    let removing = with_suffix(folder, REMOVING);
    match fs::rename(folder, &removing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", folder.display())),
        Ok(()) => remove_sector(&removing),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// The files of a folder, by their paths in there, with their lengths.
fn files_in(folder: &Path) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let entry = entry?;
            let inner = inner.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(inner),
                false if entry.file_name() == LOCK => {}
                false => found.push((inner, entry.metadata()?.len())),
            }
        }
    }
    Ok(found)
}

/// Removes a file, if it is there.
fn remove_file(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_sector(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    filecash_engine::store::atomic::sync_folder(folder)
        .with_context(|| format!("cannot flush the folder {}", folder.display()))
}
