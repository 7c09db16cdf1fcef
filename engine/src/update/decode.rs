//! Getting data back out of an updated replica.
//!
//! The comm_d of the whole of it is compared with the one that was asked for. A part cannot be; what it gives are padded
//! nodes, and those have two zero bits each, which wrong inputs would give to about half of the nodes only.
//!
//! Source: `spec/replication.md` 11.2.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::encode::{Factors, phi};
use super::replica::refuse_same;
use super::shape::UpdateConfig;
use super::{Replica, UpdateError, check_commitments, wrong_node};
use crate::backend::Backend;
use crate::field::Node;
use crate::hash::poseidon::hash2;
use crate::job::{Job, Unit};
use crate::merkle::build::{Cascade, NodeHash, batch_nodes};
use crate::merkle::node_file::NodeFile;
use crate::sector::geometry::Geometry;
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::AtomicFile;
use crate::store::aux::PAux;

/// Nodes of memory for each node of a batch: both replicas, and the rows above the data.
const BUFFERS: u64 = 4;

/// Decodes the whole replica `new`, made of the sector key `old`, into the file `out`: padded data.
///
/// comm_r_old follows from the `p_aux` of `old.cache`.
///
/// # Errors
/// [`UpdateError`]; [`UpdateError::Decoded`] when the data's comm_d is not `comm_d_new`, and then nothing is written.
pub fn decode_from(
    backend: &dyn Backend,
    job: &Job<'_>,
    config: &UpdateConfig,
    new: &Path,
    old: Replica<'_>,
    comm_d_new: &Node,
    out: &Path,
) -> Result<(), UpdateError> {
    let aux = PAux::read(old.cache)?;
    let comm_r_old = hash2(&aux.comm_c, &aux.comm_r_last)
        .map_err(|source| UpdateError::Commitment { what: "comm_r_old", source })?;
    let geometry = Geometry::of(config.params);
    refuse_same(&[("replica", new), ("sector key", old.path)], "data", out)?;
    let output = AtomicFile::with_len(out, geometry.nodes() * NODE_SIZE as u64)?;
    let decoder = Decoder { config, new, old: old.path, comm_d_new, comm_r_old: &comm_r_old };
    decoder.whole(backend, job, |first, data| Ok(output.write_at(data.as_flattened(), first * NODE_SIZE as u64)?))?;
    Ok(output.commit()?)
}

/// A replica and what it takes to decode it.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    /// The sector.
    pub config: &'a UpdateConfig,
    /// The replica with the data.
    pub new: &'a Path,
    /// The sector key.
    pub old: &'a Path,
    /// The commitment to the data.
    pub comm_d_new: &'a Node,
    /// The commitment to the sector key.
    pub comm_r_old: &'a Node,
}

impl Decoder<'_> {
    /// Writes a range of nodes of padded data to `out`, in order.
    ///
    /// # Errors
    /// [`UpdateError`]; [`UpdateError::NotPadded`] when a node is none of padded data, and for the whole sector
    /// [`UpdateError::Decoded`] when it has another comm_d. `out` may have got a part, or all, by then.
    pub fn decode_range(
        &self,
        backend: &dyn Backend,
        job: &Job<'_>,
        range: Range<u64>,
        out: &mut dyn Write,
    ) -> Result<(), UpdateError> {
        let take = |first, data: &[Node]| {
            if let Some(place) = data.iter().position(|node| node[NODE_SIZE - 1] & 0xc0 != 0) {
                return Err(UpdateError::NotPadded { node: first + place as u64 });
            }
            out.write_all(data.as_flattened()).map_err(UpdateError::Output)
        };
        if range == (0..self.config.params.nodes()) {
            return self.whole(backend, job, take);
        }
        self.run(job, range, take)
    }

    /// Hands out all nodes, and compares their comm_d at the end.
    fn whole(
        &self,
        backend: &dyn Backend,
        job: &Job<'_>,
        mut take: impl FnMut(u64, &[Node]) -> Result<(), UpdateError>,
    ) -> Result<(), UpdateError> {
        let geometry = Geometry::of(self.config.params);
        let mut tree_d = Cascade::new(backend, NodeHash::Sha256, geometry.data(), batch_nodes(job, BUFFERS), None);
        self.run(job, 0..geometry.nodes(), |first, data| {
            tree_d.push(data)?;
            take(first, data)
        })?;
        let (actual, _) = tree_d.finish()?;
        if actual != *self.comm_d_new {
            return Err(UpdateError::Decoded { expected: *self.comm_d_new, actual });
        }
        Ok(())
    }

    fn run(
        &self,
        job: &Job<'_>,
        range: Range<u64>,
        mut take: impl FnMut(u64, &[Node]) -> Result<(), UpdateError>,
    ) -> Result<(), UpdateError> {
        let Self { config, new, old, comm_d_new, comm_r_old } = *self;
        check_commitments(&[("comm_d_new", comm_d_new), ("comm_r_old", comm_r_old)])?;
        let nodes = config.params.nodes();
        let Range { start, end } = range;
        if start > end || end > nodes {
            return Err(UpdateError::Range { start, end, nodes });
        }
        let [replica, key] = [NodeFile::open(new, nodes)?, NodeFile::open(old, nodes)?];
        let phi =
            phi(comm_d_new, comm_r_old).map_err(|source| UpdateError::Commitment { what: "a commitment", source })?;
        let factors = Factors::inverse_rho(&config.shape, phi)?;
        let stage = job.stage("decode", Unit::Items, end - start);
        let (mut values, mut keys) = (Vec::new(), Vec::new());
        let batch = batch_nodes(job, BUFFERS);
        for first in (start..end).step_by(batch as usize) {
            let count = batch.min(end - first) as usize;
            for (file, nodes) in [(&replica, &mut values), (&key, &mut keys)] {
                nodes.resize(count, [0; NODE_SIZE]);
                file.read(first, nodes)?;
            }
            factors.decode(&mut values, &keys, first).map_err(|error| wrong_node(error, first, new, old))?;
            take(first, &values)?;
            stage.advance(count as u64)?;
        }
        Ok(())
    }
}
