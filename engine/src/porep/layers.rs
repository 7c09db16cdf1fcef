//! All layers of a sector as files: the labelling half of PC1, resumable at every layer.
//!
//! Layer ℓ is `sc-02-data-layer-<ℓ>.dat`, the n labels in node order and nothing else. It is computed into a temporary
//! file, which is mapped into memory, as is the layer before: labels are written in order and read all over.
//! Where the machine has two sectors' worth of free memory, nothing is ever read from the disk; where it has less, the
//! system drops and reads pages as it must, and the computation still ends, at the speed of the disk's random reads.
//! No memory is set aside, so the budget of a job does not enter.
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
use crate::graph::{ParentTable, ParentTableError};
use crate::job::{Cancelled, Job, Stage, Unit};
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

    /// Why a file could not be checked.
    pub(super) fn check(path: &Path, error: CheckError) -> Self {
        match error {
            CheckError::Cancelled(cancelled) => cancelled.into(),
            CheckError::Io(source) => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// Makes every layer file of a replica in the folder `cache`, which has to exist, and keeps the right ones it finds.
/// Ends soon after somebody who works beside sets `stop`.
///
/// # Errors
/// [`LabelError::Cancelled`] at the job's wish or at `stop`: what was finished stays and is found by the next call. Otherwise when
/// the folder or the parent table cannot be read and written, or another job is at it.
pub fn generate_layers(
    job: &Job<'_>,
    config: &PoRepConfig,
    replica_id: &ReplicaId,
    cache: &Path,
    stop: &AtomicBool,
) -> Result<(), LabelError> {
    let lock_path = cache.join(LOCK_NAME);
    let Some(_lock) = FileLock::acquire(&lock_path).map_err(LabelError::io(&lock_path))? else {
        return Err(LabelError::Busy { folder: cache.to_owned() });
    };
    let mut manifest = Manifest::load(cache, Identity::new(config, replica_id)).map_err(LabelError::io(cache))?;
    let mut finished = finished_layers(job, config, &manifest, cache)?;
    if finished.iter().all(|&finished| finished) {
        return Ok(());
    }

    let table = ParentTable::open(job, config)?;
    let nodes = config.params.nodes();
    let missing = finished.iter().filter(|&&finished| !finished).count() as u64;
    let stage = job.stage("labels", Unit::Items, missing * nodes);
    // The layer before, where it was computed now and is not on the disk yet.
    let mut fresh: Option<Layer> = None;
    for layer in 1..=config.params.layers {
        if finished[layer - 1] {
            if let Some(Layer { map, output }) = fresh.take() {
                output.keep(&map, &mut manifest, cache)?;
            }
            continue;
        }
        let (output, map) = fresh.take().map(|Layer { output, map }| (output, map)).unzip();
        let kept = if layer > 1 && map.is_none() { Some(open_layer(cache, layer - 1)?) } else { None };
        let labels = LayerLabels {
            profile: config.profile,
            replica_id,
            layer: layer as u32,
            parents: table.rows(),
            previous: map.as_ref().map(MappedMut::nodes).or(kept.as_ref().map(Mapped::nodes)),
        };
        let computed = Layer::compute_while(&stage, &labels, cache, stop, || match (output, &map) {
            (Some(output), Some(map)) => output.keep(map, &mut manifest, cache),
            _ => Ok(()),
        })?;

        let name = files::layer_name(layer);
        if manifest.file(&name).is_some_and(|noted| noted.sha256 != computed.output.record.sha256) {
            tracing::warn!(
                layer,
                "layer differs from the one computed before: the machine errs. Later layers are redone"
            );
            for later in layer + 1..=config.params.layers {
                manifest.forget(&files::layer_name(later));
                finished[later - 1] = false;
            }
        }
        fresh = Some(computed);
    }
    match fresh {
        Some(Layer { output, map }) => output.keep(&map, &mut manifest, cache),
        None => Ok(()),
    }
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
    map: MappedMut,
    output: Output,
}

/// The file of a layer, without its name yet.
struct Output {
    layer: usize,
    file: AtomicFile,
    record: FileRecord,
}

impl Layer {
    /// Computes a layer, while another thread does `meanwhile`, whose failure ends the computation.
    fn compute_while(
        stage: &Stage<'_>,
        labels: &LayerLabels<'_>,
        cache: &Path,
        stop: &AtomicBool,
        meanwhile: impl FnOnce() -> Result<(), LabelError> + Send,
    ) -> Result<Self, LabelError> {
        thread::scope(|scope| {
            let other = || meanwhile().inspect_err(|_| stop.store(true, Ordering::Relaxed));
            let other = thread::Builder::new().spawn_scoped(scope, other).map_err(LabelError::Thread)?;
            let computed = Self::compute(stage, labels, cache, stop);
            other.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            computed
        })
    }

    fn compute(
        stage: &Stage<'_>,
        labels: &LayerLabels<'_>,
        cache: &Path,
        stop: &AtomicBool,
    ) -> Result<Self, LabelError> {
        let layer = labels.layer as usize;
        let file = AtomicFile::create(&files::layer(cache, layer))?;
        let size_bytes = (labels.parents.len() * NODE_SIZE) as u64;
        let mut map = MappedMut::create(file.file(), size_bytes).map_err(|source| file.error(source))?;
        let mut hasher = Sha256::new();
        let nodes = 0..map.nodes().len();
        fill_layer(stage, labels, map.nodes_mut(), nodes, |block| {
            hasher.update(block.as_flattened());
            if stop.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
        })?;
        let record = FileRecord { size_bytes, sha256: hasher.finalize().into() };
        Ok(Self { map, output: Output { layer, file, record } })
    }
}

impl Output {
    /// Brings the labels to the disk, gives the file its name, and notes it.
    fn keep(self, labels: &MappedMut, manifest: &mut Manifest, cache: &Path) -> Result<(), LabelError> {
        labels.sync().map_err(|source| self.file.error(source))?;
        self.file.commit()?;
        manifest.record(files::layer_name(self.layer), self.record);
        Ok(manifest.store(cache)?)
    }
}

/// Labels the nodes of `range` in blocks and shows each finished block to `done`, which may end it.
pub(super) fn fill_layer(
    stage: &Stage<'_>,
    labels: &LayerLabels<'_>,
    layer: &mut [Node],
    range: Range<usize>,
    mut done: impl FnMut(&[Node]) -> Result<(), Cancelled>,
) -> Result<(), LabelError> {
    for start in range.clone().step_by(BLOCK_NODES) {
        let block = start..range.end.min(start + BLOCK_NODES);
        labels.fill(layer, block.clone())?;
        done(&layer[block.clone()])?;
        stage.advance(block.len() as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
