//! Rounds of the beacon in blocks.
//!
//! A block lists every round after its parents' last, up to its own epoch's. A round of a drand network that chains its rounds is a BLS
//! signature, with the key in G1, over `SHA-256(signature of the round before ‖ round, 8 bytes big-endian)`.
//!
//! Source: `spec/chain.md` 3.2.

use sha2::{Digest, Sha256};

use super::signatures::{SignatureFault, verify_bls};
use crate::address::BlsKey;
use crate::header::BeaconEntry;

/// What is wrong with rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BeaconFault {
    #[error("round {found} of the beacon follows round {before}")]
    Order { before: u64, found: u64 },
    #[error("{0} rounds of the beacon in a block on the genesis, which has one")]
    First(usize),
    #[error("round {round} of the beacon: {source}")]
    Signature { round: u64, source: SignatureFault },
}

/// Whether rounds follow each other, and the last of the parents. Round 0 is the genesis' and stands for none: any one may follow.
///
/// # Errors
/// [`BeaconFault`].
pub fn check_rounds(parents: Option<&BeaconEntry>, entries: &[BeaconEntry]) -> Result<(), BeaconFault> {
    let mut before = parents.map(|entry| entry.round);
    if before == Some(0) {
        if entries.len() > 1 {
            return Err(BeaconFault::First(entries.len()));
        }
        before = None;
    }
    for BeaconEntry { round: found, .. } in entries {
        if let Some(before) = before.filter(|before| before.checked_add(1) != Some(*found)) {
            return Err(BeaconFault::Order { before, found: *found });
        }
        before = Some(*found);
    }
    Ok(())
}

/// Whether a round of a chained network follows the one before.
///
/// # Errors
/// [`BeaconFault`].
pub fn verify_chained(key: &BlsKey, before: &BeaconEntry, entry: &BeaconEntry) -> Result<(), BeaconFault> {
    let round = entry.round;
    if Some(round) != before.round.checked_add(1) {
        return Err(BeaconFault::Order { before: before.round, found: round });
    }
    let digest = Sha256::new().chain_update(&before.data).chain_update(round.to_be_bytes()).finalize();
    let signature = entry.data[..].try_into().map_err(|_| SignatureFault::Wrong);
    signature
        .and_then(|signature| verify_bls(key, signature, &digest))
        .map_err(|source| BeaconFault::Signature { round, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_those_of_the_parents() {
        let entry = |round| BeaconEntry { round, data: Vec::new() };
        let check = |parents: Option<u64>, rounds: &[u64]| {
            check_rounds(parents.map(entry).as_ref(), &rounds.iter().copied().map(entry).collect::<Vec<_>>())
        };
        for (parents, rounds) in
            [(Some(7), &[8, 9][..]), (Some(7), &[]), (None, &[4, 5]), (Some(0), &[81_086]), (Some(0), &[])]
        {
            assert_eq!(check(parents, rounds), Ok(()));
        }
        assert_eq!(check(Some(7), &[9]), Err(BeaconFault::Order { before: 7, found: 9 }));
        assert_eq!(check(Some(7), &[7]), Err(BeaconFault::Order { before: 7, found: 7 }));
        assert_eq!(check(None, &[5, 4]), Err(BeaconFault::Order { before: 5, found: 4 }));
        assert_eq!(check(Some(u64::MAX), &[0]), Err(BeaconFault::Order { before: u64::MAX, found: 0 }));
        assert_eq!(check(Some(0), &[1, 2]), Err(BeaconFault::First(2)));
    }
}
