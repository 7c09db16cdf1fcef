//! Proof of replication: labels, columns, encoding, commitments, challenges, vanilla proofs.

pub mod commit;
#[cfg(test)]
mod commit_tests;
pub mod encode;
