//! The hash functions of the protocol.

pub mod blake2b_lanes;
pub mod label;
pub mod label_lanes;
pub mod poseidon;
pub mod poseidon_constants;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls code for instructions that were found at run time, and stores vectors")]
mod poseidon_ifma;
pub(crate) mod poseidon_scaled;
pub mod sha256;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls code for instructions that were found at run time, loads and stores vectors")]
pub(crate) mod sha256_lanes;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls code for instructions that were found at run time, loads and stores vectors")]
pub(crate) mod sha256_ni;
pub mod sha512_blocks;
