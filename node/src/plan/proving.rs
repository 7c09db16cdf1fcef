//! Phases that make or check SNARKs: C2, verification, winning and window PoSt.

use std::iter::successors;

use filecash_engine::backend::cpu::ntt::Domain;
use filecash_engine::backend::cpu::sums::{MultiplesCost, PointGroup};
use filecash_engine::calibrate::{CircuitRates, PointRates};
use filecash_engine::circuit::{PoRepShape, PoStShape};
use filecash_engine::groth16::{
    Counts, Footprint, LeastMemory, Section, Together, Waiting, bucket_bytes, least_memory, window_bytes,
};
use filecash_engine::sector::params::{WINDOW_CHALLENGES, WINNING_CHALLENGES};
use filecash_engine::sector::{Feature, PoStKind, Profile};

use crate::config::PROGRAM_BYTES;

use super::{Lifetime, NODE, Needs, Phase, Place, Question, budget_text};

/// Bytes of one partition's proof.
const PROOF_BYTES: u64 = 192;
/// Share of ones among a PoRep's variables that are bits (`spec/snark.md` 6.4, measured).
const ONES: f64 = 0.479;
/// Bytes of a compact list for each of its elements, with a map of minus ones and without.
const COMPACT: f64 = 20.0 / 64.0;
const COMPACT_SIGNED: f64 = 28.0 / 64.0;
/// Wide values of A, B and C of a PoRep for each wide variable (`spec/snark.md` 6.3, measured).
const WIDE_ROWS: [f64; 3] = [1.05, 0.74, 1.05];
/// Bytes of a PoSt's circuit in memory for each of its constraints, its instances and its variables in A and B as bits, and of its
/// templates (measured).
const POST_CIRCUIT: [f64; 2] = [0.35, 3e5];
/// Of a PoRep's: bits for each variable, and what instances take for each constraint; templates, and those of each layer (measured).
const DENSITY: f64 = 0.25;
const FILECOIN_CIRCUIT: [f64; 3] = [0.137, 5.96e6, 1.21e6];
const FILECASH_CIRCUIT: [f64; 3] = [0.07, 10.3e6, 3.64e6];

/// Additions that a multiple takes, about.
const ADDITIONS_OF_A_MULTIPLE: f64 = 16.0;

/// A circuit that is to be proven.
struct Circuit {
    counts: Counts,
    /// Of a PoRep the network and the layers; its values are mostly bits.
    seal: Option<(Profile, usize)>,
}

impl Circuit {
    fn porep(question: &Question<'_>) -> Self {
        let shape = PoRepShape::new(question.config.profile, question.params());
        Self { counts: Counts::porep(&shape), seal: Some((question.config.profile, question.params().layers)) }
    }

    fn post(question: &Question<'_>, kind: PoStKind) -> Self {
        Self { counts: Counts::post(&PoStShape::new(kind, question.params())), seal: None }
    }

    fn is_bits(&self) -> bool {
        self.seal.is_some()
    }

    /// Bytes of the circuit itself in memory.
    fn shape_bytes(&self) -> u64 {
        let constraints = self.counts.constraints as f64;
        let bytes = match self.seal {
            None => POST_CIRCUIT[0] * constraints + POST_CIRCUIT[1],
            Some((profile, layers)) => {
                let [instances, templates, of_a_layer] = match profile {
                    Profile::Filecoin => FILECOIN_CIRCUIT,
                    Profile::Filecash => FILECASH_CIRCUIT,
                };
                DENSITY * self.counts.aux as f64 + instances * constraints + templates + of_a_layer * layers as f64
            }
        };
        bytes as u64
    }

    /// Bytes of one vector of the domain.
    fn vector_bytes(&self) -> u64 {
        self.counts.domain() * NODE
    }

    /// Bytes of the witness, and of the evaluations that are kept beside it.
    fn compact_bytes(&self) -> [u64; 2] {
        let (aux, wide, rows) = (self.counts.aux as f64, self.counts.wide as f64, self.counts.constraints as f64);
        let witness = COMPACT * aux + NODE as f64 * wide;
        let evaluations = match self.is_bits() {
            false => 0.0,
            true => {
                let maps = (COMPACT + 2.0 * COMPACT_SIGNED) * rows;
                maps + NODE as f64 * wide * WIDE_ROWS.iter().sum::<f64>()
            }
        };
        [witness as u64, evaluations as u64]
    }

    /// What the prover asks for before it begins, with its vectors in memory, and in files.
    fn least_memory(&self, domain: &Domain, threads: usize) -> [u64; 2] {
        let compact = self.compact_bytes().iter().sum();
        let LeastMemory { in_memory, on_disk } = least_memory(domain, compact, threads);
        [in_memory, on_disk.unwrap_or(in_memory)]
    }

    /// How many of so many proofs are made together, the first ones, and how many times the parameters are read for them all.
    fn together(&self, domain: &Domain, threads: usize, budget: u64, proofs: u64) -> (Together, u64) {
        let [witness, rows] = self.compact_bytes();
        let begin = |left: u64| {
            let together = Together::plan(domain, Footprint { witness, rows }, threads, budget, left as usize);
            together.unwrap_or(Together { proofs: 1, waiting: Waiting::AllInFiles })
        };
        let rest = successors(Some(proofs), |left| Some(left.saturating_sub(begin(*left).proofs as u64)));
        (begin(proofs), rest.take_while(|left| *left > 0).count() as u64)
    }

    /// Variables of a section that are one, and that are wide.
    fn scalars(&self, section: Section) -> [f64; 2] {
        let points = self.counts.points(section) as f64;
        let wide = self.counts.wide as f64;
        let wide = match section {
            Section::H => points,
            Section::L => wide,
            // As many of them as there are among the variables of a level.
            Section::A => wide * 407.0 / 537.0,
            _ => wide * 389.0 / 537.0,
        };
        let ones = if section == Section::H || !self.is_bits() { 0.0 } else { ONES * (points - wide) };
        [ones, wide.min(points)]
    }

    /// The most memory that the sums of so many proofs over a section take, of so much: windows and buckets.
    fn sum_bytes(&self, section: Section, proofs: usize, working: u64) -> u64 {
        let windows = window_bytes(section, self.counts.points(section), proofs, working);
        windows + proofs as u64 * self.multiples(section, proofs, working).bytes
    }

    /// What is multiplied in one sum of them.
    fn multiples(&self, section: Section, proofs: usize, working: u64) -> MultiplesCost {
        let group = if section == Section::B2 { PointGroup::G2 } else { PointGroup::G1 };
        let buckets = bucket_bytes(section, self.counts.points(section), proofs, working);
        MultiplesCost::new(group, self.scalars(section)[1] as usize, buckets)
    }
}

impl Question<'_> {
    /// Adds what so many proofs of a circuit need for each of some sectors, with one set of parameters.
    fn prove(&self, needs: &mut Needs, circuit: &Circuit, sectors: u64, partitions: u64) {
        let counts = &circuit.counts;
        // There are circuits of more rows than there are roots of unity nowhere.
        let Ok(domain) = Domain::at_least(counts.domain() as usize) else { return };
        let [witness, evaluations] = circuit.compact_bytes();
        let (vector, threads) = (circuit.vector_bytes(), self.rates.threads);
        let [in_memory, on_disk] = circuit.least_memory(&domain, threads);
        // The counts of what is not a bit are within a thousandth, the circuit's bytes within a few hundredths.
        needs.least_memory_bytes = on_disk + on_disk / 50;
        // A budget that is too small is planned as if it were the least one.
        let circuit_bytes = circuit.shape_bytes();
        needs.besides_bytes += circuit_bytes;
        let budget = self.working_bytes().saturating_sub(circuit_bytes).max(on_disk);
        let (together, passes) = circuit.together(&domain, threads, budget, partitions);
        let Together { proofs: at_once, waiting } = together;
        let others = at_once as u64 - 1;
        // The coefficients of H are there while it is summed, unless they are in a file; a second vector's place is free.
        let (others_kept, kept) = match waiting {
            Waiting::Memory => (others * vector, at_once as u64 * vector),
            Waiting::Files => (0, vector),
            Waiting::AllInFiles => (0, 0),
        };
        let witnesses = at_once as u64 * witness;
        let working = budget.saturating_sub(witnesses + kept);
        let transforms = match waiting {
            Waiting::AllInFiles => budget,
            _ => others * witness + others_kept + 2 * vector + witness + evaluations,
        };
        let sum_h = kept + witnesses + circuit.sum_bytes(Section::H, at_once, working);
        let proofs = (sectors * partitions) as f64;
        if waiting == Waiting::AllInFiles {
            // As often as a proof's table of passes says; values that are wide are written before they are transformed.
            let [read, written] = if circuit.is_bits() { [7.0, 7.0] } else { [10.0, 10.0] };
            needs.read_bytes += (proofs * read * vector as f64) as u64;
            needs.written_bytes += (proofs * written * vector as f64) as u64;
            needs.notes.push(format!(
                "vectors in files, for lack of memory; in memory with --max-ram {}",
                budget_text(in_memory.saturating_add(circuit_bytes + PROGRAM_BYTES))
            ));
        }
        if waiting == Waiting::Files {
            // All but the last of each pass.
            let put_away = sectors * (partitions - passes.min(partitions)) * vector;
            needs.read_bytes += put_away;
            needs.written_bytes += put_away;
        }
        let in_files = together.vectors_in_files() as u64 * vector;
        if in_files > 0 {
            needs.file("vectors of proofs", Place::Scratch, Lifetime::Temporary, in_files);
        }
        if at_once > 1 {
            needs.notes.push(format!(
                "up to {at_once} proofs at once, so that {partitions} of them read the parameters {}",
                if passes == 1 { "once".to_owned() } else { format!("{passes} times") }
            ));
        }
        let other_sums = [Section::L, Section::A, Section::B1, Section::B2]
            .map(|section| circuit.sum_bytes(section, at_once, working));
        let sum_others = witnesses + other_sums.into_iter().max().unwrap_or(0);
        needs.working_bytes = transforms.max(sum_h).max(sum_others);
        let parameters = counts.parameter_bytes();
        needs.parameter_bytes += sectors * passes * parameters;
        needs.read_bytes += sectors * passes * parameters;
        needs.file("parameters, for all sectors", Place::ParameterCache, Lifetime::Stays, parameters);

        let (constraints, aux) = (counts.constraints as f64, counts.aux as f64);
        let CircuitRates { recorded, witness, evaluated } =
            if circuit.is_bits() { self.rates.bits } else { self.rates.wide };
        needs.term("constraints recorded, once", constraints, recorded);
        needs.term("variables given values, one core", proofs * aux, witness);
        needs.term("constraints evaluated", proofs * constraints, evaluated);
        let phase = needs.phase;
        let transform = self.shared(phase, self.rates.transform, |device| device.transform);
        needs.term("elements of six transforms", proofs * 6.0 * counts.domain() as f64, transform);
        for section in Section::PROVING {
            let PointRates { ones, additions } = if section == Section::B2 { self.rates.g2 } else { self.rates.g1 };
            let [taken_once, multiplied] = circuit.scalars(section);
            // Of a device is known what it does with random scalars; one taken once costs an addition, not all of them.
            let points = multiplied + taken_once / ADDITIONS_OF_A_MULTIPLE;
            let additions_of_all = circuit.multiples(section, at_once, working).additions as f64;
            let alone = points / ((taken_once + multiplied) / ones + additions_of_all / additions);
            let together =
                self.shared(phase, alone, |device| if section == Section::B2 { device.g2 } else { device.g1 });
            if together != alone {
                needs.term(format!("points of {section} multiplied and added, on devices"), proofs * points, together);
                continue;
            }
            needs.term(format!("points of {section} decoded and added"), proofs * (taken_once + multiplied), ones);
            needs.term(format!("additions to buckets of {section}"), proofs * additions_of_all, additions);
        }
        needs.term("proofs verified before they are handed out", proofs, self.rates.verify.proofs);
    }

    pub(super) fn c2(&self) -> Needs {
        let mut needs = Needs::new(Phase::C2);
        let circuit = Circuit::porep(self);
        let (partitions, challenges) = self.partitions();
        let all = self.sectors_f() * challenges as f64;
        let (hashes, labels) = self.opened(all);
        let alone = self.rates.poseidon_alone * self.threads();
        needs.term("vanilla proofs checked: hashes, Poseidon of 8", hashes, alone);
        needs.term("vanilla proofs checked: labels", labels, self.rates.labels * self.threads());
        self.prove(&mut needs, &circuit, self.sectors, partitions);
        let proof = if self.config.feature == Feature::NonInteractive { 0 } else { partitions * PROOF_BYTES };
        needs.file("proof", Place::Sector, Lifetime::Stays, self.sectors * proof);
        if self.config.feature == Feature::NonInteractive {
            needs.notes.push("without the aggregation of the partitions at the end".to_owned());
        }
        needs
    }

    pub(super) fn verify(&self) -> Needs {
        let mut needs = Needs::new(Phase::Verify);
        let circuit = Circuit::porep(self);
        let (partitions, _) = self.partitions();
        let key = 96 * circuit.counts.inputs;
        // Points of the key, and multiples of them.
        needs.besides_bytes = 32 * key;
        needs.read_bytes = self.sectors * key;
        let proofs = self.sectors_f() * partitions as f64;
        needs.term("proofs", proofs, self.rates.verify.proofs);
        needs.term(
            "inputs, with their points",
            self.sectors_f() * circuit.counts.inputs as f64,
            self.rates.verify.inputs,
        );
        needs
    }

    pub(super) fn winning_post(&self) -> Needs {
        let mut needs = Needs::new(Phase::WinningPost);
        self.post(&mut needs, PoStKind::Winning, 1, WINNING_CHALLENGES as f64);
        needs
    }

    pub(super) fn window_post(&self) -> Needs {
        let mut needs = Needs::new(Phase::WindowPost);
        let in_a_partition = self.params().window_sectors as u64;
        let partitions = self.sectors.div_ceil(in_a_partition);
        self.post(&mut needs, PoStKind::Window, partitions, self.sectors_f() * WINDOW_CHALLENGES as f64);
        let what = if partitions == 1 { "partition" } else { "partitions" };
        needs.notes.push(format!(
            "{partitions} {what} of {in_a_partition} sectors, which cost the same when they are not full"
        ));
        needs
    }

    /// A proof of space-time: leaves are opened and checked, then each partition is proven.
    fn post(&self, needs: &mut Needs, kind: PoStKind, partitions: u64, challenges: f64) {
        let levels = self.geometry().base().count() as f64;
        // The leaves around a challenge make a subtree whose row is in no file.
        let leaves = 8_u64.pow(1 + self.geometry().rows_to_discard(self.rows_to_discard) as u32);
        needs.read_bytes = (challenges * (leaves * NODE).max(4096) as f64) as u64;
        let alone = self.rates.poseidon_alone * self.threads();
        needs.term(
            "leaves opened and checked: hashes, Poseidon of 8",
            challenges * (self.rebuilt() + 2.0 * levels),
            alone,
        );
        self.prove(needs, &Circuit::post(self, kind), 1, partitions);
    }
}
