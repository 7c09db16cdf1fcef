//! Whole sectors on GPUs: the files are the CPU's, whatever happens to the device meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use filecash_engine::api::SectorIdentity;
use filecash_engine::api::seal::{add_piece, pre_commit_phase1, pre_commit_phase2};
use filecash_engine::backend::SharedBackend;
use filecash_engine::backend::gpu::{GpuLimits, Team, TeamOptions};
use filecash_engine::config::Config;
use filecash_engine::field::Node;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::params::for_size;
use filecash_engine::sector::piece::UnpaddedLen;
use filecash_engine::sector::{ApiVersion, PoRepConfig, PoRepId, Profile};

use crate::doomed::{Doomed, Fate};
use crate::{ALONE, on_every_adapter};

/// Seals computed bytes up to PC2, into `cache` and `sealed`; gives CommR.
pub fn seal(folder: &Path, profile: Profile, size: u64, backend: SharedBackend) -> Node {
    let settings = Config { parent_cache: folder.join("tables"), backend, ..Config::default() };
    let params = for_size(profile, size).unwrap();
    let config = PoRepConfig::interactive(params, profile, PoRepId::from_number(5), ApiVersion::V1_1_0);
    let identity = SectorIdentity { prover_id: [9; 32], sector_id: 12345, ticket: [1; 32] };
    let job = Job { config: &settings, progress: &Quiet, cancel: &Cancel::default() };
    let len = UnpaddedLen::new(params.unpadded_bytes()).unwrap();
    let bytes: Vec<u8> = (0..len.get()).map(|i| (i % 251) as u8).collect();
    let [cache, staged, sealed] = ["cache", "staged", "sealed"].map(|name| folder.join(name));
    // The same folder for everybody: its path is in `t_aux`.
    drop(fs::remove_dir_all(&cache));
    drop(fs::remove_file(&staged));
    drop(fs::remove_file(&sealed));
    fs::create_dir(&cache).unwrap();
    let piece = add_piece(&job, params, &bytes[..], &staged, len, &[]).unwrap().piece;
    let phase1 = pre_commit_phase1(&job, &config, &cache, &staged, &sealed, &identity, &[piece]).unwrap();
    pre_commit_phase2(&job, &config, &phase1, &cache, &sealed).unwrap().comm_r
}

/// As [`seal`]; gives every file but our manifest.
fn sealed(folder: &Path, profile: Profile, size: u64, backend: SharedBackend) -> BTreeMap<String, Vec<u8>> {
    seal(folder, profile, size, backend);
    let [cache, sealed] = ["cache", "sealed"].map(|name| folder.join(name));
    let in_cache = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    in_cache
        .chain([sealed])
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .filter(|(name, _)| !name.ends_with(".json"))
        .collect()
}

/// Compares without printing megabytes.
fn expect_same(actual: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(actual.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(actual[name] == *bytes, "{name} differs");
    }
}

#[test]
fn sectors_are_the_cpus_in_both_networks() {
    for profile in Profile::ALL {
        let folder = tempfile::tempdir().unwrap();
        let expected = sealed(folder.path(), profile, 2 << 10, SharedBackend::default());
        assert!(expected.len() >= 7, "{:?}", expected.keys());
        on_every_adapter(GpuLimits::default(), |gpu| {
            let team = Team::new(vec![Box::new(gpu)], ALONE);
            expect_same(&sealed(folder.path(), profile, 2 << 10, SharedBackend::new(team)), &expected);
        });
    }
}

#[test]
fn larger_sectors_are_the_cpus_with_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let expected = sealed(folder.path(), Profile::Filecoin, 8 << 20, SharedBackend::default());
    // Far less than the sector has: many slices of every level.
    let limits = GpuLimits { max_vram: 1 << 20, max_binding: 256 << 10, form: None };
    on_every_adapter(limits, |gpu| {
        let team = Team::new(vec![Box::new(gpu)], TeamOptions { sample: 4096, ..ALONE });
        expect_same(&sealed(folder.path(), Profile::Filecoin, 8 << 20, SharedBackend::new(team)), &expected);
    });
}

#[test]
fn sectors_are_right_whatever_happens_to_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let expected = sealed(folder.path(), Profile::Filecoin, 2 << 10, SharedBackend::default());
    for fate in [Fate::Lost, Fate::NoRoom, Fate::Wrong] {
        // At once, in PC1's TreeD, in PC2.
        for at in [0, 3, 9] {
            on_every_adapter(GpuLimits::default(), |gpu| {
                let worker = Doomed::new(gpu, fate, at);
                let team = Team::new(vec![Box::new(worker)], TeamOptions { require_gpu: false, ..ALONE });
                let backend = SharedBackend::new(team);
                expect_same(&sealed(folder.path(), Profile::Filecoin, 2 << 10, backend), &expected);
            });
        }
    }
}
