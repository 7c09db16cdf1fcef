//! Whole runs of phase 2 against `tests/vectors/pc2.txt`, over labels from a slow labeller written for the test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blake2b_simd::Params;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256, Sha512};

use super::{CommitError, Commitments, commit_noted, commit_with};
use crate::backend::cpu::Cpu;
use crate::config::Config;
use crate::field::Node;
use crate::hash::sha256::trim;
use crate::job::{Cancel, Job, Progress, Quiet, Unit};
use crate::merkle::build::{BuildError, build_tree_d, build_tree_r_last};
use crate::merkle::node_file::NodeFileError;
use crate::merkle::path::PathElement;
use crate::merkle::tree_file::{TreeFile, TreeFileError};
use crate::sector::geometry::Geometry;
use crate::sector::{PoRepId, Profile, SealProof, TreeShape, replica_id};
use crate::store::files;
use crate::store::manifest::{Identity, Manifest};

/// One `run` of the vectors.
struct Run {
    filecash: bool,
    porep: u64,
    geometry: Geometry,
    values: BTreeMap<&'static str, &'static str>,
}

fn runs() -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let lines = include_str!("../../../../tests/vectors/pc2.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        match (words[..].split_first().unwrap(), runs.last_mut()) {
            ((&"run", [profile, porep, nodes, layers, shape]), _) => {
                let [base, sub, top] = [0, 2, 4].map(|at| shape[at..=at].parse().unwrap());
                let shape = TreeShape { base, sub, top };
                runs.push(Run {
                    filecash: *profile == "filecash",
                    porep: porep.parse().unwrap(),
                    geometry: Geometry::new(nodes.parse().unwrap(), layers.parse().unwrap(), shape).unwrap(),
                    values: BTreeMap::new(),
                });
            }
            ((key, [value]), Some(run)) => assert_eq!(run.values.insert(key, value), None),
            _ => panic!("{line}"),
        }
    }
    runs
}

impl Run {
    fn named(filecash: bool, porep: u64, nodes: u64) -> Self {
        let same = |run: &Run| (run.filecash, run.porep, run.geometry.nodes()) == (filecash, porep, nodes);
        runs().into_iter().find(same).unwrap()
    }

    /// spec/replication.md 4.2 to 4.4.
    fn parents(&self, id: &PoRepId, node: u64) -> Vec<u64> {
        let seed = |domain: &str| Sha256::new().chain_update(domain).chain_update(id.0).finalize();
        let mut parents = vec![0; 6];
        if node > 1 {
            let mut key = [0; 32];
            key[..28].copy_from_slice(&seed("Filecoin_DRSample")[..28]);
            key[28..].copy_from_slice(&(node as u32).to_le_bytes());
            let mut random = ChaCha8Rng::from_seed(key);
            let meta = 5 * node;
            for parent in &mut parents[..5] {
                let bucket = random.next_u64() % u64::from(64 - (meta - 1).leading_zeros()) + 1;
                let high = meta.min(1 << bucket);
                let low = (high >> 1).max(2);
                *parent = (meta - (low + random.next_u64() % (high - low + 1))) / 5;
            }
            parents[5] = node - 1;
            if self.porep > if self.filecash { 6 } else { 4 } {
                parents.rotate_right(1);
            }
        }
        let keys = seed("Filecoin_Feistel");
        let domain = 8 * self.geometry.nodes();
        let half = (1..).find(|half| 1 << (2 * half) >= domain).unwrap();
        let mask = (1 << half) - 1;
        for index in 8 * node..8 * node + 8 {
            let mut permuted = index;
            loop {
                let (mut left, mut right) = (permuted >> half, permuted & mask);
                for key in keys[..24].as_chunks::<8>().0 {
                    let key = u64::from_le_bytes(*key);
                    let message = [right.to_be_bytes(), key.to_be_bytes()];
                    let hash = Params::new().hash(message.as_flattened());
                    let word = u64::from_be_bytes(hash.as_bytes()[..8].try_into().unwrap());
                    (left, right) = (right, left ^ word & mask);
                }
                permuted = left << half | right;
                if permuted < domain {
                    break;
                }
            }
            parents.push(permuted / 8);
        }
        parents
    }

    /// spec/replication.md 5.1 and 5.4.
    fn label(&self, replica_id: &Node, layer: u32, node: u64, parents: &[Node]) -> Node {
        let position = [&layer.to_be_bytes()[..], &node.to_be_bytes()].concat();
        let parents = parents.iter().cycle().take(if node == 0 { 0 } else { 37 });
        if !self.filecash {
            let mut hasher = Sha256::new_with_prefix(replica_id).chain_update(position).chain_update([0; 20]);
            parents.for_each(|parent| hasher.update(parent));
            return trim(hasher.finalize().into());
        }
        let expand = |node: &Node| {
            let words = node.as_chunks::<4>().0;
            let inverted = words.iter().rev().flat_map(|word| word.map(|byte| !byte));
            node.iter().copied().chain(inverted).collect::<Vec<u8>>()
        };
        let mut hasher = Sha512::new_with_prefix(expand(replica_id)).chain_update(position).chain_update([0; 52]);
        parents.for_each(|parent| hasher.update(expand(parent)));
        trim(hasher.finalize()[..32].try_into().unwrap())
    }

    /// Writes TreeD and the layers, and compares them with the vectors.
    fn precommit(&self, job: &Job<'_>, cache: &Path) {
        let staged = cache.join("staged");
        fs::write(&staged, padded(self.geometry.nodes() as usize * 32 / 128 * 127).as_flattened()).unwrap();
        let comm_d = build_tree_d(&Cpu, job, &staged, self.geometry.data(), &files::tree_d(cache)).unwrap();
        assert_eq!(hex::encode(comm_d), self.values["comm_d"]);
        let porep_id = PoRepId::from_number(self.porep);
        let replica_id = replica_id(&[9; 32], 12345, &[1; 32], &comm_d, &porep_id);
        assert_eq!(hex::encode(replica_id), self.values["replica_id"]);

        let parents: Vec<_> = (0..self.geometry.nodes()).map(|node| self.parents(&porep_id, node)).collect();
        let mut before = Vec::new();
        for layer in 1..=self.geometry.layers() {
            let mut labels = vec![[0; 32]; parents.len()];
            for node in 0..labels.len() {
                let (base, expander) = parents[node].split_at(6);
                let base = base.iter().map(|parent| labels[*parent as usize]);
                let expander = expander.iter().filter(|_| layer > 1).map(|parent: &u64| before[*parent as usize]);
                let operands: Vec<_> = base.chain(expander).collect();
                labels[node] = self.label(&replica_id, layer as u32, node as u64, &operands);
            }
            fs::write(files::layer(cache, layer), labels.as_flattened()).unwrap();
            before = labels;
        }
    }

    /// Compares all files that the vectors name.
    fn check_files(&self, cache: &Path) {
        for (name, expected) in self.values.iter().filter(|(name, _)| !name.contains("_")) {
            let content = fs::read(cache.join(name)).unwrap();
            assert_eq!(hex::encode(Sha256::digest(content)), *expected, "{name}");
        }
    }

    fn check(&self, commitments: &Commitments) {
        let Commitments { comm_d, comm_c, comm_r_last, comm_r } = commitments;
        let names = ["comm_d", "comm_c", "comm_r_last", "comm_r"];
        for (name, value) in names.into_iter().zip([comm_d, comm_c, comm_r_last, comm_r]) {
            assert_eq!(hex::encode(value), self.values[name], "{name}");
        }
    }
}

/// `count` bytes `i mod 251`, with two zero bits after every 254.
fn padded(count: usize) -> Vec<Node> {
    let bit = |at: usize| (at / 8 % 251) as u8 >> (at % 8) & 1;
    let byte = |at: usize| (at..(at + 8).min(at / 254 * 254 + 254)).rev().fold(0, |byte, at| byte << 1 | bit(at));
    (0..count * 8 / 254).map(|node| std::array::from_fn(|place| byte(node * 254 + place * 8))).collect()
}

fn with_job<T>(memory_bytes: u64, rows_to_discard: usize, body: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config { memory_bytes, rows_to_discard, ..Config::default() };
    body(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

/// The root to which a leaf and its siblings lead, and the leaf's number.
fn climb(leaf: Node, levels: &[PathElement], hash: impl Fn(&[Node]) -> Node) -> (Node, u64) {
    let (mut node, mut number, mut weight) = (leaf, 0, 1);
    for level in levels {
        let mut children = level.hashes.clone();
        children.insert(level.index as usize, node);
        number += weight * level.index;
        weight *= children.len() as u64;
        node = hash(&children);
    }
    (node, number)
}

fn poseidon(children: &[Node]) -> Node {
    crate::hash::poseidon::hash_nodes(children).unwrap()
}

fn sha(children: &[Node]) -> Node {
    crate::hash::sha256::sha_node(&children[0], &children[1])
}

/// Opens every n-th leaf of the three trees and climbs to the roots.
fn check_openings(run: &Run, commitments: &Commitments, cache: &Path, step: usize) {
    let geometry = run.geometry;
    let tree_d = TreeFile::open_tree_d(cache, geometry).unwrap();
    let tree_c = TreeFile::open_tree_c(cache, geometry).unwrap();
    let tree_r_last = TreeFile::open_tree_r_last(cache, &cache.join("sealed"), geometry).unwrap();
    let roots = [&tree_d, &tree_c, &tree_r_last].map(|tree| tree.root());
    assert_eq!(roots, [commitments.comm_d, commitments.comm_c, commitments.comm_r_last]);
    for leaf in (0..geometry.nodes()).step_by(step) {
        for (tree, hash) in [(&tree_d, sha as fn(&[Node]) -> Node), (&tree_c, poseidon), (&tree_r_last, poseidon)] {
            let levels = tree.levels(leaf).unwrap();
            assert_eq!(climb(tree.leaf(leaf).unwrap(), &levels, hash), (tree.root(), leaf));
        }
    }
    for tree in [tree_d, tree_c, tree_r_last] {
        assert!(matches!(tree.levels(geometry.nodes()), Err(TreeFileError::NoSuchLeaf { .. })));
    }
}

/// spec/replication.md 12.7 and 12.10.
#[test]
fn small_sectors_match_reference() {
    for run in runs().into_iter().filter(|run| run.geometry.nodes() <= 1024) {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        with_job(1 << 20, 2, |job| {
            run.precommit(job, cache);
            let commitments = commit_with(&Cpu, job, run.geometry, cache, &cache.join("sealed")).unwrap();
            run.check(&commitments);
            run.check_files(cache);
            check_openings(&run, &commitments, cache, 13);
        });
        assert!(fs::read_dir(cache).unwrap().all(|entry| entry.unwrap().path().extension().is_none_or(|x| x != "tmp")));
    }
}

/// spec/replication.md 12.7, 8 MiB: several batches, two discarded rows above the leaves.
#[test]
fn big_8mib_matches_reference() {
    let run = Run::named(false, 6, 1 << 18);
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    with_job(4 << 20, 2, |job| {
        run.precommit(job, cache);
        let commitments = commit_with(&Cpu, job, run.geometry, cache, &cache.join("sealed")).unwrap();
        run.check(&commitments);
        run.check_files(cache);
        check_openings(&run, &commitments, cache, 50_021);
    });
}

/// Writes TreeD and two layers of computed nodes for a sector of `nodes` nodes of shape 8-2-0.
fn computed(job: &Job<'_>, cache: &Path, nodes: u64) -> Geometry {
    let geometry = Geometry::new(nodes, 2, TreeShape { base: 8, sub: 2, top: 0 }).unwrap();
    for layer in 0..=2_u64 {
        let labels: Vec<Node> =
            (0..nodes).map(|i| trim(Sha256::digest((i * 3 + layer).to_le_bytes()).into())).collect();
        let path = if layer == 0 { cache.join("staged") } else { files::layer(cache, layer as usize) };
        fs::write(path, labels.as_flattened()).unwrap();
    }
    build_tree_d(&Cpu, job, &cache.join("staged"), geometry.data(), &files::tree_d(cache)).unwrap();
    geometry
}

fn contents(cache: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(cache).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn any_memory_budget_gives_the_same_files() {
    let run = |memory, discarded| {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        let commitments = with_job(memory, discarded, |job| {
            let geometry = computed(job, cache, 1 << 10);
            commit_with(&Cpu, job, geometry, cache, &cache.join("sealed")).unwrap()
        });
        (commitments, contents(cache))
    };
    let (commitments, files) = run(1 << 30, 1);
    assert_eq!(files["sc-02-data-tree-r-last-1.dat"].len(), 9 * 32);
    for memory in [0, 40_000, 100_001] {
        assert_eq!(run(memory, 1), (commitments, files.clone()));
    }
    let (same, files) = run(0, 0);
    assert_eq!((same, files["sc-02-data-tree-r-last-1.dat"].len()), (commitments, 73 * 32));
}

#[test]
fn discarded_rows_are_read_off_the_file() {
    for discarded in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        with_job(1 << 20, discarded, |job| {
            let geometry = computed(job, cache, 1 << 10);
            let replica = cache.join("sealed");
            let commitments = commit_with(&Cpu, job, geometry, cache, &replica).unwrap();
            let tree = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap();
            for leaf in [0, 7, 511, 512, 1023] {
                let levels = tree.levels(leaf).unwrap();
                assert_eq!(climb(tree.leaf(leaf).unwrap(), &levels, poseidon), (commitments.comm_r_last, leaf));
            }
        });
    }
}

#[test]
fn phase_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    with_job(1 << 20, 2, |job| {
        let geometry = computed(job, cache, 128);
        let replica = cache.join("sealed");
        let first = commit_with(&Cpu, job, geometry, cache, &replica).unwrap();
        let files = contents(cache);
        for name in ["sealed.Ab3dE6.tmp", "sc-02-data-tree-c-1.dat.Ab3dE6.tmp"] {
            fs::write(cache.join(name), b"left by a process that was killed").unwrap();
        }
        fs::write(files::tree_c(cache, 2).next().unwrap(), b"damaged").unwrap();
        assert_eq!(commit_with(&Cpu, job, geometry, cache, &replica).unwrap(), first);
        assert_eq!(contents(cache), files);

        let roots = build_tree_r_last(&Cpu, job, &replica, cache, geometry).unwrap();
        assert_eq!(poseidon(&roots), first.comm_r_last);
        assert_eq!(contents(cache), files);
    });
}

/// Cancels a job as soon as so many nodes of a stage are done.
struct Until<'a> {
    stage: &'static str,
    nodes: u64,
    done: AtomicU64,
    is_stage: AtomicBool,
    cancel: &'a Cancel,
}

impl Progress for Until<'_> {
    fn begin(&self, stage: &'static str, _unit: Unit, _total: u64) {
        self.is_stage.store(stage == self.stage, Ordering::Relaxed);
    }

    fn advance(&self, units: u64) {
        let is_counted = self.is_stage.load(Ordering::Relaxed);
        if is_counted && self.done.fetch_add(units, Ordering::Relaxed) + units >= self.nodes {
            self.cancel.cancel();
        }
    }

    fn end(&self) {}
}

/// A run that is stopped when so many nodes of a stage are done.
fn stop_after(stage: &'static str, nodes: u64, run: impl FnOnce(&Job<'_>) -> Result<Commitments, CommitError>) {
    let (config, cancel) = (Config { memory_bytes: 0, ..Config::default() }, Cancel::default());
    let (done, is_stage) = (AtomicU64::new(0), AtomicBool::new(false));
    let until = Until { stage, nodes, done, is_stage, cancel: &cancel };
    let stopped = run(&Job { config: &config, progress: &until, cancel: &cancel });
    assert!(matches!(stopped, Err(CommitError::Cancelled(_))), "{stopped:?}");
}

#[test]
fn base_trees_that_are_finished_are_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let replica = cache.join("sealed");
    let geometry = with_job(0, 2, |job| computed(job, cache, 1 << 10));
    let expected = with_job(0, 2, |job| commit_with(&Cpu, job, geometry, cache, &replica).unwrap());
    let trees: Vec<PathBuf> = files::tree_c(cache, 2).collect();
    let [first, second] = [0, 1].map(|tree: usize| fs::read(&trees[tree]).unwrap());
    trees.iter().for_each(|tree| fs::remove_file(tree).unwrap());
    fs::remove_file(&replica).unwrap();

    let identity = Identity::new(&SealProof::by_id(Profile::Filecoin, 5).unwrap().config(), &[1; 32]);
    let noted = || Manifest::load(cache, identity.clone()).unwrap();
    noted().store(cache).unwrap();
    // Stopped in the second tree.
    stop_after("tree-c", 513, |job| commit_noted(&Cpu, job, geometry, cache, &replica, Some(noted())));
    assert_eq!(fs::read(&trees[0]).unwrap(), first);
    assert!(!trees[1].exists() && !replica.exists());
    assert!(noted().file("sc-02-data-tree-c-0.dat").is_some() && noted().file("sc-02-data-tree-c-1.dat").is_none());

    // Its labels are not looked at again: some are wrong now.
    let layer = files::layer(cache, 1);
    let good = fs::read(&layer).unwrap();
    let mut bad = good.clone();
    bad[..32 * 8].fill(1);
    fs::write(&layer, &bad).unwrap();
    let commit = || with_job(0, 2, |job| commit_noted(&Cpu, job, geometry, cache, &replica, Some(noted())).unwrap());
    assert_eq!(commit(), expected);
    assert_eq!(fs::read(&trees[1]).unwrap(), second);
    assert!(noted().file("sc-02-data-tree-c-1.dat").is_some());
    // A tree that is not what was noted is made again, of the labels as they are.
    let mut damaged = first.clone();
    damaged[40] ^= 1;
    fs::write(&trees[0], &damaged).unwrap();
    assert_ne!(commit(), expected);
    fs::write(&layer, &good).unwrap();
    fs::write(&trees[0], &damaged[..64]).unwrap();
    assert_eq!(commit(), expected);
    assert_eq!(fs::read(&trees[0]).unwrap(), first);
}

/// What is left of the replica under its temporary name.
fn left(cache: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).collect()
}

#[test]
fn parts_of_the_replica_that_are_finished_are_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let replica = cache.join("sealed");
    let geometry = with_job(0, 1, |job| computed(job, cache, 1 << 10));
    let identity = Identity::new(&SealProof::by_id(Profile::Filecoin, 5).unwrap().config(), &[1; 32]);
    let noted = || Manifest::load(cache, identity.clone()).unwrap();
    noted().store(cache).unwrap();
    let commit = |discard| {
        with_job(0, discard, |job| commit_noted(&Cpu, job, geometry, cache, &replica, Some(noted())).unwrap())
    };
    let expected = commit(2);
    assert_eq!(left(cache), Vec::<PathBuf>::new());
    let finished = fs::read(&replica).unwrap();
    let trees: Vec<PathBuf> = files::tree_r_last(cache, 2).collect();
    let content: Vec<_> = trees.iter().map(|tree| fs::read(tree).unwrap()).collect();

    let begin_anew = || {
        trees
            .iter()
            .chain(std::slice::from_ref(&replica))
            .chain(&left(cache))
            .for_each(|path| drop(fs::remove_file(path)));
        with_job(0, 2, |_| noted().store(cache).unwrap());
    };
    let stop_in_second = || {
        begin_anew();
        fs::write(&replica, b"what was there before").unwrap();
        stop_after("encode", 513, |job| commit_noted(&Cpu, job, geometry, cache, &replica, Some(noted())));
        assert_eq!(fs::read(&replica).unwrap(), b"what was there before");
        assert!(fs::read(&trees[0]).unwrap() == content[0] && !trees[1].exists());
        let [left] = &left(cache)[..] else { panic!("{:?}", left(cache)) };
        assert_eq!(fs::read(left).unwrap()[..512 * 32], finished[..512 * 32]);
        left.clone()
    };
    let is_whole = |what: &str| {
        assert_eq!(left(cache), Vec::<PathBuf>::new(), "{what}");
        assert!(fs::read(&replica).unwrap() == finished, "{what}");
        assert!(trees.iter().zip(&content).all(|(tree, content)| fs::read(tree).unwrap() == *content), "{what}");
    };

    // Labels and data of the first part are not looked at again: they are wrong now.
    stop_in_second();
    let (layer, tree_d) = (files::layer(cache, 2), files::tree_d(cache));
    let good = [fs::read(&layer).unwrap(), fs::read(&tree_d).unwrap()];
    for (path, good) in [&layer, &tree_d].into_iter().zip(&good) {
        let mut bad = good.clone();
        bad[..32 * 8].fill(1);
        fs::write(path, bad).unwrap();
    }
    // The trees of columns are there too.
    assert_eq!(commit(2), expected);
    is_whole("a part that is there");
    for (path, good) in [&layer, &tree_d].into_iter().zip(&good) {
        fs::write(path, good).unwrap();
    }

    // What is not as noted is made again.
    let flip = |path: &Path, place: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[place] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip(&stop_in_second(), 511 * 32);
    assert_eq!(commit(2), expected);
    is_whole("a damaged part");
    stop_in_second();
    flip(&trees[0], 20);
    assert_eq!(commit(2), expected);
    is_whole("a damaged tree");
    let path = stop_in_second();
    fs::write(&path, &finished[..100]).unwrap();
    assert_eq!(commit(2), expected);
    is_whole("a cut replica");
    fs::remove_file(stop_in_second()).unwrap();
    assert_eq!(commit(2), expected);
    is_whole("no replica");

    // Trees without other rows are other files.
    stop_in_second();
    assert_eq!(commit(0), expected);
    assert_ne!(fs::read(&trees[0]).unwrap().len(), content[0].len());

    // Parts of other data are none of this sector.
    stop_in_second();
    flip(&cache.join("staged"), 900 * 32);
    with_job(0, 2, |job| build_tree_d(&Cpu, job, &cache.join("staged"), geometry.data(), &tree_d)).unwrap();
    let other = commit(2);
    assert_ne!(other.comm_d, expected.comm_d);
    let again = with_job(0, 2, |job| commit_with(&Cpu, job, geometry, cache, &cache.join("again")).unwrap());
    assert_eq!(other, again);
    assert!(fs::read(&replica).unwrap() == fs::read(cache.join("again")).unwrap());
}

#[test]
fn short_data_counts_as_extended_by_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let [data, tree] = ["data", "tree"].map(|name| folder.path().join(name));
    with_job(0, 2, |job| {
        let rows = Geometry::new(128, 2, TreeShape { base: 8, sub: 2, top: 0 }).unwrap().data();
        let build = |bytes: Vec<u8>| {
            fs::write(&data, bytes).unwrap();
            build_tree_d(&Cpu, job, &data, rows, &tree)
        };
        assert_eq!(build([[7; 64].as_slice(), &[0; 4032]].concat()).unwrap(), build(vec![7; 64]).unwrap());
        // spec/replication.md 2.2: 4 KiB of zeros.
        let zeros = build(Vec::new()).unwrap();
        assert_eq!(hex::encode(zeros), "08c47b38ee13bc43f41b915c0eed9911a26086b3ed62401bf9d58b8d19dff624");
        assert!(matches!(build(vec![0; 4128]), Err(BuildError::File(NodeFileError::Length { .. }))));
        assert!(matches!(build(vec![0; 33]), Err(BuildError::File(NodeFileError::Length { .. }))));
    });
}

#[test]
fn damaged_input_is_named_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    with_job(0, 2, |job| {
        let geometry = computed(job, cache, 128);
        let replica = cache.join("sealed");
        let damage = |path: &Path, edit: &dyn Fn(&mut Vec<u8>)| {
            let good = fs::read(path).unwrap();
            let mut bad = good.clone();
            edit(&mut bad);
            fs::write(path, bad).unwrap();
            let error = commit_with(&Cpu, job, geometry, cache, &replica).unwrap_err();
            fs::write(path, good).unwrap();
            assert!(!replica.exists());
            error
        };
        let tree_d = files::tree_d(cache);
        for (path, node) in [(files::layer(cache, 1), 77), (files::layer(cache, 2), 0), (tree_d.clone(), 127)] {
            let error = damage(&path, &|bytes| bytes[node * 32..][..32].fill(0xff));
            let expected = format!("node {node} of {}", path.display());
            assert_eq!(error.to_string(), expected);
        }
        let error = damage(&files::layer(cache, 2), &|bytes| bytes.truncate(4064));
        assert!(error.to_string().ends_with("sc-02-data-layer-2.dat is 4064 bytes, expected 4096"), "{error}");
        let error = damage(&tree_d, &|bytes| bytes[32 * 5] ^= 1);
        assert!(matches!(error, CommitError::Data { .. }), "{error}");
        let error = damage(&tree_d, &|bytes| bytes[254 * 32] ^= 1);
        assert!(matches!(error, CommitError::Data { .. }), "{error}");

        fs::remove_file(files::layer(cache, 1)).unwrap();
        let error = commit_with(&Cpu, job, geometry, cache, &replica).unwrap_err();
        assert!(error.to_string().contains("sc-02-data-layer-1.dat"), "{error}");
    });
}

#[test]
fn replica_that_contradicts_its_tree_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    with_job(0, 2, |job| {
        let geometry = computed(job, cache, 128);
        let replica = cache.join("sealed");
        commit_with(&Cpu, job, geometry, cache, &replica).unwrap();
        let mut bytes = fs::read(&replica).unwrap();
        bytes[70 * 32] ^= 1;
        fs::write(&replica, bytes).unwrap();
        let tree = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap();
        assert!(tree.levels(63).is_ok());
        assert!(matches!(tree.levels(64), Err(TreeFileError::Inconsistent { first: 64, count: 64, .. })));

        fs::write(files::tree_r_last(cache, 2).next().unwrap(), [0; 64]).unwrap();
        let error = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap_err();
        assert!(matches!(error, TreeFileError::Truncated { leaves: 64, actual: 64, .. }), "{error}");
        fs::write(files::tree_r_last(cache, 2).next().unwrap(), [0xff; 32]).unwrap();
        let error = TreeFile::open_tree_r_last(cache, &replica, geometry).unwrap_err();
        assert!(matches!(error, TreeFileError::NonCanonical { .. }), "{error}");
    });
}

#[test]
fn cancelled_phase_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let geometry = with_job(0, 2, |job| computed(job, cache, 128));
    let before = contents(cache);
    let (config, cancel) = (Config::default(), Cancel::default());
    cancel.cancel();
    let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
    let result = commit_with(&Cpu, &job, geometry, cache, &cache.join("sealed"));
    assert!(matches!(result, Err(CommitError::Cancelled(_))));
    assert_eq!(contents(cache), before);
}
