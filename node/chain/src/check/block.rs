//! What is checked of a block: alone, with its messages, and on its parents.
//!
//! `timestamp = parents' timestamp + seconds of an epoch · (height − parents' height)`
//!
//! Source: `spec/chain.md` 4.1 and 4.3.

use std::collections::HashMap;

use filecash_ipld::Cid;

use super::Rules;
use super::beacon::{BeaconFault, check_rounds};
use super::message::{MessageFault, check as check_message};
use super::signatures::{SignatureFault, key_for, verify_aggregate, verify_message};
use crate::address::{Address, BlsKey};
use crate::block_message::MAX_MESSAGES;
use crate::block_messages::BlockMessages;
use crate::header::BlockHeader;
use crate::signature::Signature;
use crate::tipset::Tipset;
use crate::weight::WeightFault;

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BlockFault {
    #[error("a block without {0}")]
    Missing(&'static str),
    #[error("a block whose {0} is no BLS signature")]
    NotBls(&'static str),
    #[error("a block of {0}, which is no actor's number")]
    Miner(Address),
    #[error("a block that won {found} elections, from 1 to {limit} are allowed")]
    WinCount { limit: i64, found: i64 },
    #[error("a block of {0} messages, at most {MAX_MESSAGES} are allowed")]
    TooMany(usize),
    #[error("a block whose messages are not those that it names")]
    Messages,
    #[error("the messages of a block may use {0} gas, more than a block may")]
    Gas(i128),
    #[error("message {place} of a block: {source}")]
    Message { place: usize, source: MessageFault },
    #[error("message {place} of a block has nonce {found} after others of its sender, {expected} is the next")]
    Nonce { place: usize, expected: u64, found: u64 },
    #[error("message {place} of a block: {source}")]
    MessageSignature { place: usize, source: SignatureFault },
    #[error("the sum of a block's signatures: {0}")]
    Aggregate(#[source] SignatureFault),
    #[error("a block that does not build on these parents")]
    Parents,
    #[error("a block of height {found} on parents of height {parents}")]
    Height { parents: i64, found: i64 },
    #[error("a block of second {found}, its height is that of second {expected}")]
    Timestamp { expected: i128, found: u64 },
    #[error("a block of second {found}, the clock is at {now}")]
    Future { now: u64, found: u64 },
    #[error("the signature of a block: {0}")]
    Signature(#[source] SignatureFault),
    #[error(transparent)]
    Weight(#[from] WeightFault),
    #[error(transparent)]
    Beacon(#[from] BeaconFault),
}

/// Whether a block has what every block but the first has, in its form.
///
/// # Errors
/// [`BlockFault`].
pub fn check_alone(header: &BlockHeader, rules: &Rules) -> Result<(), BlockFault> {
    let Address::Id(_) = header.miner else { return Err(BlockFault::Miner(header.miner)) };
    let ticket = header.ticket.as_ref().ok_or(BlockFault::Missing("a ticket"))?;
    let election = header.election_proof.as_ref().ok_or(BlockFault::Missing("an election proof"))?;
    let aggregate = header.bls_aggregate.as_ref().ok_or(BlockFault::Missing("a sum of its messages' signatures"))?;
    let signature = header.signature.as_ref().ok_or(BlockFault::Missing("a signature"))?;
    let forms = [
        ("ticket", ticket.vrf_proof.len() == 96),
        ("election proof", election.vrf_proof.len() == 96),
        ("sum of its messages' signatures", matches!(aggregate, Signature::Bls(_))),
        ("signature", matches!(signature, Signature::Bls(_))),
    ];
    if let Some((what, _)) = forms.iter().find(|(_, is_bls)| !is_bls) {
        return Err(BlockFault::NotBls(what));
    }
    let (limit, found) = (rules.max_win_count(), election.win_count);
    if !(1..=limit).contains(&found) {
        return Err(BlockFault::WinCount { limit, found });
    }
    Ok(())
}

/// Whether a block builds on its parents as to order and time. `now` is the clock, in seconds of Unix, where the block is a new one.
///
/// # Errors
/// [`BlockFault`].
pub fn check_on_parents(
    header: &BlockHeader,
    parents: &Tipset,
    rules: &Rules,
    now: Option<u64>,
) -> Result<(), BlockFault> {
    if header.parents != parents.key() {
        return Err(BlockFault::Parents);
    }
    if header.height <= parents.height() {
        return Err(BlockFault::Height { parents: parents.height(), found: header.height });
    }
    let epochs = i128::from(header.height) - i128::from(parents.height());
    let expected = i128::from(parents.first().timestamp) + i128::from(rules.epoch_seconds) * epochs;
    if i128::from(header.timestamp) != expected {
        return Err(BlockFault::Timestamp { expected, found: header.timestamp });
    }
    if let Some(now) = now.filter(|now| header.timestamp > now.saturating_add(rules.clock_drift_seconds)) {
        return Err(BlockFault::Future { now, found: header.timestamp });
    }
    Ok(check_rounds(parents.first().beacon_entries.last(), &header.beacon_entries)?)
}

/// Whether messages are those of a block, and well-formed: their root, number, fields, gas and the nonces of each sender.
///
/// # Errors
/// [`BlockFault`].
pub fn check_messages(header: &BlockHeader, messages: &BlockMessages, rules: &Rules) -> Result<(), BlockFault> {
    if messages.count() > MAX_MESSAGES {
        return Err(BlockFault::TooMany(messages.count()));
    }
    if messages.root() != header.messages {
        return Err(BlockFault::Messages);
    }
    let mut next: HashMap<Address, u64> = HashMap::new();
    let mut gas = 0;
    for (place, chain_message) in messages.iter().enumerate() {
        let message = chain_message.message();
        check_message(message, rules).map_err(|source| BlockFault::Message { place, source })?;
        gas += i128::from(message.gas_limit);
        let expected = *next.entry(message.from).or_insert(message.nonce);
        if message.nonce != expected {
            return Err(BlockFault::Nonce { place, expected, found: message.nonce });
        }
        next.insert(message.from, expected.wrapping_add(1));
    }
    if gas > i128::from(rules.block_gas_limit) { Err(BlockFault::Gas(gas)) } else { Ok(()) }
}

/// Whether the signatures of a block's messages are good. Senders that are named by number have their keys from `key_of`.
///
/// # Errors
/// [`BlockFault`].
pub fn check_signatures(
    header: &BlockHeader,
    messages: &BlockMessages,
    key_of: impl Fn(&Address) -> Option<Address>,
) -> Result<(), BlockFault> {
    let fault = |place| move |source| BlockFault::MessageSignature { place, source };
    let mut signed: Vec<(BlsKey, Vec<u8>)> = Vec::with_capacity(messages.bls.len());
    for (place, message) in messages.bls.iter().enumerate() {
        match key_for(&message.from, &key_of).map_err(fault(place))? {
            Address::Bls(key) => signed.push((key, message.signing_bytes())),
            _ => return Err(fault(place)(SignatureFault::Kind)),
        }
    }
    let aggregate = header.bls_aggregate.as_ref().ok_or(BlockFault::Missing("a sum of its messages' signatures"))?;
    verify_aggregate(aggregate, &signed).map_err(BlockFault::Aggregate)?;
    for (place, message) in messages.secp.iter().enumerate() {
        verify_message(message, &key_of).map_err(fault(messages.bls.len() + place))?;
    }
    Ok(())
}

/// Whether a tipset builds on another: what [`check_on_parents`] says of its blocks.
///
/// # Errors
/// [`BlockFault`].
pub fn check_tipset(child: &Tipset, parents: &Tipset, rules: &Rules) -> Result<(), BlockFault> {
    child.headers().try_for_each(|header| check_on_parents(header, parents, rules, None))
}

/// Whether two lists of CIDs are those that a header names.
///
/// # Errors
/// [`BlockFault`].
pub fn check_root(header: &BlockHeader, bls: &[Cid], secp: &[Cid]) -> Result<(), BlockFault> {
    let count = bls.len() + secp.len();
    if count > MAX_MESSAGES {
        return Err(BlockFault::TooMany(count));
    }
    let (root, _) = crate::block_message::message_root(bls, secp);
    if root == header.messages { Ok(()) } else { Err(BlockFault::Messages) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::header::tests::header;
    use crate::message::Message;
    use crate::object::Object;

    const RULES: Rules = Rules::MAINNET;

    #[test]
    fn block_on_its_parents_has_the_time_of_its_height() {
        let parents = Tipset::new(vec![header(1, 10, vec![])]).unwrap();
        let mut child = header(2, 13, parents.key());
        child.beacon_entries = (111..114).map(|round| crate::header::BeaconEntry { round, data: vec![] }).collect();
        assert_eq!(check_on_parents(&child, &parents, &RULES, None), Ok(()));
        assert_eq!(check_on_parents(&child, &parents, &RULES, Some(child.timestamp - 1)), Ok(()));
        let (now, found) = (child.timestamp - 2, child.timestamp);
        assert_eq!(check_on_parents(&child, &parents, &RULES, Some(now)), Err(BlockFault::Future { now, found }));
        let devnet = Rules { epoch_seconds: 2, ..RULES };
        assert!(matches!(check_on_parents(&child, &parents, &devnet, None), Err(BlockFault::Timestamp { .. })));
        let with = |change: fn(&mut BlockHeader)| {
            let mut child = child.clone();
            change(&mut child);
            check_on_parents(&child, &parents, &RULES, None).unwrap_err()
        };
        assert_eq!(with(|header| header.parents.clear()), BlockFault::Parents);
        assert_eq!(with(|header| header.height = 10), BlockFault::Height { parents: 10, found: 10 });
        assert_eq!(with(|header| header.height = i64::MIN), BlockFault::Height { parents: 10, found: i64::MIN });
        let expected = i128::from(parents.first().timestamp) + 30 * (i128::from(i64::MAX) - 10);
        let far = with(|header| header.height = i64::MAX);
        assert_eq!(far, BlockFault::Timestamp { expected, found });
        let skipped = with(|header| drop(header.beacon_entries.remove(1)));
        assert_eq!(skipped, BlockFault::Beacon(BeaconFault::Order { before: 111, found: 113 }));
        let repeated = with(|header| header.beacon_entries[0].round = 110);
        assert_eq!(repeated, BlockFault::Beacon(BeaconFault::Order { before: 110, found: 110 }));
    }

    fn message(from: u64, nonce: u64, gas_limit: i64) -> Message {
        Message {
            version: 0,
            to: Address::Id(1),
            from: Address::Id(from),
            nonce,
            value: Amount::zero(),
            gas_limit,
            gas_fee_cap: Amount::zero(),
            gas_premium: Amount::zero(),
            method: 0,
            params: Vec::new(),
        }
    }

    fn checked(messages: Vec<Message>) -> Result<(), BlockFault> {
        let messages = BlockMessages { bls: messages.into_iter().map(Into::into).collect(), secp: Vec::new() };
        let header = BlockHeader { messages: messages.root(), ..header(1, 1, vec![]) };
        let cids: Vec<Cid> = messages.bls.iter().map(Object::cid).collect();
        assert_eq!(
            check_root(&header, &cids, &[]),
            if cids.len() > MAX_MESSAGES { Err(BlockFault::TooMany(cids.len())) } else { Ok(()) }
        );
        check_messages(&header, &messages, &RULES)
    }

    #[test]
    fn messages_of_a_block_go_together() {
        let good = vec![message(1, 5, 1), message(2, 0, 1), message(1, 6, 1), message(2, 1, 1)];
        assert_eq!(checked(good), Ok(()));
        let fault = BlockFault::Nonce { place: 1, expected: 6, found: 7 };
        assert_eq!(checked(vec![message(1, 5, 1), message(1, 7, 1)]), Err(fault));
        assert!(matches!(checked(vec![message(1, 5, 0)]), Err(BlockFault::Message { place: 0, .. })));
        let half = RULES.block_gas_limit / 2;
        assert_eq!(checked(vec![message(1, 0, half), message(1, 1, half)]), Ok(()));
        let gas = checked(vec![message(1, 0, half), message(1, 1, half), message(1, 2, 1)]);
        assert_eq!(gas, Err(BlockFault::Gas(i128::from(RULES.block_gas_limit) + 1)));
        let many = |count| (0..count).map(|nonce| message(1, nonce, 1)).collect();
        assert_eq!(checked(many(10_000)), Ok(()));
        assert_eq!(checked(many(10_001)), Err(BlockFault::TooMany(10_001)));
        let fault = check_messages(
            &header(1, 1, vec![]),
            &BlockMessages { bls: vec![message(1, 0, 1).into()], secp: vec![] },
            &RULES,
        );
        assert_eq!(fault, Err(BlockFault::Messages));
    }

    #[test]
    fn senders_named_by_number_need_their_keys() {
        let messages = BlockMessages { bls: vec![message(7, 0, 1).into()], secp: vec![] };
        let header = header(1, 1, vec![]);
        let source = SignatureFault::NoKey(Address::Id(7));
        assert_eq!(
            check_signatures(&header, &messages, |_| None),
            Err(BlockFault::MessageSignature { place: 0, source })
        );
        let other = check_signatures(&header, &messages, |_| Some(Address::Secp256k1([0; 20])));
        assert_eq!(other, Err(BlockFault::MessageSignature { place: 0, source: SignatureFault::Kind }));
        assert_eq!(check_signatures(&header, &BlockMessages::default(), |_| None), Ok(()));
        assert_eq!(check_alone(&header, &RULES), Ok(()));
        let by_key = BlockHeader { miner: Address::Actor([0; 20]), ..header };
        assert!(matches!(check_alone(&by_key, &RULES), Err(BlockFault::Miner(_))));
    }
}
