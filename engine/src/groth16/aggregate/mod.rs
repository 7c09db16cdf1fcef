//! SnarkPack: n Groth16 proofs of one key as one proof of logarithmic size.
//!
//! With a random ρ the n equations `e(A_i, B_i) = e(α, β) · e(Σ_i, γ) · e(C_i, δ)` become one in two sums that the prover
//! hands over: `Π e(A_i, B_i)^(ρⁱ)` and `Σ ρⁱ C_i`. That these belong to A, B, C, to which the prover is committed by
//! pairings with the keys `v_i = h^(aⁱ), h^(bⁱ)` and `w_i = g^(a^(n+i)), g^(b^(n+i))`, is shown by folding the vectors in
//! half log₂ n times under challenges x and 1/x (an inner-product argument, GIPA); that the folded keys are the right ones
//! by two polynomial openings (KZG).
//!
//! - `transcript`: the challenges, from SHA-256 over everything said so far;
//! - `polynomial`: f_v and f_w, whose values are the folded keys;
//! - [`prove()`]: the prover; [`verify()`]: the verifier; [`proof`]: the bytes.
//!
//! Two versions differ in when the first challenge is drawn and in what the last one sees.
//!
//! Source: `spec/snark.md` 5.4; N. Gailly, M. Maller, A. Nitulescu, "SnarkPack: practical SNARK aggregation" (2021).

mod polynomial;
pub mod proof;
mod prove;
mod transcript;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;

pub use proof::{AggregateProof, FormatError, Round};
pub use prove::prove;
pub use verify::verify;

use super::srs::SrsError;
use crate::job::Cancelled;

/// Which of the two transcripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Registered as 0.
    V1,
    /// Registered as 1.
    V2,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The number 1 or 2.
    pub fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The version of this number.
    pub fn by_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnarkPack version {}", self.number())
    }
}

/// Why proofs were not aggregated, or an aggregate not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AggregateError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Srs(#[from] SrsError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("{actual} proofs to aggregate: their number has to be a power of two from 2 to {}", proof::MAX_PROOFS)]
    Count { actual: usize },
    #[error("the reference string in memory is for {available} proofs, {needed} are to be aggregated")]
    SmallSrs { needed: usize, available: usize },
    /// Proofs chosen so that they cancel out; honest ones do not in the lifetime of the universe.
    #[error("the proofs cancel each other out, and 1 in Gt has no encoding")]
    Degenerate,
    /// Says nothing about the proof: the key is of another circuit.
    #[error("wrong key: it is for {expected} public inputs, {actual} were given")]
    WrongKey { expected: usize, actual: usize },
    #[error("the aggregate is of {aggregated} proofs, {statements} statements need {padded}")]
    Statements { aggregated: usize, statements: usize, padded: usize },
    #[error("the aggregate does not satisfy the verification equations")]
    Unsatisfied,
}

/// Proofs of an aggregate of `len` statements: the next power of two, at least 2.
pub fn padded_len(len: usize) -> usize {
    len.max(2).checked_next_power_of_two().unwrap_or(usize::MAX)
}
