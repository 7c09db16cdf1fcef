//! Pre-commit phase 2: columns, encoding, the two compound trees, CommR.
//!
//! `comm_c = root(TreeC over columns)`, `replica(v) = data(v) + label_L(v) mod r`, `comm_r_last = root(TreeR-last over
//! the replica)`, `comm_r = H_2(comm_c, comm_r_last)`.
//!
//! Data is read from row 0 of TreeD, not from the file that becomes the replica: the phase can be repeated after a
//! stop at any point. Where phase 1 left a manifest, what is finished is noted in it, a base tree of TreeC or one of TreeR-last
//! with the part of the replica below it, and a later attempt goes on from there. While data streams by, its tree is
//! recomputed and compared with TreeD, so that a damaged file is noticed before the replica is replaced.
//!
//! Source: `spec/replication.md` 6.3, 6.4, 6.6.

use std::path::{Path, PathBuf};

use crate::backend::Backend;
use crate::field::{Node, NonCanonical};
use crate::hash::poseidon::hash2;
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::build::{BuildError, tree_c};
use crate::merkle::node_file::{NodeFile, NodeFileError};
use crate::merkle::tree_file::Joined;
use crate::sector::PoRepConfig;
use crate::sector::geometry::Geometry;
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::{AtomicFile, WriteError};
use crate::store::files;
use crate::store::manifest::{CheckError, FileRecord, Manifest};

/// What binds a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitments {
    /// Root of TreeD: the data.
    pub comm_d: Node,
    /// Root of TreeC: the columns of labels.
    pub comm_c: Node,
    /// Root of TreeR-last: the replica.
    pub comm_r_last: Node,
    /// `H_2(comm_c, comm_r_last)`.
    pub comm_r: Node,
}

/// Why phase 2 failed. The replica was not replaced unless the disk failed while files got their names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CommitError {
    #[error(transparent)]
    Build(BuildError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(
        "leaves {first} to {last} of {} hash to {}, the node above them is {}",
        path.display(), hex::encode(computed), hex::encode(stored)
    )]
    Data { path: PathBuf, first: u64, last: u64, stored: Node, computed: Node },
    #[error("a root of a tree")]
    Root(#[from] NonCanonical),
}

impl From<BuildError> for CommitError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Build(error),
        }
    }
}

impl From<NodeFileError> for CommitError {
    fn from(error: NodeFileError) -> Self {
        Self::Build(error.into())
    }
}

impl From<WriteError> for CommitError {
    fn from(error: WriteError) -> Self {
        Self::Build(error.into())
    }
}

/// Commits to the layers in `cache` and encodes the data of TreeD there into `replica`.
///
/// Writes the TreeC and TreeR-last files into `cache` and replaces `replica`, each under a temporary name first. Base trees are
/// noted in the manifest, if there is one, and found there by the next attempt.
///
/// # Errors
/// [`CommitError`] names the file that is missing, has another length, holds a node that is no field element, or
/// contradicts itself.
pub fn commit(
    job: &Job<'_>,
    config: &PoRepConfig,
    cache: &Path,
    replica: &Path,
    manifest: Option<Manifest>,
) -> Result<Commitments, CommitError> {
    commit_noted(&*job.config.backend, job, Geometry::of(config.params), cache, replica, manifest)
}

/// [`commit`] on a device of the caller's, for a sector of any geometry.
///
/// # Errors
/// As [`commit`].
pub fn commit_with(
    backend: &dyn Backend,
    job: &Job<'_>,
    geometry: Geometry,
    cache: &Path,
    replica: &Path,
) -> Result<Commitments, CommitError> {
    commit_noted(backend, job, geometry, cache, replica, None)
}

fn commit_noted(
    backend: &dyn Backend,
    job: &Job<'_>,
    geometry: Geometry,
    cache: &Path,
    replica: &Path,
    mut manifest: Option<Manifest>,
) -> Result<Commitments, CommitError> {
    let data = NodeFile::open(&files::tree_d(cache), geometry.data().stored())?;
    let roots_c = noted_tree_c(backend, job, geometry, cache, &mut manifest)?;
    let comm_c = Joined::new(geometry.shape(), roots_c)?.root();
    let encoded = replica::encode_sector(backend, job, geometry, &data, cache, replica, &mut manifest)?;
    let comm_r_last = Joined::new(geometry.shape(), encoded.roots)?.root();
    let comm_r = hash2(&comm_c, &comm_r_last)?;
    // No replica has been replaced so far, and nothing is left to go wrong but the disk.
    encoded.files.into_iter().try_for_each(AtomicFile::commit)?;
    Ok(Commitments { comm_d: encoded.comm_d, comm_c, comm_r_last, comm_r })
}

/// TreeC, of which base trees that the manifest knows by their digests are taken as they are.
fn noted_tree_c(
    backend: &dyn Backend,
    job: &Job<'_>,
    geometry: Geometry,
    cache: &Path,
    manifest: &mut Option<Manifest>,
) -> Result<Vec<Node>, CommitError> {
    let paths: Vec<PathBuf> = files::tree_c(cache, geometry.base_trees()).collect();
    let stored = geometry.base().stored();
    let is_noted = |path: &Path| manifest.as_ref().is_some_and(|manifest| manifest.file(&name_of(path)).is_some());
    let noted = paths.iter().filter(|path| is_noted(path)).count() as u64;
    let mut known = vec![None; paths.len()];
    if noted > 0 {
        let stage = job.stage("check tree-c", Unit::Bytes, noted * stored * NODE_SIZE as u64);
        for (path, known) in paths.iter().zip(&mut known) {
            if let Some(manifest) = manifest
                && manifest.holds(cache, &name_of(path), &stage).map_err(|error| unread(path, error))?
            {
                *known = Some(NodeFile::open(path, stored)?.node(stored - 1)?);
            }
        }
    }
    let found = known.iter().flatten().count();
    if found > 0 {
        tracing::info!(trees = found, of = paths.len(), "base trees of tree-c are there");
    }
    let mut note = |path: &Path| {
        if let Some(manifest) = manifest {
            manifest.record(name_of(path), FileRecord::of(path, None).map_err(|error| unread(path, error))?);
            manifest.store(cache)?;
        }
        Ok(())
    };
    Ok(tree_c(backend, job, cache, geometry, &known, &mut note)?)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unread(path: &Path, error: CheckError) -> BuildError {
    match error {
        CheckError::Cancelled(cancelled) => cancelled.into(),
        CheckError::Io(source) => NodeFileError::Io { path: path.to_owned(), source }.into(),
    }
}

mod replica;
#[cfg(test)]
mod tests;
