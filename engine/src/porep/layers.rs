//! All layers of sectors as files: the labelling half of PC1, resumable at every layer.
//!
//! Layer ℓ is `sc-02-data-layer-<ℓ>.dat`, the n labels in node order and nothing else. It is computed into a temporary
//! file, which is mapped into memory, as is the layer before: labels are written in order and read all over.
//! Where the machine has two sectors' worth of free memory, nothing is ever read from the disk; where it has less, the
//! system drops and reads pages as it must, and the computation still ends, at the speed of the disk's random reads.
//! No memory is set aside, so the budget of a job does not enter. Several sectors are labelled in lockstep, which needs as
//! many times the memory and gives more labels a second ([`labels_lockstep`]).
//!
//! A finished layer is flushed, gets its name, and is noted with its SHA-256 in the manifest beside it, by another thread
//! while the next layer is computed. A job that starts again keeps the layers that the manifest vouches for and computes
//! the others. Source: `spec/replication.md` 5.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sha2::{Digest, Sha256};

use crate::field::Node;
use crate::graph::ParentTableError;
use crate::graph::parents::Row;
use crate::job::{Cancelled, Job, Stage, Unit};
use crate::porep::labels_lockstep;
use crate::porep::labels_pipelined::{BadParents, LayerLabels};
use crate::sector::params::NODE_SIZE;
use crate::sector::{PoRepConfig, ReplicaId};
use crate::store::atomic::{AtomicFile, WriteError};
use crate::store::files;
use crate::store::lock::FileLock;
use crate::store::manifest::{CheckError, FileRecord, Identity, Manifest};
use crate::store::mapped::{Access, Mapped, MappedMut};

/// Labels between two reports of progress: tens of milliseconds.
const BLOCK_NODES: usize = 1 << 14;
/// Locked while a job writes into the folder.
const LOCK_NAME: &str = "filecash.lock";

/// Why layers could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum LabelError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    ParentTable(#[from] ParentTableError),
    #[error(transparent)]
    BadParents(#[from] BadParents),
    #[error("another job is writing layers into {}", folder.display())]
    Busy { folder: PathBuf },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl LabelError {
    /// What the system said about a path.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }

    /// The same for another sector of a lockstep.
    fn for_another(&self) -> Self {
        match self {
            Self::BadParents(bad) => (*bad).into(),
            Self::Thread(error) => Self::Thread(error.kind().into()),
            _ => Cancelled.into(),
        }
    }

    /// Why a file could not be checked.
    pub(super) fn check(path: &Path, error: CheckError) -> Self {
        match error {
            CheckError::Cancelled(cancelled) => cancelled.into(),
            CheckError::Io(source) => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// A sector whose layers are being made. Nobody else makes them meanwhile.
pub struct SectorLayers<'a> {
    replica_id: ReplicaId,
    cache: &'a Path,
    stop: &'a AtomicBool,
    manifest: Manifest,
    /// Whether each layer is there.
    finished: Vec<bool>,
    /// The layer that was computed last, if it is not on the disk yet.
    fresh: Option<Layer>,
    failed: Option<LabelError>,
    _lock: FileLock,
}

impl<'a> SectorLayers<'a> {
    /// A sector with the folder for its layers, `cache`, which has to exist; finds out which layers are there and right. Its layers
    /// end soon after somebody who works beside sets `stop`.
    ///
    /// # Errors
    /// [`LabelError::Cancelled`]; [`LabelError::Busy`] when another job is at it; otherwise when the folder cannot be read.
    pub fn open(
        job: &Job<'_>,
        config: &PoRepConfig,
        replica_id: ReplicaId,
        cache: &'a Path,
        stop: &'a AtomicBool,
    ) -> Result<Self, LabelError> {
        let lock_path = cache.join(LOCK_NAME);
        let Some(lock) = FileLock::acquire(&lock_path).map_err(LabelError::io(&lock_path))? else {
            return Err(LabelError::Busy { folder: cache.to_owned() });
        };
        let manifest = Manifest::load(cache, Identity::new(config, &replica_id)).map_err(LabelError::io(cache))?;
        let finished = finished_layers(job, config, &manifest, cache)?;
        Ok(Self { replica_id, cache, stop, manifest, finished, fresh: None, failed: None, _lock: lock })
    }

    /// Layers that are not there.
    pub fn missing(&self) -> usize {
        self.finished.iter().filter(|finished| !**finished).count()
    }

    /// What came of it.
    ///
    /// # Errors
    /// [`LabelError::Cancelled`] at the job's wish or at `stop`: what was finished stays and is found by the next call. Otherwise when
    /// the folder cannot be read and written.
    pub fn finish(self) -> Result<(), LabelError> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Gives the sector up.
    fn fail(&mut self, error: LabelError) {
        self.failed.get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Brings a layer to the disk, gives its file its name, and notes it.
    fn keep(&mut self, Output { layer, file, record }: Output) -> Result<(), LabelError> {
        file.commit()?;
        self.manifest.record(files::layer_name(layer), record);
        Ok(self.manifest.store(self.cache)?)
    }

    /// Keeps the layer that was computed last.
    fn keep_fresh(&mut self) {
        if let Some(Layer { output, .. }) = self.fresh.take() {
            self.keep(output).unwrap_or_else(|error| self.fail(error));
        }
    }

    /// Takes a computed layer, and forgets what was made of one that came out otherwise.
    fn take(&mut self, computed: Layer) {
        let layer = computed.output.layer;
        let noted = self.manifest.file(&files::layer_name(layer));
        if noted.is_some_and(|noted| noted.sha256 != computed.output.record.sha256) {
            tracing::warn!(
                layer,
                "layer differs from the one computed before: the machine errs. Later layers are redone"
            );
            for later in layer + 1..=self.finished.len() {
                self.manifest.forget(&files::layer_name(later));
                self.finished[later - 1] = false;
            }
        }
        self.fresh = Some(computed);
    }
}

/// Makes every layer file of sectors of one graph, in lockstep, and keeps the right ones that are there. A sector that fails
/// does not hold up the others. `parents` are the rows of the graph's table.
pub fn generate_layers(
    stage: &Stage<'_>,
    config: &PoRepConfig,
    parents: &[Row],
    sectors: &mut [&mut SectorLayers<'_>],
) {
    for layer in 1..=config.params.layers {
        let is_missing = |sector: &SectorLayers<'_>| sector.failed.is_none() && !sector.finished[layer - 1];
        // What follows is there: what was computed before it is needed no more.
        sectors.iter_mut().filter(|sector| !is_missing(sector)).for_each(|sector| sector.keep_fresh());
        let missing = sectors.iter_mut().filter(|sector| is_missing(sector)).map(|sector| &mut **sector);
        generate_layer(stage, config, parents, layer, &mut missing.collect::<Vec<_>>());
    }
    sectors.iter_mut().for_each(|sector| sector.keep_fresh());
}

/// A layer that is being computed.
struct Computing<'a> {
    /// The sector's place among those of the layer.
    place: usize,
    replica_id: ReplicaId,
    stop: &'a AtomicBool,
    file: AtomicFile,
    map: MappedMut,
    hasher: Sha256,
}

/// Computes a layer of sectors, while another thread keeps the layer before it.
fn generate_layer(
    stage: &Stage<'_>,
    config: &PoRepConfig,
    parents: &[Row],
    layer: usize,
    sectors: &mut [&mut SectorLayers<'_>],
) {
    let (mut previous, mut outputs, mut computing) = (Vec::new(), Vec::new(), Vec::new());
    for (place, sector) in sectors.iter_mut().enumerate() {
        let (before, output) = layer_before(layer, sector).unwrap_or_else(|error| {
            sector.fail(error);
            (None, None)
        });
        previous.push(before);
        outputs.extend(output.map(|output| (place, output)));
        if sector.failed.is_none() {
            match create(parents, layer, sector.cache) {
                Ok((file, map)) => {
                    let SectorLayers { replica_id, stop, .. } = **sector;
                    computing.push(Computing { place, replica_id, stop, file, map, hasher: Sha256::new() });
                }
                Err(error) => sector.fail(error),
            }
        }
    }
    let computed = thread::scope(|scope| {
        let keep = || {
            for (place, output) in outputs {
                sectors[place].keep(output).unwrap_or_else(|error| sectors[place].fail(error));
            }
        };
        let keep = thread::Builder::new().spawn_scoped(scope, keep).map_err(LabelError::Thread)?;
        let computed = compute(stage, config, parents, layer, &previous, &mut computing);
        keep.join().unwrap_or_else(|panic| resume_unwind(panic));
        computed
    });
    if let Err(error) = computed {
        sectors.iter_mut().for_each(|sector| sector.fail(error.for_another()));
        return;
    }
    for Computing { place, file, map, hasher, stop, .. } in computing {
        if stop.load(Ordering::Relaxed) {
            sectors[place].fail(Cancelled.into());
            continue;
        }
        let record = FileRecord { size_bytes: map.len() as u64, sha256: hasher.finalize().into() };
        match map.frozen(file.file(), Access::Random) {
            Ok(labels) => sectors[place].take(Layer { labels, output: Output { layer, file, record } }),
            Err(source) => sectors[place].fail(file.error(source).into()),
        }
    }
}

/// The layer before, if there is one, and its file, if that is not kept yet.
fn layer_before(layer: usize, sector: &mut SectorLayers<'_>) -> Result<(Option<Mapped>, Option<Output>), LabelError> {
    Ok(match sector.fresh.take() {
        Some(Layer { labels, output }) => (Some(labels), Some(output)),
        None if layer > 1 => (Some(open_layer(sector.cache, layer - 1)?), None),
        None => (None, None),
    })
}

/// A new layer's file, and its labels in memory.
fn create(parents: &[Row], layer: usize, cache: &Path) -> Result<(AtomicFile, MappedMut), LabelError> {
    let file = AtomicFile::create(&files::layer(cache, layer))?;
    let map =
        MappedMut::create(file.file(), (parents.len() * NODE_SIZE) as u64).map_err(|source| file.error(source))?;
    Ok((file, map))
}

/// Fills the layers block by block. Sectors that somebody stopped are left as they are.
fn compute(
    stage: &Stage<'_>,
    config: &PoRepConfig,
    parents: &[Row],
    layer: usize,
    previous: &[Option<Mapped>],
    computing: &mut [Computing<'_>],
) -> Result<(), LabelError> {
    for start in (0..parents.len()).step_by(BLOCK_NODES) {
        let block = start..parents.len().min(start + BLOCK_NODES);
        let (mut sectors, mut labels, mut hashers) = (Vec::new(), Vec::new(), Vec::new());
        for Computing { place, replica_id, stop, map, hasher, .. } in &mut *computing {
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            let previous = previous[*place].as_ref().map(Mapped::nodes);
            sectors.push(LayerLabels { profile: config.profile, replica_id, layer: layer as u32, parents, previous });
            labels.push(map.nodes_mut());
            hashers.push(hasher);
        }
        if sectors.is_empty() {
            return Ok(());
        }
        labels_lockstep::fill(&sectors, &mut labels, block.clone())?;
        for (hasher, labels) in hashers.into_iter().zip(&labels) {
            hasher.update(labels[block.clone()].as_flattened());
        }
        stage.advance((sectors.len() * block.len()) as u64)?;
    }
    Ok(())
}

/// Which layers are there, by digest.
fn finished_layers(
    job: &Job<'_>,
    config: &PoRepConfig,
    manifest: &Manifest,
    cache: &Path,
) -> Result<Vec<bool>, LabelError> {
    let names: Vec<String> = (1..=config.params.layers).map(files::layer_name).collect();
    let noted = names.iter().filter_map(|name| manifest.file(name)).map(|record| record.size_bytes).sum();
    let stage = job.stage("check layers", Unit::Bytes, noted);
    names
        .iter()
        .map(|name| {
            let right =
                manifest.holds(cache, name, &stage).map_err(|error| LabelError::check(&cache.join(name), error))?;
            if !right && cache.join(name).exists() {
                tracing::warn!(name, "layer file is not the one noted, making it again");
            }
            Ok(right)
        })
        .collect()
}

/// Maps a finished layer.
fn open_layer(cache: &Path, layer: usize) -> Result<Mapped, LabelError> {
    let path = files::layer(cache, layer);
    let file = File::open(&path).map_err(LabelError::io(&path))?;
    Mapped::open(&file, Access::Random).map_err(LabelError::io(&path))
}

/// A computed layer: its labels in memory, and the file that they are to become.
struct Layer {
    labels: Mapped,
    output: Output,
}

/// The file of a layer, without its name yet.
struct Output {
    layer: usize,
    file: AtomicFile,
    record: FileRecord,
}

/// Labels the nodes of `range` in blocks, which are reported.
pub(super) fn fill_layer(
    stage: &Stage<'_>,
    labels: &LayerLabels<'_>,
    layer: &mut [Node],
    range: Range<usize>,
) -> Result<(), LabelError> {
    for start in range.clone().step_by(BLOCK_NODES) {
        let block = start..range.end.min(start + BLOCK_NODES);
        labels.fill(layer, block.clone())?;
        stage.advance(block.len() as u64)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
