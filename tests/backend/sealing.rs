//! Whole sectors on GPUs: the files are the CPU's, whatever happens to the device meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use blstrs::{G1Projective, G2Projective};
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::seal::{add_piece, pre_commit_phase1, pre_commit_phase2};
use filecash_engine::backend::SharedBackend;
use filecash_engine::backend::cpu::ntt::{Blocks, Pass};
use filecash_engine::backend::gpu::{Gpu, GpuError, GpuLimits, Team, TeamOptions, Worker};
use filecash_engine::backend::points::PointBlock;
use filecash_engine::config::Config;
use filecash_engine::field::Node;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::params::for_size;
use filecash_engine::sector::piece::UnpaddedLen;
use filecash_engine::sector::{ApiVersion, PoRepConfig, PoRepId, Profile};

use crate::{ALONE, on_every_adapter};

/// Seals computed bytes up to PC2; gives every file but our manifest.
fn sealed(folder: &Path, profile: Profile, size: u64, backend: SharedBackend) -> BTreeMap<String, Vec<u8>> {
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
    pre_commit_phase2(&job, &config, &phase1, &cache, &sealed).unwrap();
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

/// A GPU that something happens to at a call.
#[derive(Debug)]
struct Doomed {
    gpu: Gpu,
    calls: AtomicUsize,
    at: usize,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The driver takes the device away.
    Lost,
    /// There is no room for the buffers.
    NoRoom,
    /// One bit of one result is wrong.
    Wrong,
}

impl Doomed {
    fn call(
        &self,
        parents: &mut [Node],
        work: impl FnOnce(&Gpu, &mut [Node]) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        let is_due = self.calls.fetch_add(1, Ordering::Relaxed) >= self.at;
        match self.fate {
            Fate::Lost if is_due => self.gpu.device().destroy(),
            Fate::NoRoom if is_due => return Err(GpuError::OutOfMemory { adapter: self.name().to_owned(), bytes: 1 }),
            _ => {}
        }
        work(&self.gpu, parents)?;
        if let (Fate::Wrong, true, Some(parent)) = (self.fate, is_due, parents.last_mut()) {
            parent[5] ^= 0x10;
        }
        Ok(())
    }
}

impl Worker for Doomed {
    fn name(&self) -> &str {
        self.gpu.name()
    }

    fn has_arity(&self, arity: usize) -> bool {
        self.gpu.has_arity(arity)
    }

    fn rate(&self, arity: Option<usize>) -> Option<f64> {
        self.gpu.rate(arity)
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.call(parents, |gpu, parents| gpu.poseidon_level(arity, children, parents))
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), GpuError> {
        self.call(parents, |gpu, parents| gpu.sha_level(children, parents))
    }

    fn transform(&self, pass: &Pass, blocks: &Blocks<'_>) -> Result<(), GpuError> {
        self.call(&mut [], |gpu, _| gpu.transform(pass, blocks))
    }

    fn sum_g1(&self, block: &PointBlock) -> Result<G1Projective, GpuError> {
        self.gpu.sum_g1(block)
    }

    fn sum_g2(&self, block: &PointBlock) -> Result<G2Projective, GpuError> {
        self.gpu.sum_g2(block)
    }
}

#[test]
fn sectors_are_right_whatever_happens_to_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let expected = sealed(folder.path(), Profile::Filecoin, 2 << 10, SharedBackend::default());
    for fate in [Fate::Lost, Fate::NoRoom, Fate::Wrong] {
        // At once, in PC1's TreeD, in PC2.
        for at in [0, 3, 9] {
            on_every_adapter(GpuLimits::default(), |gpu| {
                let worker = Doomed { gpu, calls: AtomicUsize::new(0), at, fate };
                let team = Team::new(vec![Box::new(worker)], TeamOptions { require_gpu: false, ..ALONE });
                let backend = SharedBackend::new(team);
                expect_same(&sealed(folder.path(), Profile::Filecoin, 2 << 10, backend), &expected);
            });
        }
    }
}
