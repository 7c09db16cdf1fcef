//! The parents of every node as a table, on disk for all but tiny sectors.
//!
//! Every layer needs all parents once more, in ascending order, and computing them takes longer than hashing a label.
//! So they are computed once for a PoRep id and a size, in parallel, and kept in the file that the reference keeps too:
//!
//! ```text
//! v28-sdr-parent-<id>.cache    for v = 0 … n − 1: six base parents, eight expander parents, each LE32; 56·n bytes
//! id = SHA-256("poseidon_hasher" ‖ name of the graph ‖ LE64(k₀) ‖ LE64(k₁) ‖ LE64(k₂) ‖ LE64(k₃) ‖ LE32(n))
//! ```
//!
//! One wrong parent makes a sector that no proof accepts, hours later, so nothing is taken from a file before its whole
//! SHA-256 was compared with the published digest, or, for tables that nobody published, with the one noted in
//! `<file>.sha256` when the table was made. A table that fails is made again. We know no cheaper check that is as good:
//! the file's length and time say nothing of a flipped bit, and reading it once costs less than one of the passes that
//! every layer makes over it (under 1 % of labelling a 4 GiB sector).
//!
//! The id does not know the network, and the networks' graphs of one id differ, so Filecash's tables lie in a folder of
//! their own. Source: `spec/replication.md` 4.5 and 12.5 (the reference's `cache.rs` beside its `graph.rs`).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::graph::{Graph, feistel_keys};
use crate::job::{Cancelled, Job, Unit};
use crate::sector::params::{BASE_DEGREE, DEGREE, EXPANDER_DEGREE};
use crate::sector::{PoRepConfig, Profile};
use crate::store::atomic::{self, AtomicFile, WriteError};
use crate::store::lock::FileLock;
use crate::store::mapped::{Access, Mapped};

/// Parents of one node, as little-endian words.
pub type Row = [u32; DEGREE];

/// Bytes of a row.
const ROW_BYTES: u64 = 4 * DEGREE as u64;
/// Up to this many nodes (128 KiB of data) the table is computed each time and never written.
const COMPUTED_NODES: u64 = 1 << 12;
/// Rows that a thread computes at a time.
const THREAD_ROWS: usize = 256;
/// Most bytes that are computed, written or checked between two reports of progress.
const BLOCK_BYTES: u64 = 4 << 20;

/// Digests of tables: network, id, SHA-256 of the file. All Filecoin ones but that of 16 MiB are published by the
/// reference (`parent_cache.json`); the others were computed with it and the Filecash fork. `spec/replication.md` 12.5.
#[rustfmt::skip]
const DIGESTS: &[(Profile, &str, &str)] = &[
    // 8 MiB, 1 and 6.
    (Profile::Filecoin, "dcdabb0fbe4364bf0ac28b6a18c66de246409fa1a9020a00f33fb3e3053da6dc", "a76604f2f59f2744c7151653bbb1d8596b6b57d295e6fa6c1f0c41d725b502ce"),
    (Profile::Filecoin, "5eed212119fd91aa6220a27f31a8966444a9381842bceb3a1ea61525bd47a5b5", "03cd13565ded97c240a5f52e54295ad127bd0461b57904cb3a4d79b097bbecab"),
    // 16 MiB under porep id 6.
    (Profile::Filecoin, "b44963116eb1e926d95e7245386b9d2ee79502244fe1a6fdc1055891767267f6", "eb6d83db22fe4a5c2d744efaee4ddbedeec6bb38d494ee2bc4fbd7fd6a5d8500"),
    // 512 MiB, 2 and 7.
    (Profile::Filecoin, "2aa9c77c3e58259481351cc4be2079cc71e1c9af39700866545c043bfa30fb42", "3adcc092423aa76d6a7184016893406da44dd974b219a89cd3ece25e4e3018f5"),
    (Profile::Filecoin, "7ba215a1d2345774ab90b8cb1158d296e409d6068819d7b8c7baf0b25d63dc34", "b5877d1963793efebc261fd8fde4dd6bc59e6b5c7abf52617a4ee023b8dc173a"),
    // 32 GiB, 3 and 8.
    (Profile::Filecoin, "e1fa5d5b811ddbd118be3412c4a8c329156b8b8acc72632bca459455b5a05a13", "3c4f9841fcc75aed8c695800e58d08480629f25af3a2aefd81904181d75cc0b6"),
    (Profile::Filecoin, "21981246c370f9d76c7a77ab273d94bde0ceb4e938292334960bce05585dc117", "93deeac5e3052b6927467d4b2641bb782f05491de18d510147c93eeedd8672da"),
    // 64 GiB, 4 and 9.
    (Profile::Filecoin, "8a99e8d6b6be7ab87a56b632e6739ff201c23ea14e99737c74690f0e265574d6", "2778a732ad46a7dc18e0564dfdf59fd321dcde74ab476fd6d3c4e6735d7cd89c"),
    (Profile::Filecoin, "4905486b7af19558ac3649bc6261411858b6add534438878c4ee3b29d8b9de0b", "2698b74eb2606b55b98d8b095e18b6320b47f46e00075956d48640ccd1641b03"),
    // 4 GiB, 5.
    (Profile::Filecash, "8770945562baad1348ec0b648f38318d348b8174097376bf823be81a6a7982cd", "a955403d121d450cad452d043d476cca3d29e4c92c3981eb161fab61b79d84a1"),
];

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ParentTableError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("parent table {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Memory or processor have erred, since the computation is the same everywhere.
    #[error("computed parent table {} has digest {actual}, expected {expected}", path.display())]
    Digest { path: PathBuf, expected: String, actual: String },
}

/// The parents of every node of a sector.
#[derive(Debug)]
pub struct ParentTable(Rows);

#[derive(Debug)]
enum Rows {
    Computed(Vec<Row>),
    Mapped(Mapped),
}

impl ParentTable {
    /// Bytes of a node's row.
    pub const ROW_BYTES: u64 = ROW_BYTES;
    /// Of so many nodes or fewer a table is computed and has no file.
    pub const COMPUTED_NODES: u64 = COMPUTED_NODES;

    /// The table of a configuration: computed when it is tiny, else mapped from the folder of tables, where it is made
    /// first if it is not there or is damaged.
    ///
    /// Several jobs may ask at once; one of them makes the table.
    ///
    /// # Errors
    /// When the folder cannot be read and written, the job is cancelled, or what was computed is not what was published.
    pub fn open(job: &Job<'_>, config: &PoRepConfig) -> Result<Self, ParentTableError> {
        let graph = Graph::new(config);
        if graph.nodes() <= COMPUTED_NODES {
            return Ok(Self::compute(&graph));
        }
        let folder = folder(&job.config.parent_cache, config.profile);
        let digest = published_digest(config.profile, &table_id(&graph));
        Self::open_in(job, &graph, &folder, digest)
    }

    /// The table without a file, in 56 bytes of memory a node.
    pub fn compute(graph: &Graph) -> Self {
        let mut rows = vec![[0; DEGREE]; graph.nodes() as usize];
        fill(graph, 0, &mut rows);
        Self(Rows::Computed(rows))
    }

    /// The rows of all nodes. Words are little-endian: [`u32::from_le`] makes numbers of them.
    pub fn rows(&self) -> &[Row] {
        match &self.0 {
            Rows::Computed(rows) => rows,
            // A map begins with a page, and its length was compared with that of n rows.
            Rows::Mapped(map) => bytemuck::cast_slice(map),
        }
    }

    fn open_in(job: &Job<'_>, graph: &Graph, folder: &Path, published: Option<&str>) -> Result<Self, ParentTableError> {
        let path = folder.join(file_name(&table_id(graph)));
        let in_path = |source| ParentTableError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(in_path)?;
        let _lock = loop {
            match FileLock::acquire(&path.with_extension("lock")).map_err(in_path)? {
                Some(lock) => break lock,
                None if job.cancel.is_cancelled() => return Err(Cancelled.into()),
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };

        if let Some(table) = check(job, graph, &path, published)? {
            return Ok(table);
        }
        make(job, graph, &path, published)?;
        let file = File::open(&path).map_err(in_path)?;
        Ok(Self(Rows::Mapped(Mapped::open(&file, Access::Ascending).map_err(in_path)?)))
    }
}

/// The folder of a network's tables.
fn folder(parent_cache: &Path, profile: Profile) -> PathBuf {
    match profile {
        Profile::Filecoin => parent_cache.to_owned(),
        Profile::Filecash => parent_cache.join(profile.name()),
    }
}

/// The id of a graph's table, in hexadecimal.
pub fn table_id(graph: &Graph) -> String {
    let mut hasher = Sha256::new();
    hasher.update("poseidon_hasher");
    hasher.update(format!(
        "stacked_graph::StackedGraph{{expansion_degree: {EXPANDER_DEGREE} base_graph: \
         drgraph::BucketGraph{{size: {}; degree: {BASE_DEGREE}; hasher: poseidon_hasher}} }}",
        graph.nodes()
    ));
    feistel_keys(graph.porep_id()).iter().for_each(|key| hasher.update(key.to_le_bytes()));
    hasher.update((graph.nodes() as u32).to_le_bytes());
    hex::encode(hasher.finalize())
}

/// `v28-sdr-parent-<id>.cache`; 28 is the version of the parameters.
fn file_name(id: &str) -> String {
    format!("v28-sdr-parent-{id}.cache")
}

/// The file that holds the digest of a table nobody published, as `sha256sum` writes it.
fn digest_path(table: &Path) -> PathBuf {
    table.with_extension("cache.sha256")
}

fn published_digest(profile: Profile, id: &str) -> Option<&'static str> {
    DIGESTS.iter().find(|row| row.0 == profile && row.1 == id).map(|row| row.2)
}

/// Computes the rows from node `first` on.
fn fill(graph: &Graph, first: u32, rows: &mut [Row]) {
    rows.par_chunks_mut(THREAD_ROWS).enumerate().for_each(|(chunk, rows)| {
        graph.fill(first + (chunk * THREAD_ROWS) as u32, rows);
        rows.iter_mut().for_each(|row| *row = row.map(u32::to_le));
    });
}

/// Maps a table if it is there and its digest is right.
fn check(
    job: &Job<'_>,
    graph: &Graph,
    path: &Path,
    published: Option<&str>,
) -> Result<Option<ParentTable>, ParentTableError> {
    let in_path = |source| ParentTableError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(in_path(error)),
    };
    let len = file.metadata().map_err(in_path)?.len();
    if len != graph.nodes() * ROW_BYTES {
        let expected = graph.nodes() * ROW_BYTES;
        tracing::warn!(path = %path.display(), len, expected, "parent table has a wrong length, making it again");
        return Ok(None);
    }
    let noted;
    let expected = match published {
        Some(digest) => digest,
        None => {
            noted = fs::read_to_string(digest_path(path)).unwrap_or_default();
            noted.split_whitespace().next().unwrap_or_default()
        }
    };
    if expected.is_empty() {
        tracing::warn!(path = %path.display(), "parent table of unknown origin, making it again");
        return Ok(None);
    }

    let map = Mapped::open(&file, Access::Ascending).map_err(in_path)?;
    let stage = job.stage("check parents", Unit::Bytes, len);
    let mut hasher = Sha256::new();
    for block in map.chunks(BLOCK_BYTES as usize) {
        hasher.update(block);
        stage.advance(block.len() as u64)?;
    }
    let actual = hex::encode(hasher.finalize());
    if actual != expected {
        tracing::warn!(path = %path.display(), actual, expected, "parent table is damaged, making it again");
        return Ok(None);
    }
    Ok(Some(ParentTable(Rows::Mapped(map))))
}

/// Computes a table into its file. While a block is written, the next one is computed.
fn make(job: &Job<'_>, graph: &Graph, path: &Path, published: Option<&str>) -> Result<(), ParentTableError> {
    let mut file = AtomicFile::create(path)?;

    let block_rows = (BLOCK_BYTES.min(job.config.memory_bytes / 4) / ROW_BYTES).clamp(1, graph.nodes()) as usize;
    let mut next = vec![[0; DEGREE]; block_rows];
    let mut current: Vec<Row> = Vec::new();
    let mut hasher = Sha256::new();
    let mut computed = 0;
    let stage = job.stage("parents", Unit::Items, graph.nodes());
    loop {
        next.resize(block_rows.min((graph.nodes() - computed) as usize), [0; DEGREE]);
        let (written, ()) = rayon::join(
            || {
                let bytes: &[u8] = bytemuck::cast_slice(current.as_slice());
                hasher.update(bytes);
                file.write_all(bytes)
            },
            || fill(graph, computed as u32, &mut next),
        );
        written.map_err(|source| file.error(source))?;
        if next.is_empty() {
            break;
        }
        computed += next.len() as u64;
        stage.advance(next.len() as u64)?;
        std::mem::swap(&mut current, &mut next);
    }

    let actual = hex::encode(hasher.finalize());
    match published {
        Some(expected) if actual != expected => {
            return Err(ParentTableError::Digest { path: path.to_owned(), expected: expected.to_owned(), actual });
        }
        Some(_) => {}
        // Before the table has its name: a table without its digest would be made again, the other way round is fine.
        None => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            atomic::write(&digest_path(path), format!("{actual}  {name}\n").as_bytes())?;
        }
    }
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests;
