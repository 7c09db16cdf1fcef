//! The reference implementation as a peer: each phase of a seal as a step between files, and measurements beside ours.
//!
//! Files are in the forms of `filecoin-proofs-api`, as our own `filecash seal` reads and writes them, so either side
//! can do each step. Settings come from the environment, as the reference reads them once per process:
//! `FIL_PROOFS_PARAMETER_CACHE`, `FIL_PROOFS_PARENT_CACHE`, `RAYON_NUM_THREADS`, `BELLMAN_NUM_CPUS` and the rest of
//! `FIL_PROOFS_*`.
//!
//! The reference is `filecoin-proofs` 19.1 from crates.io with default features off.

pub mod args;
pub mod compare;
pub mod phases;
pub mod shape;
pub mod simulated;
pub mod usage;
