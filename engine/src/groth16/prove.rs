//! The prover.
//!
//! From a witness z and random r, s: `h(X) = (a(X) b(X) − c(X)) / Z(X)`, then
//! `A = α + Σ z_v A_v + r δ` and `B = β + Σ z_v B_v + s δ` (in G2, and in G1 as B₁) and
//! `C = Σ_aux z_v L_v + Σ h_i H_i + s A + r B₁ − r s δ`.
//!
//! h comes from two vectors and six transforms (`quotient`), in memory or, under a smaller budget, in files.
//!
//! Where most of a circuit's values are wide, its evaluations are computed one matrix at a time, straight into these
//! vectors ([`Rows::Shape`]); a circuit of bits keeps them compact ([`Rows::Compact`]).
//!
//! Each section of the parameter file is read once, in windows. Of L, A and B, whose scalars are the witness, points of
//! zeros are not even decoded, points of ones are added up, and only the others go through the bucket method.
//!
//! Source: `spec/snark.md` 3.3, 6.3, 6.4.

use blstrs::{G1Projective, G2Projective};
use ff::Field;
use group::Curve;
use rand_core::OsRng;

use super::density::Density;
use super::key::{KeyError, KeyProblem, ParamsFile, Section};
use super::proof::Proof;
use super::quotient::{self, Quotient, least_on_disk};
use super::rows::Rows;
use super::scratch::ScratchError;
use crate::backend::cpu::ntt::{Domain, DomainTooLarge};
use crate::backend::points::{PointBlock, PointBlocks, SumPlan};
use crate::backend::{Backend, BackendError};
use crate::circuit::values::Class;
use crate::circuit::{Values, Witness};
use crate::field::Fr;
use crate::job::{Cancelled, Job, Stage, Unit};

/// Bytes of a window of a parameter file, at most.
const WINDOW_BYTES: u64 = 8 << 20;
/// Windows in memory at a time: one read, one in use, its decoded points and what is collected of them.
const WINDOWS: u64 = 5;
/// A section is read in so many windows at least, unless they would be of fewer points than [`MIN_WINDOW`].
const WINDOWS_OF_A_SECTION: usize = 32;
/// Points of a window at least, where there are so many.
const MIN_WINDOW: usize = 1 << 9;
/// Least memory for windows and buckets.
pub const MIN_WORKING: u64 = 8 << 20;

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ProveError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Domain(#[from] DomainTooLarge),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(
        "wrong parameters for this circuit: section {section} has {actual} points, the circuit asks for {expected}"
    )]
    WrongParameters { section: Section, expected: u64, actual: u64 },
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error("{actual} {what}, the circuit has {expected}")]
    Counts { what: &'static str, expected: usize, actual: usize },
    #[error("input 0 is not 1")]
    One,
    #[error("the witness does not satisfy the circuit")]
    Unsatisfied,
    #[error("a proof needs {} bytes more than the memory budget leaves it", needed - available)]
    Memory { needed: u64, available: u64 },
}

/// Memory that a proof takes at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastMemory {
    /// With both vectors in memory: the fast way.
    pub in_memory: u64,
    /// With vectors in files; none for a domain that is too small to be cut, and for files to be worth it.
    pub on_disk: Option<u64>,
}

/// What a proof over a domain takes at least on so many threads, when its witness and evaluations take `compact_bytes`.
pub fn least_memory(domain: &Domain, compact_bytes: u64, threads: usize) -> LeastMemory {
    let vector_bytes = (domain.size() * size_of::<Fr>()) as u64;
    LeastMemory {
        in_memory: compact_bytes + 2 * vector_bytes + MIN_WORKING.max(domain.buffer_bytes(threads)),
        on_disk: domain.can_be_cut().then(|| compact_bytes + MIN_WORKING.max(least_on_disk(domain))),
    }
}

/// Fresh r and s for one proof, from the system's generator.
pub fn random_secrets() -> [Fr; 2] {
    [Fr::random(&mut OsRng), Fr::random(&mut OsRng)]
}

/// Makes the proof that belongs to a witness and to r and s, which must be random ([`random_secrets`]) and never used
/// twice.
///
/// `rows` are `A·z`, `B·z` and `C·z` over the circuit's own constraints, or the circuit itself.
///
/// # Errors
/// [`ProveError`]; a witness that does not satisfy the circuit is among them.
pub fn prove<'a>(
    job: &Job<'_>,
    params: &ParamsFile,
    density: &Density,
    rows: impl Into<Rows<'a>>,
    witness: &Witness,
    r: Fr,
    s: Fr,
) -> Result<Proof, ProveError> {
    let rows = rows.into();
    check_counts(params, density)?;
    check_lengths(density, &rows, witness)?;
    let domain = Domain::at_least(density.rows())?;
    let compact_bytes = (witness.aux.memory_bytes() + rows.memory_bytes()) as u64;
    let least = least_memory(&domain, compact_bytes, rayon::current_num_threads());
    let available = job.config.memory_bytes;
    let (quotient, working) = if available >= least.in_memory {
        let vector_bytes = (domain.size() * size_of::<Fr>()) as u64;
        // The second vector is free again.
        (quotient::in_memory(job, &domain, rows, witness)?, available - compact_bytes - vector_bytes)
    } else {
        let needed = least.on_disk.unwrap_or(least.in_memory);
        let Some(working) = available.checked_sub(compact_bytes).filter(|_| available >= needed) else {
            return Err(ProveError::Memory { needed, available });
        };
        tracing::info!(
            budget = available,
            in_memory = least.in_memory,
            "too little memory for two vectors: transforms in files"
        );
        (quotient::on_disk(job, &domain, rows, witness, working)?, working)
    };

    let total = Section::PROVING.iter().map(|section| params.count(*section)).sum();
    let sums = Sums {
        params,
        backend: &*job.config.backend,
        stage: job.stage("sums over points", Unit::Items, total),
        working,
    };
    let h = sums.h(&quotient)?;
    drop(quotient);
    let inputs = || witness.inputs.iter().map(classify);
    let l = sums.g1(Section::L, all(&witness.aux))?;
    let a = sums.g1(Section::A, inputs().chain(chosen(&witness.aux, density.a_aux.iter())))?;
    let b_scalars = || {
        let inputs = density.b_inputs.iter().map(|index| classify(&witness.inputs[index]));
        inputs.chain(chosen(&witness.aux, density.b_aux.iter()))
    };
    let b1 = sums.g1(Section::B1, b_scalars())?;
    let b2 = sums.g2(Section::B2, b_scalars())?;

    let key = params.verifying_key();
    let a = a + key.alpha_g1 + key.delta_g1 * r;
    let b1 = b1 + key.beta_g1 + key.delta_g1 * s;
    let b = b2 + key.beta_g2 + key.delta_g2 * s;
    let c = l + h + a * s + b1 * r - key.delta_g1 * (r * s);
    Ok(Proof { a: a.to_affine(), b: b.to_affine(), c: c.to_affine() })
}

/// Checks that parameters have as many points as a circuit needs.
///
/// # Errors
/// [`ProveError::WrongParameters`] naming the first section that has not.
pub fn check_counts(params: &ParamsFile, density: &Density) -> Result<(), ProveError> {
    let domain = Domain::at_least(density.rows())?;
    let expected = [
        (Section::Ic, density.inputs),
        (Section::H, domain.size() - 1),
        (Section::L, density.aux),
        (Section::A, density.a_points()),
        (Section::B1, density.b_points()),
        (Section::B2, density.b_points()),
    ];
    for (section, expected) in expected {
        let (expected, actual) = (expected as u64, params.count(section));
        if expected != actual {
            return Err(ProveError::WrongParameters { section, expected, actual });
        }
    }
    Ok(())
}

fn check_lengths(density: &Density, rows: &Rows<'_>, witness: &Witness) -> Result<(), ProveError> {
    let [a, b, c] = rows.lens();
    for (what, expected, actual) in [
        ("inputs", density.inputs, witness.inputs.len()),
        ("aux variables", density.aux, witness.aux.len()),
        ("evaluations of A", density.constraints, a),
        ("evaluations of B", density.constraints, b),
        ("evaluations of C", density.constraints, c),
    ] {
        if expected != actual {
            return Err(ProveError::Counts { what, expected, actual });
        }
    }
    if witness.inputs.first() == Some(&Fr::ONE) { Ok(()) } else { Err(ProveError::One) }
}

/// A scalar of the witness by kind.
enum Scalar {
    Zero,
    One,
    Wide(Fr),
}

fn classify(value: &Fr) -> Scalar {
    if *value == Fr::ZERO {
        Scalar::Zero
    } else if *value == Fr::ONE {
        Scalar::One
    } else {
        Scalar::Wide(*value)
    }
}

fn at(values: &Values, index: usize) -> Scalar {
    match values.class(index) {
        Class::Zero => Scalar::Zero,
        Class::One => Scalar::One,
        Class::Wide => Scalar::Wide(values.get(index)),
    }
}

fn all(values: &Values) -> impl Iterator<Item = Scalar> + '_ {
    (0..values.len()).map(|index| at(values, index))
}

fn chosen(values: &Values, indices: impl Iterator<Item = usize>) -> impl Iterator<Item = Scalar> {
    indices.map(|index| at(values, index))
}

/// Points of a window of a section with `count` points, when there is so much memory for windows and buckets.
fn window_points(section: Section, count: usize, working: u64) -> usize {
    // Decoded, in limbs of 52 bits, a point takes a third more.
    let point = (section.point_bytes() + section.point_bytes() / 3) as u64;
    let most = ((working / 2 / WINDOWS).min(WINDOW_BYTES) / point).max(1) as usize;
    most.min((count / WINDOWS_OF_A_SECTION).max(MIN_WINDOW))
}

/// Bytes of all windows that are in memory at a time, of what there is for windows and buckets.
pub fn window_bytes(section: Section, count: u64, working: u64) -> u64 {
    WINDOWS * (window_points(section, count as usize, working) * section.point_bytes()) as u64
}

/// The sums over the sections of a file.
struct Sums<'a> {
    params: &'a ParamsFile,
    backend: &'a dyn Backend,
    stage: Stage<'a>,
    /// Bytes for windows and buckets.
    working: u64,
}

impl Sums<'_> {
    /// A sum over a section; `fill` says what becomes of the points of a block, whose number it is given.
    fn section<G>(
        &self,
        section: Section,
        mut fill: impl FnMut(&mut PointBlock, usize) -> Result<(), ScratchError> + Send,
        sum: impl FnOnce(&SumPlan, &mut PointBlocks<'_>) -> Result<G, BackendError>,
    ) -> Result<G, ProveError> {
        let points = self.params.count(section) as usize;
        let window = window_points(section, points, self.working);
        let plan = SumPlan { points, memory_bytes: self.working - WINDOWS * (window * section.point_bytes()) as u64 };
        let prepare = |first, bytes: Vec<u8>| {
            let count = bytes.len() / section.point_bytes();
            let mut block = PointBlock { first, bytes, ..PointBlock::default() };
            fill(&mut block, count)?;
            self.stage.advance(count as u64)?;
            Ok::<_, ProveError>(block)
        };
        self.params.blocks(section, window, prepare, |blocks| sum(&plan, blocks))?.map_err(|error| match error {
            BackendError::Point { index, problem } => {
                self.params.error(KeyProblem::Point { section, index, problem }).into()
            }
            error => error.into(),
        })
    }

    /// `Σ h_i H_i`.
    fn h(&self, quotient: &Quotient) -> Result<G1Projective, ProveError> {
        let fill = |block: &mut PointBlock, count: usize| {
            block.multiples = (0..count as u32).collect();
            block.scalars = quotient.read(block.first as usize, count)?;
            Ok(())
        };
        self.section(Section::H, fill, |plan, blocks| self.backend.sum_g1(plan, blocks))
    }

    /// `Σ z_v P_v` over a section whose scalars are parts of the witness, in file order.
    fn g1(&self, section: Section, scalars: impl Iterator<Item = Scalar> + Send) -> Result<G1Projective, ProveError> {
        self.section(section, by_kind(scalars), |plan, blocks| self.backend.sum_g1(plan, blocks))
    }

    /// As [`Self::g1`], in G2.
    fn g2(&self, section: Section, scalars: impl Iterator<Item = Scalar> + Send) -> Result<G2Projective, ProveError> {
        self.section(section, by_kind(scalars), |plan, blocks| self.backend.sum_g2(plan, blocks))
    }
}

/// Gives the next points their scalars.
fn by_kind(
    mut scalars: impl Iterator<Item = Scalar> + Send,
) -> impl FnMut(&mut PointBlock, usize) -> Result<(), ScratchError> + Send {
    move |block, count| {
        for (index, scalar) in (0..count as u32).zip(&mut scalars) {
            match scalar {
                Scalar::Zero => {}
                Scalar::One => block.ones.push(index),
                Scalar::Wide(scalar) => {
                    block.multiples.push(index);
                    block.scalars.push(scalar);
                }
            }
        }
        Ok(())
    }
}
