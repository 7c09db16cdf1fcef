//! All layers of sectors as files: the labelling half of PC1, resumable at every layer.
//!
//! Layer ℓ is `sc-02-data-layer-<ℓ>.dat`, the n labels in node order and nothing else, written under a temporary name. Labels
//! are computed in order, from labels all over the layer and the one before. Where the job's budget has room for two layers of
//! each sector at work, both are in memory ([`Room`]), in huge pages if there are any, and every block is written to the file
//! as soon as it is computed; the memory serves all layers of all sectors in turn. Where it has not, the file and the one
//! before are mapped: the system drops and reads pages as it must, those that labels will ask for are read ahead
//! (`read_ahead`), and the computation still ends, at worst at the speed of the disk's random reads. Memory is faster because each page of a new file that is mapped is a fault of its own: 7 % of the
//! CPU time of 8 MiB sectors. Several sectors are labelled in lockstep, which needs as many times the memory and gives more
//! labels a second ([`labels_lockstep`]).
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

use crate::field::Node;
use crate::graph::ParentTableError;
use crate::graph::parents::Row;
use crate::hash::sha256::BlockDigest;
use crate::job::{Cancelled, Job, Stage, Unit};
use crate::porep::labels_lockstep;
use crate::porep::labels_pipelined::{BadParents, LayerLabels};
use crate::porep::read_ahead::{InFile, ReadAhead};
use crate::sector::params::NODE_SIZE;
use crate::sector::{PoRepConfig, Profile, ReplicaId};
use crate::store::atomic::{AtomicFile, WriteError};
use crate::store::files;
use crate::store::lock::FileLock;
use crate::store::manifest::{CheckError, FileRecord, Identity, Manifest};
use crate::store::mapped::{Access, Anonymous, Mapped, MappedMut};

/// Labels between two reports of progress: tens of milliseconds.
const BLOCK_NODES: usize = 1 << 14;
/// Layers of fewer nodes are in memory whatever is said about them.
const READ_AHEAD_NODES: usize = 1 << 16;
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
    fn keep_fresh(&mut self, room: &mut Room) {
        if let Some(Layer { labels, output }) = self.fresh.take() {
            self.keep(output).unwrap_or_else(|error| self.fail(error));
            room.reuse(labels);
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

/// Where layers of one size are while they are computed and read; used again from layer to layer.
#[derive(Debug)]
pub struct Room {
    in_memory: bool,
    /// The budget.
    memory_bytes: u64,
    /// Memory that no layer is in.
    free: Vec<Anonymous>,
}

impl Room {
    /// For so many sectors at a time: in memory where two layers of each fit into a budget, else in mapped files.
    pub fn new(config: &PoRepConfig, sectors: usize, memory_bytes: u64) -> Self {
        let needed = config.params.size_bytes.saturating_mul(2 * sectors as u64);
        Self { in_memory: needed <= memory_bytes, memory_bytes, free: Vec::new() }
    }

    /// Whether layers are in memory.
    pub fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// Room for a layer that becomes a file; a disk without room for it is noticed here.
    fn layer(&mut self, path: &Path, len: u64) -> Result<(AtomicFile, Unfinished), WriteError> {
        if self.in_memory {
            match self.free.pop().map_or_else(|| Anonymous::new(len as usize), Ok) {
                Ok(memory) => return Ok((AtomicFile::with_len(path, len)?, Unfinished::Memory(memory))),
                Err(error) => {
                    tracing::warn!(%error, "no memory for layers, they are computed in mapped files");
                    self.in_memory = false;
                }
            }
        }
        let file = AtomicFile::create(path)?;
        let map = MappedMut::create(file.file(), len).map_err(|source| file.error(source))?;
        Ok((file, Unfinished::File(map)))
    }

    /// Takes back labels that nobody reads any more.
    fn reuse(&mut self, labels: Labels) {
        if let Labels::Memory(memory) = labels {
            self.free.push(memory);
        }
    }
}

/// Labels of a layer that is being computed.
enum Unfinished {
    Memory(Anonymous),
    File(MappedMut),
}

impl Unfinished {
    fn nodes_mut(&mut self) -> &mut [Node] {
        match self {
            Self::Memory(memory) => memory.nodes_mut(),
            Self::File(map) => map.nodes_mut(),
        }
    }

    /// For reading; `file` holds them.
    fn finished(self, file: &AtomicFile) -> Result<Labels, WriteError> {
        Ok(match self {
            Self::Memory(memory) => Labels::Memory(memory),
            Self::File(map) => {
                let open = |source| file.error(source);
                let map = map.frozen(file.file(), Access::Random).map_err(open)?;
                Labels::File { map, file: file.file().try_clone().map_err(open)? }
            }
        })
    }
}

/// Labels of a layer.
enum Labels {
    Memory(Anonymous),
    File { map: Mapped, file: File },
}

impl Labels {
    fn in_file(&self) -> Option<InFile<'_>> {
        match self {
            Self::Memory(_) => None,
            Self::File { map, file } => Some(InFile { file, nodes: map.nodes() }),
        }
    }

    fn nodes(&self) -> &[Node] {
        match self {
            Self::Memory(memory) => memory.nodes(),
            Self::File { map, .. } => map.nodes(),
        }
    }
}

/// Makes every layer file of sectors of one graph, in lockstep, and keeps the right ones that are there. A sector that fails
/// does not hold up the others. `parents` are the rows of the graph's table.
pub fn generate_layers(
    stage: &Stage<'_>,
    config: &PoRepConfig,
    parents: &[Row],
    room: &mut Room,
    sectors: &mut [&mut SectorLayers<'_>],
) {
    for layer in 1..=config.params.layers {
        let is_missing = |sector: &SectorLayers<'_>| sector.failed.is_none() && !sector.finished[layer - 1];
        // What follows is there: what was computed before it is needed no more.
        sectors.iter_mut().filter(|sector| !is_missing(sector)).for_each(|sector| sector.keep_fresh(room));
        let missing = sectors.iter_mut().filter(|sector| is_missing(sector)).map(|sector| &mut **sector);
        generate_layer(stage, config, parents, layer, room, &mut missing.collect::<Vec<_>>());
    }
    sectors.iter_mut().for_each(|sector| sector.keep_fresh(room));
}

/// A layer that is being computed.
struct Computing<'a> {
    /// The sector's place among those of the layer.
    place: usize,
    replica_id: ReplicaId,
    stop: &'a AtomicBool,
    file: AtomicFile,
    labels: Unfinished,
    digest: BlockDigest,
    failed: Option<WriteError>,
}

impl Computing<'_> {
    fn goes_on(&self) -> bool {
        self.failed.is_none() && !self.stop.load(Ordering::Relaxed)
    }

    /// Writes labels of memory while they are in the cache.
    fn write(&mut self, block: Range<usize>) {
        if let Unfinished::Memory(memory) = &self.labels {
            let bytes = memory.nodes()[block.clone()].as_flattened();
            self.failed = self.file.write_at(bytes, (block.start * NODE_SIZE) as u64).err();
        }
    }
}

/// Computes a layer of sectors, while another thread keeps the layer before it.
fn generate_layer(
    stage: &Stage<'_>,
    config: &PoRepConfig,
    parents: &[Row],
    layer: usize,
    room: &mut Room,
    sectors: &mut [&mut SectorLayers<'_>],
) {
    let size_bytes = (parents.len() * NODE_SIZE) as u64;
    let (mut previous, mut outputs, mut computing) = (Vec::new(), Vec::new(), Vec::new());
    for (place, sector) in sectors.iter_mut().enumerate() {
        let (before, output) = layer_before(layer, sector).unwrap_or_else(|error| {
            sector.fail(error);
            (None, None)
        });
        previous.push(before);
        outputs.extend(output.map(|output| (place, output)));
        if sector.failed.is_none() {
            match room.layer(&files::layer(sector.cache, layer), size_bytes) {
                Ok((file, labels)) => {
                    let SectorLayers { replica_id, stop, .. } = **sector;
                    let digest = BlockDigest::default();
                    computing.push(Computing { place, replica_id, stop, file, labels, digest, failed: None });
                }
                Err(error) => sector.fail(error.into()),
            }
        }
    }
    let common = Common { stage, profile: config.profile, parents, layer, memory_bytes: room.memory_bytes };
    let computed = thread::scope(|scope| {
        let keep = || {
            for (place, output) in outputs {
                sectors[place].keep(output).unwrap_or_else(|error| sectors[place].fail(error));
            }
        };
        let keep = thread::Builder::new().spawn_scoped(scope, keep).map_err(LabelError::Thread)?;
        let computed = compute(common, &previous, &mut computing);
        keep.join().unwrap_or_else(|panic| resume_unwind(panic));
        computed
    });
    previous.into_iter().flatten().for_each(|labels| room.reuse(labels));
    if let Err(error) = computed {
        sectors.iter_mut().for_each(|sector| sector.fail(error.for_another()));
        return;
    }
    for Computing { place, file, labels, digest, stop, failed, .. } in computing {
        if let Some(error) = failed {
            sectors[place].fail(error.into());
        } else if stop.load(Ordering::Relaxed) {
            sectors[place].fail(Cancelled.into());
        } else {
            let record = FileRecord { size_bytes, sha256: digest.finish() };
            match labels.finished(&file) {
                Ok(labels) => sectors[place].take(Layer { labels, output: Output { layer, file, record } }),
                Err(error) => sectors[place].fail(error.into()),
            }
        }
    }
}

/// The layer before, if there is one, and its file, if that is not kept yet.
fn layer_before(layer: usize, sector: &mut SectorLayers<'_>) -> Result<(Option<Labels>, Option<Output>), LabelError> {
    Ok(match sector.fresh.take() {
        Some(Layer { labels, output }) => (Some(labels), Some(output)),
        None if layer > 1 => (Some(open_layer(sector.cache, layer - 1)?), None),
        None => (None, None),
    })
}

/// What sectors whose layers are computed together have in common.
#[derive(Clone, Copy)]
struct Common<'a> {
    stage: &'a Stage<'a>,
    profile: Profile,
    parents: &'a [Row],
    layer: usize,
    /// The budget.
    memory_bytes: u64,
}

/// Fills the layers. Where some are in files, others read the pages that they need ahead.
fn compute(common: Common<'_>, previous: &[Option<Labels>], computing: &mut [Computing<'_>]) -> Result<(), LabelError> {
    let Common { parents, memory_bytes, .. } = common;
    // A file that cannot be opened again is not read ahead.
    let filled: Vec<_> = computing
        .iter()
        .filter(|sector| matches!(sector.labels, Unfinished::File(_)))
        .filter_map(|sector| sector.file.file().try_clone().ok())
        .collect();
    let before: Vec<_> = previous.iter().flatten().filter_map(Labels::in_file).collect();
    if (filled.is_empty() && before.is_empty()) || parents.len() < READ_AHEAD_NODES {
        return fill(common, previous, computing, BLOCK_NODES, |_| ());
    }
    let read_ahead = ReadAhead::new(parents, before, filled, memory_bytes);
    thread::scope(|scope| {
        let _reading = read_ahead.start(scope);
        fill(common, previous, computing, read_ahead.block(), |node| read_ahead.labelled(node))
    })
}

/// Fills the layers block by block, and says where they are. Sectors that somebody stopped are left as they are.
fn fill(
    common: Common<'_>,
    previous: &[Option<Labels>],
    computing: &mut [Computing<'_>],
    block_nodes: usize,
    labelled: impl Fn(usize),
) -> Result<(), LabelError> {
    let Common { stage, profile, parents, layer, .. } = common;
    for start in (0..parents.len()).step_by(block_nodes) {
        let block = start..parents.len().min(start + block_nodes);
        let mut going: Vec<_> = computing.iter_mut().filter(|sector| sector.goes_on()).collect();
        if going.is_empty() {
            return Ok(());
        }
        let (mut sectors, mut labels, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for Computing { place, replica_id, labels: own, digest, .. } in going.iter_mut().map(|sector| &mut **sector) {
            let previous = previous[*place].as_ref().map(Labels::nodes);
            sectors.push(LayerLabels { profile, replica_id, layer: layer as u32, parents, previous });
            labels.push(own.nodes_mut());
            digests.push(digest);
        }
        labels_lockstep::fill(&sectors, &mut labels, block.clone())?;
        // Nodes of a layer are a power of two, and more than one; those of a block are even.
        let blocks: Vec<_> = labels.iter().map(|labels| bytemuck::cast_slice(&labels[block.clone()])).collect();
        BlockDigest::update_all(&mut digests, &blocks);
        going.iter_mut().for_each(|sector| sector.write(block.clone()));
        labelled(block.end);
        stage.advance((going.len() * block.len()) as u64)?;
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
fn open_layer(cache: &Path, layer: usize) -> Result<Labels, LabelError> {
    let path = files::layer(cache, layer);
    let file = File::open(&path).map_err(LabelError::io(&path))?;
    let map = Mapped::open(&file, Access::Random).map_err(LabelError::io(&path))?;
    Ok(Labels::File { map, file })
}

/// A computed layer: its labels in memory, and the file that they are to become.
struct Layer {
    labels: Labels,
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
