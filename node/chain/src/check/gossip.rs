//! What is to become of an announcement: it is passed on, dropped, or dropped and held against whom it came from.
//!
//! Only what the bytes themselves say is decided here. Of a block remain whether it was seen before, whether the miner may mine, and
//! [`super::signatures::verify_block`] under its worker's key; of a message its nonce and its sender's balance.
//!
//! Source: `spec/network.md` 4.4 and 4.5.

use super::Rules;
use super::block::{BlockFault, check_alone, check_root};
use super::message::{MAX_BYTES as MAX_MESSAGE_BYTES, MessageFault, check as check_message};
use super::signatures::{SignatureFault, verify_message};
use crate::address::Address;
use crate::block_message::{BlockMsg, MAX_BYTES, MAX_MESSAGES};
use crate::message::SignedMessage;
use crate::object::{Object, ObjectError, limit_values};

/// A link counts as two, a tag and its bytes; what is left is the header.
const MAX_BLOCK_VALUES: usize = 2 * MAX_MESSAGES + (16 << 10);
/// A message and its signature.
const MAX_MESSAGE_VALUES: usize = 16;

/// What is to become of an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is passed on, once what needs the ledger is checked too.
    Accept(T),
    /// It is dropped, and nobody is blamed.
    Ignore(Ignored),
    /// It is dropped, and counts against whom it came from.
    Reject(Rejected),
}

/// Why an announcement is dropped without blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Ignored {
    #[error("the key of sender {0} is not known without the ledger")]
    UnknownKey(Address),
}

/// Why an announcement is held against whom it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Rejected {
    #[error("an announcement of {found} bytes, at most {limit} are allowed")]
    Length { limit: usize, found: usize },
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Block(#[from] BlockFault),
    #[error(transparent)]
    Message(#[from] MessageFault),
    #[error(transparent)]
    Signature(#[from] SignatureFault),
}

/// A block that is announced.
pub fn block(bytes: &[u8], rules: &Rules) -> Outcome<BlockMsg> {
    match checked_block(bytes, rules) {
        Ok(block) => Outcome::Accept(block),
        Err(reason) => Outcome::Reject(reason),
    }
}

fn checked_block(bytes: &[u8], rules: &Rules) -> Result<BlockMsg, Rejected> {
    if bytes.len() > MAX_BYTES {
        return Err(Rejected::Length { limit: MAX_BYTES, found: bytes.len() });
    }
    limit_values(bytes, MAX_BLOCK_VALUES)?;
    let block = BlockMsg::decode(bytes)?;
    check_alone(&block.header, rules)?;
    check_root(&block.header, &block.bls_messages, &block.secp_messages)?;
    Ok(block)
}

/// A message that is announced. `key_of` has the keys of senders that are named by number, as far as they are known.
pub fn message(bytes: &[u8], rules: &Rules, key_of: impl Fn(&Address) -> Option<Address>) -> Outcome<SignedMessage> {
    let signed = match checked_message(bytes, rules) {
        Ok(signed) => signed,
        Err(reason) => return Outcome::Reject(reason),
    };
    match verify_message(&signed, key_of) {
        Ok(()) => Outcome::Accept(signed),
        Err(SignatureFault::NoKey(address)) => Outcome::Ignore(Ignored::UnknownKey(address)),
        Err(fault) => Outcome::Reject(fault.into()),
    }
}

fn checked_message(bytes: &[u8], rules: &Rules) -> Result<SignedMessage, Rejected> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Rejected::Length { limit: MAX_MESSAGE_BYTES, found: bytes.len() });
    }
    limit_values(bytes, MAX_MESSAGE_VALUES)?;
    let signed = SignedMessage::decode(bytes)?;
    check_message(&signed.message, rules)?;
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Amount;
    use crate::header::tests::header;
    use crate::message::Message;
    use crate::signature::Signature;

    const RULES: Rules = Rules::MAINNET;

    fn from(sender: Address, params: usize) -> SignedMessage {
        let message = Message {
            version: 0,
            to: Address::Id(1),
            from: sender,
            nonce: 0,
            value: Amount::zero(),
            gas_limit: 1,
            gas_fee_cap: Amount::zero(),
            gas_premium: Amount::zero(),
            method: 0,
            params: vec![0; params],
        };
        SignedMessage { message, signature: Signature::Bls([0; 96]) }
    }

    #[test]
    fn sender_that_is_not_known_is_nobody_s_fault() {
        let signed = from(Address::Id(9), 0);
        let unknown = Outcome::Ignore(Ignored::UnknownKey(Address::Id(9)));
        assert_eq!(message(&signed.encode(), &RULES, |_| None), unknown);
        let wrong = message(&signed.encode(), &RULES, |_| Some(Address::Secp256k1([0; 20])));
        assert_eq!(wrong, Outcome::Reject(Rejected::Signature(SignatureFault::Kind)));
        let mut bad = signed;
        bad.message.version = 1;
        assert!(matches!(message(&bad.encode(), &RULES, |_| None), Outcome::Reject(Rejected::Message(_))));
    }

    #[test]
    fn announcements_that_are_too_long_are_rejected() {
        let overhead = from(Address::Id(9), 1000).encode().len() - 1000;
        let (fits, longer) = (MAX_MESSAGE_BYTES - overhead, MAX_MESSAGE_BYTES - overhead + 1);
        assert!(matches!(message(&from(Address::Id(9), fits).encode(), &RULES, |_| None), Outcome::Ignore(_)));
        let found = MAX_MESSAGE_BYTES + 1;
        let rejected = Rejected::Length { limit: MAX_MESSAGE_BYTES, found };
        assert_eq!(message(&from(Address::Id(9), longer).encode(), &RULES, |_| None), Outcome::Reject(rejected));
        let found = MAX_BYTES + 1;
        assert_eq!(block(&vec![0; found], &RULES), Outcome::Reject(Rejected::Length { limit: MAX_BYTES, found }));
    }

    #[test]
    fn block_has_at_most_ten_thousand_messages() {
        let outcome = |count| {
            let list = vec![header(1, 1, vec![]).messages; count];
            let (root, _) = crate::block_message::message_root(&list, &[]);
            let mut header = header(1, 1, vec![]);
            header.messages = root;
            block(&BlockMsg { header, bls_messages: list, secp_messages: vec![] }.encode(), &RULES)
        };
        assert!(matches!(outcome(10_000), Outcome::Accept(_)));
        assert_eq!(outcome(10_001), Outcome::Reject(Rejected::Block(BlockFault::TooMany(10_001))));
    }
}
