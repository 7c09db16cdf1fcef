//! Proofs made on GPUs: they verify, whatever happens to the device meanwhile.

use filecash_engine::api::params::setup;
use filecash_engine::api::post::{PublicSector, WindowOptions, prove_window, verify_window};
use filecash_engine::backend::SharedBackend;
use filecash_engine::backend::gpu::{Gpu, GpuLimits, Team, TeamOptions};
use filecash_engine::config::Config;
use filecash_engine::error::Error;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::params::{CircuitKind, ParamId};
use filecash_engine::post::{PoStRound, PoStSector};
use filecash_engine::sector::{PoStKind, PoStProof, Profile};

use crate::doomed::{Doomed, Fate};
use crate::sealing::seal;
use crate::{ALONE, adapters, on_every_adapter};

const SIZE: u64 = 2 << 10;

/// A sealed sector, and parameters to prove that it is held.
struct Held {
    folder: tempfile::TempDir,
    sector: PoStSector,
}

impl Held {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let comm_r = seal(folder.path(), Profile::Filecoin, SIZE, SharedBackend::default());
        let [cache, sealed] = ["cache", "sealed"].map(|name| folder.path().join(name));
        let held = Self { folder, sector: PoStSector { sector_id: 12345, comm_r, cache, sealed } };
        held.with(SharedBackend::default(), |job| {
            setup(job, &ParamId::new(Profile::Filecoin, CircuitKind::Window, SIZE).unwrap()).unwrap()
        });
        held
    }

    fn with<T>(&self, backend: SharedBackend, work: impl FnOnce(&Job<'_>) -> T) -> T {
        let config = Config { parameter_cache: self.folder.path().join("parameters"), backend, ..Config::default() };
        work(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
    }

    /// Proves on a backend, verifies.
    fn prove(&self, backend: SharedBackend) -> Result<(), Error> {
        let proof = PoStProof::for_size(Profile::Filecoin, PoStKind::Window, SIZE).unwrap();
        let round = PoStRound::new(&proof.config(), &[7; 32], &[9; 32]).unwrap();
        let sector = PublicSector { sector_id: self.sector.sector_id, comm_r: self.sector.comm_r };
        self.with(backend, |job| {
            let sectors = std::slice::from_ref(&self.sector);
            let proven = prove_window(job, &round, sectors, &WindowOptions::default())?;
            verify_window(job, &round, &[sector], &proven.proof)
        })
    }
}

#[test]
fn proofs_verify_whatever_happens_to_the_device() {
    let held = Held::new();
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(gpu)], ALONE);
        held.prove(SharedBackend::new(team.clone())).unwrap();
        assert_eq!(team.members()[0].left_out(), None);
    });
    for (fate, reason) in
        [(Fate::Lost, "lost"), (Fate::NoRoom, "no room"), (Fate::Wrong, "a proof that it took part in is wrong")]
    {
        // In the transforms, and in the sums.
        for at in [4, 12] {
            on_every_adapter(GpuLimits::default(), |gpu| {
                let worker = Doomed::new(gpu, fate, at);
                let team = Team::new(vec![Box::new(worker)], TeamOptions { require_gpu: false, ..ALONE });
                held.prove(SharedBackend::new(team.clone())).unwrap();
                let left_out = team.members()[0].left_out().unwrap();
                assert!(left_out.contains(reason), "{fate:?} at {at}: {left_out}");
            });
        }
    }
}

/// Memory for one vector of the proof and bindings for a 32nd of it, as a card of 4 GiB with bindings of 128 MiB has for a
/// sector of 32 GiB.
#[test]
fn proofs_fit_a_small_card() {
    let held = Held::new();
    let limits = GpuLimits { max_vram: 4 << 20, max_binding: 128 << 10, ..GpuLimits::default() };
    for adapter in adapters().iter() {
        let team = Team::new(vec![Box::new(Gpu::open(adapter, limits).unwrap())], ALONE);
        held.prove(SharedBackend::new(team.clone())).unwrap();
        assert_eq!(team.members()[0].left_out(), None);
    }
}

/// Who accepts nothing but devices gets no proof from anybody else.
#[test]
fn a_wrong_device_gives_no_proof_where_gpus_are_required() {
    let held = Held::new();
    on_every_adapter(GpuLimits::default(), |gpu| {
        let team = Team::new(vec![Box::new(Doomed::new(gpu, Fate::Wrong, 4))], ALONE);
        let error = held.prove(SharedBackend::new(team)).unwrap_err();
        assert!(error.to_string().contains("no GPU can go on"), "{error}");
    });
}
