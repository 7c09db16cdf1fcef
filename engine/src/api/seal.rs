//! Sealing: add piece, pre-commit phases 1 and 2, synthetic proofs, commit phase 1, clearing of the cache.
//!
//! Source: `spec/replication.md` 2.3, 5.6, 6.6, 6.7, 8.4, 8.6, 8.7.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rayon::prelude::*;
use tracing::info_span;

use super::SectorIdentity;
use crate::error::Error;
use crate::graph::ParentTable;
use crate::hash::label_lanes::{group_size, group_workers};
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::build;
use crate::merkle::tree_file::TreeFile;
use crate::porep::challenges::NO_SEED;
use crate::porep::commit::commit;
use crate::porep::commit1::Commit1;
use crate::porep::layers::{LabelError, Room, SectorLayers, generate_layers};
use crate::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use crate::sector::geometry::Geometry;
use crate::sector::piece::{
    self, AddedPiece, PaddedLen, PieceError, PieceInfo, StagedSector, UnpaddedLen, verify_pieces,
};
use crate::sector::{Feature, PoRepConfig, SectorParams};
use crate::store::atomic::AtomicFile;
use crate::store::aux::{PAux, TAux};
use crate::store::files;
use crate::store::manifest::{CheckError, Identity, MANIFEST_NAME, Manifest};

/// Why a step of sealing could not be done, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SealError {
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is {actual} bytes, more than the sector's {expected}", path.display())]
    TooLong { path: PathBuf, expected: u64, actual: u64 },
    #[error(
        "{} belongs to a sector that is already sealed (it holds {}); seal another one in an empty folder",
        cache.display(),
        files::P_AUX
    )]
    AlreadySealed { cache: PathBuf },
    #[error(
        "phase 1 found comm_d {}, the tree in {} has {}",
        hex::encode(expected),
        cache.display(),
        hex::encode(actual)
    )]
    CommD { cache: PathBuf, expected: [u8; 32], actual: [u8; 32] },
    #[error("the layers in {} were made for {actual}, not for {expected}", cache.display())]
    OtherSector { cache: PathBuf, expected: String, actual: String },
    #[error(
        "{} is not the layer that phase 1 noted in {}; run phase 1 again to make it anew",
        path.display(),
        MANIFEST_NAME
    )]
    Layer { path: PathBuf },
    #[error("a non-interactive proof of replication takes no seed, and {} was given", hex::encode(seed))]
    UnusedSeed { seed: [u8; 32] },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SealError {
    let path = path.to_owned();
    move |source| SealError::Io { action, path, source }
}

/// Appends a piece of exactly `size` raw bytes to a staged sector, which is created if it is not there.
///
/// `existing` are the sizes of the pieces already in it, in order. After an error the file is as it was.
///
/// # Errors
/// [`Error::Piece`] when the piece does not fit, its source has another length, or the file is not that of `existing`.
pub fn add_piece(
    job: &Job<'_>,
    params: &SectorParams,
    source: impl Read + Send,
    staged: &Path,
    size: UnpaddedLen,
    existing: &[UnpaddedLen],
) -> Result<AddedPiece, Error> {
    let _span = info_span!("add_piece", staged = %staged.display(), size = size.get()).entered();
    let fresh = !staged.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(staged)
        .map_err(failed("open", staged))?;
    let added =
        StagedSector::new(file, staged, params, existing).and_then(|mut sector| sector.add_piece(source, size, job));
    if added.is_err() && fresh {
        // Nothing was there before; a leftover would be an empty file at worst.
        let _ = fs::remove_file(staged);
    }
    Ok(added?)
}

/// TreeD of a staged sector in `cache`, the file that phase 1 writes too; returns CommD.
///
/// # Errors
/// [`Error`]; among them [`SealError::AlreadySealed`], as of phase 1.
pub fn tree_d(job: &Job<'_>, params: &SectorParams, cache: &Path, staged: &Path) -> Result<[u8; 32], Error> {
    let _span = info_span!("tree_d", staged = %staged.display(), size = params.name).entered();
    let (comm_d, file) = data_tree(job, params, cache, staged)?;
    file.commit()?;
    Ok(comm_d)
}

/// Pre-commit phase 1: TreeD and the layers in `cache`, and a copy of the data at `sealed` for phase 2 to encode.
///
/// Layers that an earlier, interrupted call finished are taken by their digests.
///
/// # Errors
/// [`Error`]; among them [`PieceError::CommD`] when the pieces are not what the staged file holds.
pub fn pre_commit_phase1(
    job: &Job<'_>,
    config: &PoRepConfig,
    cache: &Path,
    staged: &Path,
    sealed: &Path,
    identity: &SectorIdentity,
    pieces: &[PieceInfo],
) -> Result<PreCommit1Output, Error> {
    let sector = PreCommit1Sector { cache, staged, sealed, identity, pieces };
    pre_commit_phase1_of_many(job, config, &[sector], 1)?.pop().expect("an outcome for every sector")
}

/// A sector for phase 1, and where its files are.
#[derive(Clone, Copy, Debug)]
pub struct PreCommit1Sector<'a> {
    /// Folder for TreeD and layers.
    pub cache: &'a Path,
    /// The Fr32-padded data.
    pub staged: &'a Path,
    /// The copy of the data, for phase 2 to encode.
    pub sealed: &'a Path,
    /// Whose sector it is.
    pub identity: &'a SectorIdentity,
    /// Its pieces.
    pub pieces: &'a [PieceInfo],
}

/// Pre-commit phase 1 of many sectors of the same kind, the outcome of each in order. Up to `at_once` of them are labelled
/// at the same time, by all threads and in lockstep, each of them wanting memory for two layers: of the job's budget where that
/// has room for all of them, else pages of mapped files. A sector that cannot be done does not hold up the others.
///
/// # Errors
/// [`Error`] when nothing can be done for any sector: no parent table. Otherwise of each sector as of [`pre_commit_phase1`].
pub fn pre_commit_phase1_of_many(
    job: &Job<'_>,
    config: &PoRepConfig,
    sectors: &[PreCommit1Sector<'_>],
    at_once: usize,
) -> Result<Vec<Result<PreCommit1Output, Error>>, Error> {
    let params = config.params;
    let first = sectors.first().map(|sector| sector.identity.sector_id);
    let count = sectors.len();
    let _span = info_span!("pc1", sector = first, count, size = params.name, profile = %config.profile).entered();
    // Set where a sector is given up.
    let stops: Vec<_> = sectors.iter().map(|_| AtomicBool::new(false)).collect();
    let prepared = sectors.iter().zip(&stops).map(|(sector, stop)| prepare(job, config, sector, stop));
    let (mut labelled, mut copies, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for (place, prepared) in prepared.enumerate() {
        outcomes.push(match prepared {
            Ok(Prepared { comm_d, tree_d, copy, layers }) => {
                labelled.push((place, layers));
                copies.push((place, tree_d, copy));
                Ok(PreCommit1Output::new(&sectors[place].cache.to_string_lossy(), params, comm_d))
            }
            Err(error) => Err(error),
        });
    }
    // The disk is busy with the copies while the processor is with the labels; where a copy fails, the labels end too.
    thread::scope(|scope| {
        let copy = || -> Vec<_> {
            let copied = copies.into_iter().map(|(place, tree_d, copy)| {
                let copied = tree_d.commit().map_err(Error::from);
                let copied = copied.and_then(|()| copy_data(job, sectors[place].staged, copy));
                (place, copied.inspect_err(|_| stops[place].store(true, Ordering::Relaxed)))
            });
            copied.collect()
        };
        let copy = thread::Builder::new().spawn_scoped(scope, copy).map_err(SealError::Thread)?;
        let labels = label_all(job, config, &mut labelled, at_once);
        if labels.is_err() {
            stops.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
        }
        let copied = copy.join().unwrap_or_else(|panic| resume_unwind(panic));
        labels?;
        let finished = labelled.into_iter().map(|(place, layers)| (place, layers.finish().map_err(Error::from)));
        // Why a copy failed is told rather than that the labels ended.
        for (place, failed) in copied.into_iter().chain(finished) {
            if let (Err(error), outcome @ Ok(_)) = (failed, &mut outcomes[place]) {
                *outcome = Err(error);
            }
        }
        Ok(outcomes)
    })
}

/// A sector that is ready to be labelled.
struct Prepared<'a> {
    comm_d: [u8; 32],
    tree_d: AtomicFile,
    copy: AtomicFile,
    layers: SectorLayers<'a>,
}

/// Checks a sector, builds its TreeD, and finds out which of its layers are there.
fn prepare<'a>(
    job: &Job<'_>,
    config: &PoRepConfig,
    sector: &PreCommit1Sector<'a>,
    stop: &'a AtomicBool,
) -> Result<Prepared<'a>, Error> {
    let (params, &PreCommit1Sector { cache, staged, sealed, identity, pieces }) = (config.params, sector);
    let size = PaddedLen::new(params.size_bytes).map_err(PieceError::from)?;
    // Pieces that fit no sector are refused before anything is read.
    piece::comm_d(size, pieces)?;
    let (comm_d, tree_d) = data_tree(job, params, cache, staged)?;
    verify_pieces(&comm_d, size, pieces)?;
    let copy = AtomicFile::with_len(sealed, params.size_bytes)?;
    let layers = SectorLayers::open(job, config, identity.replica_id(config, &comm_d), cache, stop)?;
    Ok(Prepared { comm_d, tree_d, copy, layers })
}

/// Builds TreeD of a sector that is not sealed yet; its file has yet to be given its name.
fn data_tree(
    job: &Job<'_>,
    params: &SectorParams,
    cache: &Path,
    staged: &Path,
) -> Result<([u8; 32], AtomicFile), Error> {
    if cache.join(files::P_AUX).exists() {
        return Err(SealError::AlreadySealed { cache: cache.to_owned() }.into());
    }
    let metadata = fs::metadata(staged).map_err(failed("open", staged))?;
    if !metadata.is_file() {
        return Err(files::FileError::NotAFile { path: staged.to_owned() }.into());
    }
    let actual = metadata.len();
    if actual > params.size_bytes {
        return Err(SealError::TooLong { path: staged.to_owned(), expected: params.size_bytes, actual }.into());
    }
    fs::create_dir_all(cache).map_err(failed("create", cache))?;
    let rows = Geometry::of(params).data();
    Ok(build::tree_d(&*job.config.backend, job, staged, rows, &files::tree_d(cache))?)
}

/// Makes the layers of all, in groups that threads take as they get ready.
fn label_all(
    job: &Job<'_>,
    config: &PoRepConfig,
    sectors: &mut [(usize, SectorLayers<'_>)],
    at_once: usize,
) -> Result<(), Error> {
    let mut missing: Vec<_> =
        sectors.iter_mut().map(|(_, layers)| layers).filter(|layers| layers.missing() > 0).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let table = ParentTable::open(job, config).map_err(LabelError::from)?;
    let layers: usize = missing.iter().map(|layers| layers.missing()).sum();
    let stage = job.stage("labels", Unit::Items, layers as u64 * config.params.nodes());
    let (threads, at_once) = (rayon::current_num_threads(), at_once.max(1));
    let size = group_size(config.profile, missing.len(), threads, at_once);
    let workers = group_workers(size, missing.len(), threads, at_once);
    let room = || Room::new(config, workers * size, job.config.memory_bytes);
    tracing::info!(
        sectors = missing.len(),
        lockstep = size,
        threads = workers,
        in_memory = room().in_memory(),
        "labels"
    );
    let groups = Mutex::new(missing.chunks_mut(size));
    let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut room = room();
        while let Some(group) = next() {
            generate_layers(&stage, config, table.rows(), &mut room, group);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            // Whatever does not start, the others do.
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                tracing::warn!(%error, "no thread can be started");
            }
        }
        work();
    });
    Ok(())
}

/// Copies the data into the beginning of a file that has the length of the sector.
fn copy_data(job: &Job<'_>, from: &Path, to: AtomicFile) -> Result<(), Error> {
    const BETWEEN_CHECKS: u64 = 64 << 20;
    let length = to.file().metadata().map_err(|source| to.error(source))?.len();
    let mut source = File::open(from).map_err(failed("open", from))?.take(length);
    while io::copy(&mut (&mut source).take(BETWEEN_CHECKS), &mut to.file()).map_err(|source| to.error(source))? > 0 {
        if job.cancel.is_cancelled() {
            return Err(Cancelled.into());
        }
    }
    Ok(to.commit()?)
}

/// Pre-commit phase 2: TreeC, the replica at `sealed`, TreeR-last, `p_aux` and `t_aux`.
///
/// Paths inside `phase1` are not looked at: `cache` is where the files are now. The phase can be repeated.
///
/// # Errors
/// [`Error`] names the file that is missing, damaged or not this sector's.
pub fn pre_commit_phase2(
    job: &Job<'_>,
    config: &PoRepConfig,
    phase1: &PreCommit1Output,
    cache: &Path,
    sealed: &Path,
) -> Result<PreCommit2Output, Error> {
    let params = config.params;
    let _span = info_span!("pc2", size = params.name, profile = %config.profile).entered();
    files::check(cache, &files::CacheFiles::new(params, job.config.rows_to_discard).for_precommit())?;
    let stored = TreeFile::open_tree_d(cache, Geometry::of(params))?.root();
    if stored != phase1.comm_d {
        return Err(SealError::CommD { cache: cache.to_owned(), expected: phase1.comm_d, actual: stored }.into());
    }
    let manifest = check_layers(job, config, cache)?;
    let commitments = commit(job, config, cache, sealed, manifest)?;
    let discard = Geometry::of(params).rows_to_discard(job.config.rows_to_discard);
    TAux::new(&cache.to_string_lossy(), params, discard).write(cache)?;
    PAux { comm_c: commitments.comm_c, comm_r_last: commitments.comm_r_last }.write(cache)?;
    Ok(PreCommit2Output { comm_r: commitments.comm_r, comm_d: commitments.comm_d })
}

/// Compares the layers with what phase 1 noted of them, and returns its notes. Layers of the reference's have none.
///
/// A flipped bit in a layer would become a replica that proves well and gives back other data.
fn check_layers(job: &Job<'_>, config: &PoRepConfig, cache: &Path) -> Result<Option<Manifest>, Error> {
    let manifest_path = cache.join(MANIFEST_NAME);
    let Some(manifest) = Manifest::find(cache).map_err(failed("read", &manifest_path))? else { return Ok(None) };
    let expected = Identity::new(config, &manifest.identity().replica_id);
    if *manifest.identity() != expected {
        let (expected, actual) = (describe(&expected), describe(manifest.identity()));
        return Err(SealError::OtherSector { cache: cache.to_owned(), expected, actual }.into());
    }
    let layers = (1..=config.params.layers).map(files::layer_name);
    let noted: Vec<_> = layers.filter(|name| manifest.file(name).is_some()).collect();
    let stage = job.stage("check layers", Unit::Bytes, noted.len() as u64 * config.params.size_bytes);
    noted.par_iter().try_for_each(|name| {
        let path = cache.join(name);
        match manifest.holds(cache, name, &stage) {
            Ok(true) => Ok::<_, Error>(()),
            Ok(false) => Err(SealError::Layer { path }.into()),
            Err(CheckError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(CheckError::Io(source)) => Err(failed("read", &path)(source).into()),
        }
    })?;
    Ok(Some(manifest))
}

fn describe(identity: &Identity) -> String {
    let Identity { profile, size_bytes, porep_id, legacy_graph, .. } = identity;
    let graph = if *legacy_graph { ", the graph of version 1.0.0" } else { "" };
    format!("{profile}, {size_bytes} bytes, PoRep id {}{graph}", hex::encode(porep_id))
}

/// Commit phase 1: opens the seed's challenges and checks what it opened.
///
/// A synthetic PoRep takes them out of the file that [`generate_synth_proofs`] made. A non-interactive one has no seed:
/// [`NO_SEED`] stands in its place.
///
/// # Errors
/// [`Error::Commit1`]; [`SealError::UnusedSeed`] when a non-interactive PoRep is given a seed.
#[allow(clippy::too_many_arguments, reason = "where the sector is, whose it is, and what was committed")]
pub fn commit_phase1(
    job: &Job<'_>,
    config: &PoRepConfig,
    cache: &Path,
    sealed: &Path,
    identity: &SectorIdentity,
    seed: &[u8; 32],
    phase2: &PreCommit2Output,
    pieces: &[PieceInfo],
) -> Result<Commit1Output, Error> {
    let _span = info_span!("c1", sector = identity.sector_id, size = config.params.name).entered();
    if config.feature == Feature::NonInteractive && ![[0; 32], NO_SEED].contains(seed) {
        return Err(SealError::UnusedSeed { seed: *seed }.into());
    }
    Ok(commit1(config, cache, sealed, identity, phase2, pieces).run(job, seed)?)
}

/// Proves the whole synthetic set of a sector into a file in the cache folder, in place of an older one; it is checked
/// and complete when it appears. The cache can be cleared afterwards.
///
/// # Errors
/// [`Error::Commit1`]; the folder is as it was then.
pub fn generate_synth_proofs(
    job: &Job<'_>,
    config: &PoRepConfig,
    cache: &Path,
    sealed: &Path,
    identity: &SectorIdentity,
    phase2: &PreCommit2Output,
    pieces: &[PieceInfo],
) -> Result<(), Error> {
    let _span = info_span!("synth", sector = identity.sector_id, size = config.params.name).entered();
    Ok(commit1(config, cache, sealed, identity, phase2, pieces).generate(job)?)
}

fn commit1<'a>(
    config: &'a PoRepConfig,
    cache: &'a Path,
    sealed: &'a Path,
    identity: &'a SectorIdentity,
    phase2: &'a PreCommit2Output,
    pieces: &'a [PieceInfo],
) -> Commit1<'a> {
    Commit1 {
        config,
        cache,
        replica: sealed,
        prover_id: &identity.prover_id,
        sector_id: identity.sector_id,
        ticket: &identity.ticket,
        comm_r: &phase2.comm_r,
        comm_d: &phase2.comm_d,
        pieces,
    }
}

/// Deletes what proofs of space-time do not need: layers, TreeD, TreeC. Returns how many files went.
///
/// Synthetic proofs stay. For an interactive or non-interactive PoRep this comes after phase 1 of the commit, for a
/// synthetic one after [`generate_synth_proofs`].
///
/// # Errors
/// [`Error::CacheFile`].
pub fn clear_cache(cache: &Path) -> Result<usize, Error> {
    Ok(files::clear(cache)?)
}

/// Deletes the file of synthetic proofs, after phase 1 of the commit; says whether it was there.
///
/// # Errors
/// [`Error::CacheFile`].
pub fn clear_synthetic_proofs(cache: &Path) -> Result<bool, Error> {
    Ok(files::clear_synthetic(cache)?)
}
