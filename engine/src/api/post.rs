//! Proofs of space-time: winning and window.
//!
//! **What is proven.** A window proof is of a set of sectors in ascending order of their numbers, whatever the order they
//! come in, cut into partitions of `round.config().partition_sectors()`. With [`Faulty::Skip`] it is of the given sectors
//! *without* the skipped ones: the others close ranks, so that partitions are as full as can be and, where challenges
//! depend on it, ranks count only what is proven. [`WindowProof::proven`] is the list to verify against.
//!
//! On a chain a miner declares the skipped sectors, and the chain puts a good sector of the partition in the place of
//! each before it verifies. Verifiers take the sectors as a set by number, in which these doubles fall together; so that
//! statement is this one. What has to agree is the number of partitions, which here is that of the sectors left.
//!
//! Faulty sectors are found by opening every sector and checking what was opened, before anything is proven; what a
//! sector's fault is stands in [`FaultySector`]. Vanilla proofs stay in memory meanwhile: 25 kB a sector of 32 GiB.
//! SNARKs are made some partitions at a time, and verified before they are handed out.
//!
//! The prover id enters the choice of a winning sector and nothing else (`spec/replication.md` 10.2): a proof verifies
//! under any.
//!
//! Source: `spec/replication.md` 10, `spec/snark.md` 2.3, 5.3.

use tracing::info_span;

use super::snark::{Prover, Resume};
use super::verify::CommitmentError;
use crate::circuit::post::{PoStWitnessError, public_inputs};
use crate::circuit::{LeafWitness, Level, PoStCircuit, PoStShape, SlotInputs, SlotWitness};
use crate::config::Config;
use crate::error::Error;
use crate::field::fr::from_node;
use crate::field::{Fr, Node, NonCanonical};
use crate::groth16::{Proof, Verifier};
use crate::job::{Job, Unit};
use crate::merkle::path::MerkleProof;
use crate::params::{CircuitKind, ParamId, ParamStore};
pub use crate::post::Opened;
pub use crate::post::limited::LimitedError;
pub use crate::post::open::Faulty;
use crate::post::vanilla::Faults;
pub use crate::post::{
    Fault, FaultySector, PoStRound, PoStSector, ReadLimits, RoundError, VanillaCodecError, VanillaPoSt,
};
use crate::post::{open_at, open_sectors};
use crate::sector::geometry::Geometry;
use crate::sector::{PoStConfig, PoStKind, SectorId};

/// Why sectors were not proven or a proof not checked, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PoStError {
    #[error("the round is one of {actual}, not of {expected}")]
    Kind { expected: PoStKind, actual: PoStKind },
    #[error("no sectors")]
    NoSectors,
    #[error("sector {sector_id} is given twice")]
    Duplicate { sector_id: SectorId },
    #[error("{actual} sectors, a partition has {expected} at most")]
    TooManySectors { expected: usize, actual: usize },
    #[error("no window proof has a partition {partition}")]
    NoSuchPartition { partition: u64 },
    #[error("{actual} challenged leaves, expected {expected}")]
    Leaves { expected: usize, actual: usize },
    #[error("challenged leaf {leaf} of sectors of {nodes} nodes")]
    NoSuchLeaf { leaf: u64, nodes: u64 },
    #[error("sector {sector_id}")]
    Commitment { sector_id: SectorId, source: CommitmentError },
    #[error("{} of {sectors} sectors cannot be proven: {}", faulty.len(), Faults(faulty))]
    Faulty { sectors: usize, faulty: Vec<FaultySector> },
    #[error(transparent)]
    Reading(LimitedError),
    #[error(transparent)]
    Witness(#[from] PoStWitnessError),
}

/// Partitions beyond this have no ranks of sectors.
const MAX_PARTITIONS: u64 = 1 << 32;

/// A sector as a verifier knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicSector {
    /// Its number.
    pub sector_id: SectorId,
    /// The commitment to its replica, as the chain has it.
    pub comm_r: Node,
}

/// How to go about faulty and slow sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOptions {
    /// Whether faulty sectors are left out.
    pub faulty: Faulty,
    /// How long reading may take.
    pub limits: ReadLimits,
}

impl Default for WindowOptions {
    /// Refuses faulty sectors.
    fn default() -> Self {
        Self { faulty: Faulty::Refuse, limits: ReadLimits::default() }
    }
}

/// A window proof and what it is of.
#[derive(Debug)]
pub struct WindowProof {
    /// 192 bytes for each partition.
    pub proof: Vec<u8>,
    /// The sectors that are proven, in the order of the proof.
    pub proven: Vec<PublicSector>,
    /// Those that were left out, by ascending number.
    pub skipped: Vec<FaultySector>,
}

/// What has a sector's number.
trait Numbered {
    fn sector_id(&self) -> SectorId;
}

impl Numbered for PoStSector {
    fn sector_id(&self) -> SectorId {
        self.sector_id
    }
}

impl Numbered for PublicSector {
    fn sector_id(&self) -> SectorId {
        self.sector_id
    }
}

impl Numbered for VanillaPoSt {
    fn sector_id(&self) -> SectorId {
        self.sector_id
    }
}

impl Numbered for (PoStSector, Vec<u64>) {
    fn sector_id(&self) -> SectorId {
        self.0.sector_id
    }
}

impl Numbered for SectorId {
    fn sector_id(&self) -> SectorId {
        *self
    }
}

/// Sectors in ascending order, at least one, none twice.
fn ascending<T: Numbered>(mut sectors: Vec<T>) -> Result<Vec<T>, PoStError> {
    sectors.sort_by_key(Numbered::sector_id);
    if sectors.is_empty() {
        return Err(PoStError::NoSectors);
    }
    match sectors.windows(2).find(|pair| pair[0].sector_id() == pair[1].sector_id()) {
        Some(pair) => Err(PoStError::Duplicate { sector_id: pair[0].sector_id() }),
        None => Ok(sectors),
    }
}

fn expect_kind(round: &PoStRound, expected: PoStKind) -> Result<(), PoStError> {
    let actual = round.config().kind;
    if actual == expected { Ok(()) } else { Err(PoStError::Kind { expected, actual }) }
}

/// Misses parameters before sectors are read, which can take long.
fn expect_parameters(job: &Job<'_>, round: &PoStRound) -> Result<(), Error> {
    let PoStConfig { kind, params, .. } = *round.config();
    let store = ParamStore::new(&job.config.parameter_cache);
    store.open_for(&param_id(round.config())?, PoStShape::new(kind, params).inputs())?;
    Ok(())
}

/// The rank of a partition's first sector; checks that so many sectors fit.
fn first_rank(round: &PoStRound, partition: u64, sectors: usize) -> Result<u64, PoStError> {
    let expected = round.config().partition_sectors();
    if sectors > expected {
        return Err(PoStError::TooManySectors { expected, actual: sectors });
    }
    if partition >= MAX_PARTITIONS {
        return Err(PoStError::NoSuchPartition { partition });
    }
    Ok(partition * expected as u64)
}

/// The challenged leaves of sectors of one proof, by ascending number; `partition` is that of the first of them.
///
/// # Errors
/// [`PoStError`] for no sectors, doubles, or more than one sector of a winning proof.
pub fn challenges(
    round: &PoStRound,
    partition: u64,
    sectors: &[SectorId],
) -> Result<Vec<(SectorId, Vec<u64>)>, PoStError> {
    let sectors = ascending(sectors.to_vec())?;
    let counted = match round.config().kind {
        PoStKind::Winning => sectors.len(),
        PoStKind::Window => 0,
    };
    let ranks = first_rank(round, partition, counted)?..;
    Ok(ranks.zip(sectors).map(|(rank, sector)| (sector, round.leaves(sector, rank))).collect())
}

/// The vanilla proof of one sector at these leaves, checked.
///
/// # Errors
/// [`PoStError::Faulty`] naming the sector and what is wrong with it; otherwise as [`vanilla_proofs`].
pub fn vanilla_proof(
    job: &Job<'_>,
    config: &PoStConfig,
    sector: &PoStSector,
    leaves: &[u64],
    limits: &ReadLimits,
) -> Result<VanillaPoSt, Error> {
    let opened = vanilla_proofs(job, config, vec![(sector.clone(), leaves.to_vec())], limits)?;
    let [proof] = <[VanillaPoSt; 1]>::try_from(without_faults(opened, 1)?.proofs).map_err(|_| PoStError::NoSectors)?;
    Ok(proof)
}

/// The vanilla proofs of sectors, each at its leaves, made in parallel and checked. Faulty sectors are no error.
///
/// # Errors
/// [`Error`] for doubles, another number of leaves than the proof has, leaves that are none, and when the job is
/// cancelled.
pub fn vanilla_proofs(
    job: &Job<'_>,
    config: &PoStConfig,
    sectors: Vec<(PoStSector, Vec<u64>)>,
    limits: &ReadLimits,
) -> Result<Opened, Error> {
    let _span = info_span!("post_vanilla", sectors = sectors.len(), size = config.params.name).entered();
    let sectors = ascending(sectors)?;
    let (expected, nodes) = (config.challenges(), config.params.nodes());
    for (_, leaves) in &sectors {
        if leaves.len() != expected {
            return Err(PoStError::Leaves { expected, actual: leaves.len() }.into());
        }
        if let Some(&leaf) = leaves.iter().find(|leaf| **leaf >= nodes) {
            return Err(PoStError::NoSuchLeaf { leaf, nodes }.into());
        }
    }
    let mut opened = Opened::default();
    for result in open_at(job, Geometry::of(config.params), sectors, limits, limits.end()).map_err(reading)? {
        match result {
            Ok(proof) => opened.proofs.push(proof),
            Err(faulty) => opened.faulty.push(faulty),
        }
    }
    Ok(opened)
}

/// Opens all sectors of a window proof in parallel, and checks what was opened, without proving.
///
/// The first sector is the first of `partition`. With [`Faulty::Refuse`] faults are still no error here: every one is
/// in the result, and proofs are of the ranks that the given sectors have.
///
/// # Errors
/// [`Error`] for no sectors or doubles, and when the job is cancelled.
pub fn open_all(
    job: &Job<'_>,
    round: &PoStRound,
    partition: u64,
    sectors: &[PoStSector],
    options: &WindowOptions,
) -> Result<Opened, Error> {
    let sectors = ascending(sectors.to_vec())?;
    let rank = first_rank(round, partition, 0)?;
    open_sectors(job, round, rank, &sectors, options.faulty, &options.limits).map_err(reading)
}

fn reading(error: LimitedError) -> Error {
    match error {
        LimitedError::Cancelled(cancelled) => cancelled.into(),
        error => PoStError::Reading(error).into(),
    }
}

/// Proves the sector that wins; which one that is [`PoStRound::winning_sector`] says.
///
/// # Errors
/// [`Error`]; among them [`PoStError::Faulty`].
pub fn prove_winning(
    job: &Job<'_>,
    round: &PoStRound,
    sector: &PoStSector,
    limits: &ReadLimits,
) -> Result<Vec<u8>, Error> {
    let config = round.config();
    let _span = info_span!("winning", sector = sector.sector_id, size = config.params.name).entered();
    expect_kind(round, PoStKind::Winning)?;
    expect_parameters(job, round)?;
    let sectors = std::slice::from_ref(sector);
    let opened = open_sectors(job, round, 0, sectors, Faulty::Refuse, limits).map_err(reading)?;
    let Opened { proofs, .. } = without_faults(opened, 1)?;
    prove_urgently(job, round, &proofs)
}

/// A block waits for nobody's sealing.
fn prove_urgently(job: &Job<'_>, round: &PoStRound, proofs: &[VanillaPoSt]) -> Result<Vec<u8>, Error> {
    let config = Config { backend: job.config.backend.urgent(), ..job.config.clone() };
    prove_partitions(&Job { config: &config, ..*job }, round, 0, proofs)
}

/// [`prove_winning`] from the sector's vanilla proof.
///
/// # Errors
/// [`Error`]; among them [`PoStError::Faulty`] when the vanilla proof does not hold.
pub fn prove_winning_with_vanilla(job: &Job<'_>, round: &PoStRound, vanilla: VanillaPoSt) -> Result<Vec<u8>, Error> {
    let _span = info_span!("winning", sector = vanilla.sector_id, size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Winning)?;
    let opened = check_vanilla(job, round, 0, vec![vanilla], Faulty::Refuse)?;
    prove_urgently(job, round, &without_faults(opened, 1)?.proofs)
}

/// Proves all sectors of a window.
///
/// # Errors
/// [`Error`]; [`PoStError::Faulty`] names every faulty sector, when they are refused or no other is left.
pub fn prove_window(
    job: &Job<'_>,
    round: &PoStRound,
    sectors: &[PoStSector],
    options: &WindowOptions,
) -> Result<WindowProof, Error> {
    let _span = info_span!("window", sectors = sectors.len(), size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Window)?;
    expect_parameters(job, round)?;
    let opened = open_all(job, round, 0, sectors, options)?;
    prove_opened(job, round, 0, opened, options.faulty)
}

/// [`prove_window`] from vanilla proofs; one that does not hold makes its sector faulty.
///
/// Vanilla proofs of old API versions are of certain ranks: there none can be skipped without that the later ones have
/// to be made anew, and they count as faulty until then.
///
/// # Errors
/// As [`prove_window`].
pub fn prove_window_with_vanilla(
    job: &Job<'_>,
    round: &PoStRound,
    vanilla: Vec<VanillaPoSt>,
    faulty: Faulty,
) -> Result<WindowProof, Error> {
    let _span = info_span!("window", sectors = vanilla.len(), size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Window)?;
    let opened = check_vanilla(job, round, 0, ascending(vanilla)?, faulty)?;
    prove_opened(job, round, 0, opened, faulty)
}

/// Proves one partition of a window on its own: at most `partition_sectors` sectors, the `partition`th such group.
///
/// The proofs of all partitions, one after the other, are the window proof. A partition is padded in the place of
/// sectors that it skips, and the later ones keep their borders and ranks. So a partition with skipped sectors verifies
/// alone ([`verify_window_partition`]), and as part of the whole only if it is the last.
///
/// # Errors
/// As [`prove_window`]; [`PoStError::TooManySectors`].
pub fn prove_window_partition(
    job: &Job<'_>,
    round: &PoStRound,
    partition: u64,
    sectors: &[PoStSector],
    options: &WindowOptions,
) -> Result<WindowProof, Error> {
    let _span = info_span!("window", partition, sectors = sectors.len(), size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Window)?;
    first_rank(round, partition, sectors.len())?;
    expect_parameters(job, round)?;
    let opened = open_all(job, round, partition, sectors, options)?;
    prove_opened(job, round, partition, opened, options.faulty)
}

/// [`prove_window_partition`] from vanilla proofs.
///
/// # Errors
/// As [`prove_window_partition`].
pub fn prove_window_partition_with_vanilla(
    job: &Job<'_>,
    round: &PoStRound,
    partition: u64,
    vanilla: Vec<VanillaPoSt>,
    faulty: Faulty,
) -> Result<WindowProof, Error> {
    let _span = info_span!("window", partition, sectors = vanilla.len(), size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Window)?;
    let rank = first_rank(round, partition, vanilla.len())?;
    let opened = check_vanilla(job, round, rank, ascending(vanilla)?, faulty)?;
    prove_opened(job, round, partition, opened, faulty)
}

/// Checks vanilla proofs in ascending order; with [`Faulty::Skip`] against the ranks without those that do not hold.
fn check_vanilla(
    job: &Job<'_>,
    round: &PoStRound,
    first_rank: u64,
    vanilla: Vec<VanillaPoSt>,
    faulty: Faulty,
) -> Result<Opened, Error> {
    let stage = job.stage("verify vanilla proofs", Unit::Items, vanilla.len() as u64);
    let geometry = Geometry::of(round.config().params);
    let mut opened = Opened::default();
    for (place, proof) in vanilla.into_iter().enumerate() {
        let place = if faulty == Faulty::Skip { opened.proofs.len() } else { place };
        let leaves = round.leaves(proof.sector_id, first_rank + place as u64);
        match proof.verify(geometry, &leaves) {
            Ok(()) => opened.proofs.push(proof),
            Err(fault) => opened.faulty.push(FaultySector { sector_id: proof.sector_id, fault }),
        }
        stage.advance(1)?;
    }
    Ok(opened)
}

/// Refuses faulty sectors, all of them by name.
fn without_faults(opened: Opened, sectors: usize) -> Result<Opened, PoStError> {
    match opened.faulty.is_empty() {
        true => Ok(opened),
        false => Err(PoStError::Faulty { sectors, faulty: opened.faulty }),
    }
}

fn prove_opened(
    job: &Job<'_>,
    round: &PoStRound,
    partition: u64,
    opened: Opened,
    faulty: Faulty,
) -> Result<WindowProof, Error> {
    let sectors = opened.proofs.len() + opened.faulty.len();
    let Opened { proofs, faulty: skipped } = match faulty {
        Faulty::Skip if !opened.proofs.is_empty() => opened,
        _ => without_faults(opened, sectors)?,
    };
    let rank = first_rank(round, partition, 0)?;
    let proof = prove_partitions(job, round, rank, &proofs)?;
    let public = |vanilla: &VanillaPoSt| PublicSector { sector_id: vanilla.sector_id, comm_r: vanilla.comm_r };
    Ok(WindowProof { proof, proven: proofs.iter().map(public).collect(), skipped })
}

/// Proves checked vanilla proofs.
fn prove_partitions(
    job: &Job<'_>,
    round: &PoStRound,
    first_rank: u64,
    vanilla: &[VanillaPoSt],
) -> Result<Vec<u8>, Error> {
    let shape = PoStShape::new(round.config().kind, round.config().params);
    let sectors: Vec<_> =
        vanilla.iter().map(|vanilla| PublicSector { sector_id: vanilla.sector_id, comm_r: vanilla.comm_r }).collect();
    let inputs = inputs(round, first_rank, &sectors)?;
    let prover = Prover::open(job, &param_id(round.config())?, &shape.blank())?;
    let partitions: Vec<_> = vanilla.chunks(round.config().partition_sectors()).collect();
    let circuit = |partition: usize| {
        let slots = slots(round.config(), partitions[partition])?;
        Ok(PoStCircuit::new(shape, slots).map_err(PoStError::from)?)
    };
    prover.prove_all(job, 0..partitions.len(), &inputs, &Resume::NONE, circuit)
}

/// What the circuit reads of a partition's vanilla proofs.
fn slots(config: &PoStConfig, vanilla: &[VanillaPoSt]) -> Result<Vec<SlotWitness>, NonCanonical> {
    let leaf = |proof: &MerkleProof| Ok(LeafWitness { leaf: from_node(proof.leaf())?, path: Level::all(proof)? });
    let slot = |comm_r: &Node, vanilla: &VanillaPoSt, proofs: &[MerkleProof]| {
        Ok(SlotWitness {
            comm_r: from_node(comm_r)?,
            comm_c: from_node(&vanilla.proof.comm_c)?,
            comm_r_last: from_node(&vanilla.proof.comm_r_last)?,
            leaves: proofs.iter().map(leaf).collect::<Result<_, _>>()?,
        })
    };
    // A winning proof is one sector, a challenge to a slot.
    let proofs_in_slot = match config.kind {
        PoStKind::Winning => 1,
        PoStKind::Window => config.challenges(),
    };
    vanilla
        .iter()
        .flat_map(|vanilla| {
            let chunks = vanilla.proof.inclusion_proofs.chunks(proofs_in_slot);
            chunks.map(move |proofs| slot(&vanilla.comm_r, vanilla, proofs))
        })
        .collect()
}

/// Public inputs of every partition, without ONE.
fn inputs(round: &PoStRound, first_rank: u64, sectors: &[PublicSector]) -> Result<Vec<Vec<Fr>>, PoStError> {
    let config = round.config();
    let shape = PoStShape::new(config.kind, config.params);
    let ranked: Vec<(u64, &PublicSector)> = (first_rank..).zip(sectors).collect();
    let slots = |(rank, sector): &(u64, &PublicSector)| {
        let comm_r = commitment(sector)?;
        let leaves = round.leaves(sector.sector_id, *rank);
        Ok(leaves.chunks(shape.challenges).map(|leaves| SlotInputs { comm_r, leaves: leaves.to_vec() }).collect())
    };
    let partition = |sectors: &[(u64, &PublicSector)]| {
        let slots = sectors.iter().map(slots).collect::<Result<Vec<Vec<_>>, PoStError>>()?;
        Ok(public_inputs(&shape, &slots.concat()))
    };
    ranked.chunks(config.partition_sectors()).map(partition).collect()
}

fn commitment(sector: &PublicSector) -> Result<Fr, PoStError> {
    let PublicSector { sector_id, comm_r } = *sector;
    let failed = |source| PoStError::Commitment { sector_id, source };
    if comm_r == [0; 32] {
        return Err(failed(CommitmentError::Zero("comm_r")));
    }
    from_node(&comm_r).map_err(|source| failed(CommitmentError::NonCanonical { what: "comm_r", source }))
}

fn param_id(config: &PoStConfig) -> Result<ParamId, Error> {
    let circuit = match config.kind {
        PoStKind::Winning => CircuitKind::Winning,
        PoStKind::Window => CircuitKind::Window,
    };
    Ok(ParamId::new(config.profile, circuit, config.params.size_bytes)?)
}

/// Accepts a winning proof of a sector, or says why not. Whether the sector was the one to win is for the caller.
///
/// # Errors
/// [`Error`]; [`Error::is_rejection`] tells a proof that is wrong from a check that could not be made.
pub fn verify_winning(job: &Job<'_>, round: &PoStRound, sector: &PublicSector, proof: &[u8]) -> Result<(), Error> {
    let _span = info_span!("verify_winning", sector = sector.sector_id, size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Winning)?;
    verify(job, round, 0, std::slice::from_ref(sector), proof)
}

/// Accepts a window proof of sectors, or says why not.
///
/// # Errors
/// As [`verify_winning`]; also for no sectors and doubles.
pub fn verify_window(job: &Job<'_>, round: &PoStRound, sectors: &[PublicSector], proof: &[u8]) -> Result<(), Error> {
    let _span = info_span!("verify_window", sectors = sectors.len(), size = round.config().params.name).entered();
    expect_kind(round, PoStKind::Window)?;
    verify(job, round, 0, &ascending(sectors.to_vec())?, proof)
}

/// Accepts the proof of a partition on its own, or says why not.
///
/// # Errors
/// As [`verify_window`]; also for more sectors than a partition has.
pub fn verify_window_partition(
    job: &Job<'_>,
    round: &PoStRound,
    partition: u64,
    sectors: &[PublicSector],
    proof: &[u8],
) -> Result<(), Error> {
    let _span = info_span!("verify_window", partition, sectors = sectors.len()).entered();
    expect_kind(round, PoStKind::Window)?;
    let rank = first_rank(round, partition, sectors.len())?;
    verify(job, round, rank, &ascending(sectors.to_vec())?, proof)
}

fn verify(
    job: &Job<'_>,
    round: &PoStRound,
    first_rank: u64,
    sectors: &[PublicSector],
    proof: &[u8],
) -> Result<(), Error> {
    let inputs = inputs(round, first_rank, sectors)?;
    let proofs = Proof::many_from_bytes(proof, inputs.len())?;
    let store = ParamStore::new(&job.config.parameter_cache);
    let key = store.verifying_key_for(&param_id(round.config())?, inputs.first().map_or(0, Vec::len))?;
    Ok(Verifier::new(&key).verify_all(&proofs, &inputs)?)
}
