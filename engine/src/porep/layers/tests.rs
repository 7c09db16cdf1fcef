use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::*;
use crate::config::Config;
use crate::graph::ParentTable;
use crate::job::{Cancel, Progress, Quiet};
use crate::porep::labels::tests::{FILECOIN, filecash_vectors, node};
use crate::sector::params::for_size;
use crate::sector::{ApiVersion, PoRepId, Profile, SealProof};
use crate::store::atomic::tests::unwritable;
use crate::store::manifest::MANIFEST_NAME;

/// Settings whose tables lie in a folder of the test's.
fn settings(folder: &Path) -> Config {
    Config { parent_cache: folder.join("tables"), ..Config::default() }
}

/// Makes the layers of one replica.
pub(crate) fn layers_of_one(
    job: &Job<'_>,
    config: &PoRepConfig,
    replica_id: &ReplicaId,
    cache: &Path,
    stop: &AtomicBool,
) -> Result<(), LabelError> {
    let mut sector = SectorLayers::open(job, config, *replica_id, cache, stop)?;
    let table = ParentTable::open(job, config)?;
    let mut room = Room::new(config, 1, job.config.memory_bytes);
    generate_layers(&job.stage("labels", Unit::Items, 0), config, table.rows(), &mut room, &mut [&mut sector]);
    sector.finish()
}

/// Makes the layers of a replica in `folder/cache`.
fn generate(folder: &Path, config: &PoRepConfig, replica_id: &ReplicaId) -> Result<(), LabelError> {
    generate_within(folder, config, replica_id, Config::default().memory_bytes)
}

/// The same within a budget.
fn generate_within(
    folder: &Path,
    config: &PoRepConfig,
    replica_id: &ReplicaId,
    memory_bytes: u64,
) -> Result<(), LabelError> {
    let cache = folder.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let (settings, cancel) = (Config { memory_bytes, ..settings(folder) }, Cancel::default());
    let job = Job { config: &settings, progress: &Quiet, cancel: &cancel };
    layers_of_one(&job, config, replica_id, &cache, &AtomicBool::new(false))
}

fn layer_path(folder: &Path, layer: usize) -> PathBuf {
    files::layer(&folder.join("cache"), layer)
}

fn digest(folder: &Path, layer: usize) -> String {
    hex::encode(Sha256::digest(fs::read(layer_path(folder, layer)).unwrap()))
}

fn filecoin_2kib() -> (PoRepConfig, ReplicaId) {
    (SealProof::by_id(Profile::Filecoin, 5).unwrap().config(), node(FILECOIN[0].2))
}

/// Cancels once so many labels are done.
struct CancelAfter<'a> {
    cancel: &'a Cancel,
    labels: AtomicU64,
    labelling: AtomicU64,
}

impl Progress for CancelAfter<'_> {
    fn begin(&self, stage: &'static str, _unit: Unit, _total: u64) {
        self.labelling.store(u64::from(stage == "labels"), Ordering::Relaxed);
    }

    fn advance(&self, units: u64) {
        let labels = units * self.labelling.load(Ordering::Relaxed);
        if labels > 0 && self.labels.fetch_sub(labels, Ordering::Relaxed) <= labels {
            self.cancel.cancel();
        }
    }

    fn end(&self) {}
}

#[test]
fn filecoin_layer_files_match_reference() {
    for (number, size, replica_id, digests) in FILECOIN {
        let params = for_size(Profile::Filecoin, size).unwrap();
        let version = if number < 5 { ApiVersion::V1_0_0 } else { ApiVersion::V1_1_0 };
        let config = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(number), version);
        for memory_bytes in budgets(&config) {
            let folder = tempfile::tempdir().unwrap();
            generate_within(folder.path(), &config, &node(replica_id), memory_bytes).unwrap();
            assert_eq!([digest(folder.path(), 1), digest(folder.path(), 2)], digests, "{size} id {number}");
        }
    }
}

/// Budgets without and with room for the layers of a sector.
fn budgets(config: &PoRepConfig) -> [u64; 2] {
    let enough = 2 * config.params.size_bytes;
    let budgets = [enough - 1, enough];
    assert_eq!(budgets.map(|budget| Room::new(config, 1, budget).in_memory()), [false, true]);
    budgets
}

const REPLICA_8MIB: &str = "e9e86554f2deec0097006ffb48ca7283559ca9ae1dfcc30011870a717739372f";
/// spec/replication.md 12.7, 8 MiB.
const LAYERS_8MIB: [&str; 2] = [
    "5b81807d768c822005c395d080742e6a93e5ebd54f96063e25f53adc1b1585ff",
    "81d6c636b18bfd5311135e934f0a4e94738f4ba3f891596edf3848b962817185",
];

#[test]
fn filecoin_8mib_layer_files_match_reference() {
    let config = SealProof::by_id(Profile::Filecoin, 6).unwrap().config();
    let folder = tempfile::tempdir().unwrap();
    for memory_bytes in budgets(&config) {
        let _ = fs::remove_dir_all(folder.path().join("cache"));
        generate_within(folder.path(), &config, &node(REPLICA_8MIB), memory_bytes).unwrap();
        assert_eq!([1, 2].map(|layer| digest(folder.path(), layer)), LAYERS_8MIB);
    }
}

/// One sector whose layer cannot be written, beside one whose can.
#[test]
fn a_write_that_fails_ends_its_sector_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (config, replica_id) = filecoin_2kib();
    let (settings, cancel, stop) = (settings(folder.path()), Cancel::default(), AtomicBool::new(false));
    let job = Job { config: &settings, progress: &Quiet, cancel: &cancel };
    let table = ParentTable::open(&job, &config).unwrap();
    let mut room = Room::new(&config, 2, 1 << 20);
    let path = folder.path().join("layer");
    let mut computing = [0, 1].map(|place| {
        let (file, labels) = room.layer(&path, 2048).unwrap();
        assert!(matches!(labels, Unfinished::Memory(_)));
        let file = if place == 0 { unwritable(&folder.path().join("other")) } else { file };
        Computing { place, replica_id, stop: &stop, file, labels, digest: BlockDigest::default(), failed: None }
    });
    let stage = job.stage("labels", Unit::Items, 0);
    let common = Common { stage: &stage, profile: config.profile, parents: table.rows(), layer: 1, memory_bytes: 0 };
    compute(common, &[None, None], &mut computing).unwrap();
    let [bad, good] = computing;
    assert!(matches!(bad.failed, Some(WriteError::Io { action: "write", .. })), "{:?}", bad.failed);
    assert!(good.failed.is_none());
    good.file.commit().unwrap();
    assert_eq!(hex::encode(Sha256::digest(fs::read(&path).unwrap())), FILECOIN[0].3[0]);
    assert_eq!(hex::encode(good.digest.finish()), FILECOIN[0].3[0]);
}

/// Memory that the system does not have is no error: there are files.
#[test]
fn layers_go_to_files_where_there_is_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room { in_memory: true, memory_bytes: 0, free: Vec::new() };
    let error = room.layer(&folder.path().join("absent/layer"), 1 << 62).map(|_| ()).unwrap_err();
    assert!(matches!(error, WriteError::Io { .. } | WriteError::DiskFull { .. }), "{error}");
    assert!(!room.in_memory());
    let (_, labels) = room.layer(&folder.path().join("layer"), 2048).unwrap();
    assert!(matches!(labels, Unfinished::File(_)));
}

/// 2 KiB and 8 MiB sectors of both graphs, sealed by the fork.
#[test]
fn filecash_layer_files_match_fork() {
    let sectors = filecash_vectors().sectors;
    assert_eq!(sectors.len(), 4);
    for sector in sectors {
        let folder = tempfile::tempdir().unwrap();
        let config = SealProof::by_id(Profile::Filecash, sector.registered_seal_proof_number).unwrap().config();
        generate(folder.path(), &config, &node(&sector.replica_id)).unwrap();
        for (layer, expected) in (1..).zip(&sector.layers) {
            assert_eq!(digest(folder.path(), layer), expected.sha256_of_file, "{} layer {layer}", sector.sector_size);
        }
    }
}

#[test]
fn cancelled_job_goes_on_at_its_last_layer() {
    let params = for_size(Profile::Filecoin, 8 << 20).unwrap();
    let config = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(6), ApiVersion::V1_1_0);
    for memory_bytes in budgets(&config) {
        cancel_and_go_on(&config, memory_bytes);
    }
}

fn cancel_and_go_on(config: &PoRepConfig, memory_bytes: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (replica_id, nodes) = (node(REPLICA_8MIB), config.params.nodes());
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();

    let stop_after = |labels| {
        let (settings, cancel) = (Config { memory_bytes, ..settings(folder.path()) }, Cancel::default());
        let progress = CancelAfter { cancel: &cancel, labels: AtomicU64::new(labels), labelling: AtomicU64::new(0) };
        let job = Job { config: &settings, progress: &progress, cancel: &cancel };
        let error = layers_of_one(&job, config, &replica_id, &cache, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, LabelError::Cancelled(_)), "{error}");
        let mut names: Vec<String> =
            fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(stop_after(nodes / 2), [LOCK_NAME]);
    let first_layer_only = [MANIFEST_NAME, LOCK_NAME, "sc-02-data-layer-1.dat"];
    assert_eq!(stop_after(nodes + nodes / 2), first_layer_only);
    let time = fs::metadata(layer_path(folder.path(), 1)).unwrap().modified().unwrap();
    // What a killed process leaves behind goes.
    fs::write(layer_path(folder.path(), 2).with_extension("dat.Ab3dE6.tmp"), b"half a layer").unwrap();
    assert_eq!(stop_after(nodes / 2), first_layer_only);

    generate_within(folder.path(), config, &replica_id, memory_bytes).unwrap();
    assert_eq!(fs::metadata(layer_path(folder.path(), 1)).unwrap().modified().unwrap(), time);
    assert_eq!(digest(folder.path(), 2), LAYERS_8MIB[1]);
}

/// The one who stops is told the truth by itself; what was finished stays.
#[test]
fn layers_end_when_they_are_stopped_from_beside() {
    let folder = tempfile::tempdir().unwrap();
    let (config, replica_id) = filecoin_2kib();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let (settings, cancel) = (settings(folder.path()), Cancel::default());
    let job = Job { config: &settings, progress: &Quiet, cancel: &cancel };
    let error = layers_of_one(&job, &config, &replica_id, &cache, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, LabelError::Cancelled(_)), "{error}");
    assert!(!layer_path(folder.path(), 1).exists());
}

#[test]
fn damaged_layers_are_made_again_and_right_ones_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (config, replica_id) = filecoin_2kib();
    generate(folder.path(), &config, &replica_id).unwrap();
    let right = fs::read(layer_path(folder.path(), 1)).unwrap();
    let time = fs::metadata(layer_path(folder.path(), 2)).unwrap().modified().unwrap();
    let mut flipped = right.clone();
    flipped[1000] ^= 4;
    for damaged in [&flipped[..], &right[..2047], b""] {
        fs::write(layer_path(folder.path(), 1), damaged).unwrap();
        generate(folder.path(), &config, &replica_id).unwrap();
        assert_eq!(fs::read(layer_path(folder.path(), 1)).unwrap(), right);
    }
    fs::remove_file(layer_path(folder.path(), 1)).unwrap();
    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!(fs::read(layer_path(folder.path(), 1)).unwrap(), right);
    assert_eq!(fs::metadata(layer_path(folder.path(), 2)).unwrap().modified().unwrap(), time);
}

#[test]
fn layers_without_a_manifest_or_of_another_replica_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (config, replica_id) = filecoin_2kib();
    generate(folder.path(), &config, &[3; 32]).unwrap();
    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!([digest(folder.path(), 1), digest(folder.path(), 2)], FILECOIN[0].3);

    fs::remove_file(folder.path().join("cache").join(MANIFEST_NAME)).unwrap();
    fs::write(layer_path(folder.path(), 2), [0; 2048]).unwrap();
    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!([digest(folder.path(), 1), digest(folder.path(), 2)], FILECOIN[0].3);
}

/// A layer that comes out otherwise than noted shows a machine that errs: what was computed from it goes too.
#[test]
fn layers_after_one_that_comes_out_otherwise_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let (config, replica_id) = filecoin_2kib();
    generate(folder.path(), &config, &replica_id).unwrap();
    let mut manifest = Manifest::load(&cache, Identity::new(&config, &replica_id)).unwrap();
    let wrong = [1; 2048];
    for (layer, bytes) in [(1, &[2; 2048]), (2, &wrong)] {
        let record = FileRecord { size_bytes: 2048, sha256: Sha256::digest(bytes).into() };
        manifest.record(files::layer_name(layer), record);
    }
    manifest.store(&cache).unwrap();
    fs::write(layer_path(folder.path(), 2), wrong).unwrap();
    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!([digest(folder.path(), 1), digest(folder.path(), 2)], FILECOIN[0].3);
}

#[test]
fn second_job_in_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, replica_id) = filecoin_2kib();
    generate(folder.path(), &config, &replica_id).unwrap();
    let _lock = FileLock::acquire(&folder.path().join("cache").join(LOCK_NAME)).unwrap().unwrap();
    let error = generate(folder.path(), &config, &replica_id).unwrap_err();
    assert!(matches!(error, LabelError::Busy { .. }), "{error}");
}

#[test]
fn missing_folder_is_an_error() {
    let (config, replica_id) = filecoin_2kib();
    let (settings, cancel) = (Config::default(), Cancel::default());
    let job = Job { config: &settings, progress: &Quiet, cancel: &cancel };
    let error =
        layers_of_one(&job, &config, &replica_id, Path::new("/nowhere/at/all"), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, LabelError::Io { .. }), "{error}");
}
