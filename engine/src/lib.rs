//! Storage proofs for Filecoin and Filecash: of replication, of space-time, of sector updates, and their aggregates.
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
//! | verify | proof, commitments, identity, seed, verifying key | accepted or not |
//! | aggregate | proofs and statements of many sectors, reference string | one proof for all |
//! | PoSt | replica, tree-r-last, `p_aux`, randomness | vanilla proofs, then 192 bytes a partition |
//! | update | replica, tree-r-last, `p_aux`, new data | a new replica, its trees and commitments, and their proof |
//! | unseal | replica, replica id | the data |
//!
//! [`api`] has a function for each. Beneath it, each using those that follow: [`groth16`] and [`params`] (keys, proofs,
//! parameter files), [`circuit`], [`porep`], [`post`] and [`update`] (vanilla proofs), [`merkle`] and [`graph`], [`hash`] and
//! [`field`]. [`backend`] is the way to a device, [`store`] that to files; [`sector`], [`error`], [`config`] and [`job`]
//! serve all.
//!
//! "The reference" in these pages is `filecoin-proofs` 19.1 (for Filecash's own sizes, the Filecash fork of it).

pub mod api;
pub mod backend;
pub mod calibrate;
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
