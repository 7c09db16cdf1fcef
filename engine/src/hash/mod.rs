//! The hash functions of the protocol.

pub mod sha256;
pub mod sha512_blocks;
