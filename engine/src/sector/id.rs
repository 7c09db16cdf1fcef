//! Identifiers of a sector and the replica id that binds them.
//!
//! `replica_id = trim(SHA-256(prover_id ‖ BE64(sector) ‖ ticket ‖ comm_d ‖ porep_id))`
//!
//! Source: `spec/replication.md` 3.5 and 4.1.

use sha2::{Digest, Sha256};

use crate::hash::sha256::trim;

/// 32 bytes that name a miner: its actor id as unsigned LEB128, then zeros.
pub type ProverId = [u8; 32];
/// A sector's number, unique for its miner.
pub type SectorId = u64;
/// Randomness of the chain that enters the replica id.
pub type Ticket = [u8; 32];
/// The id of a replica, a canonical field element.
pub type ReplicaId = [u8; 32];

/// `LE64(registered seal proof number) ‖ LE64(nonce) ‖ 0¹⁶`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoRepId(pub [u8; 32]);

impl PoRepId {
    /// The id of a registered number, with nonce 0.
    pub fn from_number(number: u64) -> Self {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        Self(id)
    }

    /// The registered number in the first eight bytes.
    pub fn number(&self) -> u64 {
        let mut number = [0; 8];
        number.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(number)
    }
}

/// The prover id of an actor: its number as unsigned LEB128, then zeros (`spec/replication.md` 10.1).
pub fn prover_id(actor: u64) -> ProverId {
    let mut id = [0; 32];
    let mut rest = actor;
    for byte in &mut id {
        *byte = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            break;
        }
        *byte |= 0x80;
    }
    id
}

/// Derives a replica id; `comm_d` and `ticket` enter as they are.
pub fn replica_id(
    prover_id: &ProverId,
    sector: SectorId,
    ticket: &Ticket,
    comm_d: &[u8; 32],
    porep_id: &PoRepId,
) -> ReplicaId {
    let mut hasher = Sha256::new();
    hasher.update(prover_id);
    hasher.update(sector.to_be_bytes());
    hasher.update(ticket);
    hasher.update(comm_d);
    hasher.update(porep_id.0);
    trim(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec/replication.md 4.1.
    #[test]
    fn replica_id_matches_reference() {
        let id = replica_id(&[9; 32], 12345, &[1; 32], &[0x33; 32], &PoRepId::from_number(8));
        assert_eq!(hex::encode(id), "0aabe95ff7b05d85a5fd6b038c813a6b68bc7f15b89e04a85bc3d44f8d4c1f39");
    }

    #[test]
    fn prover_id_is_leb128() {
        assert_eq!(prover_id(1000)[..3], [0xe8, 0x07, 0]);
        assert_eq!(prover_id(0), [0; 32]);
        assert_eq!(prover_id(127)[..2], [127, 0]);
        assert_eq!(prover_id(128)[..3], [0x80, 1, 0]);
        assert_eq!(prover_id(u64::MAX)[..10], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }
}
