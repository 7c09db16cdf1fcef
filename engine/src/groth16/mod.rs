//! Groth16 over BLS12-381: keys, set-up, prover, verifier, aggregation.
//!
//! Keys and proofs are those of bellman 0.14, byte for byte. Source: `spec/snark.md` 3 to 6.

pub mod aggregate;
pub mod batch;
pub mod counts;
pub mod density;
pub mod key;
pub mod proof;
pub mod prove;
mod quotient;
mod rows;
mod scratch;
pub mod setup;
pub mod simulate;
pub mod srs;
mod sums;
pub mod verify;

#[cfg(test)]
mod tests;

pub use aggregate::{AggregateError, AggregateProof, Version};
pub use batch::{Batch, Footprint, Together, Waiting};
pub use counts::Counts;
pub use density::Density;
pub use key::{KeyError, ParamsFile, Section, VerifyingKey};
pub use proof::{PROOF_BYTES, Proof, ProofError};
pub use prove::{LeastMemory, ProveError, check_counts, least_memory, prove, random_secrets};
pub use rows::Rows;
pub use scratch::ScratchError;
pub use setup::{SetupError, Toxic, setup};
pub use simulate::Simulator;
pub use srs::{SRS_FILE_NAME, SrsError, SrsFile, SrsSecrets, setup_srs};
pub use sums::{bucket_bytes, window_bytes};
pub use verify::{Verifier, VerifyError};
