//! Storage proofs for Filecoin and Filecash: replication, vanilla proofs, SNARK proving, verification, unsealing.
//!
//! A sector goes through pure steps between files, each readable and writable by the reference implementation too:
//!
//! | Step | In | Out |
//! |---|---|---|
//! | add piece | raw bytes | Fr32-padded staged file, CommP |
//! | PC1 | staged file | tree-d, layer files |
//! | PC2 | layers, data | tree-c, replica, tree-r-last, `p_aux`, `t_aux`, CommR |
//! | C1 | cache folder, seed | vanilla proofs |
//! | C2 | vanilla proofs, parameters | 192 bytes a partition |
//! | unseal | replica, replica id | the data |
//!
//! "The reference" in these pages is `filecoin-proofs` 19.1 (for Filecash's own sizes, the Filecash fork of it).

pub mod api;
pub mod backend;
pub mod circuit;
pub mod config;
pub mod error;
pub mod field;
pub mod graph;
pub mod groth16;
pub mod hash;
pub mod job;
pub mod merkle;
pub mod params;
pub mod porep;
pub mod post;
pub mod sector;
pub mod store;
pub mod update;

pub use error::Error;
