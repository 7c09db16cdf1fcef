//! The hash functions of the protocol.

pub mod blake2b_lanes;
pub mod sha256;
pub mod sha512_blocks;
