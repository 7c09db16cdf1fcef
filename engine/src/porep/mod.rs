//! Proof of replication: labels, columns, encoding, commitments, challenges, vanilla proofs.

pub mod challenges;
pub mod codec;
pub mod commit;
pub mod commit1;
pub mod encode;
pub mod labels;
pub mod labels_lockstep;
pub mod labels_pipelined;
pub mod layers;
pub mod outputs;
pub mod proof;
mod read_ahead;
pub mod simulate;
pub mod synthetic;
pub mod unseal;
pub mod vanilla;
pub mod verify;
