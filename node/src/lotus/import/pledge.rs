//! Before a sector without deals is sealed for a miner: a number from the miner, and a ticket from any full node.
//!
//! Source: `spec/attach.md` B.15, steps 1 and 2.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hex32::Hex32;
use crate::lotus::rpc::{CallError, Miner};
use crate::lotus::types::{Bytes, actor_of};
use crate::lotus::{MinerApi, leb128};

/// Randomness for sealing.
const SEAL_RANDOMNESS: u64 = 5;
/// So many epochs back no other chain is expected to win.
const FINALITY: i64 = 900;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// More than anybody seals at a time.
const MOST: u64 = 10_000;

/// Why there is no number or ticket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum PledgeError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the miner's address is {0:?}, expected one such as f01000")]
    Actor(String),
    #[error("the miner reserved other numbers than {0} of them")]
    Numbers(u64),
    #[error("the chain is at epoch {0}, too young for a ticket")]
    Young(i64),
    #[error("the ticket is {0} bytes, expected 32")]
    Ticket(usize),
}

/// Who the miner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its actor.
    pub actor: u64,
    /// Bytes of its sectors.
    pub sector_bytes: u64,
}

/// Asks the miner who it is.
///
/// # Errors
/// [`PledgeError`].
pub fn who(miner: &MinerApi) -> Result<Who, PledgeError> {
    let miner = Miner::new(miner);
    let address: String = miner.call("ActorAddress", &json!([]), ANSWER)?;
    let sector_bytes = miner.call("ActorSectorSize", &json!([address]), ANSWER)?;
    let actor = actor_of(&address).ok_or(PledgeError::Actor(address))?;
    Ok(Who { actor, sector_bytes })
}

/// Has the miner set numbers aside, which it will never give to another sector.
///
/// # Errors
/// [`PledgeError`].
pub fn reserve(miner: &MinerApi, count: u64) -> Result<Vec<u64>, PledgeError> {
    let name = format!("filecash-{}", hex::encode(rand_name()));
    let runs: Vec<u64> = Miner::new(miner).call("SectorNumReserveCount", &json!([name, count]), ANSWER)?;
    let numbers = numbers(&runs).filter(|numbers| numbers.len() as u64 == count);
    numbers.ok_or(PledgeError::Numbers(count))
}

/// Reservations have names, which nobody asks for again.
fn rand_name() -> [u8; 8] {
    use rand_core::RngCore as _;
    let mut name = [0; 8];
    rand_core::OsRng.fill_bytes(&mut name);
    name
}

/// The members of a bit field whose runs are given, that of zeros first.
fn numbers(runs: &[u64]) -> Option<Vec<u64>> {
    let (mut at, mut all) = (0_u64, Vec::new());
    for (place, run) in runs.iter().enumerate() {
        let end = at.checked_add(*run)?;
        if place % 2 == 1 {
            if all.len() as u64 + run > MOST {
                return None;
            }
            all.extend(at..end);
        }
        at = end;
    }
    Some(all)
}

/// A ticket and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The ticket.
    pub value: Hex32,
    /// The epoch.
    pub epoch: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    cids: Value,
    height: i64,
}

/// Asks a full node for a ticket that no reorganisation is expected to change.
///
/// # Errors
/// [`PledgeError`].
pub fn ticket(node: &MinerApi, actor: u64) -> Result<Ticket, PledgeError> {
    let node = Miner::new(node);
    let Head { cids, height } = node.call("ChainHead", &json!([]), ANSWER)?;
    let epoch = height - FINALITY;
    if epoch < 0 {
        return Err(PledgeError::Young(height));
    }
    let entropy = STANDARD.encode(address_cbor(actor));
    let params = json!([SEAL_RANDOMNESS, epoch, entropy, cids]);
    let Bytes(value) = node.call("StateGetRandomnessFromTickets", &params, ANSWER)?;
    let value = value.as_slice().try_into().map_err(|_| PledgeError::Ticket(value.len()))?;
    Ok(Ticket { value: Hex32(value), epoch })
}

/// The address of an actor in CBOR: a byte string of its protocol, 0, and its number as LEB128.
fn address_cbor(actor: u64) -> Vec<u8> {
    let number = leb128(actor);
    // At most eleven bytes: how many is in the head.
    [&[0x41 + number.len() as u8, 0][..], &number].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_fields_are_read_by_their_runs() {
        assert_eq!(numbers(&[5, 1]).unwrap(), [5]);
        assert_eq!(numbers(&[0, 2, 3, 2]).unwrap(), [0, 1, 5, 6]);
        assert!(numbers(&[]).unwrap().is_empty() && numbers(&[7]).unwrap().is_empty());
        assert_eq!(numbers(&[u64::MAX, 1]), None);
        assert_eq!(numbers(&[0, u64::MAX]), None);
    }

    #[test]
    fn addresses_are_bytes_in_cbor() {
        assert_eq!(address_cbor(1000), [0x43, 0, 0xe8, 0x07]);
        assert_eq!(address_cbor(0), [0x42, 0, 0]);
        assert_eq!(address_cbor(u64::MAX).len(), 12);
    }
}
