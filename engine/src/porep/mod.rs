//! Proof of replication: labels, columns, encoding, commitments, challenges, vanilla proofs.

pub mod labels;
pub mod labels_pipelined;
pub mod layers;
pub mod unseal;
