//! The data of a sector out of its replica: `data(v) = replica(v) − label_L(v) mod r`.
//!
//! The labels of the last layer L are computed again, or read from a layer file that the manifest of the sector's cache
//! folder vouches for. Computing them keeps two layers at a time, in nameless temporary files that the system frees
//! whatever happens; the cache folder is never written to (the reference overwrites TreeD there). The last layer is
//! computed only as far as the range asked goes, the layers before as a whole.
//!
//! What comes out are padded nodes; taking out the padding bits is `field::fr32`'s business.
//! Source: `spec/replication.md` 9.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::field::{Node, NonCanonical};
use crate::graph::{ParentTable, ParentTableError};
use crate::job::{Cancelled, Job, Unit};
use crate::porep::encode::decode;
use crate::porep::labels_pipelined::{BadParents, LayerLabels};
use crate::porep::layers::{LabelError, fill_layer};
use crate::sector::params::NODE_SIZE;
use crate::sector::{PoRepConfig, ReplicaId};
use crate::store::files;
use crate::store::manifest::{CheckError, Identity, Manifest};
use crate::store::mapped::{Access, Mapped, MappedMut};

/// Nodes that are decoded at a time: 1 MiB.
const BLOCK_NODES: usize = 1 << 15;

/// Why a sector was not unsealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UnsealError {
    #[error(transparent)]
    Labels(#[from] LabelError),
    #[error("nodes {} to {} were asked of a sector of {nodes}", range.start, range.end)]
    Range { range: Range<u64>, nodes: u64 },
    #[error("replica {} is {actual} bytes, expected {expected}", path.display())]
    Length { path: PathBuf, expected: u64, actual: u64 },
    #[error("node {node} of the replica {}", path.display())]
    Replica { path: PathBuf, node: u64, source: NonCanonical },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("writing the data")]
    Output { source: io::Error },
}

impl From<Cancelled> for UnsealError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Labels(cancelled.into())
    }
}

impl From<ParentTableError> for UnsealError {
    fn from(error: ParentTableError) -> Self {
        Self::Labels(error.into())
    }
}

impl From<BadParents> for UnsealError {
    fn from(error: BadParents) -> Self {
        Self::Labels(error.into())
    }
}

/// A sealed sector and where its labels may come from.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// How it was sealed.
    pub config: &'a PoRepConfig,
    /// Its id, of the original data's commitment and ticket.
    pub replica_id: &'a ReplicaId,
    /// The replica, at least as long as the sector.
    pub replica: &'a Path,
    /// A cache folder that may hold the last layer still; read only.
    pub cache: Option<&'a Path>,
    /// A folder with room for two layers.
    pub scratch: &'a Path,
}

/// Labels of the last layer, from node 0 on.
enum Key {
    Kept(Mapped),
    Computed(MappedMut),
}

impl Key {
    fn nodes(&self) -> &[Node] {
        match self {
            Self::Kept(map) => map.nodes(),
            Self::Computed(map) => map.as_chunks::<NODE_SIZE>().0,
        }
    }
}

/// Writes the padded data of a range of nodes, in order, to `out`.
///
/// # Errors
/// When the range or the replica is not that of such a sector, files cannot be read and written, or the job is
/// cancelled. `out` may have got a part by then.
pub fn unseal(job: &Job<'_>, sealed: &Sealed<'_>, range: Range<u64>, out: &mut dyn Write) -> Result<(), UnsealError> {
    let params = sealed.config.params;
    if range.start > range.end || range.end > params.nodes() {
        return Err(UnsealError::Range { range, nodes: params.nodes() });
    }
    let in_replica = |source| UnsealError::Io { path: sealed.replica.to_owned(), source };
    let mut replica = File::open(sealed.replica).map_err(in_replica)?;
    let metadata = replica.metadata().map_err(in_replica)?;
    if !metadata.is_file() {
        return Err(UnsealError::NotAFile { path: sealed.replica.to_owned() });
    }
    let actual = metadata.len();
    if actual < params.size_bytes {
        return Err(UnsealError::Length { path: sealed.replica.to_owned(), expected: params.size_bytes, actual });
    }
    if range.is_empty() {
        return Ok(());
    }
    let key = match kept_key(job, sealed)? {
        Some(key) => key,
        None => computed_key(job, sealed, range.end as usize)?,
    };

    let stage = job.stage("decode", Unit::Items, range.end - range.start);
    replica.seek(SeekFrom::Start(range.start * NODE_SIZE as u64)).map_err(in_replica)?;
    let mut block: Vec<Node> = Vec::new();
    for start in range.clone().step_by(BLOCK_NODES) {
        let end = range.end.min(start + BLOCK_NODES as u64);
        block.resize((end - start) as usize, [0; NODE_SIZE]);
        replica.read_exact(block.as_flattened_mut()).map_err(in_replica)?;
        let labels = &key.nodes()[start as usize..end as usize];
        // Labels are trimmed, so a node that is no field element is the replica's.
        decode(&mut block, labels).map_err(|error| UnsealError::Replica {
            path: sealed.replica.to_owned(),
            node: start + error.index as u64,
            source: error.source,
        })?;
        out.write_all(block.as_flattened()).map_err(|source| UnsealError::Output { source })?;
        stage.advance(end - start)?;
    }
    Ok(())
}

/// The last layer in the cache folder, if the manifest vouches for it.
fn kept_key(job: &Job<'_>, sealed: &Sealed<'_>) -> Result<Option<Key>, UnsealError> {
    let Some(cache) = sealed.cache else { return Ok(None) };
    let name = files::layer_name(sealed.config.params.layers);
    let path = cache.join(&name);
    let in_path = |source| UnsealError::Io { path: path.clone(), source };
    let manifest = Manifest::load(cache, Identity::new(sealed.config, sealed.replica_id)).map_err(in_path)?;
    let stage = job.stage("check layers", Unit::Bytes, sealed.config.params.size_bytes);
    match manifest.holds(cache, &name, &stage) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(CheckError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(CheckError::Io(source)) => return Err(in_path(source)),
    }
    let file = File::open(&path).map_err(in_path)?;
    Ok(Some(Key::Kept(Mapped::open(&file, Access::Ascending).map_err(in_path)?)))
}

/// Computes the last layer up to node `end`.
fn computed_key(job: &Job<'_>, sealed: &Sealed<'_>, end: usize) -> Result<Key, UnsealError> {
    let params = sealed.config.params;
    let nodes = params.nodes() as usize;
    let in_scratch = |source| UnsealError::Io { path: sealed.scratch.to_owned(), source };
    let layer_file = || {
        let file = tempfile::tempfile_in(sealed.scratch)?;
        MappedMut::create(&file, params.size_bytes)
    };
    let table = ParentTable::open(job, sealed.config)?;
    let stage = job.stage("labels", Unit::Items, ((params.layers - 1) * nodes + end) as u64);
    let mut current = layer_file().map_err(in_scratch)?;
    let mut previous = if params.layers > 1 { Some(layer_file().map_err(in_scratch)?) } else { None };
    for layer in 1..=params.layers as u32 {
        if let (2.., Some(previous)) = (layer, &mut previous) {
            std::mem::swap(previous, &mut current);
        }
        let labels = LayerLabels {
            profile: sealed.config.profile,
            replica_id: sealed.replica_id,
            layer,
            parents: table.rows(),
            previous: previous.as_deref().filter(|_| layer > 1).map(|map| map.as_chunks::<NODE_SIZE>().0),
        };
        let end = if layer as usize == params.layers { end } else { nodes };
        fill_layer(&stage, &labels, current.nodes_mut(), 0..end)?;
    }
    Ok(Key::Computed(current))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::config::Config;
    use crate::job::{Cancel, Quiet};
    use crate::porep::labels::tests::{filecash_vectors, label_all, node};
    use crate::porep::layers::tests::layers_of_one;
    use crate::sector::{Profile, SealProof};

    /// A replica in a folder, with the cache folder `cache` and the scratch folder `scratch` beside it.
    struct Fixture {
        folder: tempfile::TempDir,
        settings: Config,
        config: PoRepConfig,
        replica_id: ReplicaId,
    }

    impl Fixture {
        fn new(config: PoRepConfig, replica_id: ReplicaId, replica: &[u8]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Config { parent_cache: folder.path().join("tables"), ..Config::default() };
            fs::create_dir(folder.path().join("cache")).unwrap();
            fs::create_dir(folder.path().join("scratch")).unwrap();
            fs::write(folder.path().join("replica"), replica).unwrap();
            Self { folder, settings, config, replica_id }
        }

        /// The Filecash fork's sector of 2 KiB.
        fn filecash() -> Self {
            let sector = filecash_vectors().sectors.remove(0);
            let config = SealProof::by_id(Profile::Filecash, sector.registered_seal_proof_number).unwrap().config();
            let replica = hex::decode(sector.replica.unwrap()).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&replica)), sector.replica_sha256);
            Self::new(config, node(&sector.replica_id), &replica)
        }

        fn unseal(&self, range: Range<u64>, cache: bool) -> Result<Vec<u8>, UnsealError> {
            let path = |name| self.folder.path().join(name);
            let (replica, cache_path, scratch) = (path("replica"), path("cache"), path("scratch"));
            let sealed = Sealed {
                config: &self.config,
                replica_id: &self.replica_id,
                replica: &replica,
                cache: cache.then_some(&*cache_path),
                scratch: &scratch,
            };
            let cancel = Cancel::default();
            let job = Job { config: &self.settings, progress: &Quiet, cancel: &cancel };
            let mut out = Vec::new();
            let result = unseal(&job, &sealed, range, &mut out);
            assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
            result.map(|()| out)
        }
    }

    /// The fork's input: bytes `i mod 251`, two zero bits after every 254.
    fn padded_data(len: usize) -> Vec<u8> {
        let bit = |i: usize| (i / 8 % 251) >> (i % 8) & 1;
        let padded_bit = |i: usize| if i % 256 < 254 { bit(i / 256 * 254 + i % 256) } else { 0 };
        (0..len).map(|byte| (0..8).fold(0, |sum, i| sum | padded_bit(8 * byte + i) << i) as u8).collect()
    }

    #[test]
    fn forks_replica_gives_the_data() {
        let fixture = Fixture::filecash();
        assert_eq!(fixture.unseal(0..64, false).unwrap(), padded_data(2048));
        assert_eq!(fs::read_dir(fixture.folder.path().join("cache")).unwrap().count(), 0);
    }

    #[test]
    fn ranges_are_parts_of_the_whole() {
        let fixture = Fixture::filecash();
        for range in [0..0, 0..1, 63..64, 5..6, 7..40, 64..64] {
            let bytes = &padded_data(2048)[32 * range.start as usize..32 * range.end as usize];
            assert_eq!(fixture.unseal(range.clone(), false).unwrap(), bytes, "{range:?}");
        }
        for range in [0..65, 64..65, 65..65, Range { start: 3, end: 2 }, 0..u64::MAX] {
            assert!(matches!(fixture.unseal(range, false), Err(UnsealError::Range { .. })));
        }
    }

    #[test]
    fn kept_layer_is_used_only_if_it_is_right() {
        let fixture = Fixture::filecash();
        let cache = fixture.folder.path().join("cache");
        let cancel = Cancel::default();
        let job = Job { config: &fixture.settings, progress: &Quiet, cancel: &cancel };
        layers_of_one(&job, &fixture.config, &fixture.replica_id, &cache, &AtomicBool::new(false)).unwrap();
        // Shows that the layer is read: no layer could be computed without scratch.
        let scratch = fixture.folder.path().join("scratch");
        let sealed = Sealed {
            config: &fixture.config,
            replica_id: &fixture.replica_id,
            replica: &fixture.folder.path().join("replica"),
            cache: Some(&cache),
            scratch: &scratch.join("nowhere"),
        };
        let mut out = Vec::new();
        unseal(&job, &sealed, 0..64, &mut out).unwrap();
        assert_eq!(out, padded_data(2048));

        let layer = files::layer(&cache, 2);
        let mut damaged = fs::read(&layer).unwrap();
        damaged[77] ^= 1;
        fs::write(&layer, &damaged).unwrap();
        assert_eq!(fixture.unseal(0..64, true).unwrap(), padded_data(2048));
        assert_eq!(fs::read(&layer).unwrap(), damaged);
    }

    /// Filecoin, eleven layers: the zero sector's replica is its last layer.
    #[test]
    fn last_layer_of_many_decodes_to_zeros() {
        let mut params = crate::sector::params::for_size(Profile::Filecoin, 2048).unwrap().clone();
        params.layers = 11;
        let config = PoRepConfig {
            params: Box::leak(Box::new(params)),
            ..SealProof::by_id(Profile::Filecoin, 5).unwrap().config()
        };
        let layers = label_all(Profile::Filecoin, &[9; 32], &crate::graph::Graph::new(&config), 11);
        let fixture = Fixture::new(config, [9; 32], layers[10].as_flattened());
        assert_eq!(fixture.unseal(0..64, false).unwrap(), [0; 2048]);
        assert_eq!(fixture.unseal(9..11, false).unwrap(), [0; 64]);
    }

    #[test]
    fn wrong_replicas_are_refused() {
        let mut fixture = Fixture::filecash();
        let replica = fixture.folder.path().join("replica");
        let mut bytes = fs::read(&replica).unwrap();
        fs::write(&replica, &bytes[..2047]).unwrap();
        assert!(matches!(fixture.unseal(0..1, false), Err(UnsealError::Length { actual: 2047, .. })));
        bytes[32 * 9..32 * 10].fill(0xff);
        fs::write(&replica, &bytes).unwrap();
        assert!(matches!(fixture.unseal(3..20, false), Err(UnsealError::Replica { node: 9, .. })));
        assert_eq!(fixture.unseal(0..9, false).unwrap(), padded_data(288));
        fixture.replica_id = [0; 32];
        assert_ne!(fixture.unseal(0..9, false).unwrap(), padded_data(288));
    }
}
