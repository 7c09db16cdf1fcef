//! The hash functions of the protocol.

pub mod poseidon;
pub mod poseidon_constants;
pub mod sha256;
