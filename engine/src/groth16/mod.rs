//! Groth16 over BLS12-381: keys, set-up, prover, verifier.
//!
//! Keys and proofs are those of bellman 0.14, byte for byte. Source: `spec/snark.md` 3 to 6.

pub mod density;
pub mod key;
pub mod proof;
pub mod prove;
pub mod setup;
pub mod verify;

#[cfg(test)]
mod tests;

pub use density::Density;
pub use key::{KeyError, ParamsFile, Section, VerifyingKey};
pub use proof::{Proof, ProofError};
pub use prove::{ProveError, Rows, check_counts, prove, random_secrets};
pub use setup::{SetupError, Toxic, setup};
pub use verify::{Verifier, VerifyError};
