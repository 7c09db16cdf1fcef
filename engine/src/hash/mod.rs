//! The hash functions of the protocol.

pub mod sha256;
