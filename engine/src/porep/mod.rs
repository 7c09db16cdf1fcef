//! Proof of replication: labels, columns, encoding, commitments, challenges, vanilla proofs.

pub mod labels;
