//! Proof of space-time, without its SNARK: challenges, vanilla proofs, reading of many sectors against the clock.

pub mod challenges;
pub mod limited;
pub mod open;
pub mod proof;
pub mod vanilla;

pub use challenges::{PoStRound, RoundError};
pub use limited::ReadLimits;
pub use open::{Opened, open_at, open_sectors};
pub use proof::{SectorProof, VanillaCodecError, VanillaPoSt};
pub use vanilla::{Fault, FaultySector, PoStSector};

#[cfg(test)]
mod tests;
