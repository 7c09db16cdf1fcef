//! The public operations, each a pure step between files: parse, check, call, one span each.
//!
//! Every step takes a [`crate::job::Job`] (settings, progress, cancellation) and a [`crate::sector::PoRepConfig`]
//! (network, size, graph). Outputs appear under their names only when they are complete and on disk.

pub mod aggregate;
pub mod batch;
pub mod params;
pub mod post;
pub mod prove;
pub mod seal;
pub mod seal_list;
pub mod snark;
pub mod staging;
pub mod unseal;
pub mod update;
pub mod verify;

use crate::sector::{PoRepConfig, ProverId, ReplicaId, SectorId, Ticket, replica_id};

/// Whose sector it is and what it was sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectorIdentity {
    /// The miner.
    pub prover_id: ProverId,
    /// The sector's number.
    pub sector_id: SectorId,
    /// Randomness of the chain from the time of sealing.
    pub ticket: Ticket,
}

impl SectorIdentity {
    /// The replica id of the sector with this data.
    pub fn replica_id(&self, config: &PoRepConfig, comm_d: &[u8; 32]) -> ReplicaId {
        replica_id(&self.prover_id, self.sector_id, &self.ticket, comm_d, &config.porep_id)
    }
}
