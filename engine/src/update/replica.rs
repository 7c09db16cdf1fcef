//! Making the replica of an update, and getting the old one back.
//!
//! Both stream the nodes once. Encoding takes comm_d from the pieces, so that the factors are known before the data is
//! read, and builds TreeD, the new replica and its TreeR-last at a time; at the end TreeD must have that comm_d. The old
//! replica's tree is computed along and must have the root in its `p_aux`: data under a damaged node would decode to
//! something else as soon as the sector key is made anew. Removal takes comm_r_old and must arrive at it; what the
//! reference reads in its place is the `p_aux` of the new replica's folder, where the old one is not.
//!
//! Everything is written under other names until all has been checked. Files then get their names, `p_aux` the last:
//! a folder without it can be encoded into again. Nothing of the inputs is changed.
//!
//! Source: `spec/replication.md` 11.2.

use std::fs;
use std::io;
use std::path::Path;

use super::encode::{Factors, phi};
use super::open::open_all;
use super::shape::UpdateConfig;
use super::{Encoded, Replica, UpdateCommitments, UpdateError, check_commitments, wrong_node};
use crate::backend::Backend;
use crate::field::{Node, NonCanonical};
use crate::hash::poseidon::hash2;
use crate::job::{Job, Unit};
use crate::merkle::build::{Cascade, Forest, NodeHash, batch_nodes, stream, tree_r_last};
use crate::merkle::node_file::NodeFile;
use crate::merkle::tree_file::{Joined, TreeFile};
use crate::sector::geometry::Geometry;
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::AtomicFile;
use crate::store::aux::{AuxError, PAux, TAux};
use crate::store::files::{self, P_AUX};

/// Encodes `data` into the sector key `old`; writes `new.path`, and TreeD, TreeR-last, `t_aux` and `p_aux` into
/// `new.cache`, which is created if it is not there. Data shorter than the sector counts as extended by zeros.
///
/// # Errors
/// [`UpdateError`]; also when `new.cache` holds a finished sector.
pub fn encode_into(
    backend: &dyn Backend,
    job: &Job<'_>,
    config: &UpdateConfig,
    old: Replica<'_>,
    data: &Path,
    comm_d_new: &Node,
    new: Replica<'_>,
) -> Result<Encoded, UpdateError> {
    check_commitments(&[("comm_d_new", comm_d_new)])?;
    let geometry = Geometry::of(config.params);
    let old_aux = PAux::read(old.cache)?;
    let t_aux = t_aux_for(job, config, old.cache)?;
    let keys = NodeFile::open(old.path, geometry.nodes())?;
    let values = open_data(data, geometry)?;
    refuse_same(&[("sector key", old.path), ("data", data)], "new replica", new.path)?;
    refuse_same(&[("cache folder of the sector key", old.cache)], "cache folder of the new replica", new.cache)?;
    refuse_finished(new.cache)?;

    let comm_r_old = hash2(&old_aux.comm_c, &old_aux.comm_r_last).map_err(in_aux)?;
    let phi = phi(comm_d_new, &comm_r_old).map_err(in_aux)?;
    let factors = Factors::rho(&config.shape, phi);
    in_folder(new.cache, || {
        // Two buffers each of data and keys, and the rows above three trees.
        let batch = batch_nodes(job, 8);
        let stage = job.stage("encode", Unit::Items, geometry.nodes());
        let replica = AtomicFile::with_len(new.path, geometry.nodes() * NODE_SIZE as u64)?;
        let tree_d_file = AtomicFile::with_len(&files::tree_d(new.cache), geometry.data().stored() * NODE_SIZE as u64)?;
        let mut tree_d = Cascade::new(backend, NodeHash::Sha256, geometry.data(), batch, Some(tree_d_file));
        let mut old_tree = Forest::roots_only(backend, geometry.base(), batch, geometry.base_trees());
        let mut new_tree = tree_r_last(backend, job, new.cache, geometry, batch);
        stream(geometry.nodes(), batch, pairs(&values, &keys), |first, [values, keys]| {
            tree_d.push(values)?;
            factors.encode(values, keys, first).map_err(|error| wrong_node(error, first, data, old.path))?;
            old_tree.push(keys)?;
            replica.write_at(values.as_flattened(), first * NODE_SIZE as u64)?;
            new_tree.push(values)?;
            Ok::<_, UpdateError>(stage.advance(values.len() as u64)?)
        })?;
        let (actual, tree_d_file) = tree_d.finish()?;
        if actual != *comm_d_new {
            return Err(UpdateError::Data { path: data.to_owned(), expected: *comm_d_new, actual });
        }
        let (old_root, _) = finish(geometry, old_tree)?;
        if old_root != old_aux.comm_r_last {
            let (path, expected) = (old.path.to_owned(), old_aux.comm_r_last);
            return Err(UpdateError::Key { path, expected, actual: old_root });
        }
        let (comm_r_last_new, tree_files) = finish(geometry, new_tree)?;
        let aux = PAux { comm_c: old_aux.comm_c, comm_r_last: comm_r_last_new };
        let comm_r_new = hash2(&aux.comm_c, &aux.comm_r_last).map_err(in_aux)?;
        tree_d_file.into_iter().chain(tree_files).try_for_each(AtomicFile::commit)?;
        replica.commit()?;
        t_aux.write(new.cache)?;
        aux.write(new.cache)?;
        let commitments = UpdateCommitments { comm_r_old, comm_r_new, comm_d_new: *comm_d_new };
        Ok(Encoded { commitments, comm_r_last_new })
    })
}

/// What a finished encoding in `new` came to, if it is that of data of `comm_d_new` in the sector key `old`; `None`
/// also when there is none. As `p_aux` is written last, all of it is there then; the challenges of its proof are opened
/// and checked, nothing is computed again.
///
/// # Errors
/// [`UpdateError`] when a file is malformed, damaged where it is challenged, or cannot be read.
pub fn find_encoded(
    job: &Job<'_>,
    config: &UpdateConfig,
    old: Replica<'_>,
    comm_d_new: &Node,
    new: Replica<'_>,
) -> Result<Option<Encoded>, UpdateError> {
    if !new.cache.join(P_AUX).exists() || !files::tree_d(new.cache).exists() || !new.path.exists() {
        return Ok(None);
    }
    let geometry = Geometry::of(config.params);
    let (old_aux, new_aux) = (PAux::read(old.cache)?, PAux::read(new.cache)?);
    let tree_d = TreeFile::open_tree_d(new.cache, geometry)?.root();
    let tree_r_last = TreeFile::open_tree_r_last(new.cache, new.path, geometry)?.root();
    if old_aux.comm_c != new_aux.comm_c || tree_d != *comm_d_new || tree_r_last != new_aux.comm_r_last {
        return Ok(None);
    }
    let comm_r = |aux: &PAux| hash2(&aux.comm_c, &aux.comm_r_last).map_err(in_aux);
    let commitments =
        UpdateCommitments { comm_r_old: comm_r(&old_aux)?, comm_r_new: comm_r(&new_aux)?, comm_d_new: *comm_d_new };
    open_all(job, config, &commitments, old, new)?;
    Ok(Some(Encoded { commitments, comm_r_last_new: new_aux.comm_r_last }))
}

/// Takes `data` out of the replica `new`; writes the sector key `old.path`, and its TreeR-last, `t_aux` and `p_aux`
/// into `old.cache`, which is created if it is not there.
///
/// Of `new.cache`, `p_aux` and `t_aux` are read: comm_c, and the discarded rows.
///
/// # Errors
/// [`UpdateError`]; also when `old.cache` holds a finished sector, and [`UpdateError::Removed`] when what comes out is
/// not the replica of `comm_r_old`.
pub fn remove_data(
    backend: &dyn Backend,
    job: &Job<'_>,
    config: &UpdateConfig,
    new: Replica<'_>,
    data: &Path,
    commitments: &UpdateCommitments,
    old: Replica<'_>,
) -> Result<(), UpdateError> {
    commitments.check()?;
    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = commitments;
    let geometry = Geometry::of(config.params);
    let new_aux = PAux::read(new.cache)?;
    super::root("comm_r_new", comm_r_new, &hash2(&new_aux.comm_c, &new_aux.comm_r_last).map_err(in_aux)?)?;
    let t_aux = t_aux_for(job, config, new.cache)?;
    let replicas = NodeFile::open(new.path, geometry.nodes())?;
    let values = open_data(data, geometry)?;
    refuse_same(&[("replica", new.path), ("data", data)], "sector key", old.path)?;
    refuse_same(&[("cache folder of the replica", new.cache)], "cache folder of the sector key", old.cache)?;
    refuse_finished(old.cache)?;

    let factors = Factors::rho(&config.shape, phi(comm_d_new, comm_r_old).map_err(in_aux)?);
    in_folder(old.cache, || {
        let batch = batch_nodes(job, 7);
        let stage = job.stage("remove data", Unit::Items, geometry.nodes());
        let key = AtomicFile::with_len(old.path, geometry.nodes() * NODE_SIZE as u64)?;
        let mut tree_d = Cascade::new(backend, NodeHash::Sha256, geometry.data(), batch, None);
        let mut tree = tree_r_last(backend, job, old.cache, geometry, batch);
        stream(geometry.nodes(), batch, pairs(&values, &replicas), |first, [values, replicas]| {
            tree_d.push(values)?;
            factors.remove(replicas, values, first).map_err(|error| wrong_node(error, first, new.path, data))?;
            key.write_at(replicas.as_flattened(), first * NODE_SIZE as u64)?;
            tree.push(replicas)?;
            Ok::<_, UpdateError>(stage.advance(values.len() as u64)?)
        })?;
        let (actual, _) = tree_d.finish()?;
        if actual != *comm_d_new {
            return Err(UpdateError::Data { path: data.to_owned(), expected: *comm_d_new, actual });
        }
        let (comm_r_last, tree_files) = finish(geometry, tree)?;
        let aux = PAux { comm_c: new_aux.comm_c, comm_r_last };
        let actual = hash2(&aux.comm_c, &aux.comm_r_last).map_err(in_aux)?;
        if actual != *comm_r_old {
            return Err(UpdateError::Removed { expected: *comm_r_old, actual });
        }
        tree_files.into_iter().try_for_each(AtomicFile::commit)?;
        key.commit()?;
        t_aux.write(old.cache)?;
        aux.write(old.cache)?;
        Ok(())
    })
}

fn in_aux(source: NonCanonical) -> UpdateError {
    UpdateError::Commitment { what: "a commitment", source }
}

/// Opens data of at most the sector's length.
fn open_data(path: &Path, geometry: Geometry) -> Result<NodeFile, UpdateError> {
    let file = NodeFile::open_any(path)?;
    if file.nodes() > geometry.nodes() {
        file.expect_nodes(geometry.nodes())?;
    }
    Ok(file)
}

/// Reads the same nodes of two files; the first counts as extended by zeros.
fn pairs<'a>(
    first: &'a NodeFile,
    second: &'a NodeFile,
) -> impl Fn(u64, usize, &mut [Vec<Node>; 2]) -> Result<(), UpdateError> + Sync + 'a {
    move |start, count, buffers| {
        for (file, nodes) in [first, second].into_iter().zip(buffers) {
            nodes.clear();
            nodes.resize(count, [0; NODE_SIZE]);
            let present = file.nodes().saturating_sub(start).min(count as u64) as usize;
            file.read(start, &mut nodes[..present])?;
        }
        Ok(())
    }
}

/// The root of a compound tree, and its files.
fn finish(geometry: Geometry, trees: Forest<'_>) -> Result<(Node, Vec<AtomicFile>), UpdateError> {
    let (roots, files) = trees.finish()?;
    Ok((Joined::new(geometry.shape(), roots).map_err(in_aux)?.root(), files))
}

/// The `t_aux` of the replica that is made of the one in `from`: as the reference does it, the one there with the path
/// of that folder, but saying which rows the new files leave out. A folder without one counts as having had one.
fn t_aux_for(job: &Job<'_>, config: &UpdateConfig, from: &Path) -> Result<TAux, UpdateError> {
    let path = from.to_string_lossy();
    let discard = Geometry::of(config.params).rows_to_discard(job.config.rows_to_discard);
    match TAux::read(from, config.params) {
        Ok(_) => {}
        Err(AuxError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // Everything else in it follows from the sector's size.
    Ok(TAux::new(&path, config.params, discard))
}

/// Refuses an output that is one of the inputs.
pub(super) fn refuse_same(
    inputs: &[(&'static str, &Path)],
    output: &'static str,
    path: &Path,
) -> Result<(), UpdateError> {
    // What does not exist yet is none of the inputs, which do.
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let same = inputs.iter().find(|(_, input)| fs::canonicalize(input).is_ok_and(|input| input == real));
    match same {
        Some(&(input, _)) => Err(UpdateError::SameFile { path: path.to_owned(), input, output }),
        None => Ok(()),
    }
}

fn refuse_finished(cache: &Path) -> Result<(), UpdateError> {
    if cache.join(P_AUX).exists() { Err(UpdateError::Finished { cache: cache.to_owned() }) } else { Ok(()) }
}

/// Runs `work` on a folder, which is created before if need be, and is gone again if the work fails.
fn in_folder<T>(folder: &Path, work: impl FnOnce() -> Result<T, UpdateError>) -> Result<T, UpdateError> {
    let fresh = !folder.exists();
    fs::create_dir_all(folder).map_err(|source| UpdateError::Io {
        action: "create",
        path: folder.to_owned(),
        source,
    })?;
    let outcome = work();
    if outcome.is_err() && fresh {
        // Only if nothing is in it.
        let _ = fs::remove_dir(folder);
    }
    outcome
}
