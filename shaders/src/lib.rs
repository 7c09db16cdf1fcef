//! WGSL compute shaders of the storage-proof engine.
//!
//! Field arithmetic and hashes are generated ([`field`], [`poseidon`], [`sha256`]); the rest are files under `wgsl/`. Nothing here
//! knows a GPU API.

pub mod compose;
pub mod field;
pub mod kernels;
pub mod poseidon;
pub mod sha256;
