//! Building tree files while their leaves stream by, in bounded memory.
//!
//! A [`Cascade`] takes the leaves of one tree in batches of any size. Each row collects nodes until there are enough
//! for the backend, then hands their parents to the row above, so that no row is ever held as a whole and none is
//! read back. Rows go to their places in the file, or nowhere when they are discarded.
//!
//! TreeD: binary, SHA-256, over the zero-extended data. TreeC: 8-ary Poseidon over `column(v) = H_L(label_1(v), …,
//! label_L(v))`. TreeR-last: 8-ary Poseidon over the replica, lower rows not stored.
//!
//! Source: `spec/replication.md` 0.4, 6.2 to 6.4.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::node_file::{NodeFile, NodeFileError};
use crate::backend::{Backend, BackendError};
use crate::field::{Node, NonCanonical, fr};
use crate::job::{Cancelled, Job, Unit};
use crate::sector::geometry::{Geometry, Rows};
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::{AtomicFile, WriteError};
use crate::store::files;

/// Nodes of a batch when memory allows: what keeps all cores busy for tens of milliseconds.
const MAX_BATCH: u64 = 1 << 16;
/// Nodes of a batch under any budget.
const MIN_BATCH: u64 = 64;
/// Nodes that a row collects, at most, before they are hashed.
const MAX_READY: usize = 4096;
/// Columns that one task gathers from the layers.
const GATHER: usize = 1024;

/// Why trees could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BuildError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    File(#[from] NodeFileError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("node {index} of {}", path.display())]
    NonCanonical { path: PathBuf, index: u64, source: NonCanonical },
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("the tree was given {given} of {expected} leaves")]
    Leaves { expected: u64, given: u64 },
}

/// The function that makes a node out of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeHash {
    /// `sha_node`, of two children.
    Sha256,
    /// Poseidon under the tag of Merkle trees.
    Poseidon,
}

/// Nodes of a batch, when a batch takes `buffers` nodes of memory for each of its nodes.
pub fn batch_nodes(job: &Job<'_>, buffers: u64) -> u64 {
    batch_of(job.config.memory_bytes, buffers)
}

/// [`batch_nodes`] of a budget.
pub fn batch_of(memory_bytes: u64, buffers: u64) -> u64 {
    (memory_bytes / (buffers * NODE_SIZE as u64)).clamp(MIN_BATCH, MAX_BATCH)
}

/// Reads `total` nodes in batches of `batch`, each while the one before is consumed.
///
/// `read` and `consume` get the first node's number and a buffer; `read` also the number of nodes.
pub(crate) fn stream<T: Default + Send, E: Send>(
    total: u64,
    batch: u64,
    read: impl Fn(u64, usize, &mut T) -> Result<(), E> + Sync,
    mut consume: impl FnMut(u64, &mut T) -> Result<(), E> + Send,
) -> Result<(), E> {
    let (mut current, mut next) = (T::default(), T::default());
    let count = |first| batch.min(total - first) as usize;
    if total > 0 {
        read(0, count(0), &mut current)?;
    }
    let mut first = 0;
    while first < total {
        let following = (first + batch).min(total);
        let (consumed, read) = rayon::join(
            || consume(first, &mut current),
            || if following < total { read(following, count(following), &mut next) } else { Ok(()) },
        );
        consumed.and(read)?;
        std::mem::swap(&mut current, &mut next);
        first = following;
    }
    Ok(())
}

/// One tree whose leaves stream by.
pub struct Cascade<'a> {
    backend: &'a dyn Backend,
    hash: NodeHash,
    rows: Rows,
    output: Option<AtomicFile>,
    ready: usize,
    /// By row: nodes whose parents have not been computed.
    pending: Vec<Vec<Node>>,
    /// By row: nodes that have passed.
    passed: Vec<u64>,
    root: Option<Node>,
}

impl<'a> Cascade<'a> {
    /// A tree of `rows`, written to `output` from its first stored row on. `batch` is the usual number of leaves at a
    /// time.
    pub fn new(backend: &'a dyn Backend, hash: NodeHash, rows: Rows, batch: u64, output: Option<AtomicFile>) -> Self {
        let ready = (batch as usize).min(MAX_READY);
        let (pending, passed) = (vec![Vec::new(); rows.count()], vec![0; rows.count()]);
        Self { backend, hash, rows, output, ready, pending, passed, root: None }
    }

    /// Takes the next leaves.
    ///
    /// # Errors
    /// [`BuildError`]; also when there are more leaves than the tree has.
    pub fn push(&mut self, leaves: &[Node]) -> Result<(), BuildError> {
        let given = self.passed[0] + leaves.len() as u64;
        if given > self.rows.leaves() {
            return Err(BuildError::Leaves { expected: self.rows.leaves(), given });
        }
        let Some(mut nodes) = self.pass(0, leaves)? else { return Ok(()) };
        for row in 1..self.rows.count() {
            match self.pass(row, &nodes)? {
                Some(parents) => nodes = parents,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes nodes of a row and returns the nodes of the row above that became ready. The nodes are written meanwhile.
    fn pass(&mut self, row: usize, nodes: &[Node]) -> Result<Option<Vec<Node>>, BuildError> {
        let first = self.passed[row];
        self.passed[row] += nodes.len() as u64;
        let mut pending = std::mem::take(&mut self.pending[row]);
        let cascade = &*self;
        let (written, parents) =
            rayon::join(|| cascade.write(row, first, nodes), || cascade.hash(row, nodes, &mut pending));
        written?;
        self.pending[row] = pending;
        if row + 1 == self.rows.count() {
            self.root = nodes.first().copied();
        }
        Ok(parents?.filter(|parents| !parents.is_empty()))
    }

    /// Writes nodes of a row from the `first` one on, if the row is stored.
    fn write(&self, row: usize, first: u64, nodes: &[Node]) -> Result<(), WriteError> {
        match &self.output {
            Some(output) if row >= self.rows.first_stored() => {
                output.write_at(nodes.as_flattened(), (self.rows.row_offset(row) + first) * NODE_SIZE as u64)
            }
            _ => Ok(()),
        }
    }

    /// The parents of nodes that wait and of these, if there are enough of them; the others wait.
    fn hash(&self, row: usize, nodes: &[Node], pending: &mut Vec<Node>) -> Result<Option<Vec<Node>>, BuildError> {
        if row + 1 == self.rows.count() {
            return Ok(None);
        }
        let complete = self.passed[row] == self.rows.row_len(row);
        let enough = |len: usize| complete || len >= self.ready;
        let arity = self.rows.arity();
        if pending.is_empty() && enough(nodes.len()) {
            let (whole, rest) = nodes.split_at(nodes.len() / arity * arity);
            pending.extend_from_slice(rest);
            return Ok(Some(self.parents(whole)?));
        }
        pending.extend_from_slice(nodes);
        if !enough(pending.len()) {
            return Ok(None);
        }
        let whole = pending.len() / arity * arity;
        let parents = self.parents(&pending[..whole])?;
        pending.drain(..whole);
        Ok(Some(parents))
    }

    fn parents(&self, children: &[Node]) -> Result<Vec<Node>, BuildError> {
        let mut parents = vec![[0; NODE_SIZE]; children.len() / self.rows.arity()];
        match self.hash {
            NodeHash::Sha256 => self.backend.sha_level(children, &mut parents)?,
            NodeHash::Poseidon => self.backend.poseidon_level(self.rows.arity(), children, &mut parents)?,
        }
        Ok(parents)
    }

    /// The root and the file, not yet under its name.
    ///
    /// # Errors
    /// [`BuildError::Leaves`] when leaves are missing.
    pub fn finish(self) -> Result<(Node, Option<AtomicFile>), BuildError> {
        let missing = BuildError::Leaves { expected: self.rows.leaves(), given: self.passed[0] };
        Ok((self.root.ok_or(missing)?, self.output))
    }
}

/// The base trees of a compound tree, one after the other.
pub struct Forest<'a> {
    backend: &'a dyn Backend,
    rows: Rows,
    batch: u64,
    /// Files of the trees not yet begun, the next one last; `None` for a tree that only its root is wanted of.
    paths: Vec<Option<PathBuf>>,
    current: Option<Cascade<'a>>,
    roots: Vec<Node>,
    files: Vec<AtomicFile>,
}

impl<'a> Forest<'a> {
    /// A Poseidon tree of `rows` for each of `paths`.
    pub fn new(backend: &'a dyn Backend, rows: Rows, batch: u64, paths: Vec<PathBuf>) -> Self {
        let paths = paths.into_iter().rev().map(Some).collect();
        Self { backend, rows, batch, paths, current: None, roots: Vec::new(), files: Vec::new() }
    }

    /// So many Poseidon trees of `rows`, of which only the roots are wanted.
    pub fn roots_only(backend: &'a dyn Backend, rows: Rows, batch: u64, trees: usize) -> Self {
        let paths = vec![None; trees];
        Self { backend, rows, batch, paths, current: None, roots: Vec::new(), files: Vec::new() }
    }

    /// Takes the next leaves, of one or several base trees.
    ///
    /// # Errors
    /// [`BuildError`]; also when there are more leaves than the trees have.
    pub fn push(&mut self, mut leaves: &[Node]) -> Result<(), BuildError> {
        while !leaves.is_empty() {
            let mut tree = match self.current.take() {
                Some(tree) => tree,
                None => self.begin(leaves.len())?,
            };
            let room = self.rows.leaves() - tree.passed[0];
            let (now, later) = leaves.split_at((leaves.len() as u64).min(room) as usize);
            tree.push(now)?;
            leaves = later;
            if now.len() as u64 == room {
                let (root, file) = tree.finish()?;
                self.roots.push(root);
                self.files.extend(file);
            } else {
                self.current = Some(tree);
            }
        }
        Ok(())
    }

    fn begin(&mut self, more: usize) -> Result<Cascade<'a>, BuildError> {
        let expected = self.rows.leaves() * self.roots.len() as u64;
        let path = self.paths.pop().ok_or(BuildError::Leaves { expected, given: expected + more as u64 })?;
        let create = |path: PathBuf| AtomicFile::with_len(&path, self.rows.stored() * NODE_SIZE as u64);
        Ok(Cascade::new(self.backend, NodeHash::Poseidon, self.rows, self.batch, path.map(create).transpose()?))
    }

    /// The roots of the base trees, and their files, not yet under their names.
    ///
    /// # Errors
    /// [`BuildError::Leaves`] when leaves are missing.
    pub fn finish(self) -> Result<(Vec<Node>, Vec<AtomicFile>), BuildError> {
        let (begun, done) = (self.current.iter().len(), self.roots.len());
        if begun + self.paths.len() > 0 {
            let expected = self.rows.leaves() * (done + begun + self.paths.len()) as u64;
            let given = self.rows.leaves() * done as u64 + self.current.map_or(0, |tree| tree.passed[0]);
            return Err(BuildError::Leaves { expected, given });
        }
        Ok((self.roots, self.files))
    }
}

/// Builds TreeD over the `nodes` nodes of `data` into `output`, every row; returns CommD.
///
/// Data shorter than the sector counts as extended by zeros.
///
/// # Errors
/// [`BuildError`], also for longer data, data that ends inside a node, and nodes that are no field elements.
pub fn build_tree_d(
    backend: &dyn Backend,
    job: &Job<'_>,
    data: &Path,
    rows: Rows,
    output: &Path,
) -> Result<Node, BuildError> {
    let (root, file) = tree_d(backend, job, data, rows, output)?;
    file.commit()?;
    Ok(root)
}

/// [`build_tree_d`] whose file has yet to be given its name.
///
/// # Errors
/// As [`build_tree_d`].
pub fn tree_d(
    backend: &dyn Backend,
    job: &Job<'_>,
    data: &Path,
    rows: Rows,
    output: &Path,
) -> Result<(Node, AtomicFile), BuildError> {
    let file = NodeFile::open_any(data)?;
    let total = rows.leaves();
    if file.nodes() > total {
        file.expect_nodes(total)?;
    }
    // Two buffers of leaves, and the rows above.
    let batch = batch_nodes(job, 4);
    let stage = job.stage("tree-d", Unit::Items, total);
    let output = AtomicFile::with_len(output, rows.stored() * NODE_SIZE as u64)?;
    let mut tree = Cascade::new(backend, NodeHash::Sha256, rows, batch, Some(output));
    let read = |first: u64, count: usize, leaves: &mut Vec<Node>| {
        leaves.clear();
        leaves.resize(count, [0; NODE_SIZE]);
        let present = file.nodes().saturating_sub(first).min(count as u64) as usize;
        Ok::<_, BuildError>(file.read(first, &mut leaves[..present])?)
    };
    stream(total, batch, read, |first, leaves| {
        // The encoding would not take them. Hashing alone does not ask.
        if leaves.par_iter().any(|leaf| leaf[NODE_SIZE - 1] >= 0x73) {
            wrong_label(std::slice::from_ref(&file), first, leaves).map_or(Ok(()), Err)?;
        }
        tree.push(leaves)?;
        Ok(stage.advance(leaves.len() as u64)?)
    })?;
    let (root, file) = tree.finish()?;
    Ok((root, file.expect("the tree was begun with a file")))
}

/// Builds TreeC over the layers in `cache` into files there, every row; returns the roots of the base trees. A base tree of which
/// the root is `known` is there already. Each that is finished has its name, and then `note` is told.
///
/// # Errors
/// [`BuildError`], also when a layer is missing, has another length or holds a node that is no field element.
pub fn tree_c(
    backend: &dyn Backend,
    job: &Job<'_>,
    cache: &Path,
    geometry: Geometry,
    known: &[Option<Node>],
    note: &mut dyn FnMut(&Path) -> Result<(), BuildError>,
) -> Result<Vec<Node>, BuildError> {
    let arity = geometry.layers();
    let layers = (1..=arity).map(|layer| NodeFile::open(&files::layer(cache, layer), geometry.nodes()));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    // Two buffers of columns, one of leaves, and the rows above.
    let batch = batch_nodes(job, 2 * arity as u64 + 2);
    let stage = job.stage("tree-c", Unit::Items, geometry.nodes());
    let rows = geometry.base();
    let mut roots = Vec::with_capacity(geometry.base_trees());
    let mut leaves = Vec::new();
    for (place, path) in files::tree_c(cache, geometry.base_trees()).enumerate() {
        if let Some(root) = known.get(place).copied().flatten() {
            roots.push(root);
            stage.advance(rows.leaves())?;
            continue;
        }
        let output = AtomicFile::with_len(&path, rows.stored() * NODE_SIZE as u64)?;
        let mut tree = Cascade::new(backend, NodeHash::Poseidon, rows, batch, Some(output));
        let before = place as u64 * rows.leaves();
        let read = |first, count, columns: &mut Vec<Node>| gather(&layers, before + first, count, columns);
        stream(rows.leaves(), batch, read, |first, columns| {
            leaves.resize(columns.len() / arity, [0; NODE_SIZE]);
            if let Err(error) = backend.poseidon_level(arity, columns, &mut leaves) {
                return Err(wrong_label(&layers, before + first, columns).unwrap_or(error.into()));
            }
            tree.push(&leaves)?;
            Ok(stage.advance(leaves.len() as u64)?)
        })?;
        let (root, file) = tree.finish()?;
        if let Some(file) = file {
            file.commit()?;
            note(&path)?;
        }
        roots.push(root);
    }
    Ok(roots)
}

/// Reads the columns of `count` nodes: the labels of a node one after the other, layer 1 first.
fn gather(layers: &[NodeFile], first: u64, count: usize, columns: &mut Vec<Node>) -> Result<(), BuildError> {
    columns.resize(count * layers.len(), [0; NODE_SIZE]);
    let tasks = columns.par_chunks_mut(GATHER * layers.len()).enumerate();
    tasks.try_for_each_init(
        || vec![[0; NODE_SIZE]; GATHER.min(count)],
        |labels, (task, columns)| {
            let labels = &mut labels[..columns.len() / layers.len()];
            for (layer, file) in layers.iter().enumerate() {
                file.read(first + (task * GATHER) as u64, labels)?;
                for (column, label) in columns.chunks_exact_mut(layers.len()).zip(&*labels) {
                    column[layer] = *label;
                }
            }
            Ok(())
        },
    )
}

/// Names the first label of a batch of columns that is no field element.
fn wrong_label(layers: &[NodeFile], first: u64, columns: &[Node]) -> Option<BuildError> {
    columns.iter().enumerate().find_map(|(place, label)| {
        let source = fr::from_node(label).err()?;
        let (path, index) = (layers[place % layers.len()].path().to_owned(), first + (place / layers.len()) as u64);
        Some(BuildError::NonCanonical { path, index, source })
    })
}

/// Builds TreeR-last over an already encoded replica into files in `cache`; returns the roots of the base trees.
///
/// # Errors
/// [`BuildError`], also when the replica has another length or holds a node that is no field element.
pub fn build_tree_r_last(
    backend: &dyn Backend,
    job: &Job<'_>,
    replica: &Path,
    cache: &Path,
    geometry: Geometry,
) -> Result<Vec<Node>, BuildError> {
    let file = NodeFile::open(replica, geometry.nodes())?;
    let batch = batch_nodes(job, 4);
    let stage = job.stage("tree-r-last", Unit::Items, geometry.nodes());
    let mut trees = tree_r_last(backend, job, cache, geometry, batch);
    let read = |first, count, leaves: &mut Vec<Node>| {
        leaves.resize(count, [0; NODE_SIZE]);
        Ok::<_, BuildError>(file.read(first, leaves)?)
    };
    stream(geometry.nodes(), batch, read, |first, leaves| {
        if let Err(error) = trees.push(leaves) {
            return Err(wrong_label(std::slice::from_ref(&file), first, leaves).unwrap_or(error));
        }
        Ok(stage.advance(leaves.len() as u64)?)
    })?;
    let (roots, files) = trees.finish()?;
    files.into_iter().try_for_each(AtomicFile::commit)?;
    Ok(roots)
}

/// The base trees of a TreeR-last whose files go to `cache`, without the rows that the settings discard.
pub fn tree_r_last<'a>(
    backend: &'a dyn Backend,
    job: &Job<'_>,
    cache: &Path,
    geometry: Geometry,
    batch: u64,
) -> Forest<'a> {
    let paths = files::tree_r_last(cache, geometry.base_trees());
    Forest::new(backend, geometry.base_r_last(job.config.rows_to_discard), batch, paths.collect())
}
