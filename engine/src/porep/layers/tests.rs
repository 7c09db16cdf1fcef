use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::config::Config;
use crate::graph::ParentTable;
use crate::job::{Cancel, Progress, Quiet};
use crate::porep::labels::tests::{FILECOIN, filecash_vectors, node};
use crate::sector::params::for_size;
use crate::sector::{ApiVersion, PoRepId, Profile, SealProof};
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
    generate_layers(&job.stage("labels", Unit::Items, 0), config, table.rows(), &mut [&mut sector]);
    sector.finish()
}

/// Makes the layers of a replica in `folder/cache`.
fn generate(folder: &Path, config: &PoRepConfig, replica_id: &ReplicaId) -> Result<(), LabelError> {
    let cache = folder.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let (settings, cancel) = (settings(folder), Cancel::default());
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
        let folder = tempfile::tempdir().unwrap();
        let params = for_size(Profile::Filecoin, size).unwrap();
        let version = if number < 5 { ApiVersion::V1_0_0 } else { ApiVersion::V1_1_0 };
        let config = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(number), version);
        generate(folder.path(), &config, &node(replica_id)).unwrap();
        assert_eq!([digest(folder.path(), 1), digest(folder.path(), 2)], digests, "{size} id {number}");
    }
}

/// spec/replication.md 12.7, 8 MiB.
#[test]
fn filecoin_8mib_layer_files_match_reference() {
    let folder = tempfile::tempdir().unwrap();
    let config = SealProof::by_id(Profile::Filecoin, 6).unwrap().config();
    let replica_id = node("e9e86554f2deec0097006ffb48ca7283559ca9ae1dfcc30011870a717739372f");
    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!(digest(folder.path(), 1), "5b81807d768c822005c395d080742e6a93e5ebd54f96063e25f53adc1b1585ff");
    assert_eq!(digest(folder.path(), 2), "81d6c636b18bfd5311135e934f0a4e94738f4ba3f891596edf3848b962817185");
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
    let folder = tempfile::tempdir().unwrap();
    let params = for_size(Profile::Filecoin, 8 << 20).unwrap();
    let config = PoRepConfig::interactive(params, Profile::Filecoin, PoRepId::from_number(6), ApiVersion::V1_1_0);
    let replica_id = node("e9e86554f2deec0097006ffb48ca7283559ca9ae1dfcc30011870a717739372f");
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let nodes = params.nodes();

    let stop_after = |labels| {
        let (settings, cancel) = (settings(folder.path()), Cancel::default());
        let progress = CancelAfter { cancel: &cancel, labels: AtomicU64::new(labels), labelling: AtomicU64::new(0) };
        let job = Job { config: &settings, progress: &progress, cancel: &cancel };
        let error = layers_of_one(&job, &config, &replica_id, &cache, &AtomicBool::new(false)).unwrap_err();
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

    generate(folder.path(), &config, &replica_id).unwrap();
    assert_eq!(fs::metadata(layer_path(folder.path(), 1)).unwrap().modified().unwrap(), time);
    assert_eq!(digest(folder.path(), 2), "81d6c636b18bfd5311135e934f0a4e94738f4ba3f891596edf3848b962817185");
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
