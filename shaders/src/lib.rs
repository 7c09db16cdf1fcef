//! WGSL compute shaders of the storage-proof engine.
//!
//! Field arithmetic and hashes are generated ([`field`], [`poseidon`], [`sha256`], [`labels`]); the rest are files under `wgsl/`. Nothing here
//! knows a GPU API.

pub mod compose;
pub mod field;
pub mod kernels;
pub mod labels;
pub mod poseidon;
mod sha2;
pub mod sha256;
