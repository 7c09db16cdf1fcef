//! Opening the challenges of an update: from the files of both replicas to the partitions' vanilla proofs.
//!
//! Roots on disk are compared with the commitments before anything is opened, and every proof is checked before any is
//! handed out, so that a damaged file gives an error here and not an invalid SNARK later.
//!
//! Source: `spec/replication.md` 11.4.

use rayon::prelude::*;

use super::challenges::challenges;
use super::proof::{ChallengeProof, PartitionProof};
use super::shape::UpdateConfig;
use super::verify::{PartitionError, Statement};
use super::{Replica, UpdateCommitments, UpdateError, root};
use crate::field::Node;
use crate::hash::poseidon::hash2;
use crate::job::{Job, Unit};
use crate::merkle::node_file::NodeFile;
use crate::merkle::path::{MerkleProof, TreeKind};
use crate::merkle::tree_file::TreeFile;
use crate::sector::geometry::Geometry;
use crate::sector::params::NODE_SIZE;
use crate::store::aux::PAux;
use crate::store::files;

/// The files of an update, opened.
struct Opener<'a> {
    config: &'a UpdateConfig,
    comm_c: Node,
    tree_r_old: TreeFile,
    tree_d_new: TreeFile,
    tree_r_new: TreeFile,
    /// TreeD, for its row of apex leaves.
    data: NodeFile,
}

/// Opens every partition's challenges and checks the proofs.
///
/// Needs TreeR-last and `p_aux` in both cache folders, TreeD in the new one, and both replicas.
///
/// # Errors
/// [`UpdateError`].
pub fn open_all(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    old: Replica<'_>,
    new: Replica<'_>,
) -> Result<Vec<PartitionProof>, UpdateError> {
    commitments.check()?;
    let opener = Opener::new(config, commitments, old, new)?;
    let shape = &config.shape;
    let stage = job.stage("open challenges", Unit::Items, (shape.partitions * shape.challenges) as u64);
    let open = |partition| {
        let challenges = challenges(shape, &commitments.comm_r_new, partition)
            .map_err(|source| UpdateError::Commitment { what: "comm_r_new", source })?;
        let opened = challenges.par_iter().map(|challenge| {
            let proof = opener.challenge(*challenge)?;
            stage.advance(1)?;
            Ok::<_, UpdateError>(proof)
        });
        Ok::<_, UpdateError>(PartitionProof {
            comm_c: opener.comm_c,
            apex_leafs: opener.apex_leaves(partition)?,
            challenge_proofs: opened.collect::<Result<_, _>>()?,
        })
    };
    let proofs = (0..shape.partitions).map(open).collect::<Result<Vec<_>, _>>()?;
    drop(stage);
    Statement { shape, commitments }.verify(job, &proofs).map_err(|error| match error {
        PartitionError::Cancelled(cancelled) => UpdateError::Cancelled(cancelled),
        error => UpdateError::Made(error),
    })?;
    Ok(proofs)
}

impl<'a> Opener<'a> {
    fn new(
        config: &'a UpdateConfig,
        commitments: &UpdateCommitments,
        old: Replica<'_>,
        new: Replica<'_>,
    ) -> Result<Self, UpdateError> {
        let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = commitments;
        let geometry = Geometry::of(config.params);
        let comm_r = |aux: &PAux| {
            hash2(&aux.comm_c, &aux.comm_r_last)
                .map_err(|source| UpdateError::Commitment { what: "a commitment in p_aux", source })
        };
        let (old_aux, new_aux) = (PAux::read(old.cache)?, PAux::read(new.cache)?);
        root("comm_r_old", comm_r_old, &comm_r(&old_aux)?)?;
        root("comm_r_new", comm_r_new, &comm_r(&new_aux)?)?;
        root("comm_c of the new replica", &old_aux.comm_c, &new_aux.comm_c)?;
        let tree_r_old = TreeFile::open_tree_r_last(old.cache, old.path, geometry)?;
        root("comm_r_last of the sector key", &old_aux.comm_r_last, &tree_r_old.root())?;
        let tree_r_new = TreeFile::open_tree_r_last(new.cache, new.path, geometry)?;
        root("comm_r_last of the new replica", &new_aux.comm_r_last, &tree_r_new.root())?;
        let tree_d_new = TreeFile::open_tree_d(new.cache, geometry)?;
        root("comm_d_new", comm_d_new, &tree_d_new.root())?;
        let data = NodeFile::open(&files::tree_d(new.cache), geometry.data().stored())?;
        Ok(Self { config, comm_c: old_aux.comm_c, tree_r_old, tree_d_new, tree_r_new, data })
    }

    fn challenge(&self, node: u64) -> Result<ChallengeProof, UpdateError> {
        let kind = self.config.shape.poseidon();
        Ok(ChallengeProof {
            proof_r_old: opening(&self.tree_r_old, kind, node)?,
            proof_d_new: opening(&self.tree_d_new, TreeKind::Data, node)?,
            proof_r_new: opening(&self.tree_r_new, kind, node)?,
        })
    }

    /// The nodes `[k·A, (k+1)·A)` of the row of TreeD that has P·A nodes.
    fn apex_leaves(&self, partition: usize) -> Result<Vec<Node>, UpdateError> {
        let shape = &self.config.shape;
        let rows = Geometry::of(self.config.params).data();
        let mut leaves = vec![[0; NODE_SIZE]; shape.apex_leaves];
        let first = rows.row_offset(shape.data_levels()) + (partition * shape.apex_leaves) as u64;
        self.data.read(first, &mut leaves)?;
        Ok(leaves)
    }
}

fn opening(tree: &TreeFile, kind: TreeKind, node: u64) -> Result<MerkleProof, UpdateError> {
    let levels = tree.levels(node)?;
    let proof = MerkleProof::new(kind, tree.root(), tree.leaf(node)?, levels);
    Ok(proof.expect("the levels are those of a tree of this kind, which was opened as such"))
}
