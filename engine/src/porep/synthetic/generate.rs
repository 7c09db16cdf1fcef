//! Writing the file of synthetic proofs: all members of the set, checked, from trees and layers mapped into memory.
//!
//! The records together open the same nodes over and over (fifteen columns each), so checking comes first and looks at
//! each node once: the columns that will be opened are hashed in ascending order and compared with TreeC's leaves, and of
//! each tree the nodes above the opened leaves with the hashes of their children ([`MappedTree::check`]). What is then
//! copied into records is known to open; label and encoding are checked where a record is put together. One record in
//! every `SAMPLE` is read back and goes through the plain verifier.
//!
//! Memory: members are taken in windows whose lists fit half of the budget, records are put together a few to a task and
//! written at their places. The file has its name only when it is whole and on disk.
//!
//! Source: `spec/replication.md` 8.5, 8.6.

use std::path::Path;

use rayon::prelude::*;

use crate::field::Node;
use crate::hash::label::{label, repeat};
use crate::hash::poseidon::hash_batch;
use crate::job::{Job, Stage, Unit};
use crate::merkle::mapped_tree::MappedTree;
use crate::porep::challenges::SyntheticSet;
use crate::porep::commit1::Commit1Error;
use crate::porep::encode::encode_node;
use crate::porep::synthetic::record::{NUMBERS, Roots, decode, record_bytes};
use crate::porep::synthetic::{HEAD_BYTES, file_bytes};
use crate::porep::verify::{Statement, VanillaError};
use crate::sector::params::{BASE_DEGREE, DEGREE};
use crate::store::atomic::AtomicFile;
use crate::store::mapped::Mapped;

/// Of so many records one is verified once more in the plain way.
const SAMPLE: u64 = 1024;
/// Columns that one task hashes.
const COLUMNS: usize = 1024;
/// Bytes of records that one task writes at a time.
const TASK_BYTES: u64 = 1 << 20;
/// Members of the smallest window.
const MIN_WINDOW: u64 = 1 << 8;

/// A sector whose synthetic proofs are to be written.
pub(in crate::porep) struct Generator<'a> {
    pub statement: Statement<'a>,
    pub roots: Roots,
    pub tree_d: MappedTree,
    pub tree_c: MappedTree,
    pub tree_r_last: MappedTree,
    /// Layer 1 first.
    pub layers: Vec<Mapped>,
}

/// Consecutive members of the set, and what their records are made of.
struct Window {
    /// The number of the first.
    first: u64,
    challenges: Vec<u64>,
    parents: Vec<[u32; DEGREE]>,
    /// Siblings in the rows that TreeR-last files leave out.
    below: Vec<Node>,
}

impl Generator<'_> {
    /// Writes the file.
    pub fn write(&self, job: &Job<'_>, set: &SyntheticSet, path: &Path) -> Result<(), Commit1Error> {
        let shape = &self.statement.shape;
        let file = AtomicFile::with_len(path, file_bytes(shape, set.len()))?;
        file.write_at(&self.roots.encode(), 0)?;
        let size = self.window_members(job).min(set.len());
        let mut first = 0;
        while first < set.len() {
            let window = self.window(job, set, first, size.min(set.len() - first))?;
            let stage =
                job.stage("write synthetic proofs", Unit::Bytes, window.challenges.len() as u64 * self.record());
            self.write_window(&window, &file, &stage)?;
            first += size;
        }
        Ok(file.commit()?)
    }

    fn record(&self) -> u64 {
        record_bytes(&self.statement.shape)
    }

    /// Members whose lists take half of the budget.
    fn window_members(&self, job: &Job<'_>) -> u64 {
        // Challenge and parents; the nodes to check, and those of the row above; the order of leaves, the blocks of it.
        let lists = 8 + 4 * DEGREE + 2 * 4 * (1 + DEGREE) + 4 + 16 + 32 * self.tree_r_last.below_len();
        (job.config.memory_bytes / 2 / lists as u64).max(MIN_WINDOW)
    }

    /// Lists and checks all that the records of some members open.
    fn window(&self, job: &Job<'_>, set: &SyntheticSet, first: u64, count: u64) -> Result<Window, Commit1Error> {
        let challenges = set.members(first..first + count);
        // Challenges are below the number of nodes, which is at most 2³¹.
        let parents: Vec<_> = challenges.par_iter().map(|&node| (self.statement.parents)(node as u32)).collect();
        let mut nodes: Vec<u32> = Vec::with_capacity(challenges.len() * (1 + DEGREE));
        nodes.extend(challenges.iter().map(|&node| node as u32));
        nodes.par_sort_unstable();
        let opened = {
            let mut opened = nodes.clone();
            opened.dedup();
            opened
        };
        nodes.extend(parents.as_flattened());
        nodes.par_sort_unstable();
        nodes.dedup();

        let stage = job.stage("check openings", Unit::Items, (nodes.len() + 2 * opened.len()) as u64);
        nodes.par_chunks(COLUMNS).try_for_each(|nodes| self.check_columns(nodes, &stage))?;
        self.tree_c.check(&nodes, &stage)?;
        self.tree_d.check(&opened, &stage)?;
        stage.advance(opened.len() as u64)?;
        let below = self.tree_r_last.rebuild(&challenges, &stage)?;
        self.tree_r_last.check(&opened, &stage)?;
        stage.advance(opened.len() as u64)?;
        Ok(Window { first, challenges, parents, below })
    }

    /// Compares the hashes of columns with the leaves of TreeC.
    fn check_columns(&self, nodes: &[u32], stage: &Stage<'_>) -> Result<(), Commit1Error> {
        let mut labels = Vec::with_capacity(nodes.len() * self.layers.len());
        nodes.iter().for_each(|&node| labels.extend(self.column(node)));
        let mut hashes = vec![[0; 32]; nodes.len()];
        hash_batch(self.layers.len(), &labels, &mut hashes).map_err(VanillaError::from)?;
        for (&node, &actual) in nodes.iter().zip(&hashes) {
            let (node, expected) = (u64::from(node), *self.tree_c.leaf(u64::from(node)));
            if actual != expected {
                return Err(VanillaError::Column { node, expected, actual }.into());
            }
        }
        Ok(stage.advance(nodes.len() as u64)?)
    }

    fn column(&self, node: u32) -> impl Iterator<Item = Node> {
        self.layers.iter().map(move |layer| layer.nodes()[node as usize])
    }

    fn write_window(&self, window: &Window, file: &AtomicFile, stage: &Stage<'_>) -> Result<(), Commit1Error> {
        let record = self.record();
        let per_task = (TASK_BYTES / record).max(1) as usize;
        let starts: Vec<usize> = (0..window.challenges.len()).step_by(per_task).collect();
        let task = |bytes: &mut Vec<u8>, start: usize| {
            bytes.clear();
            for index in start..(start + per_task).min(window.challenges.len()) {
                self.put(window, index, bytes)?;
                let number = window.first + index as u64;
                if number.is_multiple_of(SAMPLE) {
                    self.sample(window.challenges[index], &bytes[bytes.len() - record as usize..])?;
                }
            }
            file.write_at(bytes, HEAD_BYTES + (window.first + start as u64) * record)?;
            Ok::<_, Commit1Error>(stage.advance(bytes.len() as u64)?)
        };
        let buffer = || Vec::with_capacity(per_task * record as usize);
        starts.par_iter().with_min_len(8).try_for_each_init(buffer, |bytes, &start| task(bytes, start))
    }

    /// Appends a record, once its labels and its replica node are found to be right.
    fn put(&self, window: &Window, index: usize, bytes: &mut Vec<u8>) -> Result<(), Commit1Error> {
        let (challenge, parents) = (window.challenges[index], &window.parents[index]);
        let nodes = || std::iter::once(challenge as u32).chain(parents.iter().copied());
        let before = bytes.len();
        nodes().for_each(|node| bytes.extend(u64::from(node).to_le_bytes()));
        debug_assert_eq!(bytes.len() - before, NUMBERS);
        let columns: Vec<Node> = nodes().flat_map(|node| self.column(node)).collect();
        self.check_labels(challenge, &columns)?;

        bytes.extend(self.tree_d.leaf(challenge));
        self.tree_d.siblings(challenge, &[], bytes);
        for (node, column) in nodes().zip(columns.chunks(self.layers.len())) {
            bytes.extend(column.as_flattened());
            bytes.extend(self.tree_c.leaf(u64::from(node)));
            self.tree_c.siblings(u64::from(node), &[], bytes);
        }
        bytes.extend(self.tree_r_last.leaf(challenge));
        let below = self.tree_r_last.below_len();
        self.tree_r_last.siblings(challenge, &window.below[index * below..][..below], bytes);
        debug_assert_eq!((bytes.len() - before) as u64, self.record());
        Ok(())
    }

    /// Labels the challenged node again in every layer, from its parents' columns, and encodes its data again.
    fn check_labels(&self, node: u64, columns: &[Node]) -> Result<(), Commit1Error> {
        let layers = self.layers.len();
        let (own, parents) = columns.split_at(layers);
        let (base, expander) = parents.split_at(BASE_DEGREE * layers);
        let mut inputs = Vec::with_capacity(DEGREE);
        for (index, expected) in own.iter().enumerate() {
            inputs.clear();
            inputs.extend(base.iter().skip(index).step_by(layers));
            if let Some(previous) = index.checked_sub(1) {
                inputs.extend(expander.iter().skip(previous).step_by(layers));
            }
            let Statement { shape, replica_id, .. } = &self.statement;
            let layer = index as u32 + 1;
            let actual = label(shape.profile, replica_id, layer, node, &repeat(&inputs));
            if actual != *expected {
                return Err(VanillaError::Label { layer, node, expected: *expected, actual }.into());
            }
        }
        let replica = encode_node(self.tree_d.leaf(node), &own[layers - 1]).map_err(VanillaError::from)?;
        if replica != *self.tree_r_last.leaf(node) {
            return Err(VanillaError::Encoding { node }.into());
        }
        Ok(())
    }

    /// Reads a record back and verifies it in the plain way.
    fn sample(&self, challenge: u64, record: &[u8]) -> Result<(), Commit1Error> {
        let proof = decode(&self.statement.shape, &self.roots, record).map_err(Commit1Error::OwnRecord)?;
        let Roots { tree_c, tree_r_last, .. } = &self.roots;
        Ok(self.statement.verify_challenge(challenge, tree_c, tree_r_last, &proof)?)
    }
}
