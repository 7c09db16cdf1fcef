//! What a job will need, from its kind and its registered proof: [`crate::plan`]'s numbers.

use filecash_engine::backend::Phase as DevicePhase;
use filecash_engine::sector::{PoRepConfig, PoStProof, Profile, SealProof};
use filecash_engine::update::UpdateProof;

use crate::jobs::choose::Needs;
use crate::jobs::{Job, Kind};
use crate::plan::{self, Phase, Place, Question, unit_rates};

/// What a job needs where it may have `budget_bytes` of memory; nothing for one that cannot be told, which its worker then fails.
pub fn needs(job: &Job, budget_bytes: u64, threads: usize) -> Needs {
    needs_of(job.profile, job.kind, &job.proof, budget_bytes, threads)
}

/// What a job of a kind and a registered proof needs.
pub fn needs_of(profile: Profile, kind: Kind, proof: &str, budget_bytes: u64, threads: usize) -> Needs {
    let Some((phase, config)) = phase_of(profile, kind, proof) else { return Needs::default() };
    let rates = unit_rates(profile, threads.max(1));
    let question = Question {
        config: &config,
        sectors: 1,
        memory_bytes: budget_bytes,
        free_bytes: None,
        devices: [None; DevicePhase::ALL.len()],
        rows_to_discard: filecash_engine::config::DEFAULT_ROWS_TO_DISCARD,
        rates: &rates,
        disk: None,
    };
    let all = plan::plan(&question);
    let Some(of_phase) = all.iter().find(|needs| needs.phase == phase) else { return Needs::default() };
    let in_sector = of_phase.disk.iter().filter(|file| file.place == Place::Sector);
    let useful = of_phase.working_bytes + of_phase.besides_bytes;
    Needs {
        least_memory_bytes: of_phase.least_memory_bytes,
        useful_memory_bytes: useful.max(of_phase.least_memory_bytes),
        disk_bytes: in_sector.map(|file| file.bytes).sum(),
    }
}

/// The phase whose numbers a job has, and the kind of sector.
fn phase_of(profile: Profile, kind: Kind, proof: &str) -> Option<(Phase, PoRepConfig)> {
    let phase = match kind {
        Kind::Pc1 => Phase::Pc1,
        Kind::Pc2 => Phase::Pc2,
        Kind::Synth => Phase::Synth,
        Kind::C1 => Phase::C1,
        Kind::C2 | Kind::Update => Phase::C2,
        Kind::Finalize => Phase::Verify,
        Kind::Window => Phase::WindowPost,
        Kind::Winning => Phase::WinningPost,
    };
    let of_size = |size| SealProof::for_size(profile, size).ok();
    let proof = match kind {
        Kind::Window | Kind::Winning => of_size(PoStProof::by_name(profile, proof).ok()?.config().params.size_bytes),
        Kind::Update => of_update(profile, proof),
        _ => SealProof::by_name(profile, proof).ok(),
    }?;
    Some((phase, proof.config()))
}

/// The seal of a network's large sectors, in place of an update: its circuit is larger than that of any update
/// (`spec/snark.md` 2.8).
fn of_update(profile: Profile, name: &str) -> Option<SealProof> {
    UpdateProof::by_name(profile, name).ok()?;
    let large = match profile {
        Profile::Filecoin => 32 << 30,
        Profile::Filecash => 16 << 30,
    };
    SealProof::for_size(profile, large).ok()
}
