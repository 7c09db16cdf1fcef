//! Opening all sectors of a proof of space-time: which can be proven, and which are faulty.
//!
//! Sectors stand in ascending order of their numbers. Where challenges depend on the rank ([`PoStConfig::is_ranked`]) a
//! faulty sector that is left out moves up those behind it, which are opened anew at their new leaves; so it goes on
//! until no other fault shows. Nothing is read twice where they do not.
//!
//! [`PoStConfig::is_ranked`]: crate::sector::PoStConfig::is_ranked

use std::collections::BTreeMap;
use std::time::Instant;

use super::limited::{LimitedError, ReadLimits, TimedOut, run};
use super::{Fault, FaultySector, PoStRound, PoStSector, VanillaPoSt};
use crate::job::{Job, Unit};
use crate::sector::SectorId;
use crate::sector::geometry::Geometry;

/// What to do about faulty sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faulty {
    /// Name all of them and prove nothing.
    Refuse,
    /// Name them and prove the others.
    Skip,
}

/// Sectors that were opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// Checked vanilla proofs, by ascending sector number.
    pub proofs: Vec<VanillaPoSt>,
    /// Sectors that cannot be proven, by ascending number.
    pub faulty: Vec<FaultySector>,
}

/// Opens sectors of this geometry at given leaves, in parallel and until `end`, and checks what was opened; results in
/// their order.
///
/// # Errors
/// As [`open_sectors`].
pub fn open_at(
    job: &Job<'_>,
    geometry: Geometry,
    sectors: Vec<(PoStSector, Vec<u64>)>,
    limits: &ReadLimits,
    end: Instant,
) -> Result<Vec<Result<VanillaPoSt, FaultySector>>, LimitedError> {
    let stage = job.stage("open sectors", Unit::Items, sectors.len() as u64);
    let numbers: Vec<SectorId> = sectors.iter().map(|(sector, _)| sector.sector_id).collect();
    let task = |(sector, leaves): (PoStSector, Vec<u64>)| -> Box<dyn FnOnce() -> Result<VanillaPoSt, Fault> + Send> {
        Box::new(move || {
            let proof = sector.open(geometry, &leaves)?;
            proof.verify(geometry, &leaves)?;
            Ok(proof)
        })
    };
    let results = run(&stage, limits, end, sectors.into_iter().map(task).collect())?;
    let named = |(sector_id, result): (SectorId, Result<Result<VanillaPoSt, Fault>, TimedOut>)| {
        let result = result.unwrap_or_else(|TimedOut(limit)| Err(Fault::TimedOut { limit }));
        result.map_err(|fault| FaultySector { sector_id, fault })
    };
    Ok(numbers.into_iter().zip(results).map(named).collect())
}

/// Opens the sectors of a proof in parallel, and checks what was opened, against the clock.
///
/// `sectors` are without doubles and ascend; the first of them has the rank `first_rank`. With [`Faulty::Refuse`] the
/// sectors are opened once, whatever is found.
///
/// # Errors
/// [`LimitedError`] when the job is cancelled or a thread cannot be started; a fault of a sector is no error.
pub fn open_sectors(
    job: &Job<'_>,
    round: &PoStRound,
    first_rank: u64,
    sectors: &[PoStSector],
    faulty: Faulty,
    limits: &ReadLimits,
) -> Result<Opened, LimitedError> {
    let geometry = Geometry::of(round.config().params);
    let mut sectors: Vec<&PoStSector> = sectors.iter().collect();
    let mut faults = BTreeMap::new();
    // Of all passes together.
    let end = limits.end();
    // Proofs and the ranks that they were made for.
    let mut proofs: BTreeMap<SectorId, (u64, VanillaPoSt)> = BTreeMap::new();
    loop {
        let stale = |sector: &PoStSector, rank: u64| match proofs.get(&sector.sector_id) {
            Some((known, _)) => round.config().is_ranked() && *known != rank,
            None => true,
        };
        let ranked = (first_rank..).zip(&sectors).filter(|(rank, sector)| stale(sector, *rank));
        let to_open: Vec<(u64, PoStSector)> = ranked.map(|(rank, sector)| (rank, (*sector).clone())).collect();
        if to_open.is_empty() {
            break;
        }
        let ranks: Vec<u64> = to_open.iter().map(|(rank, _)| *rank).collect();
        let tasks = to_open.into_iter().map(|(rank, sector)| {
            let leaves = round.leaves(sector.sector_id, rank);
            (sector, leaves)
        });
        for (rank, opened) in ranks.into_iter().zip(open_at(job, geometry, tasks.collect(), limits, end)?) {
            match opened {
                Ok(proof) => drop(proofs.insert(proof.sector_id, (rank, proof))),
                Err(faulty) => drop(faults.insert(faulty.sector_id, faulty)),
            }
        }
        if faulty == Faulty::Refuse {
            break;
        }
        sectors.retain(|sector| !faults.contains_key(&sector.sector_id));
    }
    faults.keys().for_each(|sector| drop(proofs.remove(sector)));
    let proofs = proofs.into_values().map(|(_, proof)| proof).collect();
    Ok(Opened { proofs, faulty: faults.into_values().collect() })
}
