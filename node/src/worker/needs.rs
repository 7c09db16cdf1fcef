//! What a job will need, from its kind and its registered proof: [`crate::plan`]'s numbers.

use std::collections::BTreeMap;

use filecash_engine::backend::Phase as DevicePhase;
use filecash_engine::sector::{PoRepConfig, PoStProof, Profile, SealProof};
use filecash_engine::update::UpdateProof;

use crate::jobs::choose::Needs;
use crate::jobs::{Ability, Job, Kind};
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

/// How much of each device's memory a job of an ability may have, so that all that a worker has places for have at most `bytes`: winning
/// proofs, whose circuits are small, an eighth, and the others equal parts of the rest.
pub fn vram_shares(
    bytes: u64,
    places: &BTreeMap<Ability, usize>,
    uses_devices: impl Fn(Ability) -> bool,
) -> BTreeMap<Ability, u64> {
    let using: BTreeMap<Ability, u64> = places
        .iter()
        .filter(|(ability, places)| **places > 0 && uses_devices(**ability))
        .map(|(ability, places)| (*ability, *places as u64))
        .collect();
    let winning = using.get(&Ability::Winning).copied().unwrap_or(0);
    let others = using.values().sum::<u64>() - winning;
    let for_winning = if others == 0 { bytes } else { bytes / 8 };
    let for_others = if winning == 0 { bytes } else { bytes - bytes / 8 };
    let share = |ability: Ability| match ability {
        Ability::Winning => for_winning / winning,
        _ => for_others / others,
    };
    using.keys().map(|ability| (*ability, share(*ability))).collect()
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

/// A seal in place of an update, whose circuit is larger: of the same size below 8 MiB, of the network's large sectors from there on
/// (`spec/snark.md` 2.8).
fn of_update(profile: Profile, name: &str) -> Option<SealProof> {
    let size_bytes = UpdateProof::by_name(profile, name).ok()?.config().params.size_bytes;
    let large = match profile {
        Profile::Filecoin => 32 << 30,
        Profile::Filecash => 16 << 30,
    };
    SealProof::for_size(profile, if size_bytes < 8 << 20 { size_bytes } else { large }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_no_more_than_the_whole() {
        use Ability::{C2, Pc1, Pc2, Window, Winning};
        let of = |places: &[(Ability, usize)], uses: &[Ability]| {
            let places = places.iter().copied().collect();
            vram_shares(800, &places, |ability| uses.contains(&ability))
        };
        let all = [(Pc1, 4), (Pc2, 1), (C2, 1), (Window, 1), (Winning, 1)];
        assert_eq!(
            of(&all, &[Pc2, C2, Window, Winning]),
            [(Pc2, 233), (C2, 233), (Window, 233), (Winning, 100)].into()
        );
        assert_eq!(of(&[(C2, 2)], &[C2]), [(C2, 400)].into());
        assert_eq!(of(&[(Winning, 1)], &[Winning]), [(Winning, 800)].into());
        assert_eq!(of(&[(C2, 1), (Winning, 0)], &[C2, Winning]), [(C2, 800)].into());
        assert!(of(&all, &[]).is_empty());
    }
}
