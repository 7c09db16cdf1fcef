//! `filecash sector inspect --deep`: reads every byte.
//!
//! - Files that the manifest notes are compared with their digests.
//! - The leaves of TreeD and TreeC are hashed up to the roots again.
//! - TreeR-last is built again over the sealed file and compared with the files byte for byte, and its root with
//!   `p_aux`. It goes to a folder of its own beside the cache, which is removed.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::field::Node;
use filecash_engine::job::{Job, Unit};
use filecash_engine::merkle::build::{Cascade, NodeHash, build_tree_r_last};
use filecash_engine::merkle::node_file::NodeFile;
use filecash_engine::sector::geometry::{Geometry, Rows};
use filecash_engine::sector::params::NODE_SIZE;
use filecash_engine::store::aux::TAux;
use filecash_engine::store::files::CacheFiles;
use filecash_engine::store::manifest::{MANIFEST_NAME, Manifest};
use serde_json::json;

use crate::report::with_causes;
use crate::sector::{Findings, Subject};
use crate::text::count;

/// Nodes that are hashed together.
const BATCH: u64 = 1 << 15;

/// Adds what is wrong to the findings.
pub fn check(subject: &Subject, job: &Job<'_>, found: &mut Findings) -> anyhow::Result<()> {
    digests(subject, job, found)?;
    let (geometry, names) = (Geometry::of(subject.params), CacheFiles::new(subject.params, 0));
    let tree_d = [(names.tree_d(), NodeHash::Sha256, geometry.data())];
    let tree_c = names.tree_c().into_iter().map(|file| (file, NodeHash::Poseidon, geometry.base()));
    let mut rehashed = 0;
    for (file, hash, rows) in tree_d.into_iter().chain(tree_c) {
        if found.is_right(&file.name) {
            rehash(&subject.cache, &file.name, hash, rows, job, found)?;
            rehashed += 1;
        }
    }
    let rebuilt = replica(subject, geometry, job, found)?;
    let trees = format!(
        "{} of tree-d and tree-c hashed again, tree-r-last {}",
        count(rehashed, "file"),
        if rebuilt { "built again" } else { "not looked at" }
    );
    found.fact("Trees", "trees", trees, json!({ "rehashed": rehashed, "rebuilt": rebuilt }));
    Ok(())
}

/// Compares files with the digests that were noted when they were finished.
fn digests(subject: &Subject, job: &Job<'_>, found: &mut Findings) -> anyhow::Result<()> {
    let path = subject.cache.join(MANIFEST_NAME);
    let Ok(bytes) = fs::read(&path) else {
        found.fact("Manifest", "manifest_files", "none, so no digests".to_owned(), json!(null));
        return Ok(());
    };
    let manifest: Manifest = match serde_json::from_slice(&bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            found.problems.push(format!("{MANIFEST_NAME}: {error}"));
            return Ok(());
        }
    };
    let mut noted = 0;
    for file in CacheFiles::new(subject.params, 0).for_commit() {
        let Some(record) = manifest.file(&file.name) else { continue };
        if !subject.cache.join(&file.name).exists() {
            continue;
        }
        noted += 1;
        let stage = job.stage("digest", Unit::Bytes, record.size_bytes);
        if !manifest.holds(&subject.cache, &file.name, &stage).with_context(|| format!("cannot read {}", file.name))? {
            found.problems.push(format!("{} is not what {MANIFEST_NAME} noted when it was finished", file.name));
        }
    }
    found.fact("Manifest", "manifest_files", format!("digests of {} compared", count(noted, "file")), json!(noted));
    Ok(())
}

/// Hashes the leaves of a tree's file up to the root, and compares it with the root at the file's end.
fn rehash(
    cache: &Path,
    name: &str,
    hash: NodeHash,
    rows: Rows,
    job: &Job<'_>,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let file = NodeFile::open(&cache.join(name), rows.stored())?;
    let mut tree = Cascade::new(&Cpu, hash, rows, BATCH, None);
    let stage = job.stage("rehash", Unit::Items, rows.leaves());
    let mut leaves: Vec<Node> = vec![];
    let mut first = 0;
    while first < rows.leaves() {
        let length = (rows.leaves() - first).min(BATCH);
        leaves.resize(length as usize, [0; NODE_SIZE]);
        file.read(first, &mut leaves)?;
        if let Err(error) = tree.push(&leaves) {
            found.problems.push(format!("{name}: {}", with_causes(&error)));
            return Ok(());
        }
        stage.advance(length)?;
        first += length;
    }
    drop(stage);
    let (root, _) = tree.finish()?;
    let stored = file.node(rows.stored() - 1)?;
    if root != stored {
        let [root, stored] = [root, stored].map(hex::encode);
        found.problems.push(format!("the leaves of {name} hash to {root}, its root is {stored}"));
    }
    Ok(())
}

/// Builds TreeR-last over the replica again.
fn replica(subject: &Subject, geometry: Geometry, job: &Job<'_>, found: &mut Findings) -> anyhow::Result<bool> {
    let (Some(sealed), Ok(aux)) = (&subject.sealed, TAux::read(&subject.cache, subject.params)) else {
        return Ok(false);
    };
    if !found.is_right("sealed") {
        return Ok(false);
    }
    let discard = usize::try_from(aux.tree_r_last.rows_to_discard)?;
    let config = filecash_engine::config::Config { rows_to_discard: discard, ..job.config.clone() };
    let job = Job { config: &config, ..*job };
    let scratch = tempfile::Builder::new()
        .prefix(".filecash-inspect-")
        .tempdir_in(crate::files::folder(sealed))
        .with_context(|| format!("cannot write beside {}", sealed.display()))?;
    if let Err(error) = build_tree_r_last(&Cpu, &job, sealed, scratch.path(), geometry) {
        found.problems.push(format!("sealed: {}", with_causes(&error)));
        return Ok(true);
    }
    for file in CacheFiles::new(subject.params, discard).tree_r_last() {
        let [stored, built] = [subject.cache.join(&file.name), scratch.path().join(&file.name)].map(fs::read);
        if found.is_right(&file.name) && stored? != built? {
            found.problems.push(format!("{} is not the tree over the sealed file", file.name));
        }
    }
    Ok(true)
}
