//! Proof of replication: labels, columns, encoding, commitments, challenges, vanilla proofs.

pub mod challenges;
pub mod codec;
pub mod labels;
pub mod outputs;
pub mod proof;
