//! Tests that run the reference implementation as a peer.
//!
//! - `tests/vectors.rs` seals the same sectors with both sides, in process, and compares every file and output byte for byte;
//! - `tests/synthetic.rs` and `tests/non_interactive.rs` do that for these features;
//! - `tests/phase_swap.rs` has each phase of a seal done by either side on what either side left;
//! - `tests/post.rs` does both for proofs of space-time, `tests/update.rs` for sector updates, `tests/aggregate.rs` for batches
//!   and aggregates;
//! - `tests/miners.rs` has our program be the child of miners' programs, `tests/cuzk.rs` prove for a foreign client what the
//!   reference opened.
//!
//! The reference reads its settings once per process, from the environment and from `rust-fil-proofs.config.toml` in
//! the working folder; the one beside this package's manifest keeps its parent tables in the build folder.

pub mod case;
pub mod features;
pub mod ours;
pub mod params;
pub mod program;
pub mod reference;
pub mod side;
pub mod snapshot;
pub mod update;
