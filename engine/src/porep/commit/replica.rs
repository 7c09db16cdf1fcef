//! The replica and TreeR-last over it, a base tree at a time.
//!
//! With a manifest, a base tree that is finished gets its name and is noted together with the part of the replica that is its
//! leaves; the replica has a temporary name until all are. The next attempt takes the parts for which it finds the bytes that
//! were noted. The digest of a part begins with CommD, so that parts of other data count for nothing; that labels are
//! those of the manifest was checked before.

use std::path::{Path, PathBuf};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use sha2::{Digest, Sha256};

use super::{CommitError, name_of, unread};
use crate::backend::Backend;
use crate::field::Node;
use crate::hash::sha256::sha_node;
use crate::job::{Job, Stage, Unit};
use crate::merkle::build::{BuildError, Cascade, NodeHash, batch_nodes, stream};
use crate::merkle::node_file::NodeFile;
use crate::porep::encode::{EncodeError, Operand, encode};
use crate::sector::geometry::{Geometry, Rows};
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::AtomicFile;
use crate::store::files;
use crate::store::manifest::{FileRecord, Manifest};
use crate::store::positioned::read_exact_at;

/// Bytes of the replica that are hashed between two reports of progress.
const BLOCK_BYTES: usize = 1 << 20;

/// What came of a sector.
pub(super) struct Encoded {
    /// Root of TreeD, to which its leaves hash.
    pub comm_d: Node,
    /// Of the base trees of TreeR-last.
    pub roots: Vec<Node>,
    /// What does not have its name yet.
    pub files: Vec<AtomicFile>,
}

/// Encodes the leaves of TreeD into the replica and builds TreeR-last over it.
///
/// # Errors
/// [`CommitError`].
pub(super) fn encode_sector(
    backend: &dyn Backend,
    job: &Job<'_>,
    geometry: Geometry,
    data: &NodeFile,
    cache: &Path,
    replica: &Path,
    manifest: &mut Option<Manifest>,
) -> Result<Encoded, CommitError> {
    let keys = NodeFile::open(&files::layer(cache, geometry.layers()), geometry.nodes())?;
    let comm_d = data.node(data.nodes() - 1)?;
    let bytes = geometry.nodes() * NODE_SIZE as u64;
    let trees = Trees {
        paths: files::tree_r_last(cache, geometry.base_trees()).collect(),
        rows: geometry.base_r_last(job.config.rows_to_discard),
        cache,
        comm_d,
    };
    let (mut output, known) = match manifest {
        None => (AtomicFile::with_len(replica, bytes)?, vec![None; trees.paths.len()]),
        Some(manifest) => {
            let (output, is_left) = AtomicFile::resume(replica, bytes)?;
            let known = if is_left { trees.known(job, manifest, &output)? } else { vec![None; trees.paths.len()] };
            (output, known)
        }
    };
    let stage = job.stage("encode", Unit::Items, geometry.nodes());
    let encoder = Encoder { backend, job, stage, part: geometry.data_part(), data, keys, trees };
    let parts_row = geometry.data().row_offset(encoder.part.count() - 1);
    let (mut roots, mut unnamed, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (tree, known) in known.into_iter().enumerate() {
        let stored = data.node(parts_row + tree as u64)?;
        parts.push(stored);
        if let Some(root) = known {
            roots.push(root);
            encoder.stage.advance(encoder.part.leaves())?;
            continue;
        }
        let (root, file, digest) = encoder.encode_part(tree, &stored, &output)?;
        roots.push(root);
        let Some(manifest) = manifest else {
            unnamed.extend(file);
            continue;
        };
        output.sync()?;
        file.map_or(Ok(()), AtomicFile::commit)?;
        let path = &encoder.trees.paths[tree];
        manifest.record(part_name(tree), digest);
        manifest.record(name_of(path), FileRecord::of(path, None).map_err(|error| unread(path, error))?);
        manifest.store(cache)?;
        output.keep();
    }
    while parts.len() > 1 {
        parts = parts.as_chunks().0.iter().map(|[left, right]| sha_node(left, right)).collect();
    }
    expect(data, 0, geometry.nodes(), &comm_d, parts[0])?;
    unnamed.insert(0, output);
    Ok(Encoded { comm_d, roots, files: unnamed })
}

/// What parts of a replica are made of.
struct Encoder<'a> {
    backend: &'a dyn Backend,
    job: &'a Job<'a>,
    stage: Stage<'a>,
    /// Of TreeD, above a part.
    part: Rows,
    data: &'a NodeFile,
    keys: NodeFile,
    trees: Trees<'a>,
}

impl Encoder<'_> {
    /// Writes the part of the replica below a base tree, and the tree; returns its root, its file, and the part's digest.
    ///
    /// The data is compared with `stored`, the node above it.
    fn encode_part(
        &self,
        tree: usize,
        stored: &Node,
        output: &AtomicFile,
    ) -> Result<(Node, Option<AtomicFile>, FileRecord), CommitError> {
        let Self { backend, data, keys, trees, part, .. } = self;
        let before = tree as u64 * part.leaves();
        // Two buffers each of data and keys, and the rows above both.
        let batch = batch_nodes(self.job, 7);
        let file = AtomicFile::with_len(&trees.paths[tree], trees.rows.stored() * NODE_SIZE as u64)?;
        let mut tree_d = Cascade::new(*backend, NodeHash::Sha256, *part, batch, None);
        let mut tree_r_last = Cascade::new(*backend, NodeHash::Poseidon, trees.rows, batch, Some(file));
        let mut hasher = trees.part_hasher();
        let read = |first, count, [values, labels]: &mut [Vec<Node>; 2]| {
            for (file, nodes) in [(*data, values), (keys, labels)] {
                nodes.resize(count, [0; NODE_SIZE]);
                file.read(before + first, nodes)?;
            }
            Ok::<_, CommitError>(())
        };
        stream(part.leaves(), batch, read, |first, [values, labels]| {
            let first = before + first;
            tree_d.push(values)?;
            encode(values, labels).map_err(|EncodeError { index, operand, source }| {
                let file = if operand == Operand::Value { data } else { keys };
                BuildError::NonCanonical { path: file.path().to_owned(), index: first + index as u64, source }
            })?;
            output.write_at(values.as_flattened(), first * NODE_SIZE as u64)?;
            let ((), pushed) = rayon::join(|| hasher.update(values.as_flattened()), || tree_r_last.push(values));
            pushed?;
            Ok(self.stage.advance(values.len() as u64)?)
        })?;
        let (computed, _) = tree_d.finish()?;
        expect(data, before, part.leaves(), stored, computed)?;
        let (root, file) = tree_r_last.finish()?;
        let size_bytes = part.leaves() * NODE_SIZE as u64;
        Ok((root, file, FileRecord { size_bytes, sha256: hasher.finalize().into() }))
    }
}

/// Refuses `count` leaves of TreeD that do not hash to the node above them.
fn expect(data: &NodeFile, first: u64, count: u64, stored: &Node, computed: Node) -> Result<(), CommitError> {
    if computed == *stored {
        return Ok(());
    }
    let (path, last) = (data.path().to_owned(), first + count - 1);
    Err(CommitError::Data { path, first, last, stored: *stored, computed })
}

/// What the manifest calls the part of the replica below a base tree.
fn part_name(tree: usize) -> String {
    format!("replica-part-{tree}")
}

/// The base trees of TreeR-last.
struct Trees<'a> {
    paths: Vec<PathBuf>,
    rows: Rows,
    cache: &'a Path,
    comm_d: Node,
}

impl Trees<'_> {
    /// Begins the digest of a part of the replica.
    fn part_hasher(&self) -> Sha256 {
        Sha256::new_with_prefix(self.comm_d)
    }

    /// The roots of base trees that are there, as is what they are of in `replica`.
    fn known(
        &self,
        job: &Job<'_>,
        manifest: &Manifest,
        replica: &AtomicFile,
    ) -> Result<Vec<Option<Node>>, CommitError> {
        let tree_bytes = self.rows.stored() * NODE_SIZE as u64;
        let part_bytes = self.rows.leaves() * NODE_SIZE as u64;
        let noted = |tree: usize| {
            let part = manifest.file(&part_name(tree)).filter(|part| part.size_bytes == part_bytes)?;
            manifest.file(&name_of(&self.paths[tree])).filter(|file| file.size_bytes == tree_bytes)?;
            Some(part)
        };
        let count = (0..self.paths.len()).filter(|tree| noted(*tree).is_some()).count() as u64;
        let stage = job.stage("check replica", Unit::Bytes, count * (part_bytes + tree_bytes));
        let known = self.paths.par_iter().enumerate().map(|(tree, path)| {
            let Some(part) = noted(tree) else { return Ok(None) };
            if self.part_digest(&stage, replica, tree as u64 * part_bytes, part_bytes)? != part.sha256
                || !manifest.holds(self.cache, &name_of(path), &stage).map_err(|error| unread(path, error))?
            {
                return Ok(None);
            }
            Ok(Some(NodeFile::open(path, self.rows.stored())?.node(self.rows.stored() - 1)?))
        });
        let known: Vec<_> = known.collect::<Result<_, CommitError>>()?;
        let found = known.iter().flatten().count();
        tracing::info!(trees = found, of = known.len(), "parts of the replica and their trees are there");
        Ok(known)
    }

    /// The digest of `bytes` bytes of the replica from `offset` on.
    fn part_digest(
        &self,
        stage: &Stage<'_>,
        replica: &AtomicFile,
        offset: u64,
        bytes: u64,
    ) -> Result<[u8; 32], CommitError> {
        let mut hasher = self.part_hasher();
        let mut block = vec![0; BLOCK_BYTES];
        for begin in (0..bytes).step_by(BLOCK_BYTES) {
            let block = &mut block[..(bytes - begin).min(BLOCK_BYTES as u64) as usize];
            read_exact_at(replica.file(), block, offset + begin).map_err(|source| replica.error(source))?;
            hasher.update(&*block);
            stage.advance(block.len() as u64)?;
        }
        Ok(hasher.finalize().into())
    }
}
