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
//! Several proofs over one circuit are made together ([`Batch`]), so that each section of the parameter file, which is far
//! larger than anything else that is read, is read once for all of them (`sums`).
//!
//! Source: `spec/snark.md` 3.3, 6.3, 6.4.

use ff::Field;
use rand_core::OsRng;

use super::batch::Batch;
use super::density::Density;
use super::key::{KeyError, ParamsFile, Section};
use super::proof::Proof;
use super::quotient::least_on_disk;
use super::rows::Rows;
use super::scratch::ScratchError;
use crate::backend::BackendError;
use crate::backend::cpu::ntt::{Domain, DomainTooLarge};
use crate::circuit::Witness;
use crate::field::Fr;
use crate::job::{Cancelled, Job};

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
    witness: Witness,
    secrets: [Fr; 2],
) -> Result<Proof, ProveError> {
    let mut batch = Batch::new(job, params, density, 1)?;
    batch.add(rows, witness, secrets)?;
    let proof = batch.finish()?.pop();
    // There is one.
    proof.ok_or(ProveError::Unsatisfied)
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

pub(super) fn check_lengths(density: &Density, rows: &Rows<'_>, witness: &Witness) -> Result<(), ProveError> {
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
