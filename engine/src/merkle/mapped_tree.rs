//! Trees mapped into memory, for opening very many leaves.
//!
//! Where [`super::tree_file`] reads and hashes for every leaf that is opened, here each node is looked at once: the leaves
//! to be opened are taken in ascending order, and of every row only the parents above them are compared with the hash of
//! their children, in batches that suit the processor. Rows that a TreeR-last file leaves out are computed from the
//! replica in aligned blocks, each block once. What has been compared can then be copied.
//!
//! Leaves and the nodes of a row are counted over all base trees here: base trees are whole rows side by side.
//!
//! Source: `spec/replication.md` 0.4, 6.2 to 6.4.

use std::path::PathBuf;

use rayon::prelude::*;

use super::build::NodeHash;
use super::tree_file::Joined;
use crate::field::{Node, NonCanonical};
use crate::hash::poseidon::hash_batch;
use crate::hash::sha256::sha_nodes;
use crate::job::{Cancelled, Stage};
use crate::sector::geometry::Rows;
use crate::store::mapped::Mapped;

/// Parents that one task compares: milliseconds.
const TASK: usize = 1024;

/// A tree that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum MappedTreeError {
    #[error("node {node} of row {row} of {} is not the hash of its children", path.display())]
    Inconsistent { path: PathBuf, row: usize, node: u64 },
    #[error("nodes {first} to {} of {} do not lead to the tree in {}", first + count, replica.display(), path.display())]
    Replica { path: PathBuf, replica: PathBuf, first: u64, count: u64 },
    #[error("a node of {}", path.display())]
    NonCanonical { path: PathBuf, source: NonCanonical },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A file of nodes.
#[derive(Debug)]
pub(super) struct MappedFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Mapped,
}

/// A tree of which every node asked for is at hand. Nodes and rows that there are not make its methods panic, as
/// indexing a slice would.
#[derive(Debug)]
pub struct MappedTree {
    hash: NodeHash,
    rows: Rows,
    files: Vec<MappedFile>,
    /// Row 0 of a TreeR-last.
    replica: Option<MappedFile>,
    joined: Joined,
}

impl MappedTree {
    pub(super) fn new(
        hash: NodeHash,
        rows: Rows,
        files: Vec<MappedFile>,
        replica: Option<MappedFile>,
        joined: Joined,
    ) -> Self {
        Self { hash, rows, files, replica, joined }
    }

    /// Rows above the leaves that are in no file.
    pub fn rows_left_out(&self) -> usize {
        self.rows.first_stored().saturating_sub(1)
    }

    /// A leaf.
    pub fn leaf(&self, leaf: u64) -> &Node {
        &self.nodes(0, leaf, 1)[0]
    }

    /// Nodes of one row of one base tree.
    fn nodes(&self, row: usize, first: u64, count: usize) -> &[Node] {
        if let (0, Some(replica)) = (row, &self.replica) {
            return &replica.bytes.nodes()[first as usize..][..count];
        }
        let in_tree = self.rows.row_len(row);
        let file = &self.files[(first / in_tree) as usize];
        &file.bytes.nodes()[(self.rows.row_offset(row) + first % in_tree) as usize..][..count]
    }

    /// Appends the siblings of a leaf, bottom up, those above the base trees included: the other children of each level's
    /// parent, in order. Rows that are in no file are taken from `below`: [`MappedTree::rebuild`]'s.
    pub fn siblings(&self, leaf: u64, below: &[Node], into: &mut Vec<u8>) {
        let arity = self.rows.arity();
        let mut place = leaf;
        for row in 0..self.rows.count() - 1 {
            let first = place / arity as u64 * arity as u64;
            if row > 0 && row < self.rows.first_stored() {
                into.extend(below[(row - 1) * (arity - 1)..][..arity - 1].as_flattened());
            } else {
                others(self.nodes(row, first, arity), (place - first) as usize, into);
            }
            place /= arity as u64;
        }
        self.joined.levels(place as usize).for_each(|level| into.extend(level.hashes.as_flattened()));
    }

    /// Compares every node above `leaves`, ascending and without repetitions, with the hash of its children, from the
    /// lowest row that is in the files up. The levels above base trees were computed when the tree was opened.
    ///
    /// # Errors
    /// [`MappedTreeError`].
    pub fn check(&self, leaves: &[u32], stage: &Stage<'_>) -> Result<(), MappedTreeError> {
        let mut row = match self.replica {
            Some(_) => self.rows.first_stored(),
            None => 0,
        };
        let mut nodes = self.above(leaves, row);
        while row + 1 < self.rows.count() {
            nodes = self.above(&nodes, 1);
            row += 1;
            nodes.par_chunks(TASK).try_for_each(|nodes| {
                self.check_task(row, nodes)?;
                Ok::<_, MappedTreeError>(stage.advance(0)?)
            })?;
        }
        Ok(())
    }

    /// The nodes so many rows above some nodes, ascending like these.
    fn above(&self, nodes: &[u32], rows: usize) -> Vec<u32> {
        let span = (self.rows.arity() as u32).pow(rows as u32);
        let mut above: Vec<u32> = nodes.iter().map(|node| node / span).collect();
        above.dedup();
        above
    }

    /// Compares nodes of a row with the hashes of their children, both in files.
    fn check_task(&self, row: usize, nodes: &[u32]) -> Result<(), MappedTreeError> {
        let arity = self.rows.arity();
        let mut children = Vec::with_capacity(nodes.len() * arity);
        for &node in nodes {
            children.extend_from_slice(self.nodes(row - 1, u64::from(node) * arity as u64, arity));
        }
        let mut hashes = vec![[0; 32]; nodes.len()];
        self.hash(&children, &mut hashes)
            .map_err(|source| MappedTreeError::NonCanonical { path: self.path(row, nodes[0]), source })?;
        let wrong = nodes.iter().zip(&hashes).find(|&(&node, hash)| self.nodes(row, u64::from(node), 1)[0] != *hash);
        match wrong {
            None => Ok(()),
            Some((&node, _)) => {
                Err(MappedTreeError::Inconsistent { path: self.path(row, node), row, node: u64::from(node) })
            }
        }
    }

    fn hash(&self, children: &[Node], parents: &mut [Node]) -> Result<(), NonCanonical> {
        match self.hash {
            NodeHash::Sha256 => sha_nodes(children, parents),
            NodeHash::Poseidon => hash_batch(self.rows.arity(), children, parents)?,
        }
        Ok(())
    }

    fn path(&self, row: usize, node: u32) -> PathBuf {
        self.files[(u64::from(node) / self.rows.row_len(row)) as usize].path.clone()
    }

    /// Leaves under one node of the lowest row in the files.
    fn block(&self) -> u64 {
        (self.rows.arity() as u64).pow(self.rows.first_stored() as u32)
    }

    /// Siblings of a leaf in the rows that are in no file.
    pub fn below_len(&self) -> usize {
        self.rows_left_out() * (self.rows.arity() - 1)
    }

    /// Computes the rows between replica and files around each of `leaves`, and compares their top with the files.
    ///
    /// Returns [`MappedTree::below_len`] nodes for every leaf in the order of `leaves`, for [`MappedTree::siblings`].
    ///
    /// # Errors
    /// [`MappedTreeError`]; it names the file that the replica does not lead to.
    pub fn rebuild(&self, leaves: &[u64], stage: &Stage<'_>) -> Result<Vec<Node>, MappedTreeError> {
        let per_leaf = self.below_len();
        let mut below = vec![[0; 32]; leaves.len() * per_leaf];
        let Some(replica) = &self.replica else { return Ok(below) };
        let mut order: Vec<u32> = (0..leaves.len() as u32).collect();
        order.par_sort_unstable_by_key(|&index| leaves[index as usize]);
        let block = |index: u32| leaves[index as usize] / self.block();
        // What a task finds is put into place here, since the leaves of a block stand anywhere.
        let groups: Vec<&[u32]> = order.chunk_by(|&one, &other| block(one) == block(other)).collect();
        for groups in groups.chunks(TASK) {
            let rebuilt = groups.par_iter().map(|group| {
                let rows = self.rebuild_block(replica, block(group[0]))?;
                stage.advance(0)?;
                let mut siblings = Vec::with_capacity(group.len() * per_leaf * 32);
                for &index in *group {
                    let mut place = leaves[index as usize] % self.block();
                    for row in &rows[..self.rows_left_out()] {
                        place /= self.rows.arity() as u64;
                        let first = place / self.rows.arity() as u64 * self.rows.arity() as u64;
                        others(&row[first as usize..][..self.rows.arity()], (place - first) as usize, &mut siblings);
                    }
                }
                Ok::<_, MappedTreeError>(siblings)
            });
            let rebuilt: Vec<Vec<u8>> = rebuilt.collect::<Result<_, _>>()?;
            for (group, siblings) in groups.iter().zip(rebuilt) {
                let siblings = siblings.as_chunks().0;
                for (&index, siblings) in group.iter().zip(siblings.chunks(per_leaf.max(1))) {
                    below[index as usize * per_leaf..][..per_leaf].copy_from_slice(siblings);
                }
            }
        }
        Ok(below)
    }

    /// The rows above one block of the replica, up to its node in the files, which it has to equal.
    fn rebuild_block(&self, replica: &MappedFile, block: u64) -> Result<Vec<Vec<Node>>, MappedTreeError> {
        let leaves = self.nodes(0, block * self.block(), self.block() as usize);
        let mut rows: Vec<Vec<Node>> = Vec::with_capacity(self.rows.first_stored());
        for _ in 0..self.rows.first_stored() {
            let children = rows.last().map_or(leaves, Vec::as_slice);
            let mut parents = vec![[0; 32]; children.len() / self.rows.arity()];
            self.hash(children, &mut parents)
                .map_err(|source| MappedTreeError::NonCanonical { path: replica.path.clone(), source })?;
            rows.push(parents);
        }
        let row = self.rows.first_stored();
        let top = rows.last().map_or(leaves[0], |top| top[0]);
        if self.nodes(row, block, 1)[0] != top {
            let (path, replica) = (self.path(row, block as u32), replica.path.clone());
            let (first, count) = (block * self.block(), self.block());
            return Err(MappedTreeError::Replica { path, replica, first, count });
        }
        Ok(rows)
    }
}

/// All children but one.
fn others(children: &[Node], place: usize, into: &mut Vec<u8>) {
    into.extend(children[..place].as_flattened());
    into.extend(children[place + 1..].as_flattened());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::build::build_tree_r_last;
    use super::super::tree_file::TreeFile;
    use super::*;
    use crate::backend::cpu::Cpu;
    use crate::config::Config;
    use crate::job::{Cancel, Job, Quiet, Unit};
    use crate::sector::TreeShape;
    use crate::sector::geometry::Geometry;

    /// Two base trees of five rows, of which none, one or two above the leaves are left out.
    #[test]
    fn siblings_are_those_of_single_openings() {
        let geometry = Geometry::new(8192, 2, TreeShape { base: 8, sub: 2, top: 0 }).unwrap();
        for rows_to_discard in 0..=2 {
            let folder = tempfile::tempdir().unwrap();
            let (cache, replica) = (folder.path(), folder.path().join("sealed"));
            let nodes: Vec<Node> = (0..8192_u32)
                .map(|i| std::array::from_fn(|j| (i.wrapping_mul(37) >> (j % 4 * 5)) as u8 & 0x3f))
                .collect();
            fs::write(&replica, nodes.as_flattened()).unwrap();
            let config = Config { rows_to_discard, ..Config::default() };
            let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
            build_tree_r_last(&Cpu, &job, &replica, cache, geometry).unwrap();
            let plain = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap();
            let tree = plain.map(NodeHash::Poseidon).unwrap();
            assert_eq!(tree.rows_left_out(), rows_to_discard);

            let leaves = [8191, 3, 4096, 0, 511, 512, 3, 4095, 77];
            let mut ascending = leaves.map(|leaf| leaf as u32);
            ascending.sort_unstable();
            let stage = job.stage("test", Unit::Items, 0);
            let check = |tree: &MappedTree| {
                let mut leaves = ascending.to_vec();
                leaves.dedup();
                tree.check(&leaves, &stage)
            };
            check(&tree).unwrap();
            let below = tree.rebuild(&leaves, &stage).unwrap();
            let per_leaf = tree.below_len();
            for (index, &leaf) in leaves.iter().enumerate() {
                let mut siblings = Vec::new();
                tree.siblings(leaf, &below[index * per_leaf..][..per_leaf], &mut siblings);
                let levels = plain.levels(leaf).unwrap();
                let expected: Vec<u8> = levels.iter().flat_map(|level| level.hashes.as_flattened()).copied().collect();
                assert_eq!(siblings, expected, "{rows_to_discard}: leaf {leaf}");
                assert_eq!(*tree.leaf(leaf), nodes[leaf as usize]);
            }

            let mut altered = nodes.clone();
            altered[510][0] ^= 1;
            fs::write(&replica, altered.as_flattened()).unwrap();
            let error = plain.map(NodeHash::Poseidon).unwrap().rebuild(&leaves, &stage).unwrap_err();
            let block = 8_u64.pow(rows_to_discard as u32 + 1);
            let found = matches!(error, MappedTreeError::Replica { first, count, .. } if count == block && first == 510 / block * block);
            assert!(found, "{error}");
            fs::write(&replica, nodes.as_flattened()).unwrap();
            // A node of the row above the lowest that is in the files.
            let path = cache.join("sc-02-data-tree-r-last-1.dat");
            let mut bytes = fs::read(&path).unwrap();
            bytes[32 * (4096 / block) as usize] ^= 1;
            fs::write(&path, bytes).unwrap();
            let tree = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap().map(NodeHash::Poseidon).unwrap();
            tree.rebuild(&leaves, &stage).unwrap();
            let error = check(&tree).unwrap_err();
            let found = matches!(error, MappedTreeError::Inconsistent { row, .. } if row == rows_to_discard + 2);
            assert!(found, "{error}");
        }
    }
}
